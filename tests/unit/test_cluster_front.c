/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files, answers, who is let in and how often: what the file becomes, what a route has of its site, what a difference says, and
 * which address is in which network.
 */
#include "unit.h"

#include "cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
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

static void test_files(void **state)
{
	(void)state;
	struct cluster *cluster =
	    load(SERVERS "sites:\n"
	                 "  a:\n"
	                 "    static: { root: /srv/a, match: [JPG, png], try: [web2:81, web1] }\n"
	                 "    apps: [{ server: web1, connections: 3 }]\n"
	                 "    connections: 10\n"
	                 "    check: { get: /alive, every: 9s }\n"
	                 "    routes:\n"
	                 "      - { path: /same, body: 1 }\n"
	                 "      - { path: /own, static: { root: /srv/own, index: [a, b], try: none } }\n"
	                 "      - { path: /apps, apps: web2 }\n"
	                 "      - { path: /both, apps: web2, static: { root: /srv/both, try: web2:81 } }\n"
	                 "  b: { static: { root: /srv/b }, routes: [{ path: /x, static: { root: /x } }, { path: /y, apps: web1:90,\n"
	                 "       static: { root: /y } }] }\n");
	const struct cluster_site *site = &cluster->sites[0];
	const struct cluster_static *files = &site->files;
	assert_string_equal(files->root, "/srv/a");
	assert_int_equal(files->match_count, 2);
	assert_string_equal(files->match[0], "jpg");
	assert_int_equal(files->index_count, 1);
	assert_string_equal(files->index[0], "index.html");
	assert_int_equal(files->missing, MISSING_TRY);
	/* used as the apps are; one of which is its address, which has one limit */
	assert_int_equal(files->servers.app_count, 2);
	assert_int_equal(files->servers.apps[0].address.port, 81);
	assert_int_equal(files->servers.apps[0].connections_most, 10);
	assert_int_equal(files->servers.apps[1].address.port, 80);
	assert_int_equal(files->servers.apps[1].connections_most, 3);
	assert_string_equal(files->servers.check.path, "/alive");
	assert_int_equal(files->servers.check.every_ms, 9000);

	files = &site->routes[0].files;
	assert_string_equal(files->root, "/srv/a");
	assert_int_equal(files->match_count, 2);
	assert_int_equal(files->index_count, 1);
	assert_int_equal(files->missing, MISSING_TRY);
	assert_int_equal(files->servers.app_count, 0);
	files = &site->routes[1].files;
	assert_string_equal(files->root, "/srv/own");
	assert_int_equal(files->match_count, 0);
	assert_int_equal(files->index_count, 2);
	assert_int_equal(files->missing, MISSING_NOT_FOUND);
	assert_string_equal(site->routes[2].files.root, "");
	assert_string_equal(site->routes[3].files.root, "/srv/both");
	assert_int_equal(site->routes[3].files.missing, MISSING_TRY);
	assert_int_equal(site->routes[3].files.servers.app_count, 1);

	site = &cluster->sites[1];
	assert_int_equal(site->files.missing, MISSING_NOT_FOUND);
	assert_int_equal(site->routes[0].files.missing, MISSING_NOT_FOUND);
	assert_int_equal(site->routes[1].files.missing, MISSING_APPS);

	struct cluster_walk walk = {0};
	unsigned groups = 0, of_files = 0;
	while (cluster_walk_groups(cluster, &walk)) {
		groups++;
		if (walk.files != NULL) {
			of_files++;
			assert_ptr_equal(walk.group, &walk.files->servers);
			assert_string_equal(walk.name, "a");
		}
	}
	assert_int_equal(groups, 6);
	assert_int_equal(of_files, 2);
	cluster_free(cluster);
}

