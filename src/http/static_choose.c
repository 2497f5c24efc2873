/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A file, or the coded one that lies beside it (style.css.br, .zst, .gz): what the visitor likes best of what is there. static.c
 * calls it.
 *
 * Which of them are there is looked up once a second for each file. One that is older than the file is of another version of it
 * and does not count; whole seconds are compared, because some tools that make them keep no more of the time.
 */
#include "http/compress.h"
#include "http/static.h"

#define NS_IN_S UINT64_C(1000000000)

static const struct {
	enum http_coding coding;
	struct span ending;
} siblings[] = {
    {CODING_ZSTD, {.start = ".zst", .size = 4}},
    {CODING_BROTLI, {.start = ".br", .size = 3}},
    {CODING_GZIP, {.start = ".gz", .size = 3}},
};

static enum files_result open_sibling(struct http_exchange *exchange, const struct static_found *found, struct span ending,
                                      struct files_file **file)
{
	char *name = arena_allocate(task_arena(), found->name.size + ending.size);

	if (name == NULL)
		return FILES_NO_RESOURCES;
	memcpy(name, found->name.start, found->name.size);
	memcpy(name + found->name.size, ending.start, ending.size);
	enum files_result result = static_open(exchange, span_of(name, found->name.size + ending.size), file);
	if (result == FILES_OK && (*file)->modified_ns / NS_IN_S < found->file->modified_ns / NS_IN_S) {
		files_unref(*file);
		*file = NULL;
		result = FILES_MISSING;
	}
	return result == FILES_DIRECTORY ? FILES_MISSING : result;
}

/* CODING_SET of those that are there. */
static unsigned look(struct http_exchange *exchange, const struct static_found *found)
{
	struct files_file *file = found->file;
	uint64_t now_us = exchange_now_us(exchange);

	if (file->note_us != 0 && now_us - file->note_us <= FILES_TRUST_US)
		return file->note;
	unsigned there = 0;
	for (size_t i = 0; i < COUNT_OF(siblings); i++) {
		struct files_file *sibling;
		if (open_sibling(exchange, found, siblings[i].ending, &sibling) != FILES_OK)
			continue;
		there |= CODING_SET(siblings[i].coding);
		files_unref(sibling);
	}
	file->note_us = now_us;
	file->note = there;
	return there;
}

enum http_outcome static_choose(struct http_exchange *exchange, struct static_found *found)
{
	struct files_file *sibling;

	if (!found->compressible)
		return OUTCOME_OK;
	unsigned there = look(exchange, found);
	if (there == 0)
		return OUTCOME_OK;
	found->varies = true;
	enum http_coding coding = http_coding_choose(&exchange->request.head, there);
	for (size_t i = 0; i < COUNT_OF(siblings); i++) {
		if (siblings[i].coding != coding)
			continue;
		enum files_result result = open_sibling(exchange, found, siblings[i].ending, &sibling);
		if (result == FILES_MISSING)
			return OUTCOME_OK; /* removed just now: the file itself is as good */
		if (result != FILES_OK)
			return static_outcome(exchange, result);
		files_unref(found->file);
		found->file = sibling;
		found->coding = http_coding_token(coding);
	}
	return OUTCOME_OK;
}
