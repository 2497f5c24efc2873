/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of tls/ share with one another and with nobody else.
 */
#ifndef NOAH_TLS_PRIVATE_H
#define NOAH_TLS_PRIVATE_H

#include "tls/tls.h"

#include <openssl/ssl.h>

/* ---- bounds ----------------------------------------------------------------------------------------------------- */

#define TLS_FILE_MOST      (256u * 1024u) /* a chain, a key or an OCSP answer */
#define TLS_KEYRING_MOST   (64u << 20)
#define TLS_LISTENERS_MOST (CLUSTER_SITES_MOST * CLUSTER_LISTEN_MOST)
#define TLS_SECURITY_LEVEL 2 /* OpenSSL's: 112 bits, no RSA key below 2048, no SHA-1 */

/* ---- session tickets -------------------------------------------------------------------------------------------- */

/* RFC 5077, RFC 8446 4.6.1. A key makes tickets for TICKET_ROTATE_S and is good for twice as long; a ticket says that it lives
 * for TICKET_ROTATE_S, so it is never older than its key. The next key is known everywhere before it is used anywhere. */
#define TICKET_ROTATE_S 43200u
#define TICKET_KEYS     3u
enum { TICKET_PREVIOUS, TICKET_CURRENT, TICKET_NEXT };

struct ticket_key {
	uint8_t name[16];
	uint8_t cipher[32]; /* AES-256-CBC */
	uint8_t mac[32];    /* HMAC-SHA256 */
};

struct ticket_keys {
	uint64_t rotate_at_s; /* wall clock */
	struct ticket_key keys[TICKET_KEYS];
};

void ticket_keys_make(struct ticket_keys *keys, uint64_t now_s);
/* True when they have changed. */
bool ticket_keys_rotate(struct ticket_keys *keys, uint64_t now_s);

/* ---- the keyring, as it lies in the memory file (keyring.c) ------------------------------------------------------ */

/* Plain data without pointers; texts and bytes are offsets from its start. */
#define KEYRING_MAGIC   0x6b657973u
#define KEYRING_VERSION 1u

struct keyring_bytes {
	uint32_t at, size;
};

struct keyring_certificate {
	uint64_t identity;          /* of all that follows: equal ones are the same */
	struct keyring_bytes chain; /* DER, the leaf first, each with its size (32 bits) before it */
	struct keyring_bytes key;   /* DER, PKCS #8 */
	struct keyring_bytes ocsp;  /* DER; size 0: none */
	uint8_t self_signed;
	uint8_t zero[7];
};

struct keyring_site {
	char name[CLUSTER_NAME_SIZE];
	uint32_t least; /* 12 or 13 */
	uint32_t name_count;
	struct keyring_bytes names; /* each with a zero byte behind it */
	uint32_t listen_count;
	struct address listen[CLUSTER_LISTEN_MOST];
	uint32_t certificate_count;
	struct keyring_certificate certificates[CLUSTER_CERTIFICATES_MOST];
};

struct keyring {
	uint32_t magic;
	uint32_t version;
	uint32_t size; /* of all */
	uint32_t site_count;
	struct ticket_keys tickets;
	struct keyring_site sites[CLUSTER_SITES_MOST];
};

/* Bytes of a mapped keyring: checked by keyring_map to lie within it. */
static inline struct span keyring_span(const struct keyring *keyring, struct keyring_bytes bytes)
{
	return span_of((const char *)keyring + bytes.at, bytes.size);
}

/* A keyring being put together. */
struct keyring_maker {
	struct keyring *keyring;
	size_t room;
	bool failed; /* out of memory, or larger than TLS_KEYRING_MOST */
};
void keyring_maker_init(struct keyring_maker *maker);
struct keyring_bytes keyring_maker_add(struct keyring_maker *maker, const void *bytes, size_t size);
/* The sealed memory file or -errno; frees what was put together. */
int keyring_maker_seal(struct keyring_maker *maker) MUST_CHECK;

/* ---- one certificate (certificate.c, ocsp.c, self_signed.c) ------------------------------------------------------ */

/* A chain with its key, read and checked. */
struct certificate {
	char *chain; /* as in the keyring */
	size_t chain_size;
	unsigned char *key;
	size_t key_size;
	X509 *leaf;
	X509 *issuer;    /* the one above it, NULL when the chain has none */
	bool disordered; /* a certificate of the chain was not issued by the next one */
};

/* Of PEM texts; `key_text` may be the same as `chain_text`. False: *why says what is wrong. */
bool certificate_parse(struct certificate *certificate, struct span chain_text, struct span key_text, char *why,
                       size_t why_size) MUST_CHECK;
/* Of what a keyring has. */
bool certificate_from_keyring(struct certificate *certificate, struct span chain, struct span key) MUST_CHECK;
/* The certificates of a chain as it stands in a keyring, in `libraries` (NULL: the process's). Takes the next one off *chain;
 * NULL: there is none, or it is spoiled. */
