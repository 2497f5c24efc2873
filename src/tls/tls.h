/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tls: which certificate a visitor is shown, and all that it needs.
 *
 * The supervisor reads the files, looks whether they change, makes self-signed certificates and the keys of session tickets (a
 * keeper and its sets), and puts everything into a keyring: a sealed memory file. Traffic maps keyrings and makes contexts of
 * them, one core for each thread, which share nothing. The handshake itself is net's (stream_secure).
 */
#ifndef NOAH_TLS_H
#define NOAH_TLS_H

#include "cluster/cluster.h"
#include "net/net.h"

/* ---- in traffic: contexts (core.c) ----------------------------------------------------------------------------- */

struct keyring; /* a mapped keyring; may be read by several threads */
/* Maps one read-only and checks it. The descriptor may be closed afterwards. NULL: it is not a keyring of this version. */
const struct keyring *keyring_map(int descriptor) MUST_CHECK;
void keyring_unmap(const struct keyring *keyring); /* NULL is allowed */

struct tls_core;                                /* one for each thread; all calls come from that thread */
struct tls_core *tls_core_new(void) MUST_CHECK; /* NULL: out of memory */
/* From now on handshakes go by this keyring, which may be unmapped afterwards; connections that are open keep what they have.
 * False: out of memory, or something of it cannot be used (logged): the keyring before stays in force. */
bool tls_core_use(struct tls_core *core, const struct keyring *keyring) MUST_CHECK;
/* For stream_secure, until the next tls_core_use. NULL: no site has a certificate for this listener. */
struct ssl_ctx_st *tls_core_context(const struct tls_core *core, const struct address *listener);
/* After all streams that used its contexts are closed. NULL is allowed. */
void tls_core_free(struct tls_core *core);

/* Whether `host` (lower case, without port), which `site` serves, may be served on this connection (RFC 9110 7.4; else 421):
 * always when the visitor named no name in the handshake, or one of the same site, or when the certificate that he was shown is
 * good for the host too. Cheap where the host is the name of the handshake. */
bool tls_may_serve(const struct stream *stream, const char *site, struct span host);

/* ---- in the supervisor and the commands: files (keeper.c, set.c) ------------------------------------------------ */

/* One line each, like "sites.example.com.certificate: /etc/x.pem: its key does not belong to it". */
#define TLS_MESSAGES_MOST 64u
struct tls_messages {
	unsigned count, left_out;
	unsigned errors; /* of all, also of those left out */
	struct {
		bool error; /* otherwise a warning */
		char text[512];
	} lines[TLS_MESSAGES_MOST];
};

/* What outlives a reload: keys of tickets, and certificates that noah made. */
struct tls_keeper;
struct tls_keeper *tls_keeper_new(uint64_t now_s) MUST_CHECK; /* NULL: out of memory */
void tls_keeper_free(struct tls_keeper *keeper);              /* NULL is allowed */
/* Takes ticket keys and certificates that noah made over from a keyring of the program before (`noah upgrade`). False: it is
 * none. */
bool tls_keeper_inherit(struct tls_keeper *keeper, int keyring) MUST_CHECK;

/* The certificates of one cluster file: those of the sites that this server runs, or of all sites while it is not known which
 * server this is. */
struct tls_set;
/* Reads all files. Expired certificates and names that a certificate does not cover are warnings, all else is an error: NULL.
 * `messages` is cleared first. Times are the wall clock's. */
struct tls_set *tls_set_load(struct tls_keeper *keeper, const struct cluster *cluster, uint64_t now_s,
                             struct tls_messages *messages) MUST_CHECK;
void tls_set_free(struct tls_set *set);           /* NULL is allowed */
bool tls_set_is_empty(const struct tls_set *set); /* no site has a certificate */
/* A sealed memory file for traffic, the caller's; -errno when the kernel refuses. */
int tls_set_seal(const struct tls_set *set) MUST_CHECK;
/* Looks whether files have changed, a ticket key is due, an OCSP answer or a self-signed certificate runs out. True: a new
 * keyring should be sealed and sent. A file that has gone bad changes nothing; the description warns. What happened is logged. */
bool tls_set_look(struct tls_set *set, uint64_t now_s) MUST_CHECK;

/* A certificate in words, for `noah status`. */
#define TLS_WARN_BEFORE_S (14u * 86400u)
struct tls_description {
	const char *site;
	const char *file; /* "" when noah made it */
	char names[512];  /* "www.example.com, *.example.org" */
	char issuer[160];
	char key[32]; /* "ECDSA P-256", "RSA 2048" */
	uint64_t not_after_s;
	bool self_signed;  /* made by noah */
	bool stapled;      /* an OCSP answer goes along */
	char warning[512]; /* "" when all is well; runs out within TLS_WARN_BEFORE_S, the file has gone bad, … */
};
/* Number `index` of the set; false when there are no more. */
bool tls_set_describe(const struct tls_set *set, unsigned index, uint64_t now_s, struct tls_description *out) MUST_CHECK;

#endif
