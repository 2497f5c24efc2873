/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sites with TLS and routes, TCP services, groups of servers: what the file becomes, what is taken over from whom, what a
 * difference says, and how little memory a snapshot needs.
 */
#include "unit.h"

#include "cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVERS                                                 \
	"cluster: c\n"                                              \
	"servers:\n"                                                \
	"  front: { address: 192.0.2.10, public: 198.51.100.10 }\n" \
	"  web1: { address: 192.0.2.11 }\n"                         \
	"  web2: { address: 192.0.2.12 }\n"

static struct cluster_messages messages;

static struct cluster *load(const char *text)
{
	struct cluster *cluster = cluster_load_text("t.yaml", span_of_text(text), CLUSTER_FILE_ONLY, &messages);
	if (cluster == NULL)
		fail_msg("%s", messages.text[0]);
	return cluster;
}

static void expect_listen(const struct cluster_listen *listen, const char *address, bool tls)
{
	char text[ADDRESS_TEXT_SIZE];
	assert_string_equal(address_format(&listen->address, text), address);
	assert_int_equal(listen->tls, tls);
}

static void test_tls(void **state)
{
	(void)state;
	struct cluster *cluster =
	    load(SERVERS "sites:\n"
	                 "  a: { apps: web1, certificate: self-signed }\n"
	                 "  b: { apps: web1, certificate: [/both.pem, { chain: /c, key: /k, ocsp: /o }],\n"
	                 "       https: { redirect: false, hsts: 180d, least: 1.3 },\n"
	                 "       names: ['*.B.example', www.b], canonical: WWW.b }\n"
	                 "  c: { apps: web1 }\n"
	                 "  d: { apps: web1, certificate: /d, listen: ['https:192.0.2.10:8443', 'http:8080'] }\n");
	const struct cluster_site *site = &cluster->sites[0];
	assert_int_equal(site->listen_count, 2);
	expect_listen(&site->listen[0], "[::]:80", false);
	expect_listen(&site->listen[1], "[::]:443", true);
	assert_int_equal(site->certificate_count, 1);
	assert_true(site->certificates[0].self_signed && site->redirect_to_https);
	assert_int_equal(site->tls_least, 12);
	assert_int_equal(site->hsts_s, 0);
	site = &cluster->sites[1];
	assert_int_equal(site->certificate_count, 2);
	assert_string_equal(site->certificates[0].chain, "/both.pem");
	assert_string_equal(site->certificates[0].key, "");
	assert_string_equal(site->certificates[1].key, "/k");
	assert_string_equal(site->certificates[1].ocsp, "/o");
	assert_false(site->redirect_to_https);
	assert_int_equal(site->hsts_s, 180 * 86400);
	assert_int_equal(site->tls_least, 13);
	assert_string_equal(site->names[1], "*.b.example");
	assert_string_equal(site->canonical, "www.b");
	site = &cluster->sites[2];
	assert_int_equal(site->listen_count, 1);
	assert_false(site->redirect_to_https);
	site = &cluster->sites[3];
	assert_int_equal(site->listen_count, 2);
	expect_listen(&site->listen[0], "192.0.2.10:8443", true);
	expect_listen(&site->listen[1], "[::]:8080", false);
	assert_true(site->redirect_to_https);
	cluster_free(cluster);
}

