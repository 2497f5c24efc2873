/* SPDX-License-Identifier: BSD-2-Clause
 *
 * board: making, mapping, reserving rows, and the small verbs on them.
 *
 * The supervisor calls board_new and board_reserve; traffic and watch call board_map and use the rows. Nothing here waits, and no
 * lock is held: every field has one kind of writer. (Gates have a lock: gate.c.)
 */
#include "board/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every child can write all of the board. One that was taken over must not be able to crash the supervisor, which is root: so
 * numbers found here are bounded before they lead anywhere, and texts are not trusted to end. */
#define NOT_VALID "(not valid)"

static unsigned used_rows(const struct board *board)
{
	unsigned rows = atomic_load(&board->target_rows);
	return rows < BOARD_TARGETS_MOST ? rows : BOARD_TARGETS_MOST;
}

static unsigned used_lanes(const struct board *board)
{
	unsigned lanes = atomic_load_explicit(&board->lane_count, memory_order_relaxed);
	return lanes < BOARD_LANES_MOST ? lanes : BOARD_LANES_MOST;
}

static unsigned used_gates(const struct board *board)
{
	unsigned rows = atomic_load(&board->gate_rows);
	return rows < BOARD_GATES_MOST ? rows : BOARD_GATES_MOST;
}

const char *board_health_text(enum board_health health)
{
	static const char *const texts[] = {
#define X(name, text) [name] = text,
	    BOARD_HEALTHS(X)
#undef X
	};
	return (unsigned)health < COUNT_OF(texts) ? texts[health] : NOT_VALID;
}

const char *board_role_text(enum board_role role)
{
	static const char *const texts[] = {
#define X(name, text) [name] = text,
	    BOARD_ROLES(X)
#undef X
	};
	return (unsigned)role < COUNT_OF(texts) ? texts[role] : NOT_VALID;
}

const struct board_counter_name board_counter_names[] = {
#define X(name, text) {#name, text, offsetof(struct board_lane, name)},
    BOARD_COUNTERS(X)
#undef X
};
const unsigned board_counter_count = COUNT_OF(board_counter_names);
_Static_assert(COUNT_OF(board_counter_names) <= BOARD_COUNTERS_ROOM, "the counters have outgrown their room");

/* ---- making and mapping --------------------------------------------------------------------------------------- */

