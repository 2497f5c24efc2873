/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files that noah sends itself: what the static*.c share.
 *
 *    static.c         which file is meant, and what becomes of a request for one that is not here
 *    static_choose.c  the file as it is, or a coded one that lies beside it
 *    static_answer.c  conditions, ranges, the fields of the answer
 *    static_send.c    the bytes
 *    static_try.c     other servers that may have what is missing here
 */
#ifndef NOAH_HTTP_STATIC_H
#define NOAH_HTTP_STATIC_H

#include "http/http_private.h"

#define STATIC_DISK_MS     15000           /* how long a disk may take for one answer */
#define STATIC_PIECE_BYTES NET_BUFFER_SIZE /* read at once, where the kernel cannot send by itself */

/* What is sent. */
struct static_found {
	struct files_file *file; /* a reference */
	struct span name;        /* of the file that was asked for, below the root */
	const char *media;
	bool compressible;
	struct span coding; /* Content-Encoding; empty: as it is */
	bool varies;        /* another visitor would get it coded in another way */
};

/* Opens the file of this name below exchange->files. */
enum files_result static_open(struct http_exchange *exchange, struct span name, struct files_file **file) MUST_CHECK;
/* What it means for the exchange that this went wrong. */
enum http_outcome static_outcome(struct http_exchange *exchange, enum files_result result) MUST_CHECK;

/* Exchanges found->file for a coded one beside it that the visitor likes better. (static_choose.c) */
enum http_outcome static_choose(struct http_exchange *exchange, struct static_found *found) MUST_CHECK;

/* The whole answer. OUTCOME_FILE, also for 304, 206, 412, 416; or why it could not be given. (static_answer.c) */
enum http_outcome static_answer(struct http_exchange *exchange, const struct static_found *found) MUST_CHECK;

/* Bytes of noah's own, and of the file, with the answer's head before them if it has not gone out yet; `last`: that was all.
 * OUTCOME_OK, or why it cannot go on. Both wait. (static_send.c) */
enum http_outcome static_send_text(struct http_exchange *exchange, struct span text, bool last) MUST_CHECK;
enum http_outcome static_send_file(struct http_exchange *exchange, struct files_file *file, uint64_t offset, uint64_t size,
                                   bool last) MUST_CHECK;
/* All of the file through the answer's compressor. */
enum http_outcome static_send_coded(struct http_exchange *exchange, struct files_file *file) MUST_CHECK;

/* Asks others for what is not here. OUTCOME_NOT_FOUND: nobody has it. (static_try.c) */
enum http_outcome static_try(struct http_exchange *exchange) MUST_CHECK;

#endif
