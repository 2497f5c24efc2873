/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schema: the JSON Schema (draft 2020-12) of the cluster file, from the table of keys. Editors complete and check with it.
 *
 * It knows what one value may be, not what must hold between keys: `noah check` does.
 */
#include "cluster/keys.h"
#include "cluster/values.h"

#include <jansson.h>

#define NAME_PATTERN   "^[A-Za-z0-9][A-Za-z0-9._-]*$"
#define HOST_WORDS     "[A-Za-z0-9_][A-Za-z0-9_.-]*|\\[[0-9A-Fa-f:.]+\\]"
#define HOST_PATTERN   "^(" HOST_WORDS ")$"
#define HOSTS_PATTERN  "^(\\*|(\\*\\.)?(" HOST_WORDS "))$"
#define TOKEN_PATTERN  "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#define IP_PATTERN     "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$"
#define PORT_PATTERN   "[0-9]{1,5}"
#define LISTEN_PATTERN "([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9A-Fa-f:.]+\\]):" PORT_PATTERN
#define APP_PATTERN    "^[A-Za-z0-9][A-Za-z0-9._-]*(:" PORT_PATTERN ")?$"

static json_t *schema_of(const struct key *key);

/* jansson answers NULL or -1 only when memory is out; a command that prints a text may die of that. */
static json_t *must(json_t *json)
{
	ASSERT(json != NULL);
	return json;
}

static void set(json_t *object, const char *name, json_t *value)
{
	int result = json_object_set_new(object, name, must(value));
	ASSERT(result == 0);
}

static void add(json_t *array, json_t *value)
{
	int result = json_array_append_new(array, must(value));
	ASSERT(result == 0);
}

static json_t *make_type(const char *type)
{
	json_t *schema = must(json_object());
	set(schema, "type", json_string(type));
	return schema;
}

static json_t *make_pattern(const char *pattern)
{
	json_t *schema = make_type("string");
	set(schema, "pattern", json_string(pattern));
	return schema;
}

static json_t *make_integer(uint64_t least, uint64_t most)
{
	json_t *schema = make_type("integer");
	set(schema, "minimum", json_integer((json_int_t)least));
	set(schema, "maximum", json_integer((json_int_t)most));
	return schema;
}

static json_t *make_either(json_t *a, json_t *b)
{
	json_t *schema = must(json_object()), *choices = must(json_array());
	add(choices, a);
	add(choices, b);
	set(schema, "anyOf", choices);
	return schema;
}

/* Words that look like numbers are numbers to an editor. */
static json_t *make_choice(const struct key_word *words)
{
	json_t *schema = must(json_object()), *list = must(json_array());
	for (const struct key_word *word = words; word->word != NULL; word++) {
		char *end;
		double number = strtod(word->word, &end);
		add(list, json_string(word->word));
		if (*end == '\0')
			add(list, strchr(word->word, '.') == NULL ? json_integer((json_int_t)number) : json_real(number));
	}
	set(schema, "enum", list);
	return schema;
}

/* "address", "header NAME": a pattern of all of them. */
static json_t *make_hash(const struct key_word *words)
{
	char pattern[256] = "^(";
	size_t used = strlen(pattern);
	for (const struct key_word *word = words; word->word != NULL; word++) {
		size_t size = strcspn(word->word, " ");
		used += (size_t)snprintf(pattern + used, sizeof(pattern) - used, "%s%.*s%s", word == words ? "" : "|", (int)size,
		                         word->word, word->word[size] == ' ' ? " +" TOKEN_PATTERN : "");
	}
	ASSERT(used + 3 < sizeof(pattern));
	memcpy(pattern + used, ")$", 3);
	return make_pattern(pattern);
}

static json_t *make_log_target(const struct key *key)
{
	json_t *choice = make_choice(key->words), *file = make_pattern("^/");
	return make_either(choice, file);
}