/* A route takes what it does not say from its site, whatever stands first in the file. */
static void test_routes(void **state)
{
	(void)state;
	struct cluster *cluster =
	    load(SERVERS "sites:\n"
	                 "  a:\n"
	                 "    routes:\n"
	                 "      - { path: /old/, redirect: https://b.example/ }\n"
	                 "      - { path: /api/, apps: [web2:9000], body: 1g, check: { every: 5s }, balance: round-robin }\n"
	                 "      - { types: [JPG, png], apps: [web2:81], hash: path, check: { tcp: true } }\n"
	                 "      - { path: /x, redirect: /y, status: 307 }\n"
	                 "      - { path: /up, timeouts: { answer: 5m } }\n"
	                 "      - { path: /z, apps: web2:82, check: { get: /other } }\n"
	                 "    apps: [web1:8080, { server: web2:8080, backup: true, connections: 3, weight: 7 }]\n"
	                 "    connections: 10\n"
	                 "    hash: cookie Session\n"
	                 "    sticky: S\n"
	                 "    slow_start: 30s\n"
	                 "    queue: { length: 5, timeout: 2s }\n"
	                 "    timeouts: { connect: 3s, answer: 7s, request: 8s }\n"
	                 "    body: 2m\n"
	                 "    check: { get: /alive, md5: d41d8cd98f00b204e9800998ecf8427e, every: 9s, rise: 5, status: 204 }\n");
	const struct cluster_site *site = &cluster->sites[0];
	const struct cluster_group *group = &site->group;
	assert_int_equal(site->route_count, 6);
	assert_int_equal(group->balance, BALANCE_HASH);
	assert_int_equal(group->hash, HASH_COOKIE);
	assert_string_equal(group->hash_name, "Session");
	assert_int_equal(group->apps[0].connections_most, 10);
	assert_int_equal(group->apps[1].connections_most, 3);
	assert_true(group->apps[0].cap_of_group && !group->apps[1].cap_of_group);
	assert_true(group->apps[1].backup && !group->apps[0].backup);

	const struct cluster_route *route = &site->routes[0];
	assert_string_equal(route->redirect, "https://b.example/");
	assert_int_equal(route->redirect_status, 301);

	route = &site->routes[1];
	assert_int_equal(route->group.app_count, 1);
	assert_int_equal(route->group.apps[0].connections_most, 10); /* its address has the limit of the site's apps */
	assert_true(route->limits.body_most_bytes == 1ull << 30);
	assert_int_equal(route->limits.answer_timeout_ms, 7000);
	assert_int_equal(route->limits.request_timeout_ms, 8000);
	assert_int_equal(route->group.connect_timeout_ms, 3000);
	assert_int_equal(route->group.balance, BALANCE_ROUND_ROBIN);
	assert_string_equal(route->group.hash_name, ""); /* of the site's way of balancing, which is not the route's */
	assert_string_equal(route->group.sticky, "S");
	assert_int_equal(route->group.slow_start_ms, 30000);
	assert_int_equal(route->group.queue_most, 5);
	assert_int_equal(route->group.queue_timeout_ms, 2000);
	assert_int_equal(route->group.check.kind, CHECK_HTTP);
	assert_string_equal(route->group.check.path, "/alive");
	assert_string_equal(route->group.check.host, "a");
	assert_int_equal(route->group.check.digest, DIGEST_MD5);
	assert_int_equal(route->group.check.every_ms, 5000);
	assert_int_equal(route->group.check.rise, 5);

	route = &site->routes[2];
	assert_int_equal(route->type_count, 2);
	assert_string_equal(route->types[0], "jpg");
	assert_int_equal(route->group.balance, BALANCE_HASH);
	assert_int_equal(route->group.hash, HASH_PATH);
	assert_string_equal(route->group.hash_name, "");
	assert_int_equal(route->group.check.kind, CHECK_TCP);
	assert_int_equal(route->group.check.digest, DIGEST_NONE);
	assert_int_equal(route->group.check.every_ms, 9000);

	assert_int_equal(site->routes[3].redirect_status, 307);
	assert_int_equal(site->routes[4].group.app_count, 0);
	assert_int_equal(site->routes[4].limits.answer_timeout_ms, 300000);

	/* another page than the site's has another digest, but is asked for in the same way */
	route = &site->routes[5];
	assert_string_equal(route->group.check.path, "/other");
	assert_int_equal(route->group.check.digest, DIGEST_NONE);
	assert_int_equal(route->group.check.status_least, 204);
	cluster_free(cluster);
}

