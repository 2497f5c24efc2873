/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Compressed answers: which coding a visitor wants, which media types are compressed, the compressors (every split of the
 * content, every flush, small buffers, their bounds and their memory), and the way to the visitor (framing, turns).
 */
#include "unit.h"

#include "http/compress.h"

#include <brotli/decode.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/* ---- Accept-Encoding --------------------------------------------------------------------------------------------------- */

static struct http_request request;

static enum http_coding choose(const char *accept, unsigned available)
{
	static char text[1024];
	struct http_progress progress = {0};
	struct http_error error;
	size_t used;

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", accept);
	assert_int_equal(http_request_parse(&progress, text, strlen(text), &request, &used, &error), HTTP_DONE);
	return http_coding_choose(&request.head, available);
}

static void test_choice(void **state)
{
	static const struct {
		const char *accept;
		enum http_coding all, only_gzip;
	} cases[] = {
	    {"", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding:\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: gzip, deflate, br, zstd\r\n", CODING_ZSTD, CODING_GZIP},
	    {"accept-encoding:gzip,br\r\n", CODING_BROTLI, CODING_GZIP},
	    {"Accept-Encoding: br;q=1.0,gzip;q=0.8, *;q=0.1\r\n", CODING_BROTLI, CODING_GZIP},
	    {"Accept-Encoding: br\t;\tQ=0.5 , gzip\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: br ; q=0.5;q=0\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: *\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: gzip;q=0, *\r\n", CODING_BROTLI, CODING_NONE},
	    {"Accept-Encoding: gzip;q=0, br;q=0, *\r\n", CODING_ZSTD, CODING_NONE},
	    {"Accept-Encoding: zstd;q=0.5, *;q=0.6\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: zstd;q=0.6, *;q=0.6\r\n", CODING_ZSTD, CODING_GZIP},
	    {"Accept-Encoding: *;q=0, zstd\r\n", CODING_ZSTD, CODING_NONE},
	    {"Accept-Encoding: identity;q=0\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: identity, gzip\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: identity;q=0.6, gzip;q=0.5\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q=0.001\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: gzip;q=0.0001\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q=1.001\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q=2\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q=-1\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q=\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q=0.\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: gzip;q=1.\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: gzip gzip\r\n", CODING_NONE, CODING_NONE},
	    {"Accept-Encoding: ,, ,gzip,,\r\n", CODING_GZIP, CODING_GZIP},
	    {"Accept-Encoding: zstd;q=0.2\r\nX: y\r\nAccept-Encoding: br;q=0.3, gzip;q=0.1\r\n", CODING_BROTLI, CODING_GZIP},
	    {"Accept-Encoding: gzip\r\nAccept-Encoding: x-gzip;q=0\r\n", CODING_NONE, CODING_NONE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (choose(cases[i].accept, CODING_ALL) != cases[i].all ||
		    choose(cases[i].accept, CODING_SET(CODING_GZIP)) != cases[i].only_gzip)
			fail_msg("%s", cases[i].accept);
		assert_int_equal(choose(cases[i].accept, 0), CODING_NONE);
	}
}

static void test_media_types(void **state)
{
	static const char *const yes[] = {"text/html",     "TEXT/PLAIN; charset=utf-8", "application/json", "application/ld+json",
	                                  "image/svg+xml", "application/javascript;x",  "font/ttf",         "text/event-streams"};
	static const char *const no[] = {"",
	                                 "image/png",
	                                 "text/event-stream",
	                                 "text/event-stream; charset=utf-8",
	                                 "textual/x",
	                                 "text",
	                                 "application/zip",
	                                 "font/woff2",
	                                 "json",
	                                 "application/jsonx"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(yes); i++) {
		if (!http_media_type_is_compressible(span_of_text(yes[i])))
			fail_msg("%s", yes[i]);
	}
	for (size_t i = 0; i < COUNT_OF(no); i++) {
		if (http_media_type_is_compressible(span_of_text(no[i])))
			fail_msg("%s", no[i]);
	}
}

/* ---- compressors --------------------------------------------------------------------------------------------------------- */

#define MUCH 1000000u

static struct http_core core;
static char content[MUCH], coded[MUCH * 2], decoded[MUCH + 1];

static const enum http_coding codings[] = {CODING_GZIP, CODING_BROTLI, CODING_ZSTD};

/* Words in no order: neither trivial nor random. */
static void make_content(void)
{
	static const char *const words[] = {"<p>", "noah", " and ", "the", "ark", "</p>\n", "flood", " 40 ", "days", "raven", "dove"};
	uint32_t seed = 1;
	size_t at = 0;

	while (at < MUCH) {
		seed = seed * 1664525u + 1013904223u;
		const char *word = words[(seed >> 16) % COUNT_OF(words)];
		for (const char *letter = word; *letter != '\0' && at < MUCH; letter++)
			content[at++] = *letter;
	}
}

/* Decodes what is there; returns the size of the content. *whole: it has ended, with the last byte. */
static size_t decode(enum http_coding coding, size_t size, bool *whole)
{
	size_t made = 0;

	if (coding == CODING_GZIP) {
		z_stream gzip = {
		    .next_in = (Bytef *)coded, .avail_in = (uInt)size, .next_out = (Bytef *)decoded, .avail_out = sizeof(decoded)};
		assert_int_equal(inflateInit2(&gzip, 31), Z_OK);
		int result = inflate(&gzip, Z_SYNC_FLUSH);
		assert_true(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
		*whole = result == Z_STREAM_END && gzip.avail_in == 0;
		made = sizeof(decoded) - gzip.avail_out;
		inflateEnd(&gzip);
	} else if (coding == CODING_BROTLI) {
		BrotliDecoderState *brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
		const uint8_t *in = (const uint8_t *)coded;
		uint8_t *out = (uint8_t *)decoded;
		size_t left = sizeof(decoded);
		BrotliDecoderResult result = BrotliDecoderDecompressStream(brotli, &size, &in, &left, &out, NULL);
		assert_int_not_equal(result, BROTLI_DECODER_RESULT_ERROR);
		*whole = result == BROTLI_DECODER_RESULT_SUCCESS && size == 0;
		made = sizeof(decoded) - left;
		BrotliDecoderDestroyInstance(brotli);
	} else {
		ZSTD_DCtx *zstd = ZSTD_createDCtx();
		ZSTD_inBuffer in = {.src = coded, .size = size};
		ZSTD_outBuffer out = {.dst = decoded, .size = sizeof(decoded)};
		size_t result = 1;
		while (in.pos < in.size && result != 0) {
			result = ZSTD_decompressStream(zstd, &out, &in);
			assert_false(ZSTD_isError(result));
		}
		*whole = result == 0 && in.pos == in.size;
		made = out.pos;
		ZSTD_freeDCtx(zstd);
	}
	return made;
}

/* One step to its end, the output in pieces of `room`; returns the new size of what is coded. */
static size_t run(struct http_compressor *compressor, enum http_compress_step step, size_t from, size_t to, size_t room,
                  size_t size)
{
	struct span rest = span_of(content + from, to - from);
	bool complete = false;

	while (!complete) {
		size_t made;
		assert_true(size + room <= sizeof(coded));
		assert_true(http_compressor_run(compressor, step, &rest, coded + size, room, &made, &complete));
		assert_true(made <= room);
		size += made;
	}
	assert_int_equal(rest.size, 0);
	return size;
}

static struct http_compressor *take(enum http_coding coding, bool has_length, uint64_t length)
{
	struct http_compressor *compressor = http_compressor_take(&core, coding, has_length, length);
	assert_non_null(compressor);
	return compressor;
}

static void expect_decoded(enum http_coding coding, size_t size, size_t content_size)
{
	bool whole;
	assert_int_equal(decode(coding, size, &whole), content_size);
	assert_true(whole);
	assert_memory_equal(decoded, content, content_size);
}

static void test_every_split(void **state)
{
	const size_t size = 700;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(codings); i++) {
		for (size_t split = 0; split <= size; split++) {
			for (unsigned flush = 0; flush < 2; flush++) {
				struct http_compressor *compressor = take(codings[i], split % 2 == 0, size);
				size_t made = run(compressor, COMPRESS_MORE, 0, split, COMPRESS_LEAST_ROOM, 0);
				if (flush == 1) {
					bool whole;
					made = run(compressor, COMPRESS_FLUSH, 0, 0, COMPRESS_LEAST_ROOM, made);
					assert_int_equal(decode(codings[i], made, &whole), split);
					assert_false(whole);
				}
				made = run(compressor, COMPRESS_MORE, split, size, COMPRESS_LEAST_ROOM, made);
				made = run(compressor, COMPRESS_END, 0, 0, COMPRESS_LEAST_ROOM, made);
				http_compressor_give_back(&core, compressor);
				expect_decoded(codings[i], made, size);
			}
		}
	}
	http_compressors_free(&core);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 1024, 16384, 65536, 65537, 200000, MUCH};
	static const size_t pieces[] = {1000, 16384, MUCH};
	static const size_t rooms[] = {COMPRESS_LEAST_ROOM, 16384};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(codings) * COUNT_OF(sizes) * COUNT_OF(pieces) * COUNT_OF(rooms); i++) {
		enum http_coding coding = codings[i % COUNT_OF(codings)];
		size_t rest = i / COUNT_OF(codings), size = sizes[rest % COUNT_OF(sizes)];
		size_t piece = pieces[rest / COUNT_OF(sizes) % COUNT_OF(pieces)], room = rooms[rest / COUNT_OF(sizes) / COUNT_OF(pieces)];
		struct http_compressor *compressor = take(coding, i % 2 == 0, size);
		size_t made = 0;
		for (size_t at = 0; at < size; at += piece) {
			made = run(compressor, COMPRESS_MORE, at, at + piece < size ? at + piece : size, room, made);
			if (at % 7 == 0)
				made = run(compressor, COMPRESS_FLUSH, 0, 0, room, made);
		}
		made = run(compressor, COMPRESS_END, 0, 0, room, made);
		http_compressor_give_back(&core, compressor);
		expect_decoded(coding, made, size);
	}
	http_compressors_free(&core);
}

