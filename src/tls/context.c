/* SPDX-License-Identifier: BSD-2-Clause
 *
 * context: OpenSSL's contexts as noah wants them: modern protocols and ciphers only, certificates by the name that a visitor asks
 * for, session tickets under keys that rotate, ALPN, stapled OCSP answers. On traffic's threads; made by core.c, used by
 * stream_secure.
 *
 * A connection begins with its listener's entry, which has no certificate; its ClientHello decides on the site's context (SNI,
 * RFC 6066 3). Tickets belong to the entry, so they are good for every site that the listener has; OpenSSL resumes only for the
 * same name.
 */
#include "tls/tls_private.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

/* TLS 1.2: forward secrecy and AEAD only. Who is fast with AES gets AES; who lists ChaCha20 first, because he is not, gets that
 * (SSL_OP_PRIORITIZE_CHACHA). */
#define CIPHERS_12                                                                                                         \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS     "X25519:P-256"
#define OPTIONS    (SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA)
#define TICKETS    1 /* for each handshake: every resumption brings a new one */

static int shown_index, entry_index;

static void shown_release(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *argument)
{
	struct shown *shown = pointer;
	for (unsigned i = 0; shown != NULL && i < shown->count; i++) {
		X509_free(shown->certificates[i].leaf);
		free(shown->certificates[i].ocsp);
	}
	free(shown);
	(void)parent, (void)data, (void)index, (void)number, (void)argument;
}

void entry_free(struct entry *entry)
{
	if (entry == NULL)
		return;
	for (unsigned i = 0; i < entry->count; i++)
		SSL_CTX_free(entry->contexts[i]);
	free(entry->contexts);
	tls_names_free(entry->names);
	free(entry->name_bytes);
	free(entry);
}

static void entry_release(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *argument)
{
	entry_free(pointer);
	(void)parent, (void)data, (void)index, (void)number, (void)argument;
}

static void make_indexes(void)
{
	shown_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, shown_release);
	entry_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, entry_release);
	ASSERT(shown_index >= 0 && entry_index >= 0);
}

struct shown *context_shown(const SSL_CTX *context)
{
	return SSL_CTX_get_ex_data(context, shown_index);
}

/* ---- what OpenSSL asks during a handshake ----------------------------------------------------------------------------- */

/* The name in a server_name extension (RFC 6066 3), in lower case; empty: there is none that could be a site's. */
static struct span name_asked_for(SSL *ssl, char lower[CLUSTER_HOST_SIZE])
{
	const unsigned char *bytes;
	size_t size;
	/* list length (2), type 0 (1), name length (2), name: the list has one name in practice, and OpenSSL takes no other */
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) != 1 || size < 5 || bytes[2] != 0)
		return span_of(NULL, 0);
	size_t name_size = (size_t)bytes[3] << 8 | bytes[4];
	if (name_size > size - 5 || name_size >= CLUSTER_HOST_SIZE)
		return span_of(NULL, 0);
	for (size_t i = 0; i < name_size; i++)
		lower[i] = (char)(bytes[5 + i] >= 'A' && bytes[5 + i] <= 'Z' ? bytes[5 + i] - 'A' + 'a' : bytes[5 + i]);
	return span_of(lower, name_size);
}

static int on_client_hello(SSL *ssl, int *alert, void *argument)
{
	const struct entry *entry = argument;
	char lower[CLUSTER_HOST_SIZE];
	struct span name = name_asked_for(ssl, lower);
	int number = tls_names_find(entry->names, name); /* none: "*", if there is such a site */
	SSL_CTX *context = entry->contexts[number < 0 ? 0 : number];
	if (SSL_set_SSL_CTX(ssl, context) == NULL ||
	    (context_shown(context)->least == 13 && SSL_set_min_proto_version(ssl, TLS1_3_VERSION) != 1)) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* The choice is made; this says that the name was heard. */
static int on_server_name(SSL *ssl, int *alert, void *argument)
{
	(void)ssl, (void)alert, (void)argument;
	return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301: our preference; who offers only what we do not speak is told so. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *offered,
                   unsigned offered_size, void *argument)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned char *chosen;
	(void)ssl, (void)argument;
	if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* RFC 6066 8: for the certificate that was chosen. OpenSSL frees the copy. */
static int on_status(SSL *ssl, void *argument)
{
	const struct shown *shown = context_shown(SSL_get_SSL_CTX(ssl));
	const X509 *leaf = SSL_get_certificate(ssl);
	(void)argument;
	for (unsigned i = 0; shown != NULL && i < shown->count; i++) {
		if (shown->certificates[i].leaf != leaf || shown->certificates[i].ocsp == NULL)
			continue;
		unsigned char *copy = OPENSSL_memdup(shown->certificates[i].ocsp, shown->certificates[i].ocsp_size);
		if (copy == NULL)
			break;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)shown->certificates[i].ocsp_size);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static bool ticket_init(const struct tls_core *core, const struct ticket_key *key, const unsigned char *start,
                        EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool make)
{
	char digest[] = "SHA256";
	uint8_t secret[sizeof key->mac];
	memcpy(secret, key->mac, sizeof secret);
	OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret),
	                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
	bool good = EVP_CipherInit_ex(cipher, core->ticket_cipher, NULL, key->cipher, start, make) == 1 &&
	            EVP_MAC_CTX_set_params(mac, parameters) == 1;
	OPENSSL_cleanse(secret, sizeof secret);
	return good;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1: done; 2: the ticket is good, give a newer one; 0: it is not; -1: cannot. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *start, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int make)
{
	const struct shown *shown = context_shown(SSL_get_SSL_CTX(ssl));
	if (shown == NULL) /* before the ClientHello: cannot be */
		return -1;
	const struct tls_core *core = shown->core;
	if (make) {
		const struct ticket_key *key = &core->tickets.keys[TICKET_CURRENT];
		if (RAND_bytes_ex(core->libraries, start, EVP_CIPHER_get_iv_length(core->ticket_cipher), 0) != 1)
			return -1;
		memcpy(name, key->name, sizeof key->name);
		return ticket_init(core, key, start, cipher, mac, true) ? 1 : -1;
	}
	for (unsigned i = 0; i < TICKET_KEYS; i++) {
		const struct ticket_key *key = &core->tickets.keys[i];
		if (memcmp(name, key->name, sizeof key->name) == 0)
			return !ticket_init(core, key, start, cipher, mac, false) ? -1 : i == TICKET_PREVIOUS ? 2 : 1;
	}
	return 0;
}

