/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Chunked bodies (RFC 9112 7.1), in whatever pieces they come: what is framing, what is content, where the end is. Pure; http/
 * calls it for bodies of both directions.
 *
 *   SIZE_FIRST -digit-> SIZE -CR-> SIZE_END -LF-> DATA -> DATA_CR -> DATA_LF -> SIZE_FIRST
 *                        |  ^                \
 *                  blank |  | (CR)            \ LF after size 0
 *                        v  |                  v
 *      EXTENSION_BLANK -;-> EXTENSION       TRAILER -CR-> LAST_END -LF-> ENDED
 *                                             |  ^
 *                                             v  | LF
 *                               TRAILER_NAME -:-> TRAILER_VALUE -CR-> TRAILER_END
 *
 * Extensions and trailers are checked, bounded and never passed on.
 */
#include "proto/http_private.h"

enum chunked_state {
	SIZE_FIRST,
	SIZE,
	EXTENSION_BLANK,
	EXTENSION,
	SIZE_END,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_END,
	LAST_END,
	ENDED,
	FAILED,
};

static enum http_fault step(struct http_chunked *chunked, char byte);

void http_chunked_init(struct http_chunked *chunked)
{
	*chunked = (struct http_chunked){.state = SIZE_FIRST};
}

/* How many of `size` bytes belong to the chunk's content; counts them. */
static size_t take_data(struct http_chunked *chunked, size_t size)
{
	size_t taken = chunked->left < size ? (size_t)chunked->left : size;
	chunked->left -= taken;
	chunked->data_bytes += taken;
	if (chunked->left == 0)
		chunked->state = DATA_CR;
	return taken;
}

/* Extensions and trailers, known by the state before the byte. */
static bool is_dropped(const struct http_chunked *chunked, char byte)
{
	switch (chunked->state) {
	case SIZE:
		return byte == ';' || byte == ' ' || byte == '\t';
	case EXTENSION_BLANK:
		return true;
	case EXTENSION:
	case TRAILER:
		return byte != '\r';
	case TRAILER_NAME:
	case TRAILER_VALUE:
	case TRAILER_END:
		return true;
	default:
		return false;
	}
}

static enum http_answer failed(struct http_chunked *chunked, enum http_fault found, enum http_fault *fault)
{
	chunked->state = FAILED;
	*fault = found;
	return HTTP_WRONG;
}

enum http_answer http_chunked_decode(struct http_chunked *chunked, struct span bytes, size_t *framing, size_t *data,
                                     enum http_fault *fault)
{
	ASSERT(chunked->state < ENDED);
	*framing = *data = 0;
	while (*framing < bytes.size) {
		if (chunked->state == DATA) {
			*data = take_data(chunked, bytes.size - *framing);
			return HTTP_MORE;
		}
		enum http_fault found = step(chunked, bytes.start[*framing]);
		if (UNLIKELY(found != HTTP_FAULT_NONE))
			return failed(chunked, found, fault);
		++*framing;
		if (chunked->state == ENDED)
			return HTTP_DONE;
	}
	return HTTP_MORE;
}

enum http_answer http_chunked_pass(struct http_chunked *chunked, struct span bytes, size_t *forward, size_t *drop,
                                   enum http_fault *fault)
{
	ASSERT(chunked->state < ENDED);
	*forward = *drop = 0;
	while (*forward + *drop < bytes.size) {
		size_t at = *forward + *drop;
		if (chunked->state == DATA) {
			/* The header before it was not dropped bytes, so nothing is: a dropped run always ends at a CR that is kept. */
			*forward += take_data(chunked, bytes.size - at);
			continue;
		}
		bool dropped = is_dropped(chunked, bytes.start[at]);
		if (!dropped && *drop > 0)
			return HTTP_MORE;
		enum http_fault found = step(chunked, bytes.start[at]);
		if (UNLIKELY(found != HTTP_FAULT_NONE))
			return failed(chunked, found, fault);
		*(dropped ? drop : forward) += 1;
		if (chunked->state == ENDED)
			return HTTP_DONE;
	}
	return HTTP_MORE;
}

/* ---- one byte of framing ---------------------------------------------------------------------------------------- */