/* A compressor that was used, or left in the middle, knows nothing of it. */
static void test_used_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(codings); i++) {
		char *first = malloc(sizeof(coded));
		struct http_compressor *compressor = take(codings[i], false, 0);
		size_t size = run(compressor, COMPRESS_END, 0, 5000, 16384, 0);
		memcpy(first, coded, size);
		http_compressor_give_back(&core, compressor);
		compressor = take(codings[i], true, 9999);
		(void)run(compressor, COMPRESS_MORE, 7000, 8000, 16384, 0);
		(void)run(compressor, COMPRESS_FLUSH, 0, 0, 16384, 0);
		http_compressor_give_back(&core, compressor);
		compressor = take(codings[i], false, 0);
		assert_int_equal(run(compressor, COMPRESS_END, 0, 5000, 16384, 0), size);
		assert_memory_equal(first, coded, size);
		http_compressor_give_back(&core, compressor);
		free(first);
	}
	http_compressors_free(&core);
}

static void test_bounds(void **state)
{
	struct http_compressor *taken[COMPRESSORS_MOST + 1];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(codings); i++) {
		for (unsigned round = 0; round < 2; round++) {
			unsigned count = 0;
			while ((taken[count] = http_compressor_take(&core, codings[i], false, 0)) != NULL)
				assert_true(++count <= COMPRESSORS_MOST);
			assert_int_equal(core.compressors->count, count);
			assert_true(core.compressors->bytes <= COMPRESSORS_MOST_BYTES);
			assert_true(count == COMPRESSORS_MOST || codings[i] != CODING_GZIP);
			assert_true(count >= COMPRESSORS_MOST / 2);
			while (count > 0)
				http_compressor_give_back(&core, taken[--count]);
			assert_true(core.compressors->count == 0 && core.compressors->bytes == 0);
			assert_true(core.compressors->kept_count[codings[i]] <= COMPRESSORS_KEPT);
		}
	}
	http_compressors_free(&core);
}