static void test_services_and_the_rest(void **state)
{
	char text[ADDRESS_TEXT_SIZE];
	(void)state;
	struct cluster *cluster =
	    load(SERVERS "services:\n"
	                 "  ssh: { listen: 2222, servers: [web1:22, { server: web2:22, backup: true }] }\n"
	                 "  smtp: { listen: 192.0.2.10:25, servers: web1:25, on: web1, hash: address, connections: 5,\n"
	                 "          proxy_protocol: v2, timeouts: { idle: 5m }, sessions: 7 }\n"
	                 "log: { access: /var/log/a.log, format: json }\n"
	                 "admin: { listen: [9180, '[::1]:9180'] }\n");
	const struct cluster_service *service = &cluster->services[0];
	assert_int_equal(service->on, 1);
	assert_string_equal(address_format(&service->listen[0], text), "[::]:2222");
	assert_int_equal(service->group.check.kind, CHECK_TCP);
	assert_int_equal(service->group.check.every_ms, 2000);
	assert_int_equal(service->group.queue_most, 1024);
	assert_int_equal(service->group.queue_timeout_ms, 30000);
	assert_int_equal(service->idle_timeout_ms, 3600000);
	assert_int_equal(service->connections_most, 10000);
	assert_int_equal(service->group.balance, BALANCE_ROUND_ROBIN);
	service = &cluster->services[1];
	assert_int_equal(service->on, 2);
	assert_int_equal(service->group.balance, BALANCE_HASH);
	assert_int_equal(service->group.apps[0].connections_most, 5);
	assert_int_equal(service->proxy_protocol, 2);
	assert_int_equal(service->connections_most, 7);
	assert_int_equal(cluster->log.access_to, LOG_TO_FILE);
	assert_string_equal(cluster->log.access_file, "/var/log/a.log");
	assert_int_equal(cluster->log.format, LOG_FORMAT_JSON);
	assert_string_equal(address_format(&cluster->admin.listen[0], text), "127.0.0.1:9180");
	assert_string_equal(address_format(&cluster->admin.listen[1], text), "[::1]:9180");
	cluster_free(cluster);
	cluster = load(SERVERS "sites: { a: { apps: web1 } }\nlog: { access: journal }\n");
	assert_int_equal(cluster->log.access_to, LOG_TO_JOURNAL);
	assert_int_equal(cluster->log.format, LOG_FORMAT_COMBINED);
	assert_int_equal(cluster->admin.listen_count, 0);
	cluster_free(cluster);
}

static void test_walk(void **state)
{
	struct cluster_walk walk = {0};
	(void)state;
	struct cluster *cluster = load(SERVERS "sites:\n"
	                                       "  a: { apps: web1, routes: [{ path: /x, body: 1 }, { path: /y, apps: web2 }] }\n"
	                                       "  b: { page: /p }\n"
	                                       "services: { s: { listen: 22, servers: web1:2222 } }\n");
	static const char *const names[] = {"a", "a", "s"};
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		assert_true(cluster_walk_groups(cluster, &walk));
		assert_string_equal(walk.name, names[i]);
		assert_true((walk.route != NULL) == (i == 1) && (walk.service != NULL) == (i == 2));
	}
	assert_false(cluster_walk_groups(cluster, &walk));
	cluster_free(cluster);
}

