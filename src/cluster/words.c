/* SPDX-License-Identifier: BSD-2-Clause
 *
 * words: see words.h. The reverse of load_value.c.
 */
#include "cluster/words.h"

#include <stdio.h>

static const void *field_of(const struct key *key, const void *base)
{
	return (const char *)base + key->offset;
}

static uint64_t number_of(const struct key *key, const void *base)
{
	const void *field = field_of(key, base);
	return key->size == 1   ? *(const uint8_t *)field
	       : key->size == 2 ? *(const uint16_t *)field
	       : key->size == 4 ? *(const uint32_t *)field
	                        : *(const uint64_t *)field;
}

const char *words_of_listen(const struct address *address, char out[VALUE_TEXT_SIZE])
{
	static const uint8_t any[16];
	char text[ADDRESS_TEXT_SIZE];
	bool is_any = address->family == ADDRESS_IPV6 && memcmp(address->ip, any, sizeof(any)) == 0;
	if (is_any)
		snprintf(out, VALUE_TEXT_SIZE, "%u", address->port);
	else
		snprintf(out, VALUE_TEXT_SIZE, "%s", address_format(address, text));
	return out;
}

/* Adds to the text, at most up to its end. */
static void PRINTF_LIKE(2, 3) append(char out[VALUE_TEXT_SIZE], const char *format, ...)
{
	size_t used = strlen(out);
	va_list list;
	va_start(list, format);
	vsnprintf(out + used, VALUE_TEXT_SIZE - used, format, list);
	va_end(list);
}

static void print_app(const struct cluster *cluster, const struct cluster_app *app, char *out)
{
	append(out, "%s:%u", cluster->servers[app->server].name, app->address.port);
	if (app->weight > 1)
		append(out, " (weight %u)", app->weight);
	if (app->backup)
		append(out, " (backup)");
	if (app->connections_most > 0 && !app->cap_of_group)
		append(out, " (at most %u connections)", app->connections_most);
}

static void print_listen(const struct cluster_listen *listen, char *out)
{
	char text[VALUE_TEXT_SIZE];
	words_of_listen(&listen->address, text);
	if (!listen->tls)
		append(out, "%s", text);
	else if (strcmp(text, "443") == 0)
		append(out, "https");
	else
		append(out, "https:%s", text);
}

static void print_certificate(const struct cluster_certificate *certificate, char *out)
{
	append(out, "%s", certificate->self_signed ? "self-signed" : certificate->chain);
	if (certificate->key[0] != '\0')
		append(out, ", key %s", certificate->key);
	if (certificate->ocsp[0] != '\0')
		append(out, ", ocsp %s", certificate->ocsp);
}

/* What a route matches; no two of a site match the same. */
static void print_route(const struct cluster_route *route, char *out)
{
	append(out, "%s", route->path);
	for (uint32_t i = 0; i < route->type_count; i++)
		append(out, "%s%s", i > 0 ? "," : route->path[0] == '\0' ? "*." : " *.", route->types[i]);
}

static void print_hash(const struct key *key, const struct cluster_group *group, char *out)
{
	for (const struct key_word *word = key->words; word->word != NULL && group->balance == BALANCE_HASH; word++)
		if (word->value == group->hash)
			append(out, "%.*s%s", (int)(group->hash_name[0] == '\0' ? strlen(word->word) : strcspn(word->word, " ") + 1),
			       word->word, group->hash_name);
}

static void print_log_target(const struct key *key, const struct cluster_log *log, char *out)
{
	if (log->access_to == LOG_TO_FILE)
		append(out, "%s", log->access_file);
	for (const struct key_word *word = key->words; word->word != NULL; word++)
		if (word->value == log->access_to)
			append(out, "%s", word->word);
}

static void print_ip(const struct address *address, char *out)
{
	char text[ADDRESS_TEXT_SIZE];
	snprintf(out, VALUE_TEXT_SIZE, "%s", address->family == ADDRESS_NONE ? "" : address_format(address, text));
}

static void print_rate(const struct cluster_rate *rate, char *out)
{
	char period[VALUE_TEXT_SIZE];
	if (rate->most > 0)
		append(out, "%u/%s", rate->most, value_format_duration(rate->period_ms, period));
}

/* The word for this value, if it has one. */
static void print_word(const struct key *key, uint64_t value, char *out)
{
	for (const struct key_word *word = key->words; word != NULL && word->word != NULL; word++)
		if (word->value == value)
			snprintf(out, VALUE_TEXT_SIZE, "%s", word->word);
}

static void print_status(const uint16_t *range, char *out)
{
	if (range[0] == range[1])
		snprintf(out, VALUE_TEXT_SIZE, "%u", range[0]);
	else
		snprintf(out, VALUE_TEXT_SIZE, "%u-%u", range[0], range[1]);
}

static void print_digest(const struct key *key, const struct cluster_check *check, char *out)
{
	for (unsigned i = 0; check->digest == key->least && i < key->most; i++)
		snprintf(out + 2 * i, VALUE_TEXT_SIZE - 2 * i, "%02x", check->digest_bytes[i]);
}