static size_t memory_in_use(void)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static void test_memory(void **state)
{
	static const size_t most[] = {
#define X(name, token, level, memory, window) [name] = memory,
	    HTTP_CODINGS(X)
#undef X
	};

	(void)state;
	if (memory_in_use() == 0)
		skip();                                                      /* a sanitizer has its own malloc */
	http_compressor_give_back(&core, take(CODING_BROTLI, false, 0)); /* the core's own record; it is not kept */
	for (size_t i = 0; i < COUNT_OF(codings); i++) {
		size_t before = memory_in_use(), highest = 0;
		struct http_compressor *compressor = take(codings[i], false, 0);
		for (size_t at = 0, made = 0; at < MUCH; at += 16384) {
			made = run(compressor, COMPRESS_MORE, at, at + 16384 < MUCH ? at + 16384 : MUCH, 16384, made);
			if (memory_in_use() - before > highest)
				highest = memory_in_use() - before;
		}
		if (highest == 0 || highest > most[codings[i]])
			fail_msg("coding %d: %zu bytes", codings[i], highest);
		http_compressor_give_back(&core, compressor);
	}
	http_compressors_free(&core);
}

/* ---- the way to the visitor ---------------------------------------------------------------------------------------------- */

static size_t sent_bytes, sends;
static bool saw_last;

