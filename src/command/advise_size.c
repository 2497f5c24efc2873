/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What `noah advise` makes of what it has seen:
 *
 *     connections that fit = (memory - kernel - databases - noah - others - reserve) / size of a process
 *
 * Pure: no file is read here, so that tests can give it any machine.
 */
#include "command/advise.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define RESERVE_LEAST (UINT64_C(64) << 20)
#define RESERVE_PART  10u     /* so much of the memory, or of a control group's, is kept back: a tenth */
#define CAP_MOST      100000u /* of the cluster file */
#define PER_PROCESSOR 64u     /* more at once than this for each processor is worth a word */

enum part { PART_OTHER, PART_DATABASE, PART_NOAH, PART_PROGRAM, PART_POOL };

/* Programs whose nature is known; for `one each` only while their processes have one thread. */
static const struct nature {
	const char *name;
	enum advise_model model;
} natures[] = {
    {"apache2", ADVISE_ONE_EACH},
    {"httpd", ADVISE_ONE_EACH},
    {"nginx", ADVISE_MANY},
    {"node", ADVISE_MANY},
    {"nodejs", ADVISE_MANY},
    {"haproxy", ADVISE_MANY},
    {"varnishd", ADVISE_MANY},
    {"caddy", ADVISE_MANY},
    {"lighttpd", ADVISE_MANY},
    {"java", ADVISE_MANY},
    {"beam.smp", ADVISE_MANY},
    {"docker-proxy", ADVISE_ELSEWHERE},
    {"rootlessport", ADVISE_ELSEWHERE},
};

static const char *const databases[] = {"mysqld", "mariadbd", "postgres", "mongod", "redis-server", "valkey-server", "memcached"};

static void note(struct advise_report *report, const char *format, ...) PRINTF_LIKE(2, 3);
static void note(struct advise_report *report, const char *format, ...)
{
	va_list arguments;
	if (report->note_count == ADVISE_NOTES_MOST)
		return;
	va_start(arguments, format);
	vsnprintf(report->notes[report->note_count++], ADVISE_NOTE_SIZE, format, arguments);
	va_end(arguments);
}

/* ---- which process belongs to what ------------------------------------------------------------------------------------ */

static const char *file_name(const char *program)
{
	const char *slash = strrchr(program, '/');
	return slash != NULL ? slash + 1 : program;
}

static bool is_called(const struct advise_process *process, const char *name)
{
	return strcmp(process->name, name) == 0 || strcmp(file_name(process->program), name) == 0;
}

static bool is_database(const struct advise_process *process)
{
	for (unsigned i = 0; i < COUNT_OF(databases); i++)
		if (is_called(process, databases[i]))
			return true;
	return false;
}

/* "php-fpm8.2" and its pools. */
static bool is_pool(const struct advise_process *process)
{
	return strncmp(process->name, "php-fpm", 7) == 0 || strncmp(file_name(process->program), "php-fpm", 7) == 0;
}

static bool runs(const struct advise_program *program, const struct advise_process *process)
{
	return process->program[0] != '\0' ? strcmp(process->program, program->program) == 0
	                                   : strcmp(process->name, program->name) == 0;
}

/* The same file, in the process group of somebody who listens: another Apache beside this one is not meant. */
static bool is_of(const struct advise_program *program, const struct advise_process *process)
{
	for (unsigned i = 0; i < program->group_count; i++)
		if (program->groups[i] == process->group)
			return runs(program, process);
	return false;
}

static int find_program(const struct advise_report *report, const struct advise_process *process)
{
	for (unsigned i = 0; i < report->program_count; i++)
		if (is_of(&report->programs[i], process))
			return (int)i;
	return -1;
}

/* -1: there is no room for it. */
static int add_program(struct advise_report *report, const struct advise_process *process)
{
	unsigned found = 0;
	while (found < report->program_count && !runs(&report->programs[found], process))
		found++;
	if (found == ADVISE_PROGRAMS_MOST)
		return -1;
	struct advise_program *program = &report->programs[found];
	if (found == report->program_count) {
		report->program_count++;
		memcpy(program->program, process->program, sizeof program->program);
		memcpy(program->name, process->name, sizeof program->name);
		program->limit_bytes = UINT64_MAX;
	}
	if (!is_of(program, process) && program->group_count < ADVISE_GROUPS_MOST)
		program->groups[program->group_count++] = process->group;
	return (int)found;
}