struct board *board_new(unsigned lane_count, int *descriptor)
{
	ASSERT(lane_count > 0 && lane_count <= BOARD_LANES_MOST);
	int file = memfd_create("noah-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0)
		return NULL;
	if (ftruncate(file, sizeof(struct board)) != 0 || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		goto failed;
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (board == MAP_FAILED)
		goto failed;
	/* The rest is zero, and stays a hole in the file until somebody writes there. */
	board->magic = BOARD_MAGIC;
	board->version = BOARD_VERSION;
	board->size = sizeof *board;
	atomic_store(&board->lane_count, lane_count);
	atomic_store(&board->started_wall_us, clock_wall_us());
	*descriptor = file;
	return board;

failed:;
	int error = errno;
	close(file);
	errno = error;
	return NULL;
}

struct board *board_map(int descriptor)
{
	struct stat status;
	if (fstat(descriptor, &status) != 0 || status.st_size < (off_t)sizeof(struct board))
		return NULL;
	int seals = fcntl(descriptor, F_GET_SEALS);
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
		return NULL; /* it could be cut under our feet */
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	if (board == MAP_FAILED)
		return NULL;
	if (board->magic != BOARD_MAGIC || board->version != BOARD_VERSION || board->size < sizeof *board ||
	    status.st_size < (off_t)board->size || board->lane_count == 0 || board->lane_count > BOARD_LANES_MOST) {
		board_unmap(board);
		return NULL;
	}
	return board;
}

void board_unmap(struct board *board)
{
	ASSERT(munmap(board, sizeof *board) == 0);
}

/* ---- lanes ---------------------------------------------------------------------------------------------------- */

void board_lanes_use(struct board *board, unsigned lane_count)
{
	ASSERT(lane_count > 0 && lane_count <= BOARD_LANES_MOST);
	if (lane_count > atomic_load(&board->lane_count))
		atomic_store(&board->lane_count, lane_count);
}

void board_lane_ended(struct board *board, unsigned index)
{
	ASSERT(index < BOARD_LANES_MOST);
	struct board_lane *lane = &board->lanes[index];
	atomic_store(&lane->connections_open, 0);
	atomic_store(&lane->sessions_open, 0);
	atomic_store(&lane->tunnels_open, 0);
	atomic_store(&lane->services_open, 0);
	unsigned rows = used_rows(board);
	for (unsigned row = 0; row < rows; row++)
		if (atomic_load(&lane->active[row]) != 0)
			atomic_store(&lane->active[row], 0);
	unsigned gates = used_gates(board);
	for (unsigned row = 0; row < gates; row++)
		board_gate_forget(board, &board->gates[row], index);
}

void board_lane_restart(struct board *board, const struct board_lane *lane)
{
	board_lane_ended(board, (unsigned)(lane - board->lanes));
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static int find_key(const struct board *board, const char *key)
{
	unsigned rows = used_rows(board);
	for (unsigned row = 0; row < rows; row++)
		if (strncmp(board->targets[row].key, key, CLUSTER_TARGET_KEY_SIZE) == 0)
			return (int)row;
	return -1;
}

static bool has_active(const struct board *board, unsigned row)
{
	for (unsigned i = 0; i < used_lanes(board); i++)
		if (atomic_load(&board->lanes[i].active[row]) != 0)
			return true;
	return false;
}

/* A row that is free, or was last named before the two newest snapshots and has nothing under way: a tunnel of last week counts
 * for its own server until it ends, never for another. -1 when there is none. */
static int find_room(struct board *board, uint64_t generation)
{
	unsigned rows = used_rows(board);
	for (unsigned row = 0; row < rows; row++)
		if (board->targets[row].key[0] == '\0')
			return (int)row;
	if (rows < BOARD_TARGETS_MOST) {
		atomic_store(&board->target_rows, rows + 1);
		return (int)rows;
	}
	for (unsigned row = 0; row < rows; row++) {
		struct board_target *target = &board->targets[row];
		if (atomic_load(&target->last_generation) + 1 >= generation || has_active(board, row))
			continue;
		memset(target, 0, sizeof *target);
		for (unsigned i = 0; i < used_lanes(board); i++)
			atomic_store(&board->lanes[i].served[row], 0);
		return (int)row;
	}
	return -1;
}

/* True when the generation before named this address and service with some check that found it up. */
static bool was_up(const struct board *board, enum board_service service, const struct address *address, uint64_t generation)
{
	unsigned rows = used_rows(board);
	for (unsigned row = 0; row < rows; row++) {
		const struct board_target *target = &board->targets[row];
		if (target->key[0] != '\0' && target->service == (uint32_t)service && address_equal(&target->address, address) &&
		    atomic_load(&target->last_generation) + 1 >= generation && atomic_load(&target->health) == HEALTH_UP)
			return true;
	}
	return false;
}

/* Nothing is known of it but, perhaps, what another check found. Its key stays as it is. */
static void target_begin(struct board_target *target, bool up)
{
	char key[CLUSTER_TARGET_KEY_SIZE];
	memcpy(key, target->key, sizeof key);
	memset((char *)target + sizeof key, 0, sizeof *target - sizeof key);
	atomic_store(&target->lag_ms, UINT32_MAX);
	if (up) {
		board_text_write(&target->reason, "carried over from the check before the reload");
		atomic_store(&target->changed_wall_us, clock_wall_us());
		atomic_store(&target->health, HEALTH_UP);
	}
}

static bool reserve_target(struct board *board, const struct cluster_check *check, const struct address *address,
                           uint64_t generation)
{
	char key[CLUSTER_TARGET_KEY_SIZE];
	enum board_service service = check->kind == CHECK_MYSQL ? SERVICE_DATABASE : SERVICE_APP;
	cluster_target_key(check, address, key);
	int row = find_key(board, key);
	bool is_new = row < 0;
	if (is_new)
		row = find_room(board, generation);
	if (row < 0)
		return false;
	struct board_target *target = &board->targets[row];
	/* Nobody has looked at a row that the generation before did not name: what stands there may be days old. */
	if (is_new || atomic_load(&target->last_generation) + 1 < generation) {
		target_begin(target, was_up(board, service, address, generation));
		target->service = (uint32_t)service;
		target->address = *address;
		memcpy(target->key, key, sizeof key);
	}
	atomic_store(&target->last_generation, generation);
	return true;
}

static void database_begin(struct board_database *database, const char *name)
{
	/* The epoch goes on: nobody takes the new one's primary for the former one's. */
	uint64_t epoch = (atomic_load(&database->primary) >> 32) + 1;
	atomic_store(&database->primary, epoch << 32);
	atomic_store(&database->accounts_version, 0);
	board_text_write(&database->reason, "not looked at yet");
	memset(database->name, 0, sizeof database->name);
	memcpy(database->name, name, strnlen(name, sizeof database->name - 1));
}

static bool reserve_database(struct board *board, const char *name, uint64_t generation)
{
	struct board_database *row = board_find_database(board, name);
	/* A row of the generation in force is not touched: this one may yet be refused. */
	for (unsigned i = 0; i < BOARD_DATABASES_MOST && row == NULL; i++)
		if (board->databases[i].name[0] == '\0')
			row = &board->databases[i];
	for (unsigned i = 0; i < BOARD_DATABASES_MOST && row == NULL; i++)
		if (atomic_load(&board->databases[i].last_generation) + 1 < generation)
			row = &board->databases[i];
	if (row == NULL)
		return false;
	/* Also when the generation before did not have it: who was primary then may not be it any more. */
	if (strncmp(row->name, name, CLUSTER_NAME_SIZE) != 0 || atomic_load(&row->last_generation) + 1 < generation)
		database_begin(row, name);
	atomic_store(&row->last_generation, generation);
	return true;
}

static bool reserve_server(struct board *board, const char *name, uint64_t generation)
{
	struct board_server *row = board_find_server(board, name);
	for (unsigned i = 0; i < BOARD_SERVERS_MOST && row == NULL; i++)
		if (board->servers[i].name[0] == '\0' || atomic_load(&board->servers[i].last_generation) + 1 < generation)
			row = &board->servers[i];
	if (row == NULL)
		return false;
	if (strncmp(row->name, name, CLUSTER_NAME_SIZE) != 0) {
		memset(row, 0, sizeof *row);
		atomic_store(&row->weight_percent, BOARD_WEIGHT_FULL);
		memcpy(row->name, name, strnlen(name, sizeof row->name - 1));
	}
	atomic_store(&row->last_generation, generation);
	return true;
}

/* A gate that nobody uses any more: no snapshot of the two newest generations caps its address, and nobody holds or awaits a slot
 * (the exchanges of an older generation may still). */
static bool gate_is_free(const struct board *board, const struct board_gate *gate, uint64_t generation)
{
	if (gate->address.family == ADDRESS_NONE)
		return true;
	if (atomic_load(&gate->last_generation) + 1 >= generation || atomic_load(&gate->queued) != 0)
		return false;
	for (unsigned lane = 0; lane < used_lanes(board); lane++)
		if (atomic_load(&gate->held[lane]) != 0)
			return false;
	return true;
}

static struct board_gate *gate_new(struct board *board, const struct address *address, uint64_t generation)
{
	unsigned rows = used_gates(board), row = 0;
	while (row < rows && !gate_is_free(board, &board->gates[row], generation))
		row++;
	if (row == BOARD_GATES_MOST)
		return NULL;
	if (row == rows)
		atomic_store(&board->gate_rows, rows + 1);
	board->gates[row].address = *address;
	return &board->gates[row];
}

static bool reserve_gate(struct board *board, const struct cluster_app *app, uint64_t generation)
{
	struct board_gate *gate = board_find_gate(board, &app->address);
	/* Without a cap now: who has a slot of it from before still gives it back, and nobody waits any more. */
	if (app->connections_most == 0) {
		if (gate != NULL)
			atomic_store(&gate->connections_most, 0);
		return true;
	}
	if (gate == NULL)
		gate = gate_new(board, &app->address, generation);
	if (gate == NULL)
		return false;
	atomic_store(&gate->connections_most, app->connections_most);
	atomic_store(&gate->last_generation, generation);
	return true;
}

bool board_reserve(struct board *board, const struct cluster *cluster)
{
	ASSERT(board != NULL);
	for (unsigned i = 0; i < cluster->server_count; i++)
		if (!reserve_server(board, cluster->servers[i].name, cluster->generation))
			return false;
	for (unsigned i = 0; i < cluster->site_count; i++)
		if (!board_site_reserve(board, cluster->sites[i].name, cluster->generation))
			return false;
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(cluster, &walk))
		for (unsigned i = 0; i < walk.group->app_count; i++)
			if (!reserve_target(board, &walk.group->check, &walk.group->apps[i].address, cluster->generation) ||
			    !reserve_gate(board, &walk.group->apps[i], cluster->generation))
				return false;
	for (unsigned i = 0; i < cluster->database_count; i++) {
		const struct cluster_database *database = &cluster->databases[i];
		for (unsigned j = 0; j < database->server_count; j++)
			if (!reserve_target(board, &database->check, &database->servers[j].address, cluster->generation))
				return false;
		if (!reserve_database(board, database->name, cluster->generation))
			return false;
	}
	return true;
}

static void keep_target(struct board *board, const struct cluster_check *check, const struct address *address,
                        uint64_t generation)
{
	int row = board_target_row(board, check, address);
	if (row >= 0)
		atomic_store(&board->targets[row].last_generation, generation);
}

void board_reserve_undo(struct board *board, const struct cluster *in_force)
{
	unsigned rows = used_rows(board);
	for (unsigned row = 0; row < rows; row++)
		if (atomic_load(&board->targets[row].last_generation) > in_force->generation)
			atomic_store(&board->targets[row].last_generation, 0);
	for (unsigned i = 0; i < BOARD_DATABASES_MOST; i++)
		if (atomic_load(&board->databases[i].last_generation) > in_force->generation)
			atomic_store(&board->databases[i].last_generation, 0);
	for (unsigned i = 0; i < BOARD_SERVERS_MOST; i++)
		if (atomic_load(&board->servers[i].last_generation) > in_force->generation)
			atomic_store(&board->servers[i].last_generation, 0);
	for (unsigned row = 0; row < used_gates(board); row++)
		if (atomic_load(&board->gates[row].last_generation) > in_force->generation) {
			atomic_store(&board->gates[row].last_generation, 0);
			atomic_store(&board->gates[row].connections_most, 0);
		}
	for (unsigned i = 0; i < BOARD_SITES_MOST; i++)
		if (atomic_load(&board->sites[i].last_generation) > in_force->generation)
			atomic_store(&board->sites[i].last_generation, 0);
	for (unsigned i = 0; i < in_force->site_count; i++) {
		int row = board_site_row(board, in_force->sites[i].name);
		if (row >= 0)
			atomic_store(&board->sites[row].last_generation, in_force->generation);
	}
	for (unsigned i = 0; i < in_force->server_count; i++) {
		struct board_server *row = board_find_server(board, in_force->servers[i].name);
		if (row != NULL)
			atomic_store(&row->last_generation, in_force->generation);
	}
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(in_force, &walk))
		for (unsigned i = 0; i < walk.group->app_count; i++) {
			keep_target(board, &walk.group->check, &walk.group->apps[i].address, in_force->generation);
			(void)reserve_gate(board, &walk.group->apps[i], in_force->generation); /* it has had one: there is room */
		}
	for (unsigned i = 0; i < in_force->database_count; i++) {
		const struct cluster_database *database = &in_force->databases[i];
		struct board_database *row = board_find_database(board, database->name);
		for (unsigned j = 0; j < database->server_count; j++)
			keep_target(board, &database->check, &database->servers[j].address, in_force->generation);
		if (row != NULL)
			atomic_store(&row->last_generation, in_force->generation);
	}
}

int board_target_row(const struct board *board, const struct cluster_check *check, const struct address *address)
{
	char key[CLUSTER_TARGET_KEY_SIZE];
	return find_key(board, cluster_target_key(check, address, key));
}

struct board_database *board_find_database(struct board *board, const char *name)
{
	for (unsigned i = 0; i < BOARD_DATABASES_MOST; i++)
		if (strncmp(board->databases[i].name, name, CLUSTER_NAME_SIZE) == 0)
			return &board->databases[i];
	return NULL;
}

struct board_server *board_find_server(struct board *board, const char *name)
{
	for (unsigned i = 0; i < BOARD_SERVERS_MOST && name[0] != '\0'; i++)
		if (strncmp(board->servers[i].name, name, CLUSTER_NAME_SIZE) == 0)
			return &board->servers[i];
	return NULL;
}

struct board_gate *board_find_gate(struct board *board, const struct address *address)
{
	unsigned rows = used_gates(board);
	for (unsigned row = 0; row < rows; row++)
		if (address_equal(&board->gates[row].address, address))
			return &board->gates[row];
	return NULL;
}

bool board_server_drain(struct board *board, const char *name, bool drained)
{
	struct board_server *row = board_find_server(board, name);
	if (row == NULL)
		return false;
	atomic_store(&row->changed_wall_us, clock_wall_us());
	atomic_store(&row->drained, drained);
	return true;
}

bool board_server_weigh(struct board *board, const char *name, unsigned percent)
{
	ASSERT(percent <= BOARD_WEIGHT_MOST);
	struct board_server *row = board_find_server(board, name);
	if (row == NULL)
		return false;
	atomic_store(&row->changed_wall_us, clock_wall_us());
	atomic_store(&row->weight_percent, percent);
	return true;
}

/* ---- verbs on a target ---------------------------------------------------------------------------------------- */

bool board_target_usable(const struct board_target *target, uint64_t now_us)
{
	return atomic_load_explicit(&target->health, memory_order_relaxed) == HEALTH_UP &&
	       atomic_load_explicit(&target->avoid_until_us, memory_order_relaxed) <= now_us;
}

void board_target_worked(struct board_target *target)
{
	if (atomic_load_explicit(&target->failures, memory_order_relaxed) != 0) /* do not dirty the line for each success */
		atomic_store_explicit(&target->failures, 0, memory_order_relaxed);
}

void board_target_failed(struct board_target *target, const struct cluster_check *check, uint64_t now_us)
{
	unsigned failures = atomic_fetch_add(&target->failures, 1) + 1;
	if (failures >= check->fall)
		atomic_store(&target->avoid_until_us, now_us + (uint64_t)check->every_ms * 1000);
}

/* ---- texts ---------------------------------------------------------------------------------------------------- */

/* The bytes of the printable character that `at` begins with; 0: there is none (RFC 3629, section 4). */
static size_t character_size(const unsigned char *at)
{
	if (at[0] < 0x80)
		return at[0] >= 0x20 && at[0] != 0x7f;
	size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((at[i] & 0xc0) != 0x80) /* also at the end of the text */
			return 0;
	bool too_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
	bool no_character = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
	bool control = at[0] == 0xc2 && at[1] < 0xa0;
	return too_long || no_character || control ? 0 : size;
}

static size_t copy_printable(const char *value, char out[BOARD_TEXT_SIZE])
{
	size_t used = 0;
	while (*value != '\0') {
		size_t size = character_size((const unsigned char *)value), taken = size == 0 ? 1 : size;
		if (used + taken >= BOARD_TEXT_SIZE)
			break;
		if (size == 0)
			out[used] = '?';
		else
			memcpy(out + used, value, size);
		used += taken;
		value += taken;
	}
	return used;
}

void board_text_write(struct board_text *text, const char *value)
{
	char clean[BOARD_TEXT_SIZE];
	size_t size = copy_printable(value, clean);
	/* Odd while writing. A writer that died in the middle left it odd: the next one makes it whole again. */
	unsigned writing = (atomic_load_explicit(&text->sequence, memory_order_relaxed) + 1) | 1;
	atomic_store_explicit(&text->sequence, writing, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < size; i++)
		__atomic_store_n(&text->bytes[i], clean[i], __ATOMIC_RELAXED);
	__atomic_store_n(&text->bytes[size], '\0', __ATOMIC_RELAXED);
	atomic_store_explicit(&text->sequence, writing + 1, memory_order_release);
}

void board_text_read(const struct board_text *text, char out[BOARD_TEXT_SIZE])
{
	/* A writer is in there for less than a microsecond; one that died there is not waited for. */
	for (unsigned tries = 0; tries < 100000; tries++) {
		unsigned before = atomic_load_explicit(&text->sequence, memory_order_acquire);
		if ((before & 1) != 0)
			continue;
		size_t size = 0;
		do
			out[size] = __atomic_load_n(&text->bytes[size], __ATOMIC_RELAXED);
		while (out[size] != '\0' && ++size < BOARD_TEXT_SIZE - 1);
		out[size] = '\0';
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&text->sequence, memory_order_relaxed) == before)
			return;
	}
	out[0] = '\0';
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

