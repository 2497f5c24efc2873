/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load_value: one value of each type of the table, from the tree into the struct. Called by load.c only.
 */
#include "cluster/load.h"
#include "cluster/suggest.h"
#include "cluster/values.h"

#include <ctype.h>
#include <stdio.h>

static void *field_of(const struct key *key, void *base)
{
	return (char *)base + key->offset;
}

static bool report_why(struct load *load, const struct tree_node *node, const char *why)
{
	load_report(load, node, "%s", why);
	return false;
}

/* ---- numbers, durations, sizes -------------------------------------------------------------------------------- */

static void store_number(const struct key *key, void *base, uint64_t value)
{
	void *field = field_of(key, base);
	switch (key->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)value;
		break;
	default:
		ASSERT(key->size == 8);
		*(uint64_t *)field = value;
	}
}

static const char *format_number(const struct key *key, uint64_t value, char out[VALUE_TEXT_SIZE])
{
	if (key->type == KEY_DURATION)
		return value_format_duration(value, out);
	if (key->type == KEY_SIZE)
		return value_format_size(value, out);
	snprintf(out, VALUE_TEXT_SIZE, "%llu", (unsigned long long)value);
	return out;
}

static bool parse_number(const struct key *key, struct span text, uint64_t *value, char why[VALUE_WHY_SIZE])
{
	if (key->type == KEY_DURATION)
		return value_parse_duration(text, value, why);
	if (key->type == KEY_SIZE)
		return value_parse_size(text, value, why);
	if (span_to_number(text, UINT64_MAX, value))
		return true;
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a whole number", (int)(text.size < 60 ? text.size : 60), text.start);
	return false;
}

/* A word that may stand instead of a value; NULL when it is none. */
static const struct key_word *find_word(const struct key *key, struct span text)
{
	for (const struct key_word *word = key->words; word != NULL && word->word != NULL; word++)
		if (span_equal(text, span_of_text(word->word)))
			return word;
	return NULL;
}

static bool load_number(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE], least[VALUE_TEXT_SIZE], most[VALUE_TEXT_SIZE];
	uint64_t value;
	const struct key_word *word = find_word(key, node->text);
	if (word != NULL) {
		store_number(key, base, word->value);
		return true;
	}
	if (!parse_number(key, node->text, &value, why))
		return report_why(load, node, why);
	if (value < key->least || value > key->most) {
		load_report(load, node, "`%.40s` is too %s; from %s to %s is good", node->text.start,
		            value < key->least ? "small" : "large", format_number(key, key->least, least),
		            format_number(key, key->most, most));
		return false;
	}
	if (key->unit_ms > 1 && value % key->unit_ms != 0) {
		load_report(load, node, "`%.40s` is not a whole number of seconds", node->text.start);
		return false;
	}
	store_number(key, base, key->unit_ms > 1 ? value / key->unit_ms : value);
	return true;
}

static bool load_bool(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	bool value;
	if (!value_parse_bool(node->text, &value, why))
		return report_why(load, node, why);
	store_number(key, base, value);
	return true;
}

/* ---- texts ---------------------------------------------------------------------------------------------------- */

static bool store_text(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	if (node->text.size >= key->size) {
		load_report(load, node, "the text has %zu letters; at most %zu are good", node->text.size, key->size - 1);
		return false;
	}
	memset(field_of(key, base), 0, key->size);
	memcpy(field_of(key, base), node->text.start, node->text.size);
	return true;
}

/* What is wrong with the text of this type, in `why`. */
static bool check_text(const struct key *key, struct span text, char why[VALUE_WHY_SIZE])
{
	bool is_cookie = strcmp(key_word_of(key), "sticky") == 0;
	switch (key->type) {
	case KEY_NAME:
		return value_check_name(text, why);
	case KEY_URL_PATH:
		return value_check_url_path(text, why);
	case KEY_HOST:
		return value_check_host(text, false, why);
	case KEY_HOST_PATTERN:
		return value_check_host(text, true, why);
	case KEY_FILE_TYPE:
		return value_check_file_type(text, why);
	case KEY_TOKEN:
		return value_check_token(text, is_cookie ? "cookie" : "header", why);
	case KEY_REDIRECT:
		return value_check_redirect(text, why);
	case KEY_FILE_NAME:
		return value_check_file_name(text, why);
	case KEY_REALM:
		return value_check_realm(text, why);
	default:
		return true;
	}
}