/* ---- making them ------------------------------------------------------------------------------------------------------- */

static SSL_CTX *common(const struct tls_core *core, const char *session_id)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_indexes);
	SSL_CTX *context = SSL_CTX_new_ex(core->libraries, NULL, TLS_server_method());
	if (context == NULL)
		return NULL;
	SSL_CTX_set_security_level(context, TLS_SECURITY_LEVEL);
	SSL_CTX_set_options(context, OPTIONS);
	SSL_CTX_set_mode(context,
	                 SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN); /* chains are complete as they are in the file */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(context, TICKET_ROTATE_S);
	SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	SSL_CTX_set_tlsext_status_cb(context, on_status);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(context, CIPHERS_12) == 1 &&
	    SSL_CTX_set_ciphersuites(context, CIPHERS_13) == 1 && SSL_CTX_set1_groups_list(context, (char *)(uintptr_t)GROUPS) == 1 &&
	    SSL_CTX_set_num_tickets(context, TICKETS) == 1 &&
	    SSL_CTX_set_session_id_context(context, (const unsigned char *)session_id,
	                                   (unsigned)strnlen(session_id, SSL_MAX_SID_CTX_LENGTH)) == 1)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

static bool add_certificate(SSL_CTX *context, struct shown *shown, const struct keyring *keyring,
                            const struct keyring_certificate *from)
{
	struct span chain = keyring_span(keyring, from->chain), key_bytes = keyring_span(keyring, from->key),
	            ocsp = keyring_span(keyring, from->ocsp);
	const unsigned char *der = (const unsigned char *)key_bytes.start;
	OSSL_LIB_CTX *libraries = shown->core->libraries;
	EVP_PKEY *key = d2i_AutoPrivateKey_ex(NULL, &der, (long)key_bytes.size, libraries, NULL);
	STACK_OF(X509) *above = sk_X509_new_null();
	X509 *leaf = certificate_next(&chain, libraries), *next;
	bool good = key != NULL && above != NULL && leaf != NULL;
	while (good && (next = certificate_next(&chain, libraries)) != NULL) {
		good = sk_X509_push(above, next) > 0;
		if (!good)
			X509_free(next);
	}
	/* The last argument: in place of one of the same kind of key. */
	good = good && chain.size == 0 && SSL_CTX_use_cert_and_key(context, leaf, key, above, 1) == 1;
	if (good) {
		unsigned i = shown->count++;
		X509_up_ref(leaf);
		shown->certificates[i].leaf = leaf;
		if (ocsp.size > 0 && (shown->certificates[i].ocsp = malloc(ocsp.size)) != NULL) {
			memcpy(shown->certificates[i].ocsp, ocsp.start, ocsp.size);
			shown->certificates[i].ocsp_size = ocsp.size;
		}
	}
	sk_X509_pop_free(above, X509_free);
	X509_free(leaf);
	EVP_PKEY_free(key);
	return good;
}

SSL_CTX *context_new(const struct tls_core *core, const struct keyring *keyring, const struct keyring_site *site, unsigned mask,
                     uint64_t identity)
{
	SSL_CTX *context = common(core, site->name);
	struct shown *shown = calloc(1, sizeof *shown);
	bool good = context != NULL && shown != NULL && SSL_CTX_set_ex_data(context, shown_index, shown) == 1;
	if (!good) {
		free(shown);
		SSL_CTX_free(context);
		ERR_clear_error();
		return NULL;
	}
	shown->core = core;
	shown->identity = identity;
	shown->least = site->least;
	memcpy(shown->site, site->name, sizeof shown->site);
	good = site->least != 13 || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1;
	for (unsigned i = 0; i < site->certificate_count && good; i++)
		good = (mask >> i & 1) == 0 || add_certificate(context, shown, keyring, &site->certificates[i]);
	if (good)
		return context;
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	log_write(LOG_ERROR, "a certificate of site %s cannot be used: %s", site->name, reason != NULL ? reason : "out of memory");
	ERR_clear_error();
	SSL_CTX_free(context);
	return NULL;
}

SSL_CTX *context_new_entry(struct entry *entry)
{
	SSL_CTX *context = common(entry->core, "noah");
	if (context == NULL || SSL_CTX_set_ex_data(context, entry_index, entry) != 1) {
		entry_free(entry);
		SSL_CTX_free(context);
		ERR_clear_error();
		return NULL;
	}
	SSL_CTX_set_client_hello_cb(context, on_client_hello, entry);
	return context;
}
