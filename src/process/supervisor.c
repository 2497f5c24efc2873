/* SPDX-License-Identifier: BSD-2-Clause
 *
 * supervisor: the first process. Reads the cluster file, opens the sockets, starts the others and starts them again, reloads,
 * stops.
 *
 * It is root and therefore parses nothing that comes from the network; it never waits for anything but poll(2), and for a child
 * that does not read its messages at most MESSAGE_SEND_MS. command/run.c calls process_supervise.
 */
#include "process/supervisor_private.h"

#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define STOP_MS 3000 /* what has not ended this long after it should have is killed */

/* ---- the cluster file ----------------------------------------------------------------------------------------- */

/* The messages as lines, to be freed; NULL: out of memory. */
static char *messages_join(const struct cluster_messages *messages)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (out == NULL)
		return NULL;
	for (unsigned i = 0; i < messages->count; i++)
		fprintf(out, "%s\n", messages->text[i]);
	if (messages->left_out > 0)
		fprintf(out, "and %u more\n", messages->left_out);
	return fclose(out) == 0 ? text : NULL;
}

static void log_lines(enum log_level level, const char *prefix, const char *text)
{
	struct span rest = span_of_text(text);
	while (rest.start != NULL) {
		struct span line = span_cut(&rest, '\n');
		if (line.size > 0)
			log_write(level, "%s%.*s", prefix, (int)line.size, line.start);
	}
}

struct cluster *supervisor_load(const struct process_options *options, uint64_t generation, char **why)
{
	struct cluster_messages *messages = calloc(1, sizeof *messages); /* 10 KB: too much for a stack */
	struct cluster *cluster = NULL;
	*why = NULL;
	if (messages == NULL)
		return NULL;
	cluster = cluster_load(options->file, CLUSTER_WHOLE, messages);
	if (cluster != NULL && !cluster_find_self(cluster, options->server, messages)) {
		cluster_free(cluster);
		cluster = NULL;
	}
	if (cluster == NULL)
		*why = messages_join(messages);
	else
		cluster->generation = generation;
	free(messages);
	return cluster;
}

/* ---- putting a snapshot in force: at the start and at a reload ------------------------------------------------- */

/* All that can fail, before anything has changed for anyone. */
struct preparation {
	struct cluster *cluster;
	int snapshot;
	int access_log;
	struct keyring_preparation keyring;
	uint32_t first_new_listener;
};

static bool prepare(struct supervisor *supervisor, struct preparation *preparation, char *why, size_t why_size)
{
	const struct cluster *cluster = preparation->cluster;
	preparation->first_new_listener = supervisor->next_listener_id;
	if (!keyring_prepare(supervisor, cluster, &preparation->keyring, why, why_size))
		return false;
	if (!access_log_open(cluster, &preparation->access_log, why, why_size)) {
		keyring_forget(&preparation->keyring);
		return false;
	}
	if (!board_reserve(supervisor->board, cluster)) {
		snprintf(why, why_size, "more than %u addresses to check or %u databases, those of the file before included",
		         BOARD_TARGETS_MOST, BOARD_DATABASES_MOST);
	} else if ((preparation->snapshot = cluster_seal(cluster)) < 0) {
		snprintf(why, why_size, "cannot make a sealed memory file: %s", strerror(-preparation->snapshot));
	} else if (!listeners_open(supervisor, cluster, why, why_size)) {
		close(preparation->snapshot);
	} else {
		return true;
	}
	if (supervisor->cluster != NULL)
		board_reserve_undo(supervisor->board, supervisor->cluster);
	if (preparation->access_log >= 0)
		close(preparation->access_log);
	keyring_forget(&preparation->keyring);
	return false;
}

static void put_in_force(struct supervisor *supervisor, const struct preparation *preparation)
{
	if (supervisor->cluster != NULL) {
		cluster_free(supervisor->cluster);
		close(supervisor->snapshot);
	}
	supervisor->cluster = preparation->cluster;
	supervisor->snapshot = preparation->snapshot;
	atomic_store(&supervisor->board->generation, preparation->cluster->generation);
	access_log_use(supervisor, preparation->access_log);
	keyring_use(supervisor, &preparation->keyring);
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		listeners_tell(supervisor, row, preparation->first_new_listener);
	children_send_snapshot(supervisor);
}