X509 *certificate_next(struct span *chain, OSSL_LIB_CTX *libraries) MUST_CHECK;
/* Of noah's own making (self_signed.c), good for a year. `names` of a site, each with a zero byte behind it. False: out of
 * memory. */
bool certificate_make(struct certificate *certificate, struct span names, uint64_t now_s) MUST_CHECK;
void certificate_clear(struct certificate *certificate);
uint64_t certificate_not_before_s(const struct certificate *certificate);
uint64_t certificate_not_after_s(const struct certificate *certificate);
void certificate_describe(const struct certificate *certificate, struct tls_description *out);
/* A site's name, "*.example.com" included; "*" is never asked for. */
bool certificate_covers(X509 *leaf, const char *name);

/* Whether `answer` (DER) is a good and valid one for this certificate; *until_s is when it runs out. */
bool ocsp_check(const struct certificate *certificate, struct span answer, uint64_t now_s, uint64_t *until_s, char *why,
                size_t why_size) MUST_CHECK;

/* ---- what outlives a reload (keeper.c) ---------------------------------------------------------------------------- */

#define KEEPER_OWN_MOST (2u * CLUSTER_SITES_MOST) /* of two generations; the oldest goes */
#define OWN_RENEW_S     (30u * 86400u)            /* a certificate of noah's own making is made again so long before its end */

struct tls_keeper {
	struct ticket_keys tickets;
	unsigned own_next;
	struct {
		uint64_t identity; /* of the site's names; 0: free */
		struct certificate certificate;
	} own[KEEPER_OWN_MOST];
};
/* The certificate that noah makes for a site of these names, made now if there is none that lasts. *certificate is a copy. False:
 * out of memory. */
bool keeper_own_certificate(struct tls_keeper *keeper, struct span names, uint64_t now_s,
                            struct certificate *certificate) MUST_CHECK;
/* The next name of a site's; NULL: that was the last. */
const char *packed_name_next(struct span *names) MUST_CHECK;

/* ---- names of sites (names.c) ------------------------------------------------------------------------------------ */

/* Which number belongs to a name: exact before wildcard, longer wildcard before shorter, "*" last; of equal ones the first. */
struct tls_names;
struct tls_names *tls_names_new(unsigned most) MUST_CHECK; /* NULL: out of memory */
void tls_names_free(struct tls_names *names);
/* At most `most` calls; `name` is borrowed for as long as the table lives. */
void tls_names_add(struct tls_names *names, const char *name, unsigned value);
/* -1: none. `name` in lower case. */
int tls_names_find(const struct tls_names *names, struct span name);

/* ---- contexts (context.c) ------------------------------------------------------------------------------------------ */

/* What a site's context belongs to: on the context, and gone with it. */
struct shown {
	const struct tls_core *core;
	uint64_t identity; /* equal ones are the same context */
	char site[CLUSTER_NAME_SIZE];
	unsigned least; /* 12 or 13 */
	unsigned count;
	struct {
		X509 *leaf;
		unsigned char *ocsp; /* NULL: none */
		size_t ocsp_size;
	} certificates[CLUSTER_CERTIFICATES_MOST];
};

/* What all connections of one listener begin with, until the name they ask for is known: on the entry's context, and gone with
 * it. */
struct entry {
	const struct tls_core *core;
	struct tls_names *names; /* the number of a context */
	char *name_bytes;
	unsigned count;
	SSL_CTX **contexts; /* a reference each; the first is for those who ask for no name that is known */
};

struct tls_core {
	OSSL_LIB_CTX *libraries; /* OpenSSL's algorithms and random numbers, with its locks: shared with no other core */
	EVP_CIPHER *ticket_cipher;
	struct ticket_keys tickets;
	uint64_t identity; /* of the keyring in force, without the ticket keys */
	unsigned listener_count, listener_room;
	struct core_listener {
		struct address address;
		SSL_CTX *context; /* with an entry */
	} * listeners;
	unsigned context_count, context_room;
	SSL_CTX **contexts; /* of sites: those that the next keyring has too are used again */
};

/* A context for those of the site's certificates that `mask` has bits of. NULL: out of memory, or OpenSSL does not take them
 * (logged). */
SSL_CTX *context_new(const struct tls_core *core, const struct keyring *keyring, const struct keyring_site *site, unsigned mask,
                     uint64_t identity) MUST_CHECK;
/* Takes over `entry`, also when it fails. */
SSL_CTX *context_new_entry(struct entry *entry) MUST_CHECK;
struct shown *context_shown(const SSL_CTX *context); /* NULL: an entry's */
void entry_free(struct entry *entry);                /* only of one that has no context yet */

#endif