static enum http_fault step_size(struct http_chunked *chunked, char byte)
{
	int digit = http_hex_digit(byte);
	if (digit >= 0) {
		/* 16 digits with leading zeros are enough for every size there is; the number itself stays within 63 bits. */
		if (chunked->digits == 16 || chunked->left > (uint64_t)INT64_MAX >> 4)
			return HTTP_FAULT_CHUNK_SIZE;
		chunked->left = chunked->left << 4 | (uint64_t)digit;
		chunked->digits++;
		chunked->state = SIZE;
		return HTTP_FAULT_NONE;
	}
	if (chunked->state == SIZE_FIRST)
		return HTTP_FAULT_CHUNK_SIZE;
	chunked->extension_bytes = 0;
	if (byte == '\r')
		chunked->state = SIZE_END;
	else if (byte == ';')
		chunked->state = EXTENSION;
	else if (byte == ' ' || byte == '\t') /* RFC 9112 7.1.1: blanks are bad, but must be understood */
		chunked->state = EXTENSION_BLANK;
	else
		return HTTP_FAULT_CHUNK_SIZE;
	return HTTP_FAULT_NONE;
}

static enum http_fault step_extension(struct http_chunked *chunked, char byte)
{
	if (chunked->state == EXTENSION && byte == '\r') {
		chunked->state = SIZE_END;
		return HTTP_FAULT_NONE;
	}
	if (++chunked->extension_bytes > HTTP_CHUNK_EXTENSION_MOST || ++chunked->extensions_bytes > HTTP_CHUNK_EXTENSIONS_MOST)
		return HTTP_FAULT_CHUNK_EXTENSION;
	if (chunked->state == EXTENSION)
		return http_byte_is(byte, BYTE_VALUE) ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_EXTENSION;
	if (byte == ';')
		chunked->state = EXTENSION;
	else if (byte != ' ' && byte != '\t')
		return HTTP_FAULT_CHUNK_EXTENSION;
	return HTTP_FAULT_NONE;
}

static enum http_fault step_trailer(struct http_chunked *chunked, char byte)
{
	if (++chunked->trailers_bytes > HTTP_TRAILERS_MOST)
		return HTTP_FAULT_TRAILERS_TOO_LARGE;
	switch (chunked->state) {
	case TRAILER:
		if (byte == '\r')
			chunked->state = LAST_END;
		else if (http_byte_is(byte, BYTE_TOKEN))
			chunked->state = TRAILER_NAME;
		else
			return HTTP_FAULT_TRAILER;
		return HTTP_FAULT_NONE;
	case TRAILER_NAME:
		if (byte == ':')
			chunked->state = TRAILER_VALUE;
		else if (!http_byte_is(byte, BYTE_TOKEN))
			return HTTP_FAULT_TRAILER;
		return HTTP_FAULT_NONE;
	case TRAILER_VALUE:
		if (byte == '\r')
			chunked->state = TRAILER_END;
		else if (!http_byte_is(byte, BYTE_VALUE))
			return HTTP_FAULT_TRAILER;
		return HTTP_FAULT_NONE;
	default: /* TRAILER_END */
		chunked->state = TRAILER;
		return byte == '\n' ? HTTP_FAULT_NONE : HTTP_FAULT_TRAILER;
	}
}

static enum http_fault step(struct http_chunked *chunked, char byte)
{
	switch (chunked->state) {
	case SIZE_FIRST:
	case SIZE:
		return step_size(chunked, byte);
	case EXTENSION_BLANK:
	case EXTENSION:
		return step_extension(chunked, byte);
	case SIZE_END:
		chunked->state = chunked->left == 0 ? TRAILER : DATA;
		chunked->digits = 0;
		return byte == '\n' ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_SIZE;
	case DATA_CR:
		chunked->state = DATA_LF;
		return byte == '\r' ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_END;
	case DATA_LF:
		chunked->state = SIZE_FIRST;
		return byte == '\n' ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_END;
	case LAST_END:
		chunked->state = ENDED;
		return byte == '\n' ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_END;
	default:
		return step_trailer(chunked, byte);
	}
}

/* ---- our own chunks ---------------------------------------------------------------------------------------------- */

size_t http_chunk_header(uint64_t size_bytes, char out[HTTP_CHUNK_HEADER_SIZE])
{
	unsigned digits = size_bytes == 0 ? 1 : (67 - (unsigned)__builtin_clzll(size_bytes)) / 4;
	for (unsigned i = digits; i-- > 0; size_bytes >>= 4)
		out[i] = "0123456789abcdef"[size_bytes & 15];
	out[digits] = '\r';
	out[digits + 1] = '\n';
	return digits + 2;
}
