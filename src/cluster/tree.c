/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tree: libyaml's events made into a tree with places. See tree.h. Called by load.c only.
 */
#include "cluster/tree.h"

#include <yaml.h>

struct builder {
	struct arena *arena;
	struct report *report;
	struct span source;
	struct tree_node *root;
	struct tree_node *open[TREE_DEPTH_MOST]; /* the maps and lists that the parser is inside of */
	struct tree_node *key[TREE_DEPTH_MOST];  /* of each map: a key that waits for its value */
	unsigned depth;
	unsigned nodes;
	unsigned documents;
	bool ended;
};

static bool build_from_event(struct builder *builder, const yaml_event_t *event);
static void report_syntax(struct builder *builder, const yaml_parser_t *parser);

struct tree_node *tree_parse(struct arena *arena, struct span text, struct report *report)
{
	struct builder builder = {.arena = arena, .report = report, .source = text};
	if (text.size > TREE_FILE_SIZE_MOST) {
		report_add(report, 0, 0, "", "the file has %zu bytes; at most %u are read", text.size, TREE_FILE_SIZE_MOST);
		return NULL;
	}
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser)) {
		report_add(report, 0, 0, "", "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.start, text.size);
	bool good = true;
	while (good && !builder.ended) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event)) {
			report_syntax(&builder, &parser);
			good = false;
			break;
		}
		good = build_from_event(&builder, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (good && builder.root == NULL) {
		report_add(report, 1, 1, "", "the file is empty; docs/cluster-file.md has an example to start from");
		return NULL;
	}
	return good ? builder.root : NULL;
}

static unsigned line_of(yaml_mark_t mark)
{
	return (unsigned)mark.line + 1;
}

static unsigned column_of(yaml_mark_t mark)
{
	return (unsigned)mark.column + 1;
}

static struct tree_node *make_node(struct builder *builder, enum tree_kind kind, yaml_mark_t mark)
{
	if (builder->nodes == TREE_NODES_MOST) {
		report_add(builder->report, line_of(mark), column_of(mark), "", "more than %u values; the file is too large",
		           TREE_NODES_MOST);
		return NULL;
	}
	struct tree_node *node = arena_allocate_zeroed(builder->arena, sizeof(*node));
	if (node == NULL) {
		report_add(builder->report, line_of(mark), column_of(mark), "", "out of memory");
		return NULL;
	}
	builder->nodes++;
	node->kind = kind;
	node->line = line_of(mark);
	node->column = column_of(mark);
	return node;
}

static bool append(struct builder *builder, struct tree_node *parent, struct tree_node *node)
{
	if (parent->count == TREE_ENTRIES_MOST) {
		report_add(builder->report, node->line, node->column, "", "more than %u entries here", TREE_ENTRIES_MOST);
		return false;
	}
	if (parent->last == NULL)
		parent->first = node;
	else
		parent->last->next = node;
	parent->last = node;
	parent->count++;
	return true;
}

/* A text where a map waits for a key: remembered until its value comes. */
static bool take_key(struct builder *builder, struct tree_node *map, struct tree_node *node)
{
	if (node->kind != TREE_TEXT) {
		report_add(builder->report, node->line, node->column, "", "a key must be a plain word, not a list or a map");
		return false;
	}
	const struct tree_node *twin = tree_find(map, node->text.start);
	if (twin != NULL) {
		report_add(builder->report, node->line, node->column, "",
		           "the key `%.60s` is here twice, first in line %u; keep one of them", node->text.start, twin->key->line);
		return false;
	}
	builder->key[builder->depth - 1] = node;
	return true;
}

/* Puts the node where the parser is: the root, the next entry of a list, or key or value in a map. */
static bool place_node(struct builder *builder, struct tree_node *node)
{
	if (builder->depth == 0) {
		builder->root = node;
		return true;
	}
	struct tree_node *parent = builder->open[builder->depth - 1];
	if (parent->kind == TREE_LIST)
		return append(builder, parent, node);
	struct tree_node *key = builder->key[builder->depth - 1];
	if (key == NULL)
		return take_key(builder, parent, node);
	node->key = key;
	builder->key[builder->depth - 1] = NULL;
	return append(builder, parent, node);
}

static bool open_node(struct builder *builder, enum tree_kind kind, yaml_mark_t mark)
{
	struct tree_node *node = make_node(builder, kind, mark);
	if (node == NULL || !place_node(builder, node))
		return false;
	if (builder->depth == TREE_DEPTH_MOST) {
		report_add(builder->report, node->line, node->column, "", "nested deeper than %u levels", TREE_DEPTH_MOST);
		return false;
	}
	builder->open[builder->depth] = node;
	builder->key[builder->depth] = NULL;
	builder->depth++;
	return true;
}

static bool add_text(struct builder *builder, const yaml_event_t *event)
{
	struct tree_node *node = make_node(builder, TREE_TEXT, event->start_mark);
	if (node == NULL)
		return false;
	struct span text = span_of(event->data.scalar.value, event->data.scalar.length);
	if (text.size > 0 && memchr(text.start, '\0', text.size) != NULL) {
		report_add(builder->report, node->line, node->column, "", "a zero byte in a text");
		return false;
	}
	char *copy = arena_copy_text(builder->arena, text);
	if (copy == NULL) {
		report_add(builder->report, node->line, node->column, "", "out of memory");
		return false;
	}
	node->text = span_of(copy, text.size);
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return place_node(builder, node);
}