/* Who listens on an address of an app. */
static void find_programs(struct advise_report *report)
{
	const struct advise_machine *machine = report->machine;
	for (unsigned i = 0; i < report->address_count; i++)
		report->addresses[i].program = -1;
	for (unsigned i = 0; i < machine->count; i++) {
		const struct advise_process *process = &machine->processes[i];
		int found = process->held != 0 ? add_program(report, process) : -1;
		for (unsigned j = 0; j < report->address_count && found >= 0; j++) {
			if ((process->held >> j & 1) == 0 || report->addresses[j].program >= 0)
				continue;
			report->addresses[j].program = found;
			report->programs[found].addresses++;
		}
	}
}

static enum part part_of(const struct advise_report *report, const struct advise_process *process, int *program)
{
	*program = find_program(report, process);
	if (*program >= 0)
		return PART_PROGRAM;
	return is_pool(process)             ? PART_POOL
	       : is_database(process)       ? PART_DATABASE
	       : is_called(process, "noah") ? PART_NOAH
	                                    : PART_OTHER;
}

/* ---- a program: how large is one that serves ---------------------------------------------------------------------------- */

static int compare_sizes(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return left < right ? 1 : left > right ? -1 : 0;
}

static bool is_member(const struct advise_program *program, const struct advise_process *process)
{
	return program->program[0] == '\0' && program->name[0] == '\0' ? is_pool(process) : is_of(program, process);
}

static bool is_parent(const struct advise_machine *machine, const struct advise_program *program, int pid)
{
	for (unsigned i = 0; i < machine->count; i++)
		if (machine->processes[i].parent == pid && is_member(program, &machine->processes[i]))
			return true;
	return false;
}

static void measure(const struct advise_machine *machine, struct advise_program *program, const uint64_t *limits)
{
	uint64_t *sizes = calloc(machine->count + 1, sizeof *sizes), sum = 0, large = 0;
	unsigned most_threads = 0, workers = 0;
	if (sizes == NULL)
		return;
	for (unsigned i = 0; i < machine->count; i++) {
		const struct advise_process *process = &machine->processes[i];
		if (!is_member(program, process))
			continue;
		most_threads = process->threads > most_threads ? process->threads : most_threads;
		if (limits != NULL && limits[i] < program->limit_bytes)
			program->limit_bytes = limits[i];
		if (is_parent(machine, program, process->pid)) {
			program->others++;
			program->others_bytes += process->bytes;
			continue;
		}
		sizes[workers++] = process->bytes;
		sum += process->bytes;
	}
	program->workers = workers;
	if (workers > 0) {
		unsigned quarter = 1 + (workers - 1) / 4;
		qsort(sizes, workers, sizeof *sizes, compare_sizes);
		for (unsigned i = 0; i < quarter; i++)
			large += sizes[i];
		program->average_bytes = sum / workers;
		program->large_bytes = large / quarter;
	}
	free(sizes);
	program->model = most_threads > 1 ? ADVISE_MANY : ADVISE_ONE_EACH;
}