static bool load_text(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	if (find_word(key, node->text) != NULL) {
		memset(field_of(key, base), 0, key->size);
		return true;
	}
	if (!check_text(key, node->text, why))
		return report_why(load, node, why);
	if (node->text.size == 0) {
		load_report(load, node, "the text is empty; write for example `%s`", key->example);
		return false;
	}
	if (key->type == KEY_FILE && node->text.start[0] != '/') {
		load_report(load, node, "`%.60s` is not the whole path of a file; it begins with `/`", node->text.start);
		return false;
	}
	for (size_t i = 0; i < node->text.size; i++)
		if ((unsigned char)node->text.start[i] < 0x20 || node->text.start[i] == 0x7f) {
			load_report(load, node, "a control character is in `%.60s`", node->text.start);
			return false;
		}
	return store_text(load, key, node, base);
}

/* Where case means nothing, it is small in the snapshot. */
static bool load_small_text(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	if (!load_text(load, key, node, base))
		return false;
	for (char *letter = field_of(key, base); *letter != '\0'; letter++)
		*letter = (char)tolower((unsigned char)*letter);
	return true;
}

/* ---- one of several words ------------------------------------------------------------------------------------- */

static void report_unknown_word(struct load *load, const struct key *key, const struct tree_node *node, const char *more)
{
	struct suggestion suggestion = {0};
	char known[160] = "";
	size_t used = 0;
	for (const struct key_word *word = key->words; word->word != NULL && used < sizeof(known); word++) {
		suggest_consider(&suggestion, node->text.start, word->word);
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s`%s`", used == 0 ? "" : " or ", word->word);
	}
	if (suggestion.word != NULL)
		load_report(load, node, "`%.60s` is not known; did you mean `%s`?", node->text.start, suggestion.word);
	else
		load_report(load, node, "`%.60s` is not known; write %s%s", node->text.start, known, more);
}

static bool load_choice(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	const struct key_word *word = find_word(key, node->text);
	if (word != NULL)
		store_number(key, base, word->value);
	else
		report_unknown_word(load, key, node, "");
	return word != NULL;
}

/* "path", "header X-Name": words that end in NAME stand before a name. */
static bool load_hash(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	struct cluster_group *group = field_of(key, base);
	struct span name = node->text, first = span_cut(&name, ' ');
	char why[VALUE_WHY_SIZE];
	for (const struct key_word *word = key->words; word->word != NULL; word++) {
		struct span rest = span_of_text(word->word);
		bool is_same = span_equal(span_cut(&rest, ' '), first), has_name = rest.start != NULL;
		if (!is_same || (!has_name && name.start != NULL))
			continue;
		name = span_trim(name);
		if (has_name && name.size == 0) {
			load_report(load, node, "`%.*s` needs a name; write for example `%.*s %s`", (int)first.size, first.start,
			            (int)first.size, first.start, word->value == HASH_HEADER ? "X-User" : "session");
			return false;
		}
		if (has_name && !value_check_token(name, word->value == HASH_HEADER ? "header" : "cookie", why))
			return report_why(load, node, why);
		group->hash = (uint8_t)word->value;
		memset(group->hash_name, 0, sizeof(group->hash_name));
		if (has_name)
			memcpy(group->hash_name, name.start, name.size);
		return true;
	}
	report_unknown_word(load, key, node, "");
	return false;
}

static bool load_log_target(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	struct cluster_log *log = field_of(key, base);
	for (const struct key_word *word = key->words; word->word != NULL; word++)
		if (strcmp(word->word, node->text.start) == 0) {
			log->access_to = (uint8_t)word->value;
			return true;
		}
	if (node->text.start[0] != '/') {
		report_unknown_word(load, key, node, ", or the whole path of a file, which begins with `/`");
		return false;
	}
	const struct key file = {.type = KEY_FILE,
	                         .path = key->path,
	                         .example = key->example,
	                         .offset = offsetof(struct cluster_log, access_file),
	                         .size = sizeof(log->access_file)};
	log->access_to = LOG_TO_FILE;
	return load_text(load, &file, node, log);
}

/* ---- servers -------------------------------------------------------------------------------------------------- */