bool supervisor_use(struct supervisor *supervisor, struct cluster *cluster, char *why, size_t why_size)
{
	struct preparation preparation = {.cluster = cluster};
	if (!prepare(supervisor, &preparation, why, why_size))
		return false;
	put_in_force(supervisor, &preparation);
	return true;
}

/* ---- reload --------------------------------------------------------------------------------------------------- */

/* Sets *words (to be freed) to the difference, a line each. */
static unsigned difference(const struct cluster *before, const struct cluster *after, char **words)
{
	size_t size;
	*words = NULL;
	FILE *out = open_memstream(words, &size);
	if (out == NULL)
		return 0;
	unsigned lines = cluster_print_difference(before, after, out);
	if (lines == 0)
		fputs("nothing that matters has changed in the file\n", out);
	if (fclose(out) != 0)
		*words = NULL;
	return lines;
}

bool supervisor_reload(struct supervisor *supervisor, char **why)
{
	char reason[512] = "out of memory";
	char *words = NULL;
	*why = NULL;
	if (supervisor->stopping || supervisor->reload_deadline_us != 0 || supervisor->upgrade.stage != UPGRADE_NONE) {
		*why = strdup(supervisor->stopping                        ? "noah is stopping\n"
		              : supervisor->upgrade.stage != UPGRADE_NONE ? "an upgrade is under way: try again in a moment\n"
		                                                          : "another reload is under way: try again in a moment\n");
		return false;
	}
	notify_send("RELOADING=1");
	struct cluster *cluster = supervisor_load(supervisor->options, supervisor->cluster->generation + 1, why);
	if (cluster == NULL)
		goto refused;
	unsigned lines = difference(supervisor->cluster, cluster, &words);
	if (words == NULL || !supervisor_use(supervisor, cluster, reason, sizeof reason)) {
		cluster_free(cluster);
		if (asprintf(why, "%s\n", reason) < 0)
			*why = NULL;
		goto refused;
	}
	log_write(LOG_NOTICE, "reload: snapshot %ju, %u changes", (uintmax_t)supervisor->cluster->generation, lines);
	if (lines > 0)
		log_lines(LOG_NOTICE, "reload: ", words);
	supervisor->reload_words = words;
	supervisor->reload_deadline_us = clock_monotonic_us() + RELOAD_TAKEN_MS * 1000;
	return true;

refused:
	free(words);
	log_write(LOG_ERROR, "reload refused, nothing has changed:");
	log_lines(LOG_ERROR, "reload: ", *why != NULL ? *why : reason);
	notify_send("READY=1");
	return false;
}

/* The children work by the new snapshot, or had long enough for it. */
static void reload_finish(struct supervisor *supervisor)
{
	bool ready = children_are_ready(supervisor);
	if (!ready && clock_monotonic_us() < supervisor->reload_deadline_us)
		return;
	supervisor->reload_deadline_us = 0;
	listeners_close_unwanted(supervisor);
	notify_send("READY=1");
	if (!ready)
		log_write(LOG_ERROR, "reload: not every process works by the new file after %d s", RELOAD_TAKEN_MS / 1000);
	control_answer_waiting(supervisor, CLIENT_WAITS_RELOAD, ready,
	                       !ready                             ? "not every process works by the new file yet: see the log\n"
	                       : supervisor->reload_words != NULL ? supervisor->reload_words
	                                                          : "");
	free(supervisor->reload_words);
	supervisor->reload_words = NULL;
}

static void reload_by_signal(struct supervisor *supervisor)
{
	char *why = NULL;
	supervisor->reload_again = false;
	if (!supervisor_reload(supervisor, &why)) /* logged */
		free(why);
}

/* ---- the log file --------------------------------------------------------------------------------------------- */