static void test_answers_and_limits(void **state)
{
	(void)state;
	struct cluster *cluster =
	    load(SERVERS "sites:\n"
	                 "  a:\n"
	                 "    apps: web1\n"
	                 "    compress: all\n"
	                 "    hide_versions: false\n"
	                 "    expires: 30d\n"
	                 "    minimum_rate: 2k\n"
	                 "    buffer: { request: 8m, answer: 0 }\n"
	                 "    requests: 5/1m\n"
	                 "    routes:\n"
	                 "      - { path: /a, body: 1 }\n"
	                 "      - { path: /b, expires: none, compress: none, hide_versions: true, minimum_rate: 0, requests: none }\n"
	                 "      - { path: /c, expires: 0, buffer: { answer: 64m }, requests: 5/1m }\n"
	                 "  b: { apps: web1 }\n");
	const struct cluster_site *site = &cluster->sites[0];
	const struct cluster_route *route = &site->routes[0];
	assert_int_equal(route->answers.compress, COMPRESS_ALL);
	assert_false(route->answers.hide_versions);
	assert_int_equal(route->answers.expires_s, 30 * 86400);
	assert_int_equal(route->limits.rate_least, 2048);
	assert_int_equal(route->limits.request_buffer_bytes, 8 << 20);
	assert_int_equal(route->limits.answer_buffer_bytes, 0);
	assert_int_equal(route->limits.requests.most, 5);
	assert_int_equal(route->limits.requests.period_ms, 60000);
	assert_false(route->limits.requests_own);
	route = &site->routes[1];
	assert_int_equal(route->answers.compress, COMPRESS_NONE);
	assert_true(route->answers.hide_versions);
	assert_true(route->answers.expires_s == CLUSTER_NO_EXPIRY);
	assert_int_equal(route->limits.rate_least, 0);
	assert_int_equal(route->limits.requests.most, 0);
	assert_true(route->limits.requests_own);
	route = &site->routes[2];
	assert_int_equal(route->answers.expires_s, 0);
	assert_int_equal(route->limits.request_buffer_bytes, 8 << 20);
	assert_int_equal(route->limits.answer_buffer_bytes, 64 << 20);
	assert_true(route->limits.requests_own);
	site = &cluster->sites[1];
	assert_int_equal(site->answers.compress, COMPRESS_SAFE);
	assert_true(site->answers.hide_versions);
	assert_true(site->answers.expires_s == CLUSTER_NO_EXPIRY);
	assert_int_equal(site->limits.rate_least, 500);
	assert_int_equal(site->limits.request_buffer_bytes, 1 << 20);
	assert_int_equal(site->limits.answer_buffer_bytes, 1 << 20);
	assert_int_equal(site->limits.requests.most, 0);
	assert_int_equal(cluster->visitors.ban_ms, 60000);
	cluster_free(cluster);
}

static void test_who_is_let_in(void **state)
{
	(void)state;
	struct cluster *cluster =
	    load(SERVERS "visitors: { requests: 100/10s, connections: 200, ban: 0s, exempt: [10.0.0.0/8, front] }\n"
	                 "front_ends: { from: [front, 192.0.2.0/24], address: proxy-protocol, only: true }\n"
	                 "sites:\n"
	                 "  a:\n"
	                 "    apps: web1\n"
	                 "    allow: [10.0.0.0/8, web1]\n"
	                 "    deny: 10.1.0.0/16\n"
	                 "    users: /u\n"
	                 "    errors: { 403: /p, 50x: /p, maintenance: /m }\n"
	                 "    routes:\n"
	                 "      - { path: /a, body: 1 }\n"
	                 "      - { path: /b, users: none, allow: [0.0.0.0/0, '::/0'] }\n"
	                 "      - { path: /c, users: /v, realm: Staff, deny: web2 }\n"
	                 "  b: { apps: web1 }\n");
	const struct cluster_site *site = &cluster->sites[0];
	assert_int_equal(site->access.allow.count, 2);
	assert_string_equal(site->access.realm, "a");
	assert_int_equal(cluster->page_count, 4);
	assert_true(site->error_pages[ERROR_PAGE_403] != 0);
	assert_int_equal(site->error_pages[ERROR_PAGE_403], site->error_pages[ERROR_PAGE_50X]);
	assert_int_equal(site->error_pages[ERROR_PAGE_404], 0);
	assert_true(site->access.users != 0 && site->access.users != site->error_pages[ERROR_PAGE_MAINTENANCE]);

	const struct cluster_access *access = &site->routes[0].access;
	assert_memory_equal(access, &site->access, sizeof(*access));
	access = &site->routes[1].access;
	assert_int_equal(access->users, 0);
	assert_int_equal(access->allow.count, 2);
	assert_int_equal(access->allow.list[0].prefix, 0);
	assert_int_equal(access->deny.count, 1);
	access = &site->routes[2].access;
	assert_true(access->users != 0 && access->users != site->access.users);
	assert_string_equal(access->realm, "Staff");
	assert_int_equal(access->deny.count, 1);
	assert_int_equal(access->deny.list[0].prefix, 32);
	assert_int_equal(access->allow.count, 2);
	assert_int_equal(cluster->sites[1].access.allow.count, 0);
	assert_int_equal(cluster->sites[1].access.users, 0);

	assert_int_equal(cluster->visitors.requests.most, 100);
	assert_int_equal(cluster->visitors.requests.period_ms, 10000);
	assert_int_equal(cluster->visitors.connections_most, 200);
	assert_int_equal(cluster->visitors.ban_ms, 0);
	assert_int_equal(cluster->visitors.exempt.count, 3); /* both addresses of front */
	assert_int_equal(cluster->front_ends.from.count, 3);
	assert_int_equal(cluster->front_ends.told_by, TOLD_BY_PROXY_PROTOCOL);
	assert_true(cluster->front_ends.only);
	cluster_free(cluster);
}