void board_certificate_write(struct board *board, unsigned index, const char *what, uint64_t not_after_s)
{
	if (index >= BOARD_CERTIFICATES_MOST)
		return;
	board_text_write(&board->certificates[index].what, what);
	atomic_store(&board->certificates[index].not_after_s, not_after_s);
}

void board_certificates_end(struct board *board, unsigned count)
{
	atomic_store(&board->certificate_count, count < BOARD_CERTIFICATES_MOST ? count : BOARD_CERTIFICATES_MOST);
}

/* ---- sums over the lanes -------------------------------------------------------------------------------------- */

uint64_t board_sum(const struct board *board, unsigned counter_index)
{
	ASSERT(counter_index < board_counter_count);
	uint64_t sum = 0;
	for (unsigned i = 0; i < used_lanes(board); i++) {
		const char *lane = (const char *)&board->lanes[i];
		const void *counter = lane + board_counter_names[counter_index].offset;
		sum += atomic_load_explicit((const _Atomic uint64_t *)counter, memory_order_relaxed);
	}
	return sum;
}

int64_t board_target_active(const struct board *board, int row)
{
	ASSERT(row >= 0 && row < (int)BOARD_TARGETS_MOST);
	int64_t sum = 0;
	for (unsigned i = 0; i < used_lanes(board); i++)
		sum += atomic_load_explicit(&board->lanes[i].active[row], memory_order_relaxed);
	return sum;
}

uint64_t board_target_served(const struct board *board, int row)
{
	ASSERT(row >= 0 && row < (int)BOARD_TARGETS_MOST);
	uint64_t sum = 0;
	for (unsigned i = 0; i < used_lanes(board); i++)
		sum += atomic_load_explicit(&board->lanes[i].served[row], memory_order_relaxed);
	return sum;
}
