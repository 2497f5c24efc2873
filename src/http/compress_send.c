/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A compressed answer on its way to its visitor: content goes in, a buffer of compressed bytes fills and is sent. Called by
 * relay.c for the answers of apps and by static*.c for files, in the task of the exchange.
 *
 * Compressing is the one thing here that costs more than moving bytes, so a core compresses COMPRESS_TURN_BYTES in one turn of
 * its loop at most; answers that want more stand in line, and everything else on that core goes on meanwhile.
 */
#include "http/compress.h"

/* ---- turns ------------------------------------------------------------------------------------------------------------ */

static bool has_turn(struct http_compressors *all, uint64_t now_us)
{
	if (all->turn_us != now_us) {
		all->turn_us = now_us;
		all->turn_bytes = 0;
	}
	return all->turn_bytes < COMPRESS_TURN_BYTES;
}

/* First come, first served. At most COMPRESSORS_MOST wait. */
static enum http_outcome await_turn(struct http_exchange *exchange, size_t bytes)
{
	struct http_compressors *all = exchange->core->compressors;
	struct list place;

	if (!list_is_empty(&all->line) || !has_turn(all, exchange_now_us(exchange))) {
		enum wait_result result;
		list_append(&all->line, &place);
		do
			result = task_yield();
		while (result != WAIT_CANCELLED && (all->line.next != &place || !has_turn(all, exchange_now_us(exchange))));
		list_remove(&place);
		if (result == WAIT_CANCELLED)
			return OUTCOME_STOPPING;
	}
	all->turn_bytes += (unsigned)bytes;
	return OUTCOME_OK;
}

/* ---- sending ---------------------------------------------------------------------------------------------------------- */

void http_coded_begin(struct http_exchange *exchange)
{
	exchange->coded->wrapped = exchange->download.passing == PASS_WRAPPED;
}

/* What is in `out`, behind the head if that has not gone yet. */
static enum http_outcome emit(struct http_exchange *exchange, bool last)
{
	struct http_coded *coded = exchange->coded;
	size_t size = buffer_filled(&coded->out);
	char chunk_header[HTTP_CHUNK_HEADER_SIZE];
	struct iovec parts[4];
	unsigned count = 0;

	if (size > 0 && coded->wrapped)
		parts[count++] = (struct iovec){.iov_base = chunk_header, .iov_len = http_chunk_header(size, chunk_header)};
	if (size > 0)
		parts[count++] = (struct iovec){.iov_base = coded->out.memory + coded->out.start, .iov_len = size};
	if (size > 0 && coded->wrapped)
		parts[count++] = (struct iovec){.iov_base = (void *)(uintptr_t) "\r\n", .iov_len = 2};
	if (last && coded->wrapped)
		parts[count++] = (struct iovec){.iov_base = (void *)(uintptr_t) "0\r\n\r\n", .iov_len = 5};
	coded->bytes += size;
	coded->silent_bytes = 0;
	enum http_outcome outcome = OUTCOME_OK;
	if (!exchange->answer_begun)
		outcome = exchange->visitor->send_head(exchange, parts, count, last);
	else if (count > 0 || last)
		outcome = exchange->visitor->send_body(exchange, parts, count, last);
	exchange->progress_us = exchange_now_us(exchange);
	buffer_consume(&coded->out, size);
	return outcome;
}

/* One step of the compressor to its end; what it makes is sent whenever the buffer is full. */
static enum http_outcome run(struct http_exchange *exchange, enum http_compress_step step, struct span content)
{
	struct http_coded *coded = exchange->coded;
	bool complete = false;

	while (!complete) {
		size_t room = NET_BUFFER_SIZE - coded->out.end, made;
		if (room < COMPRESS_LEAST_ROOM) {
			enum http_outcome outcome = emit(exchange, false);
			if (outcome != OUTCOME_OK)
				return outcome;
			continue;
		}
		if (!buffer_hold(&coded->out) ||
		    !http_compressor_run(coded->compressor, step, &content, coded->out.memory + coded->out.end, room, &made, &complete))
			return OUTCOME_NO_RESOURCES;
		coded->out.end += (uint32_t)made;
	}
	return OUTCOME_OK;
}

enum http_outcome http_coded_put(struct http_exchange *exchange, struct span content)
{
	struct http_coded *coded = exchange->coded;
	enum http_outcome outcome = OUTCOME_OK;

	while (content.size > 0 && outcome == OUTCOME_OK) {
		size_t size = content.size < NET_BUFFER_SIZE ? content.size : NET_BUFFER_SIZE;
		outcome = await_turn(exchange, size);
		if (outcome == OUTCOME_OK)
			outcome = run(exchange, COMPRESS_MORE, span_of(content.start, size));
		coded->holds_back = true;
		coded->silent_bytes += size;
		content.start += size;
		content.size -= size;
		if (outcome == OUTCOME_OK && coded->silent_bytes >= COMPRESS_SILENT_BYTES)
			outcome = http_coded_flush(exchange);
	}
	return outcome;
}

enum http_outcome http_coded_flush(struct http_exchange *exchange)
{
	struct http_coded *coded = exchange->coded;
	enum http_outcome outcome = OUTCOME_OK;

	if (coded->holds_back)
		outcome = run(exchange, COMPRESS_FLUSH, SPAN(""));
	coded->holds_back = false;
	if (outcome == OUTCOME_OK && (buffer_filled(&coded->out) > 0 || !exchange->answer_begun))
		outcome = emit(exchange, false);
	buffer_release_if_empty(&coded->out);
	return outcome;
}

enum http_outcome http_coded_end(struct http_exchange *exchange)
{
	struct http_coded *coded = exchange->coded;
	enum http_outcome outcome = OUTCOME_OK;

	if (coded->compressor != NULL) {
		outcome = run(exchange, COMPRESS_END, SPAN(""));
		http_compressor_give_back(exchange->core, coded->compressor);
		coded->compressor = NULL;
	} else {
		coded->wrapped = false; /* to HEAD */
	}
	if (outcome == OUTCOME_OK)
		outcome = emit(exchange, true);
	buffer_release(&coded->out);
	return outcome;
}

void http_coded_drop(struct http_exchange *exchange)
{
	struct http_coded *coded = exchange->coded;

	if (coded == NULL)
		return;
	if (coded->compressor != NULL)
		http_compressor_give_back(exchange->core, coded->compressor);
	buffer_release(&coded->out);
	exchange->coded = NULL;
}