/* Makes the file standard error, of this process and (by message) of the children. */
static bool log_file_open(struct supervisor *supervisor)
{
	if (supervisor->options->log_file == NULL)
		return true;
	int descriptor = open(supervisor->options->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (descriptor < 0 || dup2(descriptor, STDERR_FILENO) < 0) {
		log_write(LOG_ERROR, "cannot open the log file %s: %m; make its directory, or leave --log out",
		          supervisor->options->log_file);
		if (descriptor >= 0)
			close(descriptor);
		return false;
	}
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		child_send(supervisor, row, &(struct message){.type = MESSAGE_LOG}, descriptor);
	retired_send(supervisor, &(struct message){.type = MESSAGE_LOG}, descriptor);
	close(descriptor);
	return true;
}

static void reopen_logs(struct supervisor *supervisor)
{
	int access_log;
	char why[512];
	if (!log_file_open(supervisor))
		log_write(LOG_WARNING, "the log goes on in the file that was open");
	if (access_log_open(supervisor->cluster, &access_log, why, sizeof why))
		access_log_use(supervisor, access_log);
	else
		log_write(LOG_WARNING, "the access log goes on in the file that was open: %s", why);
	log_write(LOG_NOTICE, "logs opened again");
}

/* ---- stop ----------------------------------------------------------------------------------------------------- */

static void signal_children(const struct supervisor *supervisor, int signal_number)
{
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		if (supervisor->children[row].pid != 0)
			kill(supervisor->children[row].pid, signal_number);
	retired_signal(supervisor, signal_number);
}

void supervisor_stop(struct supervisor *supervisor, const char *why)
{
	if (!supervisor->stopping) {
		log_write(LOG_NOTICE, "stopping (%s): requests and statements under way have %d s to finish", why,
		          PROCESS_DRAIN_MS / 1000);
		notify_send("STOPPING=1");
		upgrade_stop(supervisor);
		listeners_close_all(supervisor);
	} else {
		log_write(LOG_NOTICE, "stopping now (%s)", why);
	}
	uint64_t wait_ms = supervisor->stopping ? STOP_MS : PROCESS_DRAIN_MS + STOP_MS;
	supervisor->stop_deadline_us = clock_monotonic_us() + wait_ms * 1000;
	supervisor->stopping = true;
	child_send(supervisor, PROCESS_TRAFFIC, &(struct message){.type = MESSAGE_DRAIN}, -1);
	retired_send(supervisor, &(struct message){.type = MESSAGE_DRAIN}, -1);
}

/* True when all have ended. Watch sees to the targets' health until traffic has finished. */
static bool stop_advance(struct supervisor *supervisor)
{
	struct child *watch = &supervisor->children[PROCESS_WATCH];
	if (supervisor->children[PROCESS_TRAFFIC].pid == 0 && retired_count(supervisor) == 0 && watch->channel >= 0) {
		close(watch->channel); /* it ends when it sees this */
		watch->channel = -1;
		supervisor->stop_deadline_us = clock_monotonic_us() + STOP_MS * 1000;
	}
	if (clock_monotonic_us() >= supervisor->stop_deadline_us) {
		log_write(LOG_WARNING, "stopping: what has not ended by now is killed");
		signal_children(supervisor, SIGKILL);
		supervisor->stop_deadline_us = UINT64_MAX;
	}
	return children_are_gone(supervisor) && retired_count(supervisor) == 0;
}

/* ---- events --------------------------------------------------------------------------------------------------- */

static void handle_signals(struct supervisor *supervisor)
{
	struct signalfd_siginfo info;
	while (read(supervisor->signals, &info, sizeof info) == (ssize_t)sizeof info) { /* until none is pending */
		switch (info.ssi_signo) {
		case SIGHUP:
			supervisor->reload_again = true; /* at once, or after the reload that is under way */
			break;
		case SIGUSR1:
			reopen_logs(supervisor);
			break;
		case SIGTERM:
		case SIGINT:
			supervisor_stop(supervisor, strsignal((int)info.ssi_signo));
			break;
		default: /* SIGCHLD: children_reap looks at each turn */
			break;
		}
	}
}

static void announce(struct supervisor *supervisor)
{
	const struct cluster *cluster = supervisor->cluster;
	unsigned sites = 0, databases = 0;
	for (unsigned i = 0; i < cluster->site_count; i++)
		sites += cluster_is_on(cluster->sites[i].on, cluster->self);
	for (unsigned i = 0; i < cluster->database_count; i++)
		databases += cluster_is_on(cluster->databases[i].on, cluster->self);
	supervisor->announced = true;
	log_write(LOG_NOTICE, "noah %s serves %s as %s: %u sites, %u databases, %u listening sockets, %u threads", NOAH_VERSION,
	          cluster->name, cluster->servers[cluster->self].name, sites, databases, supervisor->listener_count,
	          supervisor->threads);
	notify_send("READY=1");
}

static int next_timeout_ms(const struct supervisor *supervisor)
{
	uint64_t now = clock_monotonic_us(), next = children_next_us(supervisor), look = keyring_next_us(supervisor);
	if (look < next)
		next = look;
	if (supervisor->reload_deadline_us != 0 && supervisor->reload_deadline_us < next)
		next = supervisor->reload_deadline_us;
	if (supervisor->stopping && supervisor->stop_deadline_us < next)
		next = supervisor->stop_deadline_us;
	if (supervisor->upgrade.stage != UPGRADE_NONE && supervisor->upgrade.deadline_us < next)
		next = supervisor->upgrade.deadline_us;
	if (supervisor->control_rests_until_us != 0 && supervisor->control_rests_until_us < next)
		next = supervisor->control_rests_until_us;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++) {
		const struct control_client *client = &supervisor->clients[i];
		if (client->descriptor >= 0 && client->waits == CLIENT_WAITS_NOT && client->deadline_us < next)
			next = client->deadline_us;
	}
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)((next - now) / 1000 + 1);
}