/* Anchors and tags would make the file say something else than what stands there. */
static bool refuse_decorations(struct builder *builder, const yaml_event_t *event, const yaml_char_t *anchor,
                               const yaml_char_t *tag)
{
	const char *what = anchor != NULL ? "an anchor (`&name`)" : tag != NULL ? "a tag (`!name`)" : NULL;
	if (what == NULL)
		return true;
	report_add(builder->report, line_of(event->start_mark), column_of(event->start_mark), "",
	           "%s is not read in this file; write the value out, or quote it if it begins with that sign", what);
	return false;
}

static bool build_from_event(struct builder *builder, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (builder->documents++ == 0)
			return true;
		report_add(builder->report, line_of(event->start_mark), column_of(event->start_mark), "",
		           "a second document begins here (`---`); the file holds one cluster");
		return false;
	case YAML_SCALAR_EVENT:
		return refuse_decorations(builder, event, event->data.scalar.anchor, event->data.scalar.tag) && add_text(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		return refuse_decorations(builder, event, event->data.sequence_start.anchor, event->data.sequence_start.tag) &&
		       open_node(builder, TREE_LIST, event->start_mark);
	case YAML_MAPPING_START_EVENT:
		return refuse_decorations(builder, event, event->data.mapping_start.anchor, event->data.mapping_start.tag) &&
		       open_node(builder, TREE_MAP, event->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		ASSERT(builder->depth > 0);
		builder->depth--;
		return true;
	case YAML_ALIAS_EVENT:
		report_add(builder->report, line_of(event->start_mark), column_of(event->start_mark), "",
		           "an alias (`*%.40s`) is not read in this file; write the value out, or quote a text that begins with `*`",
		           (const char *)event->data.alias.anchor);
		return false;
	case YAML_STREAM_END_EVENT:
		builder->ended = true;
		return true;
	default:
		return true;
	}
}

/* The byte of the file at a mark, 0 at its end. */
static char byte_at(const struct builder *builder, yaml_mark_t mark)
{
	/* libyaml counts the index in characters; look the line up instead, and count over whole characters */
	const char *at = builder->source.start, *end = at + builder->source.size;
	for (size_t line = 0; line < mark.line && at < end; line++) {
		const char *feed = memchr(at, '\n', (size_t)(end - at));
		at = feed == NULL ? end : feed + 1;
	}
	for (size_t column = 0; column < mark.column && at < end; column++)
		for (at++; at < end && ((unsigned char)*at & 0xc0) == 0x80;)
			at++;
	return at < end ? *at : '\0';
}

/* What people usually did when libyaml says this. */
static const char *guess_cause(const struct builder *builder, yaml_mark_t mark, const char *problem, const char *context)
{
	if (byte_at(builder, mark) == '\t')
		return "there is a tab; indent with spaces";
	if (strstr(context, "alias") != NULL)
		return "a `*` at the beginning of a value must be quoted: '*'";
	if (strstr(context, "anchor") != NULL)
		return "a `&` at the beginning of a value must be quoted";
	if (strstr(problem, "mapping values are not allowed") != NULL)
		return "the indentation is wrong, or a value with `: ` in it needs quotes";
	if (strstr(problem, "cannot start any token") != NULL)
		return "a value that begins with this sign needs quotes";
	if (strstr(problem, "',' or '}'") != NULL || strstr(problem, "',' or ']'") != NULL)
		return "a comma or the closing bracket is missing";
	if (strstr(problem, "expected key") != NULL || strstr(problem, "expected <block end>") != NULL)
		return "the indentation differs from the line above, or a bracket or quote is not closed";
	if (strstr(problem, "could not find expected ':'") != NULL)
		return "`key: value` is expected, with a space after the colon";
	if (strstr(problem, "unexpected end of stream") != NULL)
		return "a quote or bracket is not closed";
	return "";
}

static void report_syntax(struct builder *builder, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR) {
		report_add(builder->report, 0, 0, "", "out of memory");
		return;
	}
	const char *problem = parser->problem == NULL ? "unreadable" : parser->problem;
	if (parser->error == YAML_READER_ERROR) {
		/* these carry only an offset in bytes */
		unsigned line = 1, column = 1;
		for (size_t i = 0; i < parser->problem_offset && i < builder->source.size; i++) {
			column = builder->source.start[i] == '\n' ? 1 : column + 1;
			line += builder->source.start[i] == '\n';
		}
		report_add(builder->report, line, column, "", "not plain UTF-8 text: %s", problem);
		return;
	}
	const char *context = parser->context == NULL ? "" : parser->context;
	const char *cause = guess_cause(builder, parser->problem_mark, problem, context);
	report_add(builder->report, line_of(parser->problem_mark), column_of(parser->problem_mark), "", "not YAML: %s%s%s%s%s",
	           problem, context[0] == '\0' ? "" : " ", context, cause[0] == '\0' ? "" : "; ", cause);
}

struct tree_node *tree_find(const struct tree_node *map, const char *key)
{
	if (map == NULL || map->kind != TREE_MAP)
		return NULL;
	for (struct tree_node *entry = map->first; entry != NULL; entry = entry->next) {
		ASSERT(entry->key != NULL && entry->key->text.start != NULL); /* take_key made sure */
		if (strcmp(entry->key->text.start, key) == 0)
			return entry;
	}
	return NULL;
}

bool tree_is_empty(const struct tree_node *node)
{
	if (node->kind != TREE_TEXT || !node->plain)
		return false;
	return node->text.size == 0 || strcmp(node->text.start, "~") == 0 || strcmp(node->text.start, "null") == 0;
}