uint32_t load_find_server(struct load *load, const struct tree_node *node, struct span name)
{
	const struct cluster *cluster = load->cluster;
	struct suggestion suggestion = {0};
	struct address address;
	char word[SUGGEST_WORD_SIZE], known[160] = "";
	size_t used = 0;
	for (uint32_t i = 0; i < cluster->server_count; i++)
		if (span_equal(name, span_of_text(cluster->servers[i].name)))
			return i;
	bool is_short = span_copy(name, word, sizeof(word));
	for (uint32_t i = 0; i < cluster->server_count; i++) {
		if (is_short)
			suggest_consider(&suggestion, word, cluster->servers[i].name);
		if (used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used == 0 ? "" : ", ", cluster->servers[i].name);
	}
	int size = (int)(name.size < 60 ? name.size : 60);
	if (address_parse(name, false, &address))
		load_report(load, node, "`%.*s` is an address; put it under `servers` and write the server's name here", size,
		            name.start);
	else if (suggestion.word != NULL)
		load_report(load, node, "no server is called `%.*s`; did you mean `%s`?", size, name.start, suggestion.word);
	else
		load_report(load, node, "no server is called `%.*s`; there are %s", size, name.start,
		            cluster->server_count == 0 ? "none under `servers`" : known);
	return CLUSTER_NO_SERVER;
}

static bool load_app_server(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	struct cluster_app *app = field_of(key, base);
	char why[VALUE_WHY_SIZE];
	struct span name;
	uint16_t port = key->port;
	if (!value_parse_name_and_port(node->text, &name, &port, why))
		return report_why(load, node, why);
	uint32_t server = load_find_server(load, node, name);
	if (server == CLUSTER_NO_SERVER)
		return false;
	if (port == 0) {
		load_report(load, node, "`%.60s` has no port; write for example `%.60s:22`", node->text.start, node->text.start);
		return false;
	}
	app->server = (uint16_t)server;
	app->address = load->cluster->servers[server].address;
	app->address.port = port;
	if (app->weight == 0)
		app->weight = 1;
	return true;
}

/* "web1:8080", or { server: web1:8080, weight: 2 }. */
static bool load_app(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	if (node->kind == TREE_TEXT)
		return load_app_server(load, key, node, base);
	unsigned before = load->report->total;
	load_defaults(load, key->path, base);
	load_map(load, node, key->path, base);
	return load->report->total == before;
}

/* "/etc/noah/both.pem", "self-signed", or { chain: …, key: … }. */
static bool load_certificate(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	struct cluster_certificate *certificate = field_of(key, base);
	const struct key file = {.type = KEY_FILE,
	                         .path = key->path,
	                         .example = "/etc/noah/example.pem",
	                         .offset = offsetof(struct cluster_certificate, chain),
	                         .size = sizeof(certificate->chain)};
	if (node->kind == TREE_MAP) {
		unsigned before = load->report->total;
		load_map(load, node, key->path, base);
		return load->report->total == before;
	}
	certificate->self_signed = strcmp(node->text.start, "self-signed") == 0;
	if (certificate->self_signed)
		return true;
	if (node->text.start[0] == '/')
		return load_text(load, &file, node, certificate);
	load_report(load, node, "`%.60s` is neither the whole path of a PEM file, which begins with `/`, nor `self-signed`",
	            node->text.start);
	return false;
}

static bool is_server(const struct load *load, struct span name)
{
	for (uint32_t i = 0; i < load->cluster->server_count; i++)
		if (span_equal(name, span_of_text(load->cluster->servers[i].name)))
			return true;
	return false;
}

/* "apps", "none", "web1:8080", or a list of servers. */
static bool load_try(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	struct cluster_static *files = field_of(key, base);
	const struct key server = {.type = KEY_APP_SERVER, .path = key->path, .example = key->example, .port = key->port};
	const struct key_word *word = node->kind == TREE_TEXT ? find_word(key, node->text) : NULL;
	if (word != NULL) {
		files->missing = (uint8_t)word->value;
		return true;
	}
	unsigned before = load->report->total;
	if (node->kind == TREE_LIST && node->count == 0)
		load_report(load, node, "the list is empty; write for example `%s`, or `none`", key->example);
	if (node->kind == TREE_TEXT && memchr(node->text.start, ':', node->text.size) == NULL && !is_server(load, node->text)) {
		report_unknown_word(load, key, node, ", or servers such as `[web1:8080, web2:8080]`");
		return false;
	}
	const struct tree_node *at = node->kind == TREE_LIST ? node->first : node;
	for (; at != NULL; at = node->kind == TREE_LIST ? at->next : NULL) {
		if (at->kind != TREE_TEXT || tree_is_empty(at) || find_word(key, at->text) != NULL)
			load_report(load, at, "write `try: apps`, `try: none`, or servers such as `%s`", key->example);
		else if (files->servers.app_count == key->most)
			load_report(load, at, "more than %llu entries; that is the most", (unsigned long long)key->most);
		else if (load_app_server(load, &server, at, &files->servers.apps[files->servers.app_count]))
			files->servers.app_count++;
		if (load->report->total > before)
			break;
	}
	files->missing = MISSING_TRY;
	return load->report->total == before;
}