static void expect_difference(const char *before, const char *after, const char *expected)
{
	struct cluster *a = load(before), *b = load(after);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	(void)cluster_print_difference(a, b, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	cluster_free(a);
	cluster_free(b);
}

static void test_differences(void **state)
{
	(void)state;
	/* what a route has from its site is not said twice */
	expect_difference(SERVERS "sites: { a: { apps: web1, routes: [{ path: /x, apps: web2 }] } }\n",
	                  SERVERS "sites: { a: { apps: web1, body: 1g, connections: 5, routes: [{ path: /x, apps: web2 }] } }\n",
	                  "sites.a.connections: was 0, is 5\nsites.a.body: was 64m, is 1g\n");
	expect_difference(
	    SERVERS "sites: { a: { apps: web1, routes: [{ path: /x, apps: web2 }, { types: [a, b], redirect: /n }] } }\n",
	    SERVERS "sites: { a: { apps: web1, routes: [{ types: [a, b], redirect: /m }, { path: /x, apps: web2, body: 1 }, "
	            "{ path: /z, redirect: /y }] } }\n",
	    "sites.a.routes: /z added\n"
	    "sites.a.routes./x.body: was 64m, is 1\n"
	    "sites.a.routes.*.a,b.redirect: was /n, is /m\n"
	    "sites.a.routes: the order changed\n");
	expect_difference(SERVERS "sites: { a: { apps: web1 } }\n",
	                  SERVERS "sites: { a: { apps: [{ server: web1, backup: false, connections: 3 }], hash: header X-U,\n"
	                          "  certificate: { chain: /c, key: /k } } }\nadmin: { listen: 9180 }\n",
	                  "sites.a.listen: https added\n"
	                  "sites.a.certificate: /c, key /k added\n"
	                  "sites.a.https.redirect: was false, is true\n"
	                  "sites.a.apps: web1:80 removed\n"
	                  "sites.a.apps: web1:80 (at most 3 connections) added\n"
	                  "sites.a.balance: was round-robin, is hash\n"
	                  "sites.a.hash: was not set, is header X-U\n"
	                  "admin.listen: 127.0.0.1:9180 added\n");
	expect_difference(SERVERS "services: { s: { listen: 22, servers: web1:22 } }\nsites: { a: { apps: web1 } }\n",
	                  SERVERS "services: { s: { listen: 22, servers: web1:22, proxy_protocol: v1 } }\n"
	                          "sites: { a: { apps: web1 } }\nlog: { access: syslog }\n",
	                  "services.s.proxy_protocol: was none, is v1\nlog.access: was none, is syslog\n");
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static struct cluster *load_whole(const char *text)
{
	struct cluster *cluster = cluster_load_text("t.yaml", span_of_text(text), CLUSTER_WHOLE, &messages);
	if (cluster == NULL)
		fail_msg("%s", messages.text[0]);
	return cluster;
}

static void test_pages(void **state)
{
	char page[] = "/tmp/noah-test-page-XXXXXX", text[800], *words = NULL;
	size_t size = 0;
	(void)state;
	int descriptor = mkstemp(page);
	assert_true(descriptor >= 0);
	close(descriptor);
	write_file(page, "welcome\n");
	snprintf(text, sizeof(text), SERVERS "sites: { a: { page: %s }, b: { page: %s } }\n", page, page);
	struct cluster *cluster = load_whole(text);
	assert_int_equal(cluster->page_count, 1);
	assert_int_equal(cluster->sites[0].page, 1);
	assert_int_equal(cluster->sites[1].page, 1);
	assert_int_equal(cluster->pages[0].size, 8);
	assert_memory_equal(cluster->pages[0].bytes, "welcome\n", 8);
	write_file(page, "Welcome\n");
	struct cluster *later = load_whole(text);
	FILE *out = open_memstream(&words, &size);
	assert_int_equal(cluster_print_difference(cluster, later, out), 2);
	fclose(out);
	assert_string_equal(words, "sites.a.page: the file changed\nsites.b.page: the file changed\n");
	free(words);
	cluster_free(later);
	cluster_free(cluster);
	unlink(page);
}

/* The bounds of the grammar make the struct many megabytes; a file of usual size may cost only what it fills. */
static void test_memory(void **state)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE), pages = sizeof(struct cluster) / page_size + 1, resident = 0;
	(void)state;
	struct cluster *cluster = load(SERVERS "sites:\n  a: { apps: [web1, web2], certificate: self-signed }\n"
	                                       "  b: { apps: [web1, web2], routes: [{ path: /x, redirect: /y }] }\n");
	unsigned char *is_there = malloc(pages);
	assert_non_null(is_there);
	assert_int_equal(mincore(cluster, sizeof(*cluster), is_there), 0);
	for (size_t i = 0; i < sizeof(*cluster) / page_size; i++)
		resident += is_there[i] & 1;
	assert_in_range(resident * page_size, 1, 200000);
	struct stat status;
	int descriptor = cluster_seal(cluster);
	assert_true(descriptor >= 0);
	assert_int_equal(fstat(descriptor, &status), 0);
	assert_in_range((uint64_t)status.st_blocks * 512, 1, 200000);
	close(descriptor);
	free(is_there);
	cluster_free(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tls),         cmocka_unit_test(test_routes), cmocka_unit_test(test_services_and_the_rest),
	    cmocka_unit_test(test_walk),        cmocka_unit_test(test_pages),  cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_differences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