/* ---- networks ------------------------------------------------------------------------------------------------- */

static bool is_in(const char *list, const char *address)
{
	char text[600];
	struct address parsed = {0};
	snprintf(text, sizeof(text), SERVERS "visitors: { connections: 1, exempt: [%s] }\nsites: { a: { apps: web1 } }\n", list);
	struct cluster *cluster = load(text);
	assert_true(address_parse(span_of_text(address), false, &parsed));
	bool found = cluster_networks_contain(&cluster->visitors.exempt, &parsed);
	cluster_free(cluster);
	return found;
}

static void test_networks(void **state)
{
	static const struct {
		const char *list, *address;
		bool in;
	} cases[] = {
	    {"10.0.0.0/8", "10.255.255.255", true},
	    {"10.0.0.0/8", "11.0.0.0", false},
	    {"10.0.0.0/9", "10.127.0.1", true},
	    {"10.0.0.0/9", "10.128.0.0", false},
	    {"192.0.2.7", "192.0.2.7", true},
	    {"192.0.2.7", "192.0.2.6", false},
	    {"192.0.2.6/31", "192.0.2.7", true},
	    {"192.0.2.6/31", "192.0.2.5", false},
	    {"0.0.0.0/0", "255.1.2.3", true},
	    {"0.0.0.0/0", "::1", false},
	    {"128.0.0.0/1", "127.255.255.255", false},
	    {"128.0.0.0/1", "128.0.0.0", true},
	    {"'::/0'", "2001:db8::1", true},
	    {"'::/0'", "192.0.2.7", false},
	    {"'2001:db8::/33'", "2001:db8:7fff::1", true},
	    {"'2001:db8::/33'", "2001:db8:8000::1", false},
	    {"'2001:db8::7'", "2001:db8::7", true},
	    {"'2001:db8::6/127'", "2001:db8::7", true},
	    {"'2001:db8::6/127'", "2001:db8::8", false},
	    {"10.0.0.0/8", "::ffff:10.1.2.3", true},
	    {"'::ffff:10.0.0.0/104'", "10.1.2.3", true},
	    {"'::ffff:10.0.0.0/104'", "11.1.2.3", false},
	    {"web1", "192.0.2.11", true},
	    {"web1", "192.0.2.12", false},
	    {"front", "198.51.100.10", true},
	    {"10.0.0.0/8, '2001:db8::/32', 192.0.2.7", "192.0.2.7", true},
	    {"10.0.0.0/8, '2001:db8::/32', 192.0.2.7", "192.0.2.8", false},
	    {"0.0.0.0/0, '::/0'", "/run/noah.sock", false},
	};
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(cases); i++)
		if (is_in(cases[i].list, cases[i].address) != cases[i].in)
			fail_msg("%s should %sbe in %s", cases[i].address, cases[i].in ? "" : "not ", cases[i].list);
}

/* An IPv4 address in an IPv6 one, as a PROXY header or a dual-stack socket may give it. */
static void test_networks_of_mapped_addresses(void **state)
{
	struct cluster_networks networks = {.count = 1, .list = {{.family = 4, .prefix = 8, .bytes = {10}}}};
	struct address mapped = {.family = ADDRESS_IPV6, .ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}};
	(void)state;
	assert_true(cluster_networks_contain(&networks, &mapped));
	mapped.ip[12] = 11;
	assert_false(cluster_networks_contain(&networks, &mapped));
	networks.list[0] = (struct cluster_network){.family = 6, .prefix = 0};
	assert_false(cluster_networks_contain(&networks, &mapped)); /* it counts as IPv4 */
	assert_false(cluster_networks_contain(&networks, &(struct address){0}));
}

static void test_private_types(void **state)
{
	static const char *const refused[] = {"php", "PHP", "phtml", "cgi", "pl",  "py",  "rb",  "sh",  "inc",
	                                      "sql", "bak", "conf",  "ini", "log", "env", "old", "swp", "yml"};
	static const char *const shown[] = {"html", "jpg", "js", "css", "txt", "pdf", "json", "xml", "zip", "", "phpx"};
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(refused); i++)
		assert_true(cluster_is_private_type(span_of_text(refused[i])));
	for (unsigned i = 0; i < COUNT_OF(shown); i++)
		assert_false(cluster_is_private_type(span_of_text(shown[i])));
}

