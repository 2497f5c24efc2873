/* SPDX-License-Identifier: BSD-2-Clause
 *
 * This machine for `noah advise`: memory, processes and who listens where, as /proc shows it (proc(5)). Nothing is changed, and
 * nobody is asked over the network.
 */
#include "command/advise.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MOST 256u
#define LINE_SIZE    1024u
#define STATE_LISTEN 0x0au               /* in /proc/net/tcp */
#define LIMIT_MOST   (UINT64_C(1) << 62) /* bytes; above it stands "no limit" in older kernels' words: 2^63 less a page */

/* A listening socket on one of the addresses. */
struct socket_here {
	uint64_t inode;
	unsigned address;
};

struct sockets {
	unsigned count;
	struct socket_here list[SOCKETS_MOST];
};

static FILE *open_file(const char *root, const char *format, int pid)
{
	char path[PATH_MAX], name[128];
	/* one of the literals below, with one %d at most */
	if (pid > 0)
		snprintf(name, sizeof name, "/proc/%d/%s", pid, format);
	else
		snprintf(name, sizeof name, "/proc/%s", format);
	snprintf(path, sizeof path, "%s%s", root, name);
	return fopen(path, "re");
}

/* The next of several words with blanks between them; empty at the end. */
static struct span next_word(struct span *rest)
{
	struct span word;
	*rest = span_trim(*rest);
	word = span_cut(rest, ' ');
	return word.start != NULL ? word : span_of("", 0);
}

/* "Pss:   188 kB": the number in bytes, when the line begins with `name`. */
static bool read_kilobytes(const char *line, const char *name, uint64_t *bytes)
{
	struct span rest = span_of_text(line);
	uint64_t kilobytes;
	if (!span_equal(next_word(&rest), span_of_text(name)) || !span_to_number(next_word(&rest), UINT64_MAX / 1024, &kilobytes))
		return false;
	*bytes = kilobytes * 1024;
	return true;
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

/* `shared_bytes`: what processes have of the memory that files in it (tmpfs) take: it is counted with them. */
static bool read_memory(const char *root, uint64_t shared_bytes, struct advise_machine *machine)
{
	static const char *const kernel[] = {"SUnreclaim:", "KernelStack:", "PageTables:", "Percpu:", "Hugetlb:"};
	char line[LINE_SIZE];
	uint64_t bytes, shmem_bytes = 0;
	FILE *file = open_file(root, "meminfo", 0);
	if (file == NULL)
		return false;
	while (fgets(line, sizeof line, file) != NULL) {
		if (read_kilobytes(line, "MemTotal:", &bytes))
			machine->memory_bytes = bytes;
		if (read_kilobytes(line, "Shmem:", &bytes))
			shmem_bytes = bytes;
		for (unsigned i = 0; i < COUNT_OF(kernel); i++)
			if (read_kilobytes(line, kernel[i], &bytes))
				machine->kernel_bytes += bytes;
	}
	fclose(file);
	machine->kernel_bytes += shmem_bytes > shared_bytes ? shmem_bytes - shared_bytes : 0;
	uint64_t limit = advise_limit_of(root, 0);
	machine->limited = limit < machine->memory_bytes;
	machine->memory_bytes = machine->limited ? limit : machine->memory_bytes;
	machine->processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	return machine->memory_bytes > 0;
}

/* A number alone in a file; UINT64_MAX: it is not there, or says that there is none. */
static uint64_t read_limit(const char *root, const char *directory, const char *group, const char *name)
{
	char path[PATH_MAX];
	char text[32] = "";
	uint64_t bytes;
	if (snprintf(path, sizeof path, "%s/sys/fs/cgroup%s%s/%s", root, directory, group, name) >= (int)sizeof path)
		return UINT64_MAX;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return UINT64_MAX;
	bool good = fgets(text, sizeof text, file) != NULL;
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	return good && span_to_number(span_of_text(text), LIMIT_MOST, &bytes) ? bytes : UINT64_MAX;
}

/* A group is bound by those above it too. */
static uint64_t least_upwards(const char *root, const char *directory, char *group, const char *name)
{
	uint64_t least = UINT64_MAX;
	for (;;) { /* once for each part of its path */
		uint64_t limit = read_limit(root, directory, strcmp(group, "/") == 0 ? "" : group, name);
		least = limit < least ? limit : least;
		char *slash = strrchr(group, '/');
		if (slash == NULL || group[0] == '\0')
			return least;
		*slash = '\0';
	}
}

uint64_t advise_limit_of(const char *root, int pid)
{
	char line[PATH_MAX + 64];
	uint64_t least = UINT64_MAX;
	FILE *file = pid > 0 ? open_file(root, "cgroup", pid) : open_file(root, "self/cgroup", 0);
	if (file == NULL)
		return UINT64_MAX;
	while (fgets(line, sizeof line, file) != NULL) { /* "0::/system.slice/apache2.service", "4:memory:/…" */
		char *controllers = strchr(line, ':'), *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		if (group == NULL)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		uint64_t limit = UINT64_MAX;
		if (controllers[1] == '\0')
			limit = least_upwards(root, "", group, "memory.max");
		else if (strcmp(controllers + 1, "memory") == 0) /* the older kind */
			limit = least_upwards(root, "/memory", group, "memory.limit_in_bytes");
		least = limit < least ? limit : least;
	}
	fclose(file);
	return least;
}

/* ---- who listens ------------------------------------------------------------------------------------------------------ */

/* "0100007F:1F90", "00000000000000000000000001000000:1F90": words in the machine's byte order. */
static bool read_address(struct span text, struct address *address)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct span host = span_cut(&text, ':');
	uint64_t port, word;
	uint32_t words[4] = {0};
	if ((host.size != 8 && host.size != 32) || !span_to_hex_number(text, UINT16_MAX, &port))
		return false;
	for (size_t i = 0; i < host.size / 8; i++) {
		if (!span_to_hex_number(span_of(host.start + 8 * i, 8), UINT32_MAX, &word))
			return false;
		words[i] = (uint32_t)word;
	}
	if (host.size == 8) {
		four.sin_addr.s_addr = words[0];
		four.sin_port = htons((uint16_t)port);
		address_from_sockaddr((const struct sockaddr *)&four, sizeof four, address);
	} else {
		memcpy(&six.sin6_addr, words, sizeof words);
		six.sin6_port = htons((uint16_t)port);
		address_from_sockaddr((const struct sockaddr *)&six, sizeof six, address);
	}
	return true;
}

