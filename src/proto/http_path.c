/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One spelling for each path, for matching it (RFC 3986 6.2.2). What is forwarded is the path as it came. Pure, any thread.
 */
#include "proto/http_private.h"

/* One byte or percent-encoding of the input, in its one spelling. Returns the bytes it took, 0 when malformed. */
static size_t spell(struct span rest, char spelled[3], size_t *size, struct http_path *result)
{
	if (rest.start[0] != '%') {
		spelled[0] = rest.start[0];
		*size = 1;
		return 1;
	}
	int high = rest.size >= 3 ? http_hex_digit(rest.start[1]) : -1;
	int low = rest.size >= 3 ? http_hex_digit(rest.start[2]) : -1;
	int byte = high * 16 + low;
	if (high < 0 || low < 0 || byte == 0)
		return 0;
	if (http_byte_is((char)byte, BYTE_UNRESERVED)) {
		spelled[0] = (char)byte;
		*size = 1;
		return 3;
	}
	result->encoded_slash |= byte == '/' || byte == '\\';
	spelled[0] = '%';
	spelled[1] = "0123456789ABCDEF"[high];
	spelled[2] = "0123456789ABCDEF"[low];
	*size = 3;
	return 3;
}

/* Called when a segment is complete: removes it if it is "." or "..", the latter with the one before it (RFC 3986 5.2.4).
 * `segment` is where it starts, behind its '/'. Returns where the next text goes. */
static size_t end_segment(char *out, size_t segment, size_t size, struct http_path *result)
{
	size_t length = size - segment;
	if (length == 1 && out[segment] == '.')
		return segment;
	if (length != 2 || out[segment] != '.' || out[segment + 1] != '.')
		return size;
	if (segment == 1) {
		result->above_root = true;
		return segment;
	}
	for (segment--; out[segment - 1] != '/';)
		segment--;
	return segment;
}

enum http_fault http_path_normalise(struct span path, char *out, size_t out_size, struct http_path *result)
{
	*result = (struct http_path){0};
	if (out_size == 0 || (path.size > 0 && path.start[0] != '/'))
		return HTTP_FAULT_PATH;
	out[0] = '/';
	size_t size = 1, segment = 1;
	for (size_t at = 1; at < path.size;) {
		char spelled[3];
		size_t spelled_size, taken = spell(span_of(path.start + at, path.size - at), spelled, &spelled_size, result);
		if (taken == 0 || out_size - size < spelled_size)
			return HTTP_FAULT_PATH;
		at += taken;
		if (spelled[0] == '/') {
			size_t kept = end_segment(out, segment, size, result);
			bool removed = kept != size;
			size = segment = kept;
			if (removed)
				continue; /* its own '/' goes with it: the one before stays */
			result->empty_segment |= out[size - 1] == '/';
			if (out_size == size)
				return HTTP_FAULT_PATH;
			out[size++] = '/';
			segment = size;
			continue;
		}
		memcpy(out + size, spelled, spelled_size);
		size += spelled_size;
	}
	result->size = end_segment(out, segment, size, result);
	result->changed = !span_equal(span_of(out, result->size), path);
	return HTTP_FAULT_NONE;
}
