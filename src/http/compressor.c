/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The compressors of a core: gzip, brotli and zstd behind one face, how many there may be, and which are kept for the next
 * answer: making one anew costs as much as compressing a small page. On the core's thread; compress_send.c and compress_decide.c
 * call it.
 */
#include "http/compress.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define COMPRESSOR_MAGIC 0x68636d70u
#define GZIP_WRAPPING    16 /* zlib: the window's bits and this are gzip, not zlib's own form */
#define GZIP_MEMORY      8  /* zlib's default */

struct http_compressor {
	uint32_t magic;
	uint8_t coding; /* enum http_coding */
	z_stream gzip;
	BrotliEncoderState *brotli;
	ZSTD_CCtx *zstd;
};

static const struct {
	int level;
	size_t memory_bytes;
	int window;
} codings[] = {
#define X(name, token, level, memory, window) [name] = {level, memory, window},
    HTTP_CODINGS(X)
#undef X
};

/* ---- making and keeping ---------------------------------------------------------------------------------------------- */

static void compressor_free(struct http_compressor *compressor)
{
	CHECK_MAGIC(compressor, COMPRESSOR_MAGIC);
	switch ((enum http_coding)compressor->coding) {
	case CODING_GZIP:
		(void)deflateEnd(&compressor->gzip); /* "data was discarded" is no fault */
		break;
	case CODING_BROTLI:
		BrotliEncoderDestroyInstance(compressor->brotli);
		break;
	case CODING_ZSTD:
		(void)ZSTD_freeCCtx(compressor->zstd);
		break;
	case CODING_NONE:
	case CODING_COUNT:
		ASSERT(false);
	}
	compressor->magic = 0;
	free(compressor);
}

static bool compressor_init(struct http_compressor *compressor)
{
	int level = codings[compressor->coding].level, window = codings[compressor->coding].window;

	switch ((enum http_coding)compressor->coding) {
	case CODING_GZIP:
		return deflateInit2(&compressor->gzip, level, Z_DEFLATED, window + GZIP_WRAPPING, GZIP_MEMORY, Z_DEFAULT_STRATEGY) ==
		       Z_OK;
	case CODING_BROTLI:
		compressor->brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);
		return compressor->brotli != NULL &&
		       BrotliEncoderSetParameter(compressor->brotli, BROTLI_PARAM_QUALITY, (uint32_t)level) == BROTLI_TRUE &&
		       BrotliEncoderSetParameter(compressor->brotli, BROTLI_PARAM_LGWIN, (uint32_t)window) == BROTLI_TRUE;
	case CODING_ZSTD:
		compressor->zstd = ZSTD_createCCtx();
		return compressor->zstd != NULL &&
		       !ZSTD_isError(ZSTD_CCtx_setParameter(compressor->zstd, ZSTD_c_compressionLevel, level)) &&
		       !ZSTD_isError(ZSTD_CCtx_setParameter(compressor->zstd, ZSTD_c_windowLog, window));
	case CODING_NONE:
	case CODING_COUNT:
		break;
	}
	ASSERT(false);
	return false;
}

static struct http_compressor *compressor_new(enum http_coding coding)
{
	struct http_compressor *compressor = calloc(1, sizeof(*compressor));

	if (compressor == NULL)
		return NULL;
	compressor->magic = COMPRESSOR_MAGIC;
	compressor->coding = (uint8_t)coding;
	if (compressor_init(compressor))
		return compressor;
	compressor_free(compressor);
	return NULL;
}

static struct http_compressors *compressors_of(struct http_core *core)
{
	if (core->compressors != NULL)
		return core->compressors;
	struct http_compressors *all = calloc(1, sizeof(*all));
	if (all == NULL)
		return NULL;
	list_init(&all->line);
	core->compressors = all;
	return all;
}

struct http_compressor *http_compressor_take(struct http_core *core, enum http_coding coding, bool has_length, uint64_t length)
{
	struct http_compressors *all = compressors_of(core);
	struct http_compressor *compressor = NULL;

	if (all == NULL || all->count == COMPRESSORS_MOST || all->bytes + codings[coding].memory_bytes > COMPRESSORS_MOST_BYTES)
		return NULL;
	if (all->kept_count[coding] > 0)
		compressor = all->kept[coding][--all->kept_count[coding]];
	else
		compressor = compressor_new(coding);
	if (compressor == NULL)
		return NULL;
	/* The length makes for smaller tables, and stands in the frame. It cannot fail on a fresh context. */
	if (coding == CODING_ZSTD && has_length && ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(compressor->zstd, length))) {
		compressor_free(compressor);
		return NULL;
	}
	if (coding == CODING_BROTLI && has_length && length < UINT32_MAX)
		(void)BrotliEncoderSetParameter(compressor->brotli, BROTLI_PARAM_SIZE_HINT, (uint32_t)length); /* a hint */
	all->count++;
	all->bytes += codings[coding].memory_bytes;
	return compressor;
}