static bool is_wildcard(const struct address *address)
{
	static const uint8_t zero[16];
	return memcmp(address->ip, zero, address->family == ADDRESS_IPV4 ? 4 : 16) == 0;
}

/* Whether who listens at `here` gets connections to `wanted`. One for all of IPv6 usually takes IPv4 too. */
static bool serves(const struct address *here, const struct address *wanted)
{
	if (here->port != wanted->port)
		return false;
	if (is_wildcard(here))
		return here->family == ADDRESS_IPV6 || wanted->family == ADDRESS_IPV4;
	return address_equal(here, wanted);
}

/* "0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 1001 …": local address, state and inode of one that listens. */
static bool read_socket(struct span line, struct address *here, uint64_t *inode)
{
	struct span words[10];
	uint64_t state;
	for (unsigned i = 0; i < COUNT_OF(words); i++)
		words[i] = next_word(&line);
	return span_to_hex_number(words[3], UINT8_MAX, &state) && state == STATE_LISTEN && read_address(words[1], here) &&
	       span_to_number(words[9], UINT64_MAX, inode);
}

static void read_sockets(const char *root, const char *name, struct advise_address *addresses, unsigned address_count,
                         struct sockets *sockets)
{
	char line[LINE_SIZE];
	uint64_t inode;
	struct address here;
	FILE *file = open_file(root, name, 0);
	if (file == NULL)
		return;
	while (fgets(line, sizeof line, file) != NULL) {
		if (!read_socket(span_of_text(line), &here, &inode))
			continue;
		for (unsigned i = 0; i < address_count && sockets->count < SOCKETS_MOST; i++) {
			if (!serves(&here, &addresses[i].address))
				continue;
			addresses[i].sockets++;
			sockets->list[sockets->count++] = (struct socket_here){inode, i};
		}
	}
	fclose(file);
}

/* "socket:[1001]" */
static bool read_inode(struct span link, uint64_t *inode)
{
	struct span kind = span_cut(&link, '[');
	return span_equal(kind, SPAN("socket:")) && span_to_number(span_cut(&link, ']'), UINT64_MAX, inode);
}

/* Bits of the addresses whose sockets a process has open. */
static uint64_t held_by(const char *root, int pid, const struct sockets *sockets)
{
	char path[PATH_MAX], link[PATH_MAX + 256], target[64];
	uint64_t held = 0;
	snprintf(path, sizeof path, "%s/proc/%d/fd", root, pid);
	DIR *directory = opendir(path);
	const struct dirent *entry;
	uint64_t inode;
	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
		ssize_t size = readlink(link, target, sizeof target - 1);
		if (size <= 0 || !read_inode(span_of(target, (size_t)size), &inode))
			continue;
		for (unsigned i = 0; i < sockets->count; i++)
			if (sockets->list[i].inode == inode)
				held |= UINT64_C(1) << sockets->list[i].address;
	}
	if (directory != NULL)
		closedir(directory);
	return held;
}

/* ---- processes --------------------------------------------------------------------------------------------------------- */