/* One wait and what it brought. Slots of `ready`: signals, the control socket, what a new program says, the clients, the
 * children, the retired ones. */
static void turn(struct supervisor *supervisor)
{
	struct pollfd ready[3 + CONTROL_CLIENTS_MOST + PROCESS_ROWS + RETIRED_MOST];
	struct pollfd *const clients = ready + 3, *const channels = clients + CONTROL_CLIENTS_MOST,
	                     *const retired = channels + PROCESS_ROWS;
	bool room = false;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++) {
		const struct control_client *client = &supervisor->clients[i];
		/* Who waits is not looked at: that he has hung up would be reported again and again. */
		clients[i] = (struct pollfd){.fd = client->waits != CLIENT_WAITS_NOT ? -1 : client->descriptor,
		                             .events = client->answer != NULL ? POLLOUT : POLLIN};
		room = room || client->descriptor < 0;
	}
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		channels[row] = (struct pollfd){.fd = supervisor->children[row].channel, .events = POLLIN};
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		retired[i] = (struct pollfd){.fd = supervisor->retired[i].child.pid != 0 ? supervisor->retired[i].child.channel : -1,
		                             .events = POLLIN};
	ready[0] = (struct pollfd){.fd = supervisor->signals, .events = POLLIN};
	/* A program that takes over gets the requests that wait; a client that is taken now would be in its way. */
	room = room && supervisor->upgrade.stage != UPGRADE_READY && supervisor->control_rests_until_us == 0;
	ready[1] = (struct pollfd){.fd = room ? supervisor->control : -1, .events = POLLIN};
	ready[2] =
	    (struct pollfd){.fd = supervisor->upgrade.stage == UPGRADE_CHECKS ? supervisor->upgrade.output : -1, .events = POLLIN};
	if (poll(ready, COUNT_OF(ready), next_timeout_ms(supervisor)) < 0) {
		ASSERT(errno == EINTR || errno == ENOMEM);
		return;
	}
	if (ready[0].revents != 0)
		handle_signals(supervisor);
	/* A message or a request may have closed another descriptor of this round: those functions look for themselves. */
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		if (channels[row].revents != 0)
			child_receive(supervisor, row);
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		if (retired[i].revents != 0)
			retired_receive(supervisor, &supervisor->retired[i]);
	if (ready[2].revents != 0)
		upgrade_read(supervisor);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++)
		if (clients[i].revents != 0 && clients[i].fd == supervisor->clients[i].descriptor)
			control_handle(supervisor, &supervisor->clients[i]);
	if (ready[1].revents != 0)
		control_accept(supervisor);
}

static void serve(struct supervisor *supervisor)
{
	for (;;) { /* until stopped */
		turn(supervisor);
		children_reap(supervisor);
		retired_reap(supervisor);
		children_start_due(supervisor);
		control_expire(supervisor);
		keyring_look(supervisor);
		if (!supervisor->stopping)
			upgrade_advance(supervisor);
		if (supervisor->reload_deadline_us != 0)
			reload_finish(supervisor);
		if (supervisor->reload_again && supervisor->reload_deadline_us == 0 && supervisor->upgrade.stage == UPGRADE_NONE &&
		    !supervisor->stopping)
			reload_by_signal(supervisor);
		if (!supervisor->announced && !supervisor->stopping && children_are_ready(supervisor))
			announce(supervisor);
		if (supervisor->stopping && stop_advance(supervisor))
			return;
	}
}

/* ---- start ---------------------------------------------------------------------------------------------------- */

static bool signals_open(struct supervisor *supervisor)
{
	sigset_t handled;
	sigemptyset(&handled);
	sigaddset(&handled, SIGHUP);
	sigaddset(&handled, SIGUSR1);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	supervisor->signals = -1;
	if (sigprocmask(SIG_BLOCK, &handled, NULL) == 0)
		supervisor->signals = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
	if (supervisor->signals < 0)
		log_write(LOG_ERROR, "cannot receive signals: %m");
	return supervisor->signals >= 0;
}