/* A map of the keys right under `parent`. */
static json_t *make_map(const char *parent)
{
	json_t *schema = make_type("object"), *properties = must(json_object()), *required = must(json_array());
	for (const struct key *key = key_next_child(parent, NULL); key != NULL; key = key_next_child(parent, key)) {
		set(properties, key_word_of(key), schema_of(key));
		if (key->required)
			add(required, json_string(key_word_of(key)));
	}
	set(schema, "properties", properties);
	if (json_array_size(required) > 0)
		set(schema, "required", required);
	else
		json_decref(required);
	set(schema, "additionalProperties", json_false());
	return schema;
}

/* One of the keys must be there. */
static json_t *make_any_required(const char *const *words, unsigned count)
{
	json_t *choices = must(json_array());
	for (unsigned i = 0; i < count; i++) {
		json_t *choice = must(json_object()), *names = must(json_array());
		add(names, json_string(words[i]));
		set(choice, "required", names);
		add(choices, choice);
	}
	return choices;
}

static json_t *make_named(const struct key *key)
{
	static const char *const site_needs[] = {"apps", "page", "static"};
	char inside[KEY_PATH_SIZE];
	json_t *schema = make_type("object");
	json_t *names = make_pattern(key->type == KEY_HOST_MAP ? HOST_PATTERN : NAME_PATTERN);
	set(names, "maxLength", json_integer(CLUSTER_NAME_SIZE - 1));
	set(schema, "propertyNames", names);
	set(schema, "minProperties", json_integer((json_int_t)key->least));
	set(schema, "maxProperties", json_integer((json_int_t)key->most));
	json_t *entry = make_map(key_inside(key, inside));
	if (key->type == KEY_HOST_MAP)
		set(entry, "anyOf", make_any_required(site_needs, COUNT_OF(site_needs)));
	set(schema, "additionalProperties", entry);
	return schema;
}

static json_t *make_list(const struct key *key)
{
	json_t *schema = make_type("array");
	set(schema, "items", schema_of(key_element(key)));
	set(schema, "minItems", json_integer((json_int_t)key->least));
	set(schema, "maxItems", json_integer((json_int_t)key->most));
	return make_either(schema, schema_of(key_element(key)));
}

static json_t *make_text(const struct key *key, const char *pattern)
{
	json_t *schema = make_pattern(pattern);
	set(schema, "maxLength", json_integer((json_int_t)key->size - 1));
	return schema;
}

/* The schema, or one of the words that may stand instead. */
static json_t *with_words(const struct key *key, json_t *schema)
{
	return key->words == NULL ? schema : make_either(make_choice(key->words), schema);
}

/* A word, a server, or a list of servers. */
static json_t *make_try(const struct key *key)
{
	json_t *list = make_type("array");
	set(list, "items", make_pattern(APP_PATTERN));
	set(list, "minItems", json_integer(1));
	set(list, "maxItems", json_integer((json_int_t)key->most));
	return make_either(make_pattern(APP_PATTERN), list);
}