static void collect(struct http_exchange *exchange, const struct iovec *parts, unsigned count, bool last)
{
	(void)exchange;
	assert_false(saw_last);
	for (unsigned i = 0; i < count; i++) {
		assert_true(sent_bytes + parts[i].iov_len <= sizeof(coded));
		memcpy(coded + sent_bytes, parts[i].iov_base, parts[i].iov_len);
		sent_bytes += parts[i].iov_len;
	}
	saw_last = last;
	sends++;
}

static enum http_outcome send_head(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last)
{
	assert_false(exchange->answer_begun);
	exchange->answer_begun = true;
	collect(exchange, parts, count, last);
	return OUTCOME_OK;
}

static enum http_outcome send_body(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last)
{
	assert_true(exchange->answer_begun && (count > 0 || last));
	collect(exchange, parts, count, last);
	return OUTCOME_OK;
}

static const struct http_visitor visitor = {.send_head = send_head, .send_body = send_body};

static void begin(struct http_exchange *exchange, struct http_coded *state, enum http_coding coding, bool wrapped)
{
	memset(exchange, 0, sizeof(*exchange));
	*state = (struct http_coded){.compressor = take(coding, false, 0)};
	exchange->core = &core;
	exchange->visitor = &visitor;
	exchange->coded = state;
	exchange->download.passing = wrapped ? PASS_WRAPPED : PASS_PLAIN;
	http_coded_begin(exchange);
	sent_bytes = sends = 0;
	saw_last = false;
}

/* Chunks in `coded` become what is in them; returns its size. */
static size_t unwrap(void)
{
	struct http_chunked chunked;
	size_t at = 0, size = 0;

	http_chunked_init(&chunked);
	for (;;) {
		size_t framing, data;
		enum http_fault fault;
		enum http_answer answer = http_chunked_decode(&chunked, span_of(coded + at, sent_bytes - at), &framing, &data, &fault);
		memmove(coded + size, coded + at + framing, data);
		at += framing + data;
		size += data;
		if (answer == HTTP_DONE)
			break;
		assert_int_equal(answer, HTTP_MORE);
	}
	assert_int_equal(at, sent_bytes);
	return size;
}

static struct http_exchange exchange;