unsigned supervisor_threads(const struct process_options *options)
{
	cpu_set_t usable;
	unsigned count = options->threads;
	if (count == 0 && sched_getaffinity(0, sizeof usable, &usable) == 0)
		count = (unsigned)CPU_COUNT(&usable);
	return count == 0 ? 1 : count > BOARD_LANES_MOST ? BOARD_LANES_MOST : count;
}

/* The program's file. After it was replaced (by a package) another one stands under that name: what an upgrade is for. */
static void find_program(char out[PROGRAM_PATH_SIZE])
{
	static const char gone[] = " (deleted)";
	ssize_t size = readlink("/proc/self/exe", out, PROGRAM_PATH_SIZE - 1);
	out[size > 0 ? size : 0] = '\0';
	if (size > (ssize_t)sizeof gone && strcmp(out + size - (sizeof gone - 1), gone) == 0)
		out[size - (ssize_t)(sizeof gone - 1)] = '\0';
}

/* 0, or the exit code when it cannot. */
static int begin(struct supervisor *supervisor)
{
	char why[512], *words = NULL;
	struct cluster *cluster = supervisor_load(supervisor->options, 1, &words);
	if (cluster == NULL) {
		log_lines(LOG_ERROR, "", words != NULL ? words : "out of memory");
		free(words);
		return 2;
	}
	find_program(supervisor->program);
	if (!signals_open(supervisor) || !control_open(supervisor))
		goto failed;
	supervisor->board = board_new(supervisor->threads, &supervisor->board_descriptor);
	if (supervisor->board == NULL) {
		log_write(LOG_ERROR, "cannot make the board in shared memory: %m");
		goto failed;
	}
	bans_begin(supervisor, -1);
	if (supervisor_use(supervisor, cluster, why, sizeof why))
		return 0;
	log_write(LOG_ERROR, "%s", why);
failed:
	cluster_free(cluster);
	return 1;
}

static void end(struct supervisor *supervisor)
{
	control_close(supervisor);
	listeners_close_all(supervisor);
	if (supervisor->cluster != NULL) {
		cluster_free(supervisor->cluster);
		close(supervisor->snapshot);
	}
	if (supervisor->board != NULL) {
		board_unmap(supervisor->board);
		close(supervisor->board_descriptor);
	}
	guard_free(supervisor->guard);
	if (supervisor->access_log >= 0)
		close(supervisor->access_log);
	keyring_end(supervisor);
	if (supervisor->signals >= 0)
		close(supervisor->signals);
	free(supervisor->reload_words);
	free(supervisor);
}

static struct supervisor *supervisor_new(const struct process_options *options)
{
	struct supervisor *supervisor = calloc(1, sizeof *supervisor);
	if (supervisor == NULL)
		return NULL;
	supervisor->magic = SUPERVISOR_MAGIC;
	supervisor->options = options;
	supervisor->threads = supervisor_threads(options);
	supervisor->access_log = supervisor->control = supervisor->signals = supervisor->keyring.descriptor = -1;
	supervisor->upgrade.output = supervisor->upgrade.former_descriptor = -1;
	supervisor->next_listener_id = 1;
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		supervisor->children[row].channel = -1;
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		supervisor->retired[i].child.channel = -1;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++)
		supervisor->clients[i].descriptor = -1;
	return supervisor;
}

int process_supervise(const struct process_options *options)
{
	struct supervisor *supervisor = supervisor_new(options);
	int code = 1, inherited = upgrade_inherited();
	if (supervisor == NULL)
		return 1;
	prctl(PR_SET_NAME, "noah"); /* a program that gives back executes the former one by its descriptor */
	log_set_process("noah");
	log_set_level(options->log_level);
	if (!log_file_open(supervisor) || !privileges_find(options->user, &supervisor->identity))
		goto out;
	privileges_raise_descriptor_limit();
	if (inherited < 0)
		code = begin(supervisor);
	else if (signals_open(supervisor) && upgrade_take_over(supervisor, inherited))
		code = 0;
	if (code != 0)
		goto out;
	children_start_due(supervisor);
	serve(supervisor);
	log_write(LOG_NOTICE, "stopped");
out:
	end(supervisor);
	return code;
}
