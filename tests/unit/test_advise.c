/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah advise`: what it sees of a machine whose /proc the test has made, and what it concludes of machines that the test thinks
 * up.
 */
#include "unit.h"

#include "command/advise.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MB (UINT64_C(1) << 20)

/* ---- conclusions ------------------------------------------------------------------------------------------------------- */

static struct advise_report report;
static struct advise_process processes[256];
static struct advise_machine machine;

static void begin(uint64_t memory_bytes, uint64_t kernel_bytes)
{
	memset(&report, 0, sizeof report);
	memset(processes, 0, sizeof processes);
	machine = (struct advise_machine){
	    .memory_bytes = memory_bytes, .kernel_bytes = kernel_bytes, .processors = 2, .processes = processes};
}

static struct advise_process *add(const char *program, int parent, uint64_t bytes)
{
	struct advise_process *process = &processes[machine.count];
	const char *slash = strrchr(program, '/');
	*process =
	    (struct advise_process){.pid = 100 + (int)machine.count, .parent = parent, .group = 7, .threads = 1, .bytes = bytes};
	snprintf(process->program, sizeof process->program, "%s", program);
	snprintf(process->name, sizeof process->name, "%s", slash != NULL ? slash + 1 : program);
	machine.count++;
	return process;
}

static struct advise_address *add_address(const char *text, unsigned fronts)
{
	struct advise_address *address = &report.addresses[report.address_count++];
	snprintf(address->text, sizeof address->text, "%s", text);
	address->fronts = fronts;
	address->sockets = 1;
	return address;
}

/* A parent and its workers, which all have the listening socket, as Apache's prefork has. */
static void add_apache(unsigned workers, uint64_t bytes, uint64_t held)
{
	struct advise_process *parent = add("/usr/sbin/apache2", 1, 8 * MB);
	parent->held = held;
	for (unsigned i = 0; i < workers; i++)
		add("/usr/sbin/apache2", parent->pid, bytes)->held = held;
}

static bool is_noted(const char *words)
{
	for (unsigned i = 0; i < report.note_count; i++)
		if (strstr(report.notes[i], words) != NULL)
			return true;
	return false;
}

/* The machine that this was made for: 613 MB, ten heavy Apache processes. */
static void test_a_small_machine(void **state)
{
	(void)state;
	begin(613 * MB, 30 * MB);
	add_address("web1:80", 1);
	add("/usr/sbin/mariadbd", 1, 150 * MB);
	add("/usr/sbin/noah", 1, 6 * MB);
	add("/usr/sbin/sshd", 1, 3 * MB);
	add("/usr/lib/systemd/systemd-journald", 1, 12 * MB);
	add_apache(8, 24 * MB, 1);
	add("/usr/sbin/apache2", 1, 2 * MB)->group = 8; /* another one, for something else */
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.database_bytes, 150 * MB);
	assert_string_equal(report.database_names, "mariadbd");
	assert_int_equal(report.noah_bytes, 6 * MB);
	assert_int_equal(report.other_bytes, 17 * MB);
	assert_int_equal(report.other_count, 3);
	assert_string_equal(report.largest_others, "systemd-journald, sshd, apache2");
	assert_int_equal(report.reserve_bytes, 64 * MB);
	assert_int_equal(report.left_bytes, (613 - 30 - 150 - 6 - 17 - 64 - 8) * MB); /* the last is the parent */
	assert_int_equal(report.program_count, 1);
	assert_int_equal(report.programs[0].model, ADVISE_ONE_EACH);
	assert_true(report.programs[0].known);
	assert_int_equal(report.programs[0].workers, 8);
	assert_int_equal(report.programs[0].others, 1);
	assert_int_equal(report.programs[0].large_bytes, 24 * MB);
	assert_int_equal(report.addresses[0].fit, 338 / 24);
	assert_true(is_noted("databases grow"));
	assert_false(is_noted("processors may be busy"));
}

static void test_the_larger_ones_count(void **state)
{
	(void)state;
	begin(1000 * MB, 0);
	add_address("web1:80", 1);
	for (unsigned i = 0; i < 8; i++)
		add("/usr/sbin/apache2", 1, (i < 2 ? 40 : 4) * MB)->held = 1;
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.programs[0].large_bytes, 40 * MB);
	assert_int_equal(report.programs[0].average_bytes, 13 * MB);
	assert_int_equal(report.addresses[0].fit, 900 / 40);
}

/* Requests that Apache passes on to PHP's pools need a process of each. */
static void test_pools(void **state)
{
	(void)state;
	begin(1000 * MB, 0);
	add_address("web1:80", 1);
	add_apache(4, 10 * MB, 1);
	struct advise_process *pool = add("/usr/sbin/php-fpm8.2", 1, 12 * MB);
	for (unsigned i = 0; i < 4; i++)
		add("/usr/sbin/php-fpm8.2", pool->pid, 30 * MB);
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.pool.workers, 4);
	assert_int_equal(report.other_bytes, 0);
	assert_int_equal(report.left_bytes, (1000 - 100 - 8 - 12) * MB);
	assert_int_equal(report.addresses[0].fit, 880 / 40);
	assert_true(is_noted("php-fpm"));
	/* With threads in Apache, or nginx: only PHP's. */
	begin(1000 * MB, 0);
	add_address("web1:80", 1);
	add("/usr/sbin/nginx", 1, 20 * MB)->held = 1;
	for (unsigned i = 0; i < 4; i++)
		add("/usr/sbin/php-fpm8.2", 1, 30 * MB);
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.programs[0].model, ADVISE_MANY);
	assert_int_equal(report.left_bytes, (1000 - 100 - 20) * MB);
	assert_int_equal(report.addresses[0].fit, 880 / 30);
}

static void test_what_cannot_be_said(void **state)
{
	(void)state;
	begin(1000 * MB, 0);
	add_address("web1:80", 1);
	add_address("web1:81", 1)->sockets = 0;
	add_address("web1:82", 1);
	add_address("web1:83", 1);
	add("/usr/bin/node", 1, 50 * MB)->held = 1;
	add("/usr/bin/docker-proxy", 1, 2 * MB)->held = 8;
	machine.unreadable = 1;
	advise_size(&report, &machine, NULL);
	for (unsigned i = 0; i < report.address_count; i++)
		assert_int_equal(report.addresses[i].fit, 0);
	assert_true(is_noted("node: each of its processes serves many"));
	assert_true(is_noted("web1:81: nobody listens there now"));
	assert_true(is_noted("web1:82: somebody listens there, but his processes cannot be seen: try as root"));
	assert_true(is_noted("docker-proxy: it only passes on into a container"));
	assert_true(is_noted("1 process could not be looked at"));
	/* Threads: each serves many, as Apache's event does; a single thread of an unknown program is a guess, and said to be one. */
	begin(1000 * MB, 0);
	add_address("web1:80", 1);
	add_apache(2, 30 * MB, 1);
	processes[1].threads = 27;
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.programs[0].model, ADVISE_MANY);
	begin(1000 * MB, 0);
	add_address("web1:80", 1);
	add("/opt/ours", 1, 100 * MB)->held = 1;
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.addresses[0].fit, 9);
	assert_true(is_noted("ours: its processes have one thread each, so each is taken to serve one"));
}

static void test_parts_of_what_fits(void **state)
{
	(void)state;
	begin(1000 * MB, 0);
	add_address("web1:80", 2); /* two fronts */
	add_address("web1:81", 2); /* the same processes */
	add_apache(4, 10 * MB, 3);
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.programs[0].addresses, 2);
	assert_int_equal(report.programs[0].fit, 89);
	assert_int_equal(report.addresses[0].fit, 89 / 4);
	assert_true(is_noted("web1:80: 2 servers send requests there"));
	assert_true(is_noted("listen on 2 addresses"));
	/* Two programs share the memory. */
	begin(1000 * MB, 0);
	add_address("web1:80", 1);
	add_address("web1:81", 1);
	add("/usr/sbin/apache2", 1, 10 * MB)->held = 1;
	add("/opt/ours", 1, 45 * MB)->held = 2;
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.addresses[0].fit, 45);
	assert_int_equal(report.addresses[1].fit, 10);
}

static void test_extremes(void **state)
{
	uint64_t limits[4] = {UINT64_MAX, 200 * MB, UINT64_MAX, UINT64_MAX};
	(void)state;
	/* No room at all. */
	begin(100 * MB, 50 * MB);
	add_address("web1:80", 3);
	add("/usr/sbin/apache2", 1, 80 * MB)->held = 1;
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.left_bytes, 0);
	assert_int_equal(report.addresses[0].fit, 1);
	assert_true(is_noted("no room for even one"));
	/* Room for more than processors can do, and for more than the file can say. */
	begin(UINT64_C(1) << 50, 0);
	add_address("web1:80", 1);
	add("/usr/sbin/apache2", 1, 1 * MB)->held = 1;
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.addresses[0].fit, 100000);
	assert_true(is_noted("2 processors may be busy"));
	/* A limit of its control group. */
	begin(10000 * MB, 0);
	add_address("web1:80", 1);
	add("/usr/sbin/apache2", 1, 10 * MB)->held = 1;
	add("/usr/sbin/apache2", 100, 10 * MB)->held = 1;
	advise_size(&report, &machine, limits);
	assert_int_equal(report.addresses[0].fit, (190 - 19) / 10);
	assert_true(is_noted("MemoryMax"));
	/* Nobody at all. */
	begin(100 * MB, 0);
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.left_bytes, 36 * MB);
	/* Processes without memory of their own. */
	begin(100 * MB, 0);
	add_address("web1:80", 1);
	add("/usr/sbin/apache2", 1, 0)->held = 1;
	advise_size(&report, &machine, NULL);
	assert_int_equal(report.addresses[0].fit, 0);
}

/* ---- looking ------------------------------------------------------------------------------------------------------------- */

static char root[] = "/tmp/noah-advise-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", root, name);
	for (char *slash = strchr(path + sizeof root, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void put_link(const char *name, const char *to)
{
	char path[512];
	put(name, "");
	snprintf(path, sizeof path, "%s/%s", root, name);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(to, path), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void put_process(int pid, const char *stat, const char *smaps, const char *exe, const char *socket)
{
	char name[64];
	snprintf(name, sizeof name, "proc/%d/stat", pid);
	put(name, stat);
	snprintf(name, sizeof name, "proc/%d/smaps_rollup", pid);
	put(name, smaps);
	if (exe != NULL) {
		snprintf(name, sizeof name, "proc/%d/exe", pid);
		put_link(name, exe);
	}
	snprintf(name, sizeof name, "proc/%d/fd/0", pid);
	put_link(name, "/dev/null");
	if (socket != NULL) {
		snprintf(name, sizeof name, "proc/%d/fd/4", pid);
		put_link(name, socket);
	}
}

#define STAT(name, parent, threads) "1 (" name ") S " parent " 77 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 " threads " 0 12 13 14\n"
#define SMAPS                       "5-7 ---p 00000000 00:00 0 [rollup]\nRss: 9999 kB\nPss: 2048 kB\nPss_Shmem: 100 kB\nSwapPss: 1024 kB\n"

static void make_machine(void)
{
	put("proc/meminfo",
	    "MemTotal: 1048576 kB\nMemFree: 5 kB\nShmem: 1124 kB\nSUnreclaim: 1024 kB\nKernelStack: 1024 kB\nPageTables: 1024 "
	    "kB\nPercpu: 1024 kB\nHugetlb: 2048 kB\n");
	/* 127.0.0.1:8080 listening, the same connected, 0.0.0.0:8081; [::]:8082, [::ffff:127.0.0.1]:8083, [::1]:8080 */
	put("proc/net/tcp",
	    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0 100 0 0 10 0\n"
	    "   1: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 1002 1 0 100 0 0 10 0\n"
	    "   2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1003 1 0 100 0 0 10 0\n");
	put("proc/net/tcp6",
	    "  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	    "   0: 00000000000000000000000000000000:1F92 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
	    "00000000     0        0 1004 1 0 100 0 0 10 0\n"
	    "   1: 0000000000000000FFFF00000100007F:1F93 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
	    "00000000     0        0 1005 1 0 100 0 0 10 0\n"
	    "   2: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
	    "00000000     0        0 1006 1 0 100 0 0 10 0\n");
	put_process(9000001, STAT("apache2", "1", "1"), SMAPS, "/usr/sbin/apache2 (deleted)", "socket:[1001]");
	put_process(9000002, STAT("strange) (\n\033name", "9000001", "7"), SMAPS, NULL, "socket:[1003]");
	put_process(9000003, STAT("kthreadd", "2", "1"), "", NULL, NULL);
	put_process(9000004, STAT("visitor", "1", "1"), SMAPS, "/bin/visi\033tor", "socket:[1002]");
	put("proc/9000005/stat", "cut");
	put("proc/self/cgroup", "4:memory:/ours/inner\n0::/other\n");
	put("sys/fs/cgroup/memory/ours/memory.limit_in_bytes", "536870912\n");
	put("sys/fs/cgroup/memory/ours/inner/memory.limit_in_bytes", "9223372036854771712\n");
	put("proc/9000001/cgroup", "0::/system.slice/apache2.service\n");
	put("sys/fs/cgroup/system.slice/apache2.service/memory.max", "268435456\n");
	put("sys/fs/cgroup/system.slice/memory.max", "max\n");
	put("proc/9000003/cgroup", "4:memory:/free\n");
	put("sys/fs/cgroup/memory/free/memory.limit_in_bytes", "9223372036854771712\n");
}

static void test_looking(void **state)
{
	static const char *const texts[] = {"127.0.0.1:8080", "10.1.2.3:8081", "10.1.2.3:8082",
	                                    "127.0.0.1:8083", "[::1]:8080",    "[::1]:8081"};
	static const unsigned sockets[] = {1, 1, 1, 1, 1, 0};
	struct advise_address addresses[COUNT_OF(texts)];
	struct advise_machine seen;
	(void)state;
	assert_non_null(mkdtemp(root));
	make_machine();
	memset(addresses, 0, sizeof addresses);
	for (unsigned i = 0; i < COUNT_OF(texts); i++)
		assert_true(address_parse(span_of_text(texts[i]), true, &addresses[i].address));
	assert_true(advise_look(root, addresses, COUNT_OF(addresses), &seen));
	for (unsigned i = 0; i < COUNT_OF(texts); i++)
		assert_int_equal(addresses[i].sockets, sockets[i]);
	assert_true(seen.limited);
	assert_int_equal(seen.memory_bytes, 512 * MB);
	assert_int_equal(seen.kernel_bytes, (6 * 1024 + 1124 - 300) * 1024);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.unreadable, 0);
	for (unsigned i = 0; i < seen.count; i++) {
		const struct advise_process *process = &seen.processes[i];
		assert_int_equal(process->bytes, 3 * MB);
		if (process->pid == 9000001) {
			assert_string_equal(process->name, "apache2");
			assert_string_equal(process->program, "/usr/sbin/apache2");
			assert_int_equal(process->parent, 1);
			assert_int_equal(process->group, 77);
			assert_int_equal(process->held, 1);
		} else if (process->pid == 9000002) {
			assert_string_equal(process->name, "strange) (??name");
			assert_string_equal(process->program, "");
			assert_int_equal(process->threads, 7);
			assert_int_equal(process->held, 2);
		} else {
			assert_string_equal(process->program, "/bin/visi?tor");
			assert_int_equal(process->held, 0); /* a connection to it is not the socket that listens */
		}
	}
	assert_int_equal(advise_limit_of(root, 9000001), 256 * MB);
	assert_int_equal(advise_limit_of(root, 9000002), UINT64_MAX);
	assert_int_equal(advise_limit_of(root, 9000003), UINT64_MAX);
	advise_machine_free(&seen);
	assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	assert_false(advise_look(root, addresses, COUNT_OF(addresses), &seen));
	advise_machine_free(&seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_small_machine),
	    cmocka_unit_test(test_the_larger_ones_count),
	    cmocka_unit_test(test_pools),
	    cmocka_unit_test(test_what_cannot_be_said),
	    cmocka_unit_test(test_parts_of_what_fits),
	    cmocka_unit_test(test_extremes),
	    cmocka_unit_test(test_looking),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
