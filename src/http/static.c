/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files that noah sends itself: which file a path means, and who is asked when there is none. exchange.c calls it for sites and
 * routes with `static`, in the request's task.
 *
 * A path has come through http_path_normalise: no "..", no encoded slash, no NUL. Here it is decoded, and what nobody wants to be
 * found is not there: names that begin with a dot, types that noah does not know, sources of programs. Beneath its root the
 * kernel keeps us (files/open.c).
 */
#include "http/static.h"

#include <stdio.h>

static const struct span well_known = {.start = ".well-known/", .size = 12}; /* RFC 8615: files for programs, with a dot */

/* ---- what went wrong ------------------------------------------------------------------------------------------------ */

enum http_outcome static_outcome(struct http_exchange *exchange, enum files_result result)
{
	const char *why = "the disk gave no answer in time";

	switch (result) {
	case FILES_OK:
		return OUTCOME_OK;
	case FILES_DIRECTORY:
	case FILES_MISSING:
		return OUTCOME_NOT_FOUND;
	case FILES_NO_RESOURCES:
		snprintf(exchange->detail, sizeof(exchange->detail), "no descriptor or no memory for a file");
		return OUTCOME_NO_RESOURCES;
	case FILES_CANCELLED:
		return OUTCOME_STOPPING;
	case FILES_CUT:
		why = "it was cut while it was sent";
		break;
	case FILES_FAILED:
		why = "it could not be read";
		break;
	case FILES_STALLED:
		break;
	}
	snprintf(exchange->detail, sizeof(exchange->detail), "a file below %s: %s", exchange->files->root, why);
	return OUTCOME_FILE_FAILED;
}

