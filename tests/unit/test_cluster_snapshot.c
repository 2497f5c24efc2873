/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Snapshots: defaults, sealing and mapping, differences in words, target keys, the table of keys itself.
 */
#include "unit.h"

#include "cluster/cluster.h"
#include "cluster/keys.h"
#include "cluster/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SERVERS                                                 \
	"cluster: c\n"                                              \
	"servers:\n"                                                \
	"  front: { address: 192.0.2.10, public: 198.51.100.10 }\n" \
	"  web1: { address: 192.0.2.11 }\n"                         \
	"  web2: { address: 192.0.2.12 }\n"
#define SITE  "sites:\n  Example.com:\n    apps: [web1:8080, { server: 'web2', weight: 3 }]\n"
#define CHECK "    check: { get: /alive }\n"
#define DATABASE   \
	"databases:\n" \
	"  main: { servers: [web1, web2:3307], account: { user: noah, password_file: /nowhere/password } }\n"

static struct cluster_messages messages;

static struct cluster *load(const char *text)
{
	struct cluster *cluster = cluster_load_text("t.yaml", span_of_text(text), CLUSTER_FILE_ONLY, &messages);
	if (cluster == NULL)
		fail_msg("%s", messages.text[0]);
	return cluster;
}

static void test_defaults(void **state)
{
	(void)state;
	struct cluster *cluster = load(SERVERS SITE CHECK DATABASE);
	const struct cluster_site *site = &cluster->sites[0];
	const struct cluster_database *database = &cluster->databases[0];
	char text[ADDRESS_TEXT_SIZE];
	assert_int_equal(cluster->self, CLUSTER_NO_SERVER);
	assert_string_equal(site->name, "Example.com");
	assert_string_equal(site->names[0], "example.com");
	assert_int_equal(site->name_count, 1);
	assert_int_equal(site->on, 1); /* front: the only one with a public address */
	assert_int_equal(site->listen_count, 1);
	assert_string_equal(address_format(&site->listen[0].address, text), "[::]:80");
	assert_int_equal(site->group.app_count, 2);
	assert_string_equal(address_format(&site->group.apps[1].address, text), "192.0.2.12:80");
	assert_int_equal(site->group.apps[0].weight, 1);
	assert_int_equal(site->group.apps[1].weight, 3);
	assert_int_equal(site->group.check.kind, CHECK_HTTP);
	assert_string_equal(site->group.check.host, "example.com");
	assert_int_equal(site->group.check.status_least, 200);
	assert_int_equal(site->group.check.every_ms, 2000);
	assert_int_equal(site->limits.body_most_bytes, 64 << 20);
	assert_int_equal(database->on, 2 | 4); /* where the apps are */
	assert_string_equal(address_format(&database->listen[0], text), "127.0.0.1:3306");
	assert_string_equal(address_format(&database->servers[1].address, text), "192.0.2.12:3307");
	assert_int_equal(database->check.kind, CHECK_MYSQL);
	assert_int_equal(database->fresh_wait_ms, 20);
	assert_int_equal(database->stale_reads, STALE_ALLOW);
	assert_int_equal(database->sessions_most, 10000);
	cluster_free(cluster);
	/* a timeout that is not written follows a shorter `every` */
	cluster = load(SERVERS SITE "    check: { every: 300ms }\n");
	assert_int_equal(cluster->sites[0].group.check.kind, CHECK_TCP);
	assert_int_equal(cluster->sites[0].group.check.timeout_ms, 300);
	cluster_free(cluster);
}

static void test_own_listener(void **state)
{
	(void)state;
	struct cluster *cluster =
	    load(SERVERS SITE "    on: [web1, front]\n    listen: [192.0.2.11:81, 192.0.2.10:81, 82, 203.0.113.1:83]\n");
	const struct cluster_site *site = &cluster->sites[0];
	assert_false(cluster_listens_on(cluster, site->on, &site->listen[0].address, 0)); /* the address of web1 */
	assert_true(cluster_listens_on(cluster, site->on, &site->listen[0].address, 1));
	assert_true(cluster_listens_on(cluster, site->on, &site->listen[1].address, 0));
	assert_false(cluster_listens_on(cluster, site->on, &site->listen[1].address, 1));
	assert_true(cluster_listens_on(cluster, site->on, &site->listen[2].address, 0) &&
	            cluster_listens_on(cluster, site->on, &site->listen[2].address, 1));
	assert_true(cluster_listens_on(cluster, site->on, &site->listen[3].address, 0));  /* nobody's: both try */
	assert_false(cluster_listens_on(cluster, site->on, &site->listen[2].address, 2)); /* web2 is not in `on` */
	cluster_free(cluster);
}

