/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The bytes of a file on their way to the visitor. static_answer.c calls it.
 *
 *    in memory          one write, with the head
 *    plain HTTP/1.1     the kernel sends it (sendfile), a window after the other, each of which is known to be in memory
 *    TLS, HTTP/2        a piece after the other through a buffer
 *
 * A file that has become shorter meanwhile ends the connection: nothing is put in the place of what is missing.
 */
#include "http/compress.h"
#include "http/static.h"

#define WINDOWS_AT_ONCE 4u /* of FILES_WINDOW_BYTES, before other connections have their turn */

/* ---- pieces ------------------------------------------------------------------------------------------------------------ */

static enum http_outcome put(struct http_exchange *exchange, struct span bytes, bool last)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.start, .iov_len = bytes.size};
	unsigned count = bytes.size > 0 ? 1 : 0;
	enum http_outcome outcome = exchange->answer_begun ? exchange->visitor->send_body(exchange, &part, count, last)
	                                                   : exchange->visitor->send_head(exchange, &part, count, last);
	if (outcome == OUTCOME_OK)
		exchange->download.content_bytes += bytes.size;
	return outcome;
}

enum http_outcome static_send_text(struct http_exchange *exchange, struct span text, bool last)
{
	exchange->download.done = last;
	return put(exchange, text, last);
}

static enum http_outcome read_piece(struct http_exchange *exchange, struct files_file *file, uint64_t offset,
                                    struct buffer *buffer, size_t size)
{
	if (!buffer_hold(buffer))
		return OUTCOME_NO_RESOURCES;
	return static_outcome(exchange, files_read(file, offset, buffer->memory, size, STATIC_DISK_MS));
}

static enum http_outcome send_pieces(struct http_exchange *exchange, struct files_file *file, uint64_t offset, uint64_t size,
                                     bool last)
{
	struct buffer buffer = {.memory = NULL};
	enum http_outcome outcome = OUTCOME_OK;

	for (unsigned round = 1; outcome == OUTCOME_OK && size > 0; round++) {
		if (round % HTTP_ROUNDS_AT_ONCE == 0 && task_yield() == WAIT_CANCELLED) {
			outcome = OUTCOME_STOPPING;
			break;
		}
		size_t piece = size < STATIC_PIECE_BYTES ? (size_t)size : STATIC_PIECE_BYTES;
		outcome = read_piece(exchange, file, offset, &buffer, piece);
		offset += piece;
		size -= piece;
		if (outcome == OUTCOME_OK)
			outcome = put(exchange, span_of(buffer.memory, piece), last && size == 0);
	}
	buffer_release(&buffer);
	return outcome;
}

/* ---- by the kernel -------------------------------------------------------------------------------------------------------- */

/* The next window, with the head before it if that has not gone out yet. */
static enum http_outcome send_window(struct http_exchange *exchange, const struct files_file *file, uint64_t offset, size_t size)
{
	enum http_outcome outcome = OUTCOME_OK;
	size_t sent = 0;

	if (!exchange->answer_begun) {
		exchange->file_follows = true;
		outcome = exchange->visitor->send_head(exchange, NULL, 0, false);
		exchange->file_follows = false;
	}
	if (outcome == OUTCOME_OK)
		outcome = exchange->visitor->send_file(exchange, file->descriptor, offset, size, &sent);
	exchange->download.content_bytes += sent;
	return outcome == OUTCOME_FILE_FAILED ? static_outcome(exchange, FILES_CUT) : outcome;
}

static enum http_outcome send_windows(struct http_exchange *exchange, struct files_file *file, uint64_t offset, uint64_t size)
{
	enum http_outcome outcome = OUTCOME_OK;

	for (unsigned round = 1; outcome == OUTCOME_OK && size > 0; round++) {
		size_t warm;
		if (round % WINDOWS_AT_ONCE == 0 && task_yield() == WAIT_CANCELLED)
			return OUTCOME_STOPPING;
		outcome = static_outcome(exchange, files_warm(file, offset, size, STATIC_DISK_MS, &warm));
		if (outcome == OUTCOME_OK)
			outcome = send_window(exchange, file, offset, warm);
		offset += warm;
		size -= warm;
	}
	return outcome;
}

enum http_outcome static_send_file(struct http_exchange *exchange, struct files_file *file, uint64_t offset, uint64_t size,
                                   bool last)
{
	enum http_outcome outcome;

	if (file->content != NULL)
		outcome = put(exchange, span_of(file->content + offset, (size_t)size), last);
	else if (exchange->visitor->send_file != NULL && file->local && size > STATIC_PIECE_BYTES &&
	         !stream_is_secure(&exchange->client->stream))
		outcome = send_windows(exchange, file, offset, size);
	else
		outcome = send_pieces(exchange, file, offset, size, last);
	exchange->download.done = last && outcome == OUTCOME_OK;
	return outcome;
}

/* ---- compressed on the way --------------------------------------------------------------------------------------- */

enum http_outcome static_send_coded(struct http_exchange *exchange, struct files_file *file)
{
	struct buffer buffer = {.memory = NULL};
	enum http_outcome outcome = OUTCOME_OK;

	if (file->content != NULL) {
		outcome = http_coded_put(exchange, span_of(file->content, (size_t)file->size_bytes));
		return outcome == OUTCOME_OK ? http_coded_end(exchange) : outcome;
	}
	for (uint64_t offset = 0; outcome == OUTCOME_OK && offset < file->size_bytes;) {
		uint64_t left = file->size_bytes - offset;
		size_t piece = left < STATIC_PIECE_BYTES ? (size_t)left : STATIC_PIECE_BYTES;
		outcome = read_piece(exchange, file, offset, &buffer, piece);
		if (outcome == OUTCOME_OK)
			outcome = http_coded_put(exchange, span_of(buffer.memory, piece));
		offset += piece;
	}
	buffer_release(&buffer);
	return outcome == OUTCOME_OK ? http_coded_end(exchange) : outcome;
}