static void judge(struct advise_program *program)
{
	for (unsigned i = 0; i < COUNT_OF(natures); i++) {
		if (strcmp(file_name(program->program), natures[i].name) != 0 && strcmp(program->name, natures[i].name) != 0)
			continue;
		program->known = true;
		if (natures[i].model != ADVISE_ONE_EACH)
			program->model = natures[i].model;
	}
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------- */

/* "mariadbd, redis-server": each once, as far as there is room. */
static void add_name(char *names, size_t size, const char *name)
{
	size_t used = strlen(names);
	const char *at = strstr(names, name);
	if (at != NULL && (at == names || at[-1] == ' ') && (at[strlen(name)] == ',' || at[strlen(name)] == '\0'))
		return;
	if (used + strlen(name) + 3 < size)
		snprintf(names + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

#define NAMES_OF_OTHERS 3u

static void name_largest(struct advise_report *report)
{
	uint64_t below = UINT64_MAX;
	for (unsigned names = 0; names < NAMES_OF_OTHERS;) {
		const struct advise_process *largest = NULL;
		size_t before = strlen(report->largest_others);
		for (unsigned i = 0; i < report->machine->count; i++) {
			const struct advise_process *process = &report->machine->processes[i];
			int program;
			if (process->bytes < below && (largest == NULL || process->bytes > largest->bytes) &&
			    part_of(report, process, &program) == PART_OTHER)
				largest = process;
		}
		if (largest == NULL)
			return;
		add_name(report->largest_others, sizeof report->largest_others, largest->name);
		names += strlen(report->largest_others) > before;
		below = largest->bytes;
	}
}

static void share_out(struct advise_report *report)
{
	const struct advise_machine *machine = report->machine;
	uint64_t taken = machine->kernel_bytes;
	for (unsigned i = 0; i < machine->count; i++) {
		const struct advise_process *process = &machine->processes[i];
		int program;
		switch (part_of(report, process, &program)) {
		case PART_DATABASE:
			report->database_bytes += process->bytes;
			add_name(report->database_names, sizeof report->database_names, process->name);
			break;
		case PART_NOAH:
			report->noah_bytes += process->bytes;
			break;
		case PART_OTHER:
			report->other_bytes += process->bytes;
			report->other_count++;
			break;
		case PART_PROGRAM: /* what does not serve, or serves without number, is taken as it is */
		case PART_POOL:
			break;
		}
	}
	name_largest(report);
	uint64_t part = machine->memory_bytes / RESERVE_PART;
	report->reserve_bytes = part > RESERVE_LEAST ? part : RESERVE_LEAST;
	taken +=
	    report->database_bytes + report->noah_bytes + report->other_bytes + report->reserve_bytes + report->pool.others_bytes;
	for (unsigned i = 0; i < report->program_count; i++) {
		const struct advise_program *program = &report->programs[i];
		taken += program->others_bytes;
		if (program->model != ADVISE_ONE_EACH)
			taken += program->average_bytes * program->workers;
	}
	report->left_bytes = machine->memory_bytes > taken ? machine->memory_bytes - taken : 0;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* Programs that get a part of what is left; at least 1, as one of them asks. */
static unsigned sized_programs(const struct advise_report *report)
{
	unsigned count = 0;
	for (unsigned i = 0; i < report->program_count; i++)
		count += report->programs[i].model == ADVISE_ONE_EACH ||
		         (report->programs[i].model == ADVISE_MANY && report->pool.workers > 0);
	return count > 0 ? count : 1;
}

/* What one request of it needs: its own process, one of PHP's pools, or both. */
static uint64_t size_of_request(const struct advise_report *report, const struct advise_program *program)
{
	uint64_t own = program->model == ADVISE_ONE_EACH ? program->large_bytes : 0;
	return own + report->pool.large_bytes;
}

static void fit_program(struct advise_report *report, struct advise_program *program)
{
	uint64_t size = size_of_request(report, program), share = report->left_bytes / sized_programs(report);
	if (program->limit_bytes != UINT64_MAX && program->limit_bytes < report->machine->memory_bytes) {
		uint64_t room = program->limit_bytes > program->others_bytes ? program->limit_bytes - program->others_bytes : 0;
		room -= room / RESERVE_PART;
		if (room < share) {
			share = room;
			note(report, "%s: its control group (systemd's MemoryMax) allows it %ju MB: that counts", program->name,
			     (uintmax_t)(program->limit_bytes >> 20));
		}
	}
	uint64_t fit = size > 0 ? share / size : 0;
	program->share_bytes = share;
	program->fit = fit < 1 ? 1 : fit > CAP_MOST ? CAP_MOST : (unsigned)fit;
	if (fit < 1)
		note(report,
		     "%s: there is no room for even one process of %ju MB beside everything else: this machine needs more memory, or "
		     "less on it",
		     program->name, (uintmax_t)(size >> 20));
	if (fit > (uint64_t)PER_PROCESSOR * report->machine->processors)
		note(report,
		     "%s: memory allows %u at once, but %u processor%s may be busy long before: look at its response times under load",
		     program->name, program->fit, report->machine->processors, report->machine->processors == 1 ? "" : "s");
}

/* The cap of one address: noah counts for each server that it runs on, and for each address by itself. */
static void fit_address(struct advise_report *report, struct advise_address *address)
{
	const struct advise_program *program = address->program >= 0 ? &report->programs[address->program] : NULL;
	if (program == NULL || program->fit == 0)
		return;
	unsigned parts = (address->fronts > 0 ? address->fronts : 1) * program->addresses;
	address->fit = program->fit / parts > 0 ? program->fit / parts : 1;
	if (address->fronts > 1)
		note(report,
		     "%s: %u servers send requests there, and each counts its own: each may have its part of the %u that fit. If only "
		     "one of them is in use at a time, it may have them all",
		     address->text, address->fronts, program->fit);
	if (program->addresses > 1)
		note(report, "%s: the same processes listen on %u addresses of this server, which share what fits", address->text,
		     program->addresses);
}

static void note_what_is_not_known(struct advise_report *report)
{
	for (unsigned i = 0; i < report->address_count; i++) {
		const struct advise_address *address = &report->addresses[i];
		if (address->program < 0 && address->sockets == 0)
			note(report,
			     "%s: nobody listens there now. It does not run, or in a container with a network of its own, into which cannot "
			     "be seen from here",
			     address->text);
		else if (address->program < 0)
			note(report, "%s: somebody listens there, but his processes cannot be seen: try as root%s", address->text,
			     report->machine->unreadable > 0 ? "" : ", or he is in a container");
	}
	for (unsigned i = 0; i < report->program_count; i++) {
		const struct advise_program *program = &report->programs[i];
		if (program->model == ADVISE_ELSEWHERE)
			note(report, "%s: it only passes on into a container: what runs there cannot be told from here", program->name);
		else if (program->model == ADVISE_MANY && report->pool.workers == 0)
			note(report,
			     "%s: each of its processes serves many connections at once, so memory does not say how many: find the number by "
			     "load",
			     program->name);
		else if (program->model == ADVISE_ONE_EACH && !program->known)
			note(report,
			     "%s: its processes have one thread each, so each is taken to serve one request at a time; if it does not, this "
			     "says nothing",
			     program->name);
	}
	if (report->pool.workers > 0)
		note(report, "PHP's pools (php-fpm) run here: each request is taken to need one of their processes besides; the cap "
		             "counts both. Set pm.max_children to no less than the caps of this server together");
	if (report->machine->unreadable > 0)
		note(report, "%u process%s could not be looked at (root may), so less is left than it seems", report->machine->unreadable,
		     report->machine->unreadable == 1 ? "" : "es");
	if (report->database_bytes > 0)
		note(report, "databases grow until their caches are full (innodb_buffer_pool_size, maxmemory): what they have not filled "
		             "yet is not counted");
}

void advise_size(struct advise_report *report, const struct advise_machine *machine, const uint64_t *limits)
{
	report->machine = machine;
	find_programs(report);
	report->pool.limit_bytes = UINT64_MAX;
	measure(machine, &report->pool, limits);
	report->pool.model = ADVISE_ONE_EACH;
	report->pool.known = true;
	for (unsigned i = 0; i < report->program_count; i++) {
		measure(machine, &report->programs[i], limits);
		judge(&report->programs[i]);
	}
	share_out(report);
	for (unsigned i = 0; i < report->program_count; i++)
		if (report->programs[i].model != ADVISE_ELSEWHERE && size_of_request(report, &report->programs[i]) > 0)
			fit_program(report, &report->programs[i]);
	for (unsigned i = 0; i < report->address_count; i++)
		fit_address(report, &report->addresses[i]);
	note_what_is_not_known(report);
}