static void test_seal_and_map(void **state)
{
	(void)state;
	struct cluster *cluster = load(SERVERS SITE DATABASE);
	cluster->generation = 7;
	int descriptor = cluster_seal(cluster);
	assert_true(descriptor >= 0);
	char byte = 'x';
	assert_int_equal(pwrite(descriptor, &byte, 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(descriptor, 1), -1);
	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) == MAP_FAILED);
	assert_true((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
	const struct cluster *copy = cluster_map(descriptor);
	assert_non_null(copy);
	close(descriptor);
	assert_memory_equal(copy, cluster, sizeof(*cluster));
	cluster_free(copy);
	cluster_free(cluster);
	cluster_free(NULL);
}

/* A memory file that is no snapshot of this version, or that somebody could still change. */
static void test_map_refuses(void **state)
{
	(void)state;
	struct cluster *cluster = load(SERVERS SITE);
	cluster->version++;
	int descriptor = cluster_seal(cluster);
	assert_null(cluster_map(descriptor));
	close(descriptor);
	cluster->version--;
	cluster->server_count = CLUSTER_SERVERS_MOST + 1;
	descriptor = cluster_seal(cluster);
	assert_null(cluster_map(descriptor));
	close(descriptor);
	cluster_free(cluster);
	descriptor = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(descriptor, sizeof(struct cluster)), 0);
	assert_null(cluster_map(descriptor));
	close(descriptor);
	descriptor = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(descriptor, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	assert_null(cluster_map(descriptor));
	close(descriptor);
	descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_null(cluster_map(descriptor));
	close(descriptor);
	assert_null(cluster_map(-1));
}

static void test_references(void **state)
{
	(void)state;
	struct cluster *cluster = load(SERVERS SITE);
	struct snapshot *snapshot = snapshot_new(cluster);
	assert_ptr_equal(snapshot_cluster(snapshot), cluster);
	assert_ptr_equal(snapshot_ref(snapshot), snapshot);
	snapshot_unref(snapshot);
	assert_string_equal(snapshot_cluster(snapshot)->name, "c"); /* still mapped */
	snapshot_unref(snapshot);
	snapshot_unref(NULL);
	/* the last one unmapped it: mincore knows only mapped pages */
	unsigned char page;
	assert_int_equal(mincore(cluster, 1, &page), -1);
	assert_int_equal(errno, ENOMEM);
}

static void expect_difference(const char *before, const char *after, const char *expected)
{
	struct cluster *a = load(before), *b = load(after);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	unsigned lines = cluster_print_difference(a, b, out), counted = 0;
	fclose(out);
	for (size_t i = 0; i < size; i++)
		counted += text[i] == '\n';
	assert_int_equal(lines, counted);
	assert_string_equal(text, expected);
	free(text);
	cluster_free(a);
	cluster_free(b);
}

static void test_differences(void **state)
{
	(void)state;
	expect_difference(SERVERS SITE DATABASE, SERVERS SITE DATABASE, "");
	/* order in the file does not matter */
	expect_difference(SERVERS SITE DATABASE, SERVERS DATABASE SITE, "");
	expect_difference(SERVERS SITE, SERVERS "  web3: { address: 192.0.2.13 }\n" SITE, "servers.web3: added\n");
	expect_difference(SERVERS SITE, SERVERS SITE CHECK "    body: 1g\n    balance: least-connections\n",
	                  "sites.Example.com.balance: was round-robin, is least-connections\n"
	                  "sites.Example.com.check.get: was not set, is /alive\n"
	                  "sites.Example.com.check.tcp: was true, is not set\n"
	                  "sites.Example.com.check.host: was not set, is example.com\n"
	                  "sites.Example.com.body: was 64m, is 1g\n");
	expect_difference(SERVERS "sites: { s: { apps: [web1, web2] } }\n",
	                  SERVERS "sites: { s: { apps: [{ server: web2, weight: 2 }] } }\n",
	                  "sites.s.apps: web1:80 removed\n"
	                  "sites.s.apps: web2:80 removed\n"
	                  "sites.s.apps: web2:80 (weight 2) added\n");
	expect_difference(SERVERS "sites: { s: { apps: web1 } }\n",
	                  SERVERS "sites: { t: { apps: web1, on: web2, listen: 192.0.2.12:80 } }\n",
	                  "sites.s: removed\nsites.t: added\n");
	expect_difference(SERVERS "sites: { s: { apps: web1 } }\n",
	                  SERVERS "sites: { s: { apps: web1, on: web2, listen: [8080, 81] } }\n",
	                  "sites.s.on: front removed\nsites.s.on: web2 added\n"
	                  "sites.s.listen: 80 removed\nsites.s.listen: 8080 added\nsites.s.listen: 81 added\n");
}

/* The password itself is never in the words. */
static void test_difference_of_passwords(void **state)
{
	(void)state;
	struct cluster *a = load(SERVERS DATABASE), *b = load(SERVERS DATABASE);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	snprintf(b->databases[0].password, sizeof(b->databases[0].password), "geheim");
	assert_int_equal(cluster_print_difference(a, b, out), 1);
	fclose(out);
	assert_string_equal(text, "databases.main.account.password_file: the password in it changed\n");
	free(text);
	cluster_free(a);
	cluster_free(b);
}

static void test_target_keys(void **state)
{
	char key[CLUSTER_TARGET_KEY_SIZE], other[CLUSTER_TARGET_KEY_SIZE];
	(void)state;
	struct cluster *cluster = load(SERVERS SITE CHECK DATABASE);
	struct cluster_check check = cluster->sites[0].group.check;
	const struct address *address = &cluster->sites[0].group.apps[0].address;
	assert_string_equal(cluster_target_key(&check, address, key), "http:GET example.com/alive [200-399] 192.0.2.11:8080");
	assert_string_equal(cluster_target_key(&cluster->databases[0].check, &cluster->databases[0].servers[0].address, key),
	                    "mysql:192.0.2.11:3306");
	/* how often is not part of it, what is expected is */
	cluster_target_key(&check, address, key);
	check.every_ms = 9;
	assert_string_equal(cluster_target_key(&check, address, other), key);
	check.digest = DIGEST_SHA256;
	assert_string_not_equal(cluster_target_key(&check, address, other), key);
	/* long ones differ though they begin alike */
	memset(check.path, 'p', sizeof(check.path) - 1);
	check.path[0] = '/';
	cluster_target_key(&check, address, key);
	assert_int_equal(strlen(key), CLUSTER_TARGET_KEY_SIZE - 1);
	check.digest_bytes[31] ^= 1;
	assert_string_not_equal(cluster_target_key(&check, address, other), key);
	cluster_free(cluster);
}

/* The table: each path once, each parent there, each row documented, with an example; lists have an element. */
static void test_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < key_count; i++) {
		const struct key *key = &keys[i];
		size_t size = strlen(key->path);
		assert_ptr_equal(key_find(key->path), key);
		assert_true(size < KEY_PATH_SIZE);
		if (key->type == KEY_LIST)
			assert_non_null(key_element(key));
		if (size > 2 && strcmp(key->path + size - 2, "[]") == 0)
			continue;
		assert_non_null(key->about);
		assert_non_null(key->example);
		assert_true(key->about[strlen(key->about) - 1] == '.');
		/* a reader is told what holds when it is left out */
		assert_true(key->required || key->standard != NULL || key->otherwise != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),    cmocka_unit_test(test_own_listener), cmocka_unit_test(test_seal_and_map),
	    cmocka_unit_test(test_map_refuses), cmocka_unit_test(test_references),   cmocka_unit_test(test_differences),
	    cmocka_unit_test(test_table),       cmocka_unit_test(test_target_keys),  cmocka_unit_test(test_difference_of_passwords),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
