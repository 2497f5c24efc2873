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

static bool load_number(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE], least[VALUE_TEXT_SIZE], most[VALUE_TEXT_SIZE];
	uint64_t value;
	if (!parse_number(key, node->text, &value, why))
		return report_why(load, node, why);
	if (value < key->least || value > key->most) {
		load_report(load, node, "`%.40s` is too %s; from %s to %s is good", node->text.start,
		            value < key->least ? "small" : "large", format_number(key, key->least, least),
		            format_number(key, key->most, most));
		return false;
	}
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

static bool load_text(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	bool good = true;
	if (key->type == KEY_NAME)
		good = value_check_name(node->text, why);
	else if (key->type == KEY_URL_PATH)
		good = value_check_url_path(node->text, why);
	if (!good)
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

static bool load_host(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	if (!value_check_host(node->text, why))
		return report_why(load, node, why);
	if (!store_text(load, key, node, base))
		return false;
	for (char *letter = field_of(key, base); *letter != '\0'; letter++)
		*letter = (char)tolower((unsigned char)*letter);
	return true;
}

static bool load_choice(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	struct suggestion suggestion = {0};
	char known[120] = "";
	size_t used = 0;
	for (const struct key_word *word = key->words; word->word != NULL; word++) {
		if (strcmp(word->word, node->text.start) == 0) {
			*(uint8_t *)field_of(key, base) = word->value;
			return true;
		}
		suggest_consider(&suggestion, node->text.start, word->word);
		if (used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s`%s`", used == 0 ? "" : " or ", word->word);
	}
	if (suggestion.word != NULL)
		load_report(load, node, "`%.60s` is not known; did you mean `%s`?", node->text.start, suggestion.word);
	else
		load_report(load, node, "`%.60s` is not known; write %s", node->text.start, known);
	return false;
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

/* ---- addresses and checks ------------------------------------------------------------------------------------- */

static bool load_address(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char why[VALUE_WHY_SIZE];
	struct address *address = field_of(key, base);
	bool good = key->type == KEY_IP ? value_parse_ip(node->text, address, why)
	                                : value_parse_listen(node->text, key->type == KEY_LISTEN_HTTP, address, why);
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
	memcpy(check->path, node->text.start, node->text.size + 1);
	return true;
}

static bool load_check_tcp(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	(void)key, (void)base; /* what holds without `get`; both together are refused in validate.c */
	if (strcmp(node->text.start, "true") == 0)
		return true;
	load_report(load, node, "`%.40s` says nothing; write `tcp: true`, or `get: /servercheck.txt` for a check by HTTP",
	            node->text.start);
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
	if (node->kind != TREE_TEXT && key->type != KEY_APP) {
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
	case KEY_NAME:
	case KEY_TEXT:
	case KEY_FILE:
	case KEY_URL_PATH:
		return load_text(load, key, node, base);
	case KEY_HOST:
		return load_host(load, key, node, base);
	case KEY_IP:
	case KEY_LISTEN_HTTP:
	case KEY_LISTEN_DATABASE:
		return load_address(load, key, node, base);
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
		break; /* containers: load.c */
	}
	ASSERT(!"a row of the table with a type that holds no value");
	return false;
}