/* What a route does not say is as its site says; that stands in it already (load_inherit). */
static bool load_route(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	struct cluster_route *route = field_of(key, base);
	if (node->kind != TREE_MAP) {
		load_report(load, node, "a route is keys with values, for example `{ path: /api/, apps: [web2:9000] }`");
		return false;
	}
	if (tree_find(node, "static") != NULL || tree_find(node, "apps") != NULL)
		memset(&route->files, 0, sizeof(route->files)); /* files are taken over as a whole, or not */
	load_map(load, node, key->path, base);
	return true;
}

void load_inherit(const struct key *element, void *item, const void *around)
{
	if (element->type != KEY_ROUTE)
		return;
	struct cluster_route *route = item;
	const struct cluster_site *site = around;
	route->group = site->group;
	memset(route->group.apps, 0, sizeof(route->group.apps));
	route->group.app_count = 0;
	route->limits = site->limits;
	route->answers = site->answers;
	route->files = site->files;
	memset(&route->files.servers, 0, sizeof(route->files.servers)); /* the site's are asked */
}

static bool load_on(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	uint64_t *on = field_of(key, base);
	uint32_t server = load_find_server(load, node, node->text);
	if (server == CLUSTER_NO_SERVER)
		return false;
	if (cluster_is_on(*on, server)) {
		load_report(load, node, "`%s` stands here twice", node->text.start);
		return false;
	}
	*on |= 1ull << server;
	return true;
}

/* ---- addresses, rates and checks ------------------------------------------------------------------------------------- */

static bool load_ip(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	return value_parse_ip(node->text, field_of(key, base), why) || report_why(load, node, why);
}

static bool add_network(struct load *load, const struct tree_node *node, struct cluster_networks *networks,
                        const struct cluster_network *network)
{
	for (uint32_t i = 0; i < networks->count; i++)
		if (memcmp(&networks->list[i], network, sizeof(*network)) == 0) {
			load_report(load, node, "`%.60s` stands here twice", node->text.start);
			return false;
		}
	if (networks->count == CLUSTER_NETWORKS_MOST) {
		load_report(load, node, "more than %u networks and addresses; that is the most", CLUSTER_NETWORKS_MOST);
		return false;
	}
	networks->list[networks->count++] = *network;
	return true;
}

bool load_network(struct load *load, const struct tree_node *node, struct cluster_networks *networks)
{
	char why[VALUE_WHY_SIZE];
	struct cluster_network network = {0};
	if (node->kind != TREE_TEXT || tree_is_empty(node)) {
		load_report(load, node, "a single value is expected here, such as `10.0.0.0/8`");
		return false;
	}
	if (value_parse_network(node->text, &network, why))
		return add_network(load, node, networks, &network);
	if (why[0] != '\0')
		return report_why(load, node, why);
	uint32_t index = load_find_server(load, node, node->text);
	if (index == CLUSTER_NO_SERVER)
		return false;
	const struct cluster_server *server = &load->cluster->servers[index];
	if (server->address.family == ADDRESS_NONE)
		return false; /* wrong, and reported */
	network = value_network_of(&server->address);
	if (!add_network(load, node, networks, &network))
		return false;
	if (server->public_address.family == ADDRESS_NONE || address_equal(&server->address, &server->public_address))
		return true;
	network = value_network_of(&server->public_address);
	return add_network(load, node, networks, &network);
}

static bool load_rate(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	struct cluster_rate *rate = field_of(key, base);
	if (find_word(key, node->text) != NULL) {
		*rate = (struct cluster_rate){0};
		return true;
	}
	return value_parse_rate(node->text, rate, why) || report_why(load, node, why);
}

static bool load_listen(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	struct cluster_listen *listen = field_of(key, base);
	bool tls = false, good;
	if (key->type == KEY_LISTEN_HTTP) {
		good = value_parse_listen(node->text, VALUE_LISTEN_SITE, &listen->address, &tls, why);
		listen->tls = tls;
	} else {
		good = value_parse_listen(node->text,
		                          key->type == KEY_LISTEN_TCP     ? VALUE_LISTEN_TCP
		                          : key->type == KEY_LISTEN_ADMIN ? VALUE_LISTEN_ADMIN
		                                                          : VALUE_LISTEN_DATABASE,
		                          field_of(key, base), NULL, why);
	}
	return good || report_why(load, node, why);
}

