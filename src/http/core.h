/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What one traffic thread has for all of its visitors (http_core), and what it has of each connection (http_client). Part of
 * exchange.h.
 */
#ifndef NOAH_HTTP_CORE_H
#define NOAH_HTTP_CORE_H

#include "files/files.h"
#include "http/http.h"
#include "net/net.h"
#include "proto/http.h"
#include "upstream/upstream.h"

/* ---- the core ------------------------------------------------------------------------------------------------- */

struct http_log;
struct http_routes;

#define HTTP_CORE_MAGIC 0x68636f72u
struct http_core {
	uint32_t magic;
	bool draining; /* answers say "Connection: close", and nothing is pooled */
	bool ending;   /* and who has nothing under way is disconnected */
	struct loop *loop;
	struct board_lane *lane;
	struct upstream_core upstream;
	const struct tls_core *tls; /* NULL: no TLS listener yet */
	struct http_routes *routes; /* in force; NULL before the first http_core_use */
	struct guard *guard;        /* NULL: the file in force limits nothing that addresses do */
	struct guard *guard_table;  /* NULL: there is none */
	unsigned guard_lane;
	unsigned refused_count; /* connections that are being told why */
	struct http_log *log;
	struct list clients;
	struct list upgrades;  /* visitors' connections that have become tunnels */
	unsigned client_count; /* both */
	unsigned listener_count;
	struct address *listeners; /* those that a connection ever came from */
	struct http_date date;
	uint64_t wall_offset_us, wall_offset_second; /* wall clock less loop clock, looked up once a second */
	struct files_core *files;
	struct http_compressors *compressors; /* compress.h; NULL before the first compressed answer */
	struct http_auth *auth;               /* auth.h; NULL before the first password */
};

/* The wall clock as of this turn of the loop. */
uint64_t http_core_wall_us(struct http_core *core);

/* ---- a visitor's connection (connection.c) ----------------------------------------------------------------------- */

#define HTTP_ADDRESS_TEXT_SIZE 46u /* an IPv6 address and its zero */

/* Where a visitor is. Two are the same when ip and family are; without pointers, to be copied as it is. (origin.c) */
struct http_origin {
	uint8_t ip[16]; /* network order, IPv4 as ::ffff:a.b.c.d; all zero when it has none (a Unix socket) */
	uint8_t family; /* enum address_family */
	uint8_t text_size;
	char text[HTTP_ADDRESS_TEXT_SIZE]; /* without port, zero-terminated */
};
void http_origin_set(struct http_origin *origin, const struct address *address);
/* A Unix socket is in no network. */
bool http_origin_is_in(const struct http_origin *origin, const struct cluster_networks *networks) MUST_CHECK;
/* As it came, without port: family ADDRESS_NONE when it has none that counts. */
void http_origin_address(const struct http_origin *origin, struct address *address);
static inline struct span http_origin_text(const struct http_origin *origin)
{
	return span_of(origin->text, origin->text_size);
}

/* All that an idle connection costs besides the socket. */
#define HTTP_CLIENT_MAGIC 0x68636c69u
struct http_client {
	uint32_t magic;
	uint16_t listener; /* index into core->listeners */
	bool parked;
	bool insecure;             /* the TLS handshake is still to come */
	bool unannounced;          /* a front end's PROXY header is still to come, before anything else */
	bool announced;            /* he comes through a front end that announces its visitors so */
	bool told_secure;          /* and says that he came to it with TLS */
	bool counted;              /* among his address's connections (guard.c) */
	bool refused;              /* he has too many, and is being told so */
	struct http_origin origin; /* his address, or what a front end told in a PROXY header */
	struct http_core *core;
	struct h2_connection *h2; /* h2.h; NULL: he speaks HTTP/1.1 */
	struct list link;         /* core->clients */
	size_t spool_bytes;       /* of memory that waits for him: spools of his requests and answers */
	struct stream stream;
};

#endif