/* As new. Brotli's cannot be. */
static bool compressor_reset(struct http_compressor *compressor)
{
	if (compressor->coding == CODING_GZIP)
		return deflateReset(&compressor->gzip) == Z_OK;
	return compressor->coding == CODING_ZSTD && !ZSTD_isError(ZSTD_CCtx_reset(compressor->zstd, ZSTD_reset_session_only));
}

void http_compressor_give_back(struct http_core *core, struct http_compressor *compressor)
{
	struct http_compressors *all = core->compressors;
	unsigned coding = compressor->coding;

	ASSERT(all->count > 0);
	all->count--;
	all->bytes -= codings[coding].memory_bytes;
	if (all->kept_count[coding] == COMPRESSORS_KEPT || !compressor_reset(compressor)) {
		compressor_free(compressor);
		return;
	}
	all->kept[coding][all->kept_count[coding]++] = compressor;
}

void http_compressors_free(struct http_core *core)
{
	if (core->compressors == NULL)
		return;
	ASSERT(core->compressors->count == 0);
	for (unsigned coding = 0; coding < CODING_COUNT; coding++) {
		for (unsigned i = 0; i < core->compressors->kept_count[coding]; i++)
			compressor_free(core->compressors->kept[coding][i]);
	}
	free(core->compressors);
	core->compressors = NULL;
}

/* ---- compressing ------------------------------------------------------------------------------------------------------ */

static bool run_gzip(z_stream *gzip, enum http_compress_step step, struct span *content, char *out, size_t room, size_t *made,
                     bool *complete)
{
	static const int flushes[] = {[COMPRESS_MORE] = Z_NO_FLUSH, [COMPRESS_FLUSH] = Z_SYNC_FLUSH, [COMPRESS_END] = Z_FINISH};

	gzip->next_in = (Bytef *)(uintptr_t)content->start;
	gzip->avail_in = (uInt)content->size;
	gzip->next_out = (Bytef *)out;
	gzip->avail_out = (uInt)room;
	int result = deflate(gzip, flushes[step]);
	*content = span_of(gzip->next_in, gzip->avail_in);
	*made = room - gzip->avail_out;
	if (step == COMPRESS_END)
		*complete = result == Z_STREAM_END;
	else
		*complete = gzip->avail_in == 0 && gzip->avail_out > 0;
	return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR; /* the last: nothing was left to do */
}

static bool run_brotli(BrotliEncoderState *brotli, enum http_compress_step step, struct span *content, char *out, size_t room,
                       size_t *made, bool *complete)
{
	static const BrotliEncoderOperation operations[] = {[COMPRESS_MORE] = BROTLI_OPERATION_PROCESS,
	                                                    [COMPRESS_FLUSH] = BROTLI_OPERATION_FLUSH,
	                                                    [COMPRESS_END] = BROTLI_OPERATION_FINISH};
	const uint8_t *in = (const uint8_t *)content->start;
	uint8_t *next = (uint8_t *)out;
	size_t left = room;

	BROTLI_BOOL right = BrotliEncoderCompressStream(brotli, operations[step], &content->size, &in, &left, &next, NULL);
	content->start = (const char *)in;
	*made = room - left;
	if (step == COMPRESS_END)
		*complete = BrotliEncoderIsFinished(brotli) == BROTLI_TRUE;
	else
		*complete = content->size == 0 && BrotliEncoderHasMoreOutput(brotli) == BROTLI_FALSE;
	return right == BROTLI_TRUE;
}

static bool run_zstd(ZSTD_CCtx *zstd, enum http_compress_step step, struct span *content, char *out, size_t room, size_t *made,
                     bool *complete)
{
	static const ZSTD_EndDirective directives[] = {
	    [COMPRESS_MORE] = ZSTD_e_continue, [COMPRESS_FLUSH] = ZSTD_e_flush, [COMPRESS_END] = ZSTD_e_end};
	ZSTD_inBuffer in = {.src = content->start, .size = content->size};
	ZSTD_outBuffer to = {.dst = out, .size = room};

	size_t left = ZSTD_compressStream2(zstd, &to, &in, directives[step]);
	content->start += in.pos;
	content->size -= in.pos;
	*made = to.pos;
	*complete = content->size == 0 && (step == COMPRESS_MORE || left == 0);
	return !ZSTD_isError(left);
}

bool http_compressor_run(struct http_compressor *compressor, enum http_compress_step step, struct span *content, char *out,
                         size_t room, size_t *made, bool *complete)
{
	CHECK_MAGIC(compressor, COMPRESSOR_MAGIC);
	/* With less than 7 bytes, zlib may write the marker of a flush twice. */
	ASSERT(room >= COMPRESS_LEAST_ROOM && content->size <= UINT32_MAX);
	switch ((enum http_coding)compressor->coding) {
	case CODING_GZIP:
		return run_gzip(&compressor->gzip, step, content, out, room, made, complete);
	case CODING_BROTLI:
		return run_brotli(compressor->brotli, step, content, out, room, made, complete);
	case CODING_ZSTD:
		return run_zstd(compressor->zstd, step, content, out, room, made, complete);
	case CODING_NONE:
	case CODING_COUNT:
		break;
	}
	ASSERT(false);
	return false;
}