static void body_of_framing(void)
{
	struct http_coded state;

	for (size_t i = 0; i < COUNT_OF(codings) * 2; i++) {
		bool wrapped = i % 2 == 1;
		begin(&exchange, &state, codings[i / 2], wrapped);
		assert_int_equal(http_coded_flush(&exchange), OUTCOME_OK); /* the head alone */
		assert_true(sends == 1 && sent_bytes == 0);
		assert_int_equal(http_coded_flush(&exchange), OUTCOME_OK); /* nothing has come since */
		assert_int_equal(sends, 1);
		assert_int_equal(http_coded_put(&exchange, span_of(content, 50)), OUTCOME_OK);
		assert_int_equal(sends, 1);
		assert_int_equal(http_coded_flush(&exchange), OUTCOME_OK);
		assert_int_equal(sends, 2);
		assert_null(state.out.memory); /* none while it waits */
		assert_int_equal(http_coded_put(&exchange, span_of(content + 50, MUCH - 50)), OUTCOME_OK);
		assert_int_equal(http_coded_end(&exchange), OUTCOME_OK);
		assert_true(saw_last && state.compressor == NULL && state.out.memory == NULL && core.compressors->count == 0);
		size_t size = wrapped ? unwrap() : sent_bytes;
		assert_int_equal(state.bytes, size);
		expect_decoded(codings[i / 2], size, MUCH);
		http_coded_drop(&exchange);
	}
	/* Nothing but an end, and an answer that is given up. */
	begin(&exchange, &state, CODING_GZIP, true);
	assert_int_equal(http_coded_end(&exchange), OUTCOME_OK);
	assert_int_equal(sends, 1);
	expect_decoded(CODING_GZIP, unwrap(), 0);
	begin(&exchange, &state, CODING_GZIP, true);
	assert_int_equal(http_coded_put(&exchange, span_of(content, 50)), OUTCOME_OK);
	http_coded_drop(&exchange);
	assert_int_equal(core.compressors->count, 0);
}

/* Several answers at once: no turn of the loop compresses more than its share, and none of them waits for another's end. */
#define ANSWERS 5u
static unsigned ended;
static size_t done[ANSWERS];

static void answer_run(void *argument)
{
	size_t *mine = argument;
	struct http_coded state = {.compressor = take(CODING_GZIP, false, 0)};
	struct http_exchange *own = calloc(1, sizeof(*own));

	own->core = &core;
	own->visitor = &visitor;
	own->coded = &state;
	for (; *mine < MUCH; *mine += 20000) {
		assert_int_equal(http_coded_put(own, span_of(content + *mine, 20000)), OUTCOME_OK);
		assert_true(core.compressors->turn_bytes <= COMPRESS_TURN_BYTES + NET_BUFFER_SIZE);
		sent_bytes = 0;
		for (unsigned i = 0; i < ANSWERS; i++)
			assert_true(done[i] + 200000 >= *mine);
	}
	http_coded_drop(own);
	free(own);
	ended++;
}

static void body_of_turns(void)
{
	saw_last = false;
	for (unsigned i = 0; i < ANSWERS; i++)
		assert_non_null(task_start(core.loop, "answer", answer_run, &done[i]));
	while (ended < ANSWERS)
		assert_int_equal(task_yield(), WAIT_READY);
	assert_true(list_is_empty(&core.compressors->line));
}

static void (*body)(void);

static void program_task(void *unused)
{
	(void)unused;
	body();
	loop_stop(core.loop);
}

static void run_in_loop(void (*what)(void))
{
	body = what;
	core.loop = loop_new("test");
	assert_non_null(core.loop);
	assert_non_null(task_start(core.loop, "program", program_task, NULL));
	loop_run(core.loop);
	http_compressors_free(&core);
	loop_free(core.loop);
}

static void test_framing(void **state)
{
	(void)state;
	run_in_loop(body_of_framing);
}

static void test_turns(void **state)
{
	(void)state;
	run_in_loop(body_of_turns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_choice), cmocka_unit_test(test_media_types), cmocka_unit_test(test_every_split),
	    cmocka_unit_test(test_sizes),  cmocka_unit_test(test_used_again),  cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_memory), cmocka_unit_test(test_framing),     cmocka_unit_test(test_turns),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