enum files_result static_open(struct http_exchange *exchange, struct span name, struct files_file **file)
{
	return files_open(exchange->core->files, exchange->files->root, name, STATIC_DISK_MS, file);
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

/* Decoded, without '/' in front and with no two of them together. False: no name that a served file can have. */
static bool decode(struct span path, char *out, size_t *size)
{
	*size = 0;
	for (size_t i = 0; i < path.size; i++) {
		char c = path.start[i];
		if (c == '%') {
			uint64_t byte;
			if (path.size - i < 3 || !span_to_hex_number(span_of(path.start + i + 1, 2), UINT8_MAX, &byte))
				return false;
			c = (char)byte;
			i += 2;
			if (c == '/' || c == '\\')
				return false;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return false;
		if (c == '/' && (*size == 0 || out[*size - 1] == '/'))
			continue;
		out[(*size)++] = c;
	}
	return *size <= FILES_PATH_MOST;
}

/* dump.sql.gz is what dump.sql is. */
static bool is_private_within(struct span name, struct span ending)
{
	static const struct span packed[] = {SPAN("gz"), SPAN("br"), SPAN("zst"), SPAN("bz2"), SPAN("xz"), SPAN("zip")};

	for (size_t i = 0; i < COUNT_OF(packed); i++) {
		if (span_equal_nocase(ending, packed[i]))
			return cluster_is_private_type(files_ending(span_of(name.start, name.size - ending.size - 1)));
	}
	return false;
}

/* The media type; NULL: files that end so are not sent here. None of those that noah knows is private. */
static const char *media_of(const struct cluster_static *files, struct span name, bool *compressible)
{
	struct span ending = files_ending(name);
	const struct files_type *type = files_type_find(ending);

	*compressible = type != NULL && type->compressible;
	if (type == NULL && ending.size > 0 && cluster_is_private_type(ending))
		return NULL;
	if (files->match_count == 0) {
		if (ending.size == 0 && span_starts_with(name, well_known))
			return "application/octet-stream"; /* answers to certificate authorities, and the like */
		if (is_private_within(name, ending))
			return NULL;
		return type != NULL ? type->media : NULL;
	}
	for (uint32_t i = 0; i < files->match_count; i++) {
		if (span_equal_nocase(ending, span_of_text(files->match[i])))
			return type != NULL ? type->media : "application/octet-stream";
	}
	return NULL;
}

/* ---- finding --------------------------------------------------------------------------------------------------------- */

/* It is a directory, and was asked for without the '/' that makes its page's links mean what they say. */
static enum http_outcome add_slash(struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	struct span path = exchange->path, query = http_text(&request->head, request->query);
	char *text = arena_allocate(task_arena(), path.size + query.size + 4);
	size_t size = 0;

	if (text == NULL)
		return OUTCOME_NO_RESOURCES;
	text[size++] = '/'; /* and no second one: "//name" would be another host */
	for (size_t i = 0; i < path.size; i++) {
		if (path.start[i] != '/' || text[size - 1] != '/')
			text[size++] = path.start[i];
	}
	text[size++] = '/';
	if (request->has_query) {
		text[size++] = '?';
		memcpy(text + size, query.start, query.size);
		size += query.size;
	}
	exchange->location = span_of(text, size);
	exchange->redirect_status = 301;
	return OUTCOME_REDIRECTED;
}

/* The first of its index files that is there. */
static enum http_outcome find_index(struct http_exchange *exchange, struct span directory, struct static_found *found)
{
	const struct cluster_static *files = exchange->files;
	char *name = arena_allocate(task_arena(), directory.size + CLUSTER_NAME_SIZE);

	if (name == NULL)
		return OUTCOME_NO_RESOURCES;
	if (directory.size > 0)
		memcpy(name, directory.start, directory.size);
	for (uint32_t i = 0; i < files->index_count; i++) {
		size_t size = strlen(files->index[i]);
		memcpy(name + directory.size, files->index[i], size);
		found->name = span_of(name, directory.size + size);
		found->media = media_of(files, found->name, &found->compressible);
		if (found->media == NULL)
			continue;
		enum files_result result = static_open(exchange, found->name, &found->file);
		if (result != FILES_MISSING && result != FILES_DIRECTORY)
			return static_outcome(exchange, result);
	}
	return OUTCOME_NOT_FOUND;
}

/* OUTCOME_OK: *found is filled. OUTCOME_NOT_FOUND: there is nothing; *wanted: but there could be. */
static enum http_outcome find(struct http_exchange *exchange, struct static_found *found, bool *wanted)
{
	size_t size;
	char *memory = arena_allocate(task_arena(), exchange->path.size + 1);

	*wanted = false;
	if (memory == NULL)
		return OUTCOME_NO_RESOURCES;
	if (!decode(exchange->path, memory, &size))
		return OUTCOME_NOT_FOUND;
	struct span name = span_of(memory, size);
	if (files_is_hidden(name))
		return OUTCOME_NOT_FOUND;
	if (size == 0 || memory[size - 1] == '/')
		return find_index(exchange, name, found);
	found->name = name;
	found->media = media_of(exchange->files, name, &found->compressible);
	if (found->media != NULL) {
		*wanted = true;
		enum files_result result = static_open(exchange, name, &found->file);
		return result == FILES_DIRECTORY ? add_slash(exchange) : static_outcome(exchange, result);
	}
	struct span ending = files_ending(name);
	if (ending.size > 0 && cluster_is_private_type(ending))
		return OUTCOME_NOT_FOUND;
	enum files_result result = files_look(exchange->core->files, exchange->files->root, name, STATIC_DISK_MS);
	return result == FILES_DIRECTORY ? add_slash(exchange) : static_outcome(exchange, result);
}

/* ---- and if there is none ----------------------------------------------------------------------------------------------- */

static bool has_others(const struct http_exchange *exchange)
{
	return exchange->group != NULL || exchange->site->page != 0;
}

/* OUTCOME_OK: whoever answers what is no file. */
static enum http_outcome miss(struct http_exchange *exchange, bool wanted)
{
	switch ((enum cluster_missing)exchange->files->missing) {
	case MISSING_APPS:
		break;
	case MISSING_NOT_FOUND:
		return OUTCOME_NOT_FOUND;
	case MISSING_TRY:
		if (wanted)
			return static_try(exchange);
		break;
	}
	return has_others(exchange) ? OUTCOME_OK : OUTCOME_NOT_FOUND;
}

enum http_outcome http_static(struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	struct static_found found = {.file = NULL};
	bool wanted;

	if (request->method != HTTP_METHOD_GET && request->method != HTTP_METHOD_HEAD) {
		if (has_others(exchange))
			return OUTCOME_OK;
		struct span method = http_text(&request->head, request->method_text);
		snprintf(exchange->detail, sizeof(exchange->detail), "%.*s is not allowed for files", (int)method.size, method.start);
		return OUTCOME_REFUSED_METHOD;
	}
	enum http_outcome outcome = find(exchange, &found, &wanted);
	if (outcome == OUTCOME_NOT_FOUND)
		return miss(exchange, wanted);
	if (outcome != OUTCOME_OK)
		return outcome;
	outcome = static_choose(exchange, &found);
	if (outcome == OUTCOME_OK)
		outcome = static_answer(exchange, &found);
	files_unref(found.file);
	return outcome;
}
