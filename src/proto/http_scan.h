/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Finding the first byte of some kind, sixteen at a time: most of the time that parsing a head takes goes into this. Written with
 * the compiler's vectors, so that it is SSE2 on x86-64 and NEON on arm64. Never reads at or behind `end`. Only for http_head.c
 * and http_request.c; the tables of http.c say the same, and the tests compare them.
 */
#ifndef NOAH_PROTO_HTTP_SCAN_H
#define NOAH_PROTO_HTTP_SCAN_H

#include "proto/http_private.h"

typedef uint8_t http_lane __attribute__((vector_size(16)));

static inline http_lane http_lane_load(const char *at)
{
	http_lane lane;
	memcpy(&lane, at, sizeof(lane));
	return lane;
}

/* The index of the first byte that is not zero, each being 0 or 0xff; 16 when all are. */
static inline size_t http_lane_first(http_lane marks)
{
	uint64_t halves[2];
	memcpy(halves, &marks, sizeof(halves));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	if (halves[0] != 0)
		return (size_t)__builtin_ctzll(halves[0]) / 8;
	return halves[1] != 0 ? 8 + (size_t)__builtin_ctzll(halves[1]) / 8 : 16;
#else
	if (halves[0] != 0)
		return (size_t)__builtin_clzll(halves[0]) / 8;
	return halves[1] != 0 ? 8 + (size_t)__builtin_clzll(halves[1]) / 8 : 16;
#endif
}

#define HTTP_LANE_IS(lane, byte) ((http_lane)((lane) == (uint8_t)(byte)))

/* Goes from `at` over whole lanes while none of their bytes is marked; what is shorter than a lane goes byte by byte. */
#define HTTP_SCAN(at, end, marks_of_lane, still_allowed)   \
	do {                                                   \
		while ((end) - (at) >= 16) {                       \
			http_lane lane = http_lane_load(at);           \
			size_t first = http_lane_first(marks_of_lane); \
			(at) += first;                                 \
			if (first < 16)                                \
				return (at);                               \
		}                                                  \
		while ((at) < (end) && (still_allowed))            \
			(at)++;                                        \
		return (at);                                       \
	} while (0)

/* The first byte that cannot stand in a field value (BYTE_VALUE): a control other than HTAB. */
static inline const char *http_scan_value(const char *at, const char *end)
{
	HTTP_SCAN(at, end, ((http_lane)(lane < 0x20) & ~HTTP_LANE_IS(lane, '\t')) | HTTP_LANE_IS(lane, 0x7f),
	          http_byte_is(*at, BYTE_VALUE));
}

/* The first byte that is no letter, digit or '-', of which nearly all names are. Near the end it may also go over other token
 * bytes, but never over '_'. */
static inline const char *http_scan_name(const char *at, const char *end)
{
	HTTP_SCAN(at, end, (http_lane)(((lane | 0x20) - 'a') > 'z' - 'a') & (http_lane)((lane - '0') > 9) & ~HTTP_LANE_IS(lane, '-'),
	          http_byte_is(*at, BYTE_TOKEN) && *at != '_');
}

/* The first byte that cannot stand in the target before '?' (BYTE_PATH). */
static inline const char *http_scan_path(const char *at, const char *end)
{
	HTTP_SCAN(at, end,
	          (http_lane)((lane - 0x21) > 0x7e - 0x21) | HTTP_LANE_IS(lane, '?') | HTTP_LANE_IS(lane, '\\') |
	              HTTP_LANE_IS(lane, '"') | HTTP_LANE_IS(lane, '#') | HTTP_LANE_IS(lane, '<') | HTTP_LANE_IS(lane, '>'),
	          http_byte_is(*at, BYTE_PATH));
}

/* The first byte that cannot stand in the target behind '?' (BYTE_QUERY). */
static inline const char *http_scan_query(const char *at, const char *end)
{
	HTTP_SCAN(at, end,
	          (http_lane)((lane - 0x21) > 0x7e - 0x21) | HTTP_LANE_IS(lane, '"') | HTTP_LANE_IS(lane, '#') |
	              HTTP_LANE_IS(lane, '<') | HTTP_LANE_IS(lane, '>'),
	          http_byte_is(*at, BYTE_QUERY));
}

#endif