/* A program chooses its name, and people read it on their terminals. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* "812 (apache2) S 1 …": the name may have blanks, brackets and line feeds. */
static bool read_stat(const char *root, struct advise_process *process)
{
	char line[LINE_SIZE];
	FILE *file = open_file(root, "stat", process->pid);
	if (file == NULL)
		return false;
	line[fread(line, 1, sizeof line - 1, file)] = '\0';
	fclose(file);
	char *begin = strchr(line, '('), *end = strrchr(line, ')');
	if (begin == NULL || end == NULL || end < begin)
		return false;
	*end = '\0';
	snprintf(process->name, sizeof process->name, "%.31s", begin + 1);
	make_printable(process->name);
	struct span words[18], rest = span_of_text(end + 1); /* from the state on */
	uint64_t parent, group, threads;
	for (unsigned i = 0; i < COUNT_OF(words); i++)
		words[i] = next_word(&rest);
	if (!span_to_number(words[1], INT_MAX, &parent) || !span_to_number(words[2], INT_MAX, &group) ||
	    !span_to_number(words[17], UINT32_MAX, &threads))
		return false;
	process->parent = (int)parent;
	process->group = (int)group;
	process->threads = (unsigned)threads;
	return true;
}

/* True: it has memory of its own; otherwise it is the kernel's or has ended. *refused: it may not be looked at. */
static bool read_size(const char *root, struct advise_process *process, uint64_t *shared_bytes, bool *refused)
{
	char line[LINE_SIZE];
	uint64_t bytes;
	bool found = false;
	FILE *file = open_file(root, "smaps_rollup", process->pid);
	*refused = file == NULL && (errno == EACCES || errno == EPERM);
	if (file == NULL)
		return false;
	while (fgets(line, sizeof line, file) != NULL) {
		if (read_kilobytes(line, "Pss:", &bytes)) {
			process->bytes += bytes;
			found = true;
		} else if (read_kilobytes(line, "SwapPss:", &bytes)) {
			process->bytes += bytes;
		} else if (read_kilobytes(line, "Pss_Shmem:", &bytes)) {
			*shared_bytes += bytes;
		}
	}
	*refused = ferror(file) != 0 && (errno == EACCES || errno == EPERM);
	fclose(file);
	return found;
}

static void read_program(const char *root, struct advise_process *process)
{
	static const char gone[] = " (deleted)"; /* a package has replaced it */
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/proc/%d/exe", root, process->pid);
	ssize_t size = readlink(path, process->program, sizeof process->program - 1);
	process->program[size > 0 ? size : 0] = '\0';
	size_t kept = size > (ssize_t)sizeof gone ? (size_t)size - (sizeof gone - 1) : 0;
	if (kept > 0 && strcmp(process->program + kept, gone) == 0)
		process->program[kept] = '\0';
	make_printable(process->program);
}

/* The number that a directory of a process is called; 0: it is something else. */
static int number_of(const char *name)
{
	uint64_t number;
	return span_to_number(span_of_text(name), INT_MAX, &number) ? (int)number : 0;
}

static void read_process(const char *root, int pid, const struct sockets *sockets, struct advise_machine *machine,
                         uint64_t *shared_bytes)
{
	struct advise_process *process = &machine->processes[machine->count];
	bool refused;
	*process = (struct advise_process){.pid = pid};
	if (!read_stat(root, process))
		return;
	bool measured = read_size(root, process, shared_bytes, &refused);
	machine->unreadable += refused;
	if (!measured)
		return;
	read_program(root, process);
	process->held = held_by(root, pid, sockets);
	machine->count++;
}

bool advise_look(const char *root, struct advise_address *addresses, unsigned address_count, struct advise_machine *machine)
{
	struct sockets sockets = {0};
	uint64_t shared_bytes = 0;
	char path[PATH_MAX];
	*machine = (struct advise_machine){.processes = calloc(ADVISE_PROCESSES_MOST, sizeof *machine->processes)};
	snprintf(path, sizeof path, "%s/proc", root);
	DIR *directory = machine->processes != NULL ? opendir(path) : NULL;
	if (directory == NULL)
		return false;
	read_sockets(root, "net/tcp", addresses, address_count, &sockets);
	read_sockets(root, "net/tcp6", addresses, address_count, &sockets);
	const struct dirent *entry;
	while ((entry = readdir(directory)) != NULL && machine->count < ADVISE_PROCESSES_MOST) {
		int pid = number_of(entry->d_name);
		if (pid > 0 && pid != (int)getpid())
			read_process(root, pid, &sockets, machine, &shared_bytes);
	}
	closedir(directory);
	return read_memory(root, shared_bytes, machine);
}

void advise_machine_free(struct advise_machine *machine)
{
	free(machine->processes);
	machine->processes = NULL;
}