static json_t *make_value(const struct key *key)
{
	char inside[KEY_PATH_SIZE], pattern[32];
	switch (key->type) {
	case KEY_SECTION:
		return make_map(key_inside(key, inside));
	case KEY_NAMED_MAP:
	case KEY_HOST_MAP:
		return make_named(key);
	case KEY_LIST:
		return make_list(key);
	case KEY_NAME:
		return make_text(key, NAME_PATTERN);
	case KEY_TEXT:
		return make_text(key, "^.+$");
	case KEY_FILE:
		return with_words(key, make_text(key, "^/"));
	case KEY_URL_PATH:
		return make_text(key, "^/");
	case KEY_FILE_NAME:
		return make_text(key, "^[^./][^/]*$");
	case KEY_REALM:
		return make_text(key, "^[ !#-\\[\\]-~]+$");
	case KEY_HOST:
		return make_text(key, HOST_PATTERN);
	case KEY_HOST_PATTERN:
		return make_text(key, HOSTS_PATTERN);
	case KEY_FILE_TYPE:
		return make_text(key, "^[A-Za-z0-9_-]+$");
	case KEY_TOKEN:
		return make_text(key, "^" TOKEN_PATTERN "$");
	case KEY_REDIRECT:
		return make_text(key, "^(https?://[^/]|/)");
	case KEY_CHECK_GET:
		return make_pattern("^/[!-\"$-~]*$");
	case KEY_IP:
		return make_pattern(IP_PATTERN);
	case KEY_ON:
		return make_pattern(NAME_PATTERN);
	case KEY_LISTEN_HTTP:
		return make_either(make_integer(1, 65535),
		                   make_pattern("^(https?|(https?:)?" LISTEN_PATTERN "|https?:" PORT_PATTERN ")$"));
	case KEY_LISTEN_DATABASE:
		return make_either(make_integer(1, 65535), make_pattern("^(/.*|" LISTEN_PATTERN ")$"));
	case KEY_LISTEN_TCP:
	case KEY_LISTEN_ADMIN:
		return make_either(make_integer(1, 65535), make_pattern("^" LISTEN_PATTERN "$"));
	case KEY_CERTIFICATE:
		return make_either(make_pattern("^(self-signed|/.*)$"), make_map(key->path));
	case KEY_ROUTE:
		return make_map(key->path);
	case KEY_HASH:
		return make_hash(key->words);
	case KEY_LOG_TARGET:
		return make_log_target(key);
	case KEY_BOOL:
		return make_type("boolean");
	case KEY_APP:
		return make_either(make_pattern(APP_PATTERN), make_map(key->path));
	case KEY_APP_SERVER:
		return make_pattern(APP_PATTERN);
	case KEY_DURATION:
		return with_words(key, make_either(make_pattern("^[0-9]+(ms|s|m|h|d)$"), make_integer(0, 0)));
	case KEY_RATE:
		return with_words(key, make_pattern("^[0-9]+/[0-9]+(ms|s|m|h|d)$"));
	case KEY_NETWORK:
		return make_pattern("^[0-9A-Za-z][0-9A-Za-z._-]*(/[0-9]{1,2})?$|^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?$");
	case KEY_TRY:
		return make_try(key);
	case KEY_SIZE:
		return make_either(make_pattern("^[0-9]+[kmgtKMGT]?$"), make_integer(key->least, key->most));
	case KEY_NUMBER:
		return make_integer(key->least, key->most);
	case KEY_CHOICE:
		return make_choice(key->words);
	case KEY_STATUS:
		return make_either(make_integer(100, 599), make_pattern("^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"));
	case KEY_CHECK_TCP: {
		json_t *schema = must(json_object());
		set(schema, "const", json_true());
		return schema;
	}
	case KEY_CHECK_DIGEST:
		snprintf(pattern, sizeof(pattern), "^[0-9A-Fa-f]{%u}$", 2 * (unsigned)key->most);
		return make_pattern(pattern);
	}
	ASSERT(!"a row of the table with an unknown type");
	return NULL;
}

static json_t *schema_of(const struct key *key)
{
	json_t *schema = make_value(key);
	if (key->about != NULL)
		set(schema, "description", json_string(key->about));
	if (key->standard != NULL)
		set(schema, "default",
		    key->type == KEY_NUMBER ? json_integer((json_int_t)strtoll(key->standard, NULL, 10))
		    : key->type == KEY_BOOL ? json_boolean(key->standard[0] == 't')
		                            : json_string(key->standard));
	return schema;
}

void cluster_print_schema(FILE *out)
{
	static const char *const parts[] = {"sites", "databases", "services"};
	json_t *schema = make_map(""), *whole = must(json_object());
	set(whole, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
	set(whole, "title", json_string("noah cluster file"));
	int result = json_object_update(whole, schema);
	ASSERT(result == 0);
	json_decref(schema);
	set(whole, "anyOf", make_any_required(parts, COUNT_OF(parts)));
	char *text = json_dumps(whole, JSON_INDENT(2) | JSON_REAL_PRECISION(3));
	ASSERT(text != NULL);
	fprintf(out, "%s\n", text);
	free(text);
	json_decref(whole);
}