static bool load_status(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	uint16_t *range = field_of(key, base);
	return value_parse_status(node->text, &range[0], &range[1], why) || report_why(load, node, why);
}

static bool load_check_get(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	struct cluster_check *check = field_of(key, base);
	if (!value_check_url_path(node->text, why))
		return report_why(load, node, why);
	check->kind = CHECK_HTTP;
	check->digest = DIGEST_NONE; /* of a route: that of its site's page is another one */
	memset(check->digest_bytes, 0, sizeof(check->digest_bytes));
	memset(check->path, 0, sizeof(check->path));
	memcpy(check->path, node->text.start, node->text.size);
	return true;
}

static bool load_check_tcp(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	/* what holds without `get`; a route ends its site's `get` with it. Both together are refused in validate_group.c */
	struct cluster_check *check = field_of(key, base);
	if (strcmp(node->text.start, "true") == 0) {
		check->kind = CHECK_TCP;
		check->digest = DIGEST_NONE;
		memset(check->digest_bytes, 0, sizeof(check->digest_bytes));
		memset(check->path, 0, sizeof(check->path));
		memset(check->host, 0, sizeof(check->host));
		return true;
	}
	load_report(load, node, "`%.40s` says nothing; write `tcp: true`, or take it out", node->text.start);
	return false;
}

static bool load_check_digest(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	struct cluster_check *check = field_of(key, base);
	if (!value_parse_hex(node->text, check->digest_bytes, key->most, why))
		return report_why(load, node, why);
	check->digest = (uint8_t)key->least;
	return true;
}

bool load_value(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	bool may_be_map = key->type == KEY_APP || key->type == KEY_CERTIFICATE || key->type == KEY_ROUTE;
	bool may_be_list = key->type == KEY_TRY;
	if (node->kind != TREE_TEXT && !(node->kind == TREE_LIST ? may_be_list : may_be_map)) {
		load_report(load, node, "a single value is expected here, not a %s", node->kind == TREE_LIST ? "list" : "map of keys");
		return false;
	}
	if (tree_is_empty(node)) {
		load_report(load, node, "there is no value here");
		return false;
	}
	switch (key->type) {
	case KEY_DURATION:
	case KEY_SIZE:
	case KEY_NUMBER:
		return load_number(load, key, node, base);
	case KEY_BOOL:
		return load_bool(load, key, node, base);
	case KEY_NAME:
	case KEY_TEXT:
	case KEY_FILE:
	case KEY_URL_PATH:
	case KEY_TOKEN:
	case KEY_REDIRECT:
	case KEY_FILE_NAME:
	case KEY_REALM:
		return load_text(load, key, node, base);
	case KEY_HOST:
	case KEY_HOST_PATTERN:
	case KEY_FILE_TYPE:
		return load_small_text(load, key, node, base);
	case KEY_IP:
		return load_ip(load, key, node, base);
	case KEY_LISTEN_HTTP:
	case KEY_LISTEN_DATABASE:
	case KEY_LISTEN_TCP:
	case KEY_LISTEN_ADMIN:
		return load_listen(load, key, node, base);
	case KEY_CERTIFICATE:
		return load_certificate(load, key, node, base);
	case KEY_ROUTE:
		return load_route(load, key, node, base);
	case KEY_HASH:
		return load_hash(load, key, node, base);
	case KEY_LOG_TARGET:
		return load_log_target(load, key, node, base);
	case KEY_RATE:
		return load_rate(load, key, node, base);
	case KEY_TRY:
		return load_try(load, key, node, base);
	case KEY_ON:
		return load_on(load, key, node, base);
	case KEY_APP:
		return load_app(load, key, node, base);
	case KEY_APP_SERVER:
		return load_app_server(load, key, node, base);
	case KEY_CHOICE:
		return load_choice(load, key, node, base);
	case KEY_STATUS:
		return load_status(load, key, node, base);
	case KEY_CHECK_GET:
		return load_check_get(load, key, node, base);
	case KEY_CHECK_TCP:
		return load_check_tcp(load, key, node, base);
	case KEY_CHECK_DIGEST:
		return load_check_digest(load, key, node, base);
	case KEY_SECTION:
	case KEY_NAMED_MAP:
	case KEY_HOST_MAP:
	case KEY_LIST:
	case KEY_NETWORK:
		break; /* containers, and what may be two elements: load.c */
	}
	ASSERT(!"a row of the table with a type that holds no value");
	return false;
}