/* ---- differences ---------------------------------------------------------------------------------------------- */

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
#define ROUTES "routes: [{ path: /x, body: 1 }, { path: /y, apps: web2 }, { path: /z, allow: web2, requests: 1/1s }]"
	(void)state;
	/* what its routes have of a site is said once */
	expect_difference(SERVERS "sites: { a: { apps: web1, " ROUTES " } }\n",
	                  SERVERS
	                  "sites: { a: { apps: web1, allow: [10.0.0.0/8, front], users: /u, realm: R, expires: 1h, requests: 5/1m,\n"
	                  "  errors: { 50x: /p }, static: { root: /srv, try: [web2, web1:81] }, " ROUTES " } }\n",
	                  "sites.a.static.root: was not set, is /srv\n"
	                  "sites.a.static.index: index.html added\n"
	                  "sites.a.static.try: was not set, is web2:80, web1:81\n"
	                  "sites.a.requests: was not set, is 5/1m\n"
	                  "sites.a.allow: 10.0.0.0/8 added\n"
	                  "sites.a.allow: 192.0.2.10 added\n"
	                  "sites.a.allow: 198.51.100.10 added\n"
	                  "sites.a.users: was not set, is /u\n"
	                  "sites.a.realm: was a, is R\n"
	                  "sites.a.expires: was none, is 1h\n"
	                  "sites.a.errors.50x: was not set, is /p\n");
	expect_difference(
	    SERVERS "sites: { a: { apps: web1, static: { root: /srv }, " ROUTES " } }\n",
	    SERVERS
	    "sites: { a: { apps: web1, static: { root: /srv, try: none, match: [jpg] }, routes: [{ path: /x, body: 1, users: /v,\n"
	    "  static: { root: /w } }, { path: /y, apps: web2 }, { path: /z, allow: [web2, web1] }] } }\n",
	    "sites.a.static.match: jpg added\n"
	    "sites.a.static.try: was apps, is none\n"
	    "sites.a.routes./x.static.root: was /srv, is /w\n"
	    "sites.a.routes./x.users: was not set, is /v\n"
	    "sites.a.routes./z.requests: was 1/1s, is not set\n"
	    "sites.a.routes./z.allow: 192.0.2.11 added\n");
	expect_difference(SERVERS "sites: { a: { apps: web1 } }\n",
	                  SERVERS "sites: { a: { apps: web1 } }\nvisitors: { requests: 1/1s, connections: 3, ban: 0 }\n"
	                          "front_ends: { from: web1, address: proxy-protocol, only: true }\n",
	                  "visitors.requests: was not set, is 1/1s\n"
	                  "visitors.connections: was 0, is 3\n"
	                  "visitors.ban: was 1m, is 0\n"
	                  "front_ends.from: 192.0.2.11 added\n"
	                  "front_ends.address: was forwarded-for, is proxy-protocol\n"
	                  "front_ends.only: was false, is true\n");
#undef ROUTES
}

/* ---- files that are read with it ------------------------------------------------------------------------------ */

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

#define HASH "$5$salt$0123456789012345678901234567890123456789012"

static void test_users_and_pages(void **state)
{
	char name[] = "/tmp/noah-test-users-XXXXXX", text[800], *words = NULL;
	size_t size = 0;
	(void)state;
	int descriptor = mkstemp(name);
	assert_true(descriptor >= 0);
	close(descriptor);
	write_file(name, "anna:" HASH "\n");
	snprintf(text, sizeof(text),
	         SERVERS "sites: { a: { apps: web1, users: %s, errors: { 403: %s },\n"
	                 "  routes: [{ path: /x, users: %s }, { path: /y, users: none }] },\n"
	                 "  b: { apps: web1, routes: [{ path: /z, users: %s }] } }\n",
	         name, name, name, name);
	struct cluster *before = cluster_load_text("t.yaml", span_of_text(text), CLUSTER_WHOLE, &messages);
	assert_non_null(before);
	assert_int_equal(before->page_count, 2); /* the same file once as users, once as a page */
	assert_int_equal(before->sites[0].access.users, 2);
	assert_int_equal(before->sites[0].routes[0].access.users, 2);
	assert_int_equal(before->sites[0].routes[1].access.users, 0);
	assert_int_equal(before->sites[1].routes[0].access.users, 2);
	assert_int_equal(before->pages[1].size, strlen("anna:" HASH "\n"));
	write_file(name, "anna:" HASH "\nbob:" HASH "\n");
	struct cluster *after = cluster_load_text("t.yaml", span_of_text(text), CLUSTER_WHOLE, &messages);
	assert_non_null(after);
	FILE *out = open_memstream(&words, &size);
	assert_int_equal(cluster_print_difference(before, after, out), 3);
	fclose(out);
	assert_string_equal(words, "sites.a.errors.403: the file changed\n"
	                           "sites.a.users: the file changed\n"
	                           "sites.b.routes./z.users: the file changed\n");
	free(words);
	cluster_free(before);
	cluster_free(after);
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),         cmocka_unit_test(test_answers_and_limits),
	    cmocka_unit_test(test_who_is_let_in), cmocka_unit_test(test_networks),
	    cmocka_unit_test(test_private_types), cmocka_unit_test(test_networks_of_mapped_addresses),
	    cmocka_unit_test(test_differences),   cmocka_unit_test(test_users_and_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