static void print_try(const struct cluster *cluster, const struct key *key, const struct cluster_static *files, char *out)
{
	if (files->root[0] == '\0')
		return;
	print_word(key, files->missing, out);
	for (uint32_t i = 0; i < files->servers.app_count; i++)
		append(out, "%s%s:%u", i == 0 ? "" : ", ", cluster->servers[files->servers.apps[i].server].name,
		       files->servers.apps[i].address.port);
}

const char *words_of_value(const struct cluster *cluster, const struct key *key, const void *base, char out[VALUE_TEXT_SIZE])
{
	const void *field = field_of(key, base);
	const struct cluster_check *check = field;
	char address[ADDRESS_TEXT_SIZE];
	out[0] = '\0';
	switch (key->type) {
	case KEY_NAME:
	case KEY_TEXT:
	case KEY_FILE:
	case KEY_URL_PATH:
	case KEY_HOST:
	case KEY_HOST_PATTERN:
	case KEY_FILE_TYPE:
	case KEY_TOKEN:
	case KEY_REDIRECT:
	case KEY_FILE_NAME:
	case KEY_REALM:
		snprintf(out, VALUE_TEXT_SIZE, "%s", (const char *)field);
		break;
	case KEY_IP:
		print_ip(field, out);
		break;
	case KEY_LISTEN_HTTP:
		print_listen(field, out);
		break;
	case KEY_LISTEN_DATABASE:
	case KEY_LISTEN_TCP:
		words_of_listen(field, out);
		break;
	case KEY_LISTEN_ADMIN:
		append(out, "%s", address_format(field, address));
		break;
	case KEY_CERTIFICATE:
		print_certificate(field, out);
		break;
	case KEY_ROUTE:
		print_route(field, out);
		break;
	case KEY_HASH:
		print_hash(key, field, out);
		break;
	case KEY_LOG_TARGET:
		print_log_target(key, field, out);
		break;
	case KEY_BOOL:
		append(out, "%s", *(const uint8_t *)field ? "true" : "false");
		break;
	case KEY_APP:
	case KEY_APP_SERVER:
		print_app(cluster, field, out);
		break;
	case KEY_DURATION:
		print_word(key, number_of(key, base), out);
		if (out[0] == '\0' && (number_of(key, base) > 0 || key->least == 0))
			value_format_duration(number_of(key, base) * (key->unit_ms > 1 ? key->unit_ms : 1), out);
		break;
	case KEY_SIZE:
		value_format_size(number_of(key, base), out);
		break;
	case KEY_NUMBER:
		snprintf(out, VALUE_TEXT_SIZE, "%llu", (unsigned long long)number_of(key, base));
		break;
	case KEY_CHOICE:
		print_word(key, number_of(key, base), out);
		break;
	case KEY_RATE:
		print_rate(field, out);
		break;
	case KEY_NETWORK:
		value_format_network(field, out);
		break;
	case KEY_TRY:
		print_try(cluster, key, field, out);
		break;
	case KEY_STATUS:
		print_status(field, out);
		break;
	case KEY_CHECK_GET:
		snprintf(out, VALUE_TEXT_SIZE, "%s", check->kind == CHECK_HTTP ? check->path : "");
		break;
	case KEY_CHECK_TCP:
		snprintf(out, VALUE_TEXT_SIZE, "%s", check->kind == CHECK_TCP ? "true" : "");
		break;
	case KEY_CHECK_DIGEST:
		print_digest(key, check, out);
		break;
	case KEY_ON:
	case KEY_SECTION:
	case KEY_NAMED_MAP:
	case KEY_HOST_MAP:
	case KEY_LIST:
		ASSERT(!"a container has no value of its own");
	}
	return out;
}

/* The server of the bit that is number `index` among those set. */
static uint32_t nth_server(uint64_t on, uint32_t index)
{
	for (; index > 0; index--)
		on &= on - 1;
	return (uint32_t)__builtin_ctzll(on);
}

uint32_t words_count_elements(const struct key *list, const void *base)
{
	if (key_element(list)->type == KEY_ON)
		return (uint32_t)__builtin_popcountll(*(const uint64_t *)field_of(list, base));
	return *(const uint32_t *)(const void *)((const char *)base + list->count_offset);
}

const char *words_of_element(const struct cluster *cluster, const struct key *list, const void *base, uint32_t index,
                             char out[VALUE_TEXT_SIZE])
{
	const struct key *element = key_element(list);
	ASSERT(index < words_count_elements(list, base));
	if (element->type != KEY_ON)
		return words_of_value(cluster, element, (const char *)field_of(list, base) + index * list->item_size, out);
	uint64_t on = *(const uint64_t *)field_of(list, base);
	snprintf(out, VALUE_TEXT_SIZE, "%s", cluster->servers[nth_server(on, index)].name);
	return out;
}
