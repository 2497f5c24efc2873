/* SPDX-License-Identifier: BSD-2-Clause
 *
 * certificate: one chain and its key: from PEM to what a keyring holds, whether the two belong together and OpenSSL will use
 * them, and what they say in words. Runs in the supervisor and in `noah check`; traffic only takes chains apart again.
 */
#include "tls/tls_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define CHAIN_MOST 10u /* certificates */

static const char *library_reason(void)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);
	return reason != NULL ? reason : "OpenSSL does not say why";
}

/* ---- chains -------------------------------------------------------------------------------------------------------- */

/* Each certificate in DER behind its size. */
static bool chain_append(struct certificate *certificate, X509 *next)
{
	unsigned char *der = NULL;
	int size = i2d_X509(next, &der);
	char *grown = size <= 0 ? NULL : realloc(certificate->chain, certificate->chain_size + sizeof(uint32_t) + (size_t)size);
	if (grown != NULL) {
		uint32_t size_bytes = (uint32_t)size;
		memcpy(grown + certificate->chain_size, &size_bytes, sizeof size_bytes);
		memcpy(grown + certificate->chain_size + sizeof size_bytes, der, size_bytes);
		certificate->chain = grown;
		certificate->chain_size += sizeof size_bytes + size_bytes;
	}
	OPENSSL_free(der);
	return grown != NULL;
}

X509 *certificate_next(struct span *chain, OSSL_LIB_CTX *libraries)
{
	uint32_t size;
	if (chain->size < sizeof size)
		return NULL;
	memcpy(&size, chain->start, sizeof size);
	if (size > chain->size - sizeof size)
		return NULL;
	const unsigned char *der = (const unsigned char *)chain->start + sizeof size;
	*chain = span_of(chain->start + sizeof size + size, chain->size - sizeof size - size);
	X509 *x509 = X509_new_ex(libraries, NULL);
	if (x509 != NULL && d2i_X509(&x509, &der, (long)size) != NULL)
		return x509;
	X509_free(x509); /* NULL already where d2i failed */
	return NULL;
}

/* Takes over `next`. */
static bool chain_add(struct certificate *certificate, X509 *next, X509 *before)
{
	bool added = chain_append(certificate, next);
	if (before != NULL && X509_check_issued(next, before) != X509_V_OK)
		certificate->disordered = true;
	if (certificate->leaf == NULL)
		certificate->leaf = X509_dup(next);
	else if (certificate->issuer == NULL && X509_check_issued(next, certificate->leaf) == X509_V_OK)
		certificate->issuer = X509_dup(next);
	return added && certificate->leaf != NULL;
}

static bool parse_chain(struct certificate *certificate, struct span text, char *why, size_t why_size)
{
	BIO *bio = BIO_new_mem_buf(text.start, (int)text.size);
	X509 *next, *before = NULL;
	unsigned count = 0;
	bool good = bio != NULL;

	while (good && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		good = count++ < CHAIN_MOST && chain_add(certificate, next, before);
		X509_free(before);
		before = next;
	}
	X509_free(before);
	BIO_free(bio);
	/* The text's end is no fault, a block that is spoiled is. */
	unsigned long error = ERR_peek_last_error();
	if (good && error != 0 && ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
		snprintf(why, why_size, "certificate number %u cannot be read: %s", count + 1, library_reason());
		good = false;
	} else if (count > CHAIN_MOST) {
		snprintf(why, why_size, "more than %u certificates in it", CHAIN_MOST);
	} else if (count == 0) {
		snprintf(why, why_size, "no certificate in it (PEM: -----BEGIN CERTIFICATE-----)");
	} else if (!good) {
		snprintf(why, why_size, "out of memory");
	}
	ERR_clear_error();
	return good && count > 0;
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static int no_password(char *out, int size, int writing, void *asked)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static EVP_PKEY *parse_key(struct span text, char *why, size_t why_size)
{
	bool asked = false;
	BIO *bio = BIO_new_mem_buf(text.start, (int)text.size);
	EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
	unsigned long error = ERR_peek_last_error();

	BIO_free(bio);
	if (key == NULL && asked)
		snprintf(why, why_size, "the key is locked by a password; take it off with: openssl pkey -in OLD -out NEW");
	else if (key == NULL &&
	         (error == 0 || ERR_GET_REASON(error) == PEM_R_NO_START_LINE || ERR_GET_LIB(error) == ERR_LIB_OSSL_DECODER))
		snprintf(why, why_size, "no private key in it (PEM: -----BEGIN PRIVATE KEY-----)");
	else if (key == NULL)
		snprintf(why, why_size, "the key cannot be read: %s", library_reason());
	ERR_clear_error();
	return key;
}

/* All but the leaf. NULL: out of memory. */
static STACK_OF(X509) * chain_above(const struct certificate *certificate)
{
	struct span chain = span_of(certificate->chain, certificate->chain_size);
	STACK_OF(X509) *above = sk_X509_new_null();
	X509 *next;

	X509_free(certificate_next(&chain, NULL));
	while (above != NULL && (next = certificate_next(&chain, NULL)) != NULL) {
		if (sk_X509_push(above, next) > 0)
			continue;
		X509_free(next);
		sk_X509_pop_free(above, X509_free);
		above = NULL;
	}
	return above;
}

/* The traffic process will do the same (context.c): what OpenSSL refuses (a short key, a weak signature, anywhere in the chain)
 * is found now. There it would keep every other new certificate out too. */
static bool try_use(const struct certificate *certificate, EVP_PKEY *key, char *why, size_t why_size)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	STACK_OF(X509) *above = chain_above(certificate);
	bool good = false;

	if (context != NULL)
		SSL_CTX_set_security_level(context, TLS_SECURITY_LEVEL);
	if (context == NULL || above == NULL)
		snprintf(why, why_size, "out of memory");
	else if (X509_check_private_key(certificate->leaf, key) != 1)
		snprintf(why, why_size, "the key does not belong to the certificate");
	else if (SSL_CTX_use_cert_and_key(context, certificate->leaf, key, above, 1) != 1)
		snprintf(why, why_size, "OpenSSL refuses it: %s", library_reason());
	else
		good = true;
	sk_X509_pop_free(above, X509_free);
	SSL_CTX_free(context);
	ERR_clear_error();
	return good;
}

static bool keep_key(struct certificate *certificate, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	int size = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &certificate->key);
	PKCS8_PRIV_KEY_INFO_free(info);
	certificate->key_size = size > 0 ? (size_t)size : 0;
	return size > 0;
}

bool certificate_parse(struct certificate *certificate, struct span chain_text, struct span key_text, char *why, size_t why_size)
{
	*certificate = (struct certificate){0};
	ERR_clear_error();
	EVP_PKEY *key = NULL;
	bool good = parse_chain(certificate, chain_text, why, why_size) && (key = parse_key(key_text, why, why_size)) != NULL &&
	            try_use(certificate, key, why, why_size);
	if (good && !keep_key(certificate, key)) {
		snprintf(why, why_size, "out of memory");
		good = false;
	}
	EVP_PKEY_free(key);
	if (!good)
		certificate_clear(certificate);
	return good;
}

bool certificate_from_keyring(struct certificate *certificate, struct span chain, struct span key)
{
	X509 *next, *before = NULL;
	bool good = true;

	*certificate = (struct certificate){0};
	while (good && (next = certificate_next(&chain, NULL)) != NULL) {
		good = chain_add(certificate, next, before);
		X509_free(before);
		before = next;
	}
	X509_free(before);
	certificate->key = OPENSSL_memdup(key.start, key.size);
	certificate->key_size = key.size;
	if (good && chain.size == 0 && certificate->leaf != NULL && certificate->key != NULL)
		return true;
	certificate_clear(certificate);
	ERR_clear_error();
	return false;
}

void certificate_clear(struct certificate *certificate)
{
	free(certificate->chain);
	OPENSSL_clear_free(certificate->key, certificate->key_size);
	X509_free(certificate->leaf);
	X509_free(certificate->issuer);
	*certificate = (struct certificate){0};
}

/* ---- what it says ---------------------------------------------------------------------------------------------------- */

static uint64_t seconds_of(const ASN1_TIME *time)
{
	struct tm parts;
	time_t seconds;
	if (ASN1_TIME_to_tm(time, &parts) != 1 || (seconds = timegm(&parts)) < 0)
		return 0;
	return (uint64_t)seconds;
}

uint64_t certificate_not_before_s(const struct certificate *certificate)
{
	return seconds_of(X509_get0_notBefore(certificate->leaf));
}

uint64_t certificate_not_after_s(const struct certificate *certificate)
{
	return seconds_of(X509_get0_notAfter(certificate->leaf));
}

bool certificate_covers(X509 *leaf, const char *name)
{
	/* As browsers do: a name that stands in the subject only does not count. */
	const unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
	return X509_check_host(leaf, name, strlen(name), flags, NULL) == 1 || X509_check_ip_asc(leaf, name, 0) == 1;
}

static void append_name(char *out, size_t out_size, const char *name, int size)
{
	size_t used = strlen(out);
	if (used + (size_t)size + 8 < out_size) /* room for ", …" */
		snprintf(out + used, out_size - used, "%s%.*s", used > 0 ? ", " : "", size, name);
	else if (used >= 3 && strcmp(out + used - 3, "…") != 0)
		snprintf(out + used, out_size - used, ", …");
}

static void names_in_words(X509 *leaf, char *out, size_t out_size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		struct address address = {0};
		char text[ADDRESS_TEXT_SIZE];
		if (name->type == GEN_DNS) {
			append_name(out, out_size, (const char *)ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
		} else if (name->type == GEN_IPADD) {
			int size = ASN1_STRING_length(name->d.iPAddress);
			if (size != 4 && size != 16)
				continue;
			address.family = size == 4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
			memcpy(address.ip, ASN1_STRING_get0_data(name->d.iPAddress), (size_t)size);
			address_format_ip(&address, text);
			append_name(out, out_size, text, (int)strlen(text));
		}
	}
	GENERAL_NAMES_free(names);
	if (out[0] == '\0')
		snprintf(out, out_size, "no names");
}

void certificate_describe(const struct certificate *certificate, struct tls_description *out)
{
	const X509_NAME *issuer = X509_get_issuer_name(certificate->leaf);
	EVP_PKEY *key = X509_get0_pubkey(certificate->leaf);
	char group[32] = "";

	names_in_words(certificate->leaf, out->names, sizeof out->names);
	out->issuer[0] = '\0';
	if (X509_NAME_get_text_by_NID(issuer, NID_commonName, out->issuer, sizeof out->issuer) <= 0 &&
	    X509_NAME_get_text_by_NID(issuer, NID_organizationName, out->issuer, sizeof out->issuer) <= 0)
		snprintf(out->issuer, sizeof out->issuer, "unnamed");
	if (key != NULL && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1)
		snprintf(out->key, sizeof out->key, "ECDSA %.20s", strcmp(group, "prime256v1") == 0 ? "P-256" : group);
	else
		snprintf(out->key, sizeof out->key, "%.20s %d", key == NULL ? "unknown" : EVP_PKEY_get0_type_name(key),
		         key == NULL ? 0 : EVP_PKEY_get_bits(key));
	out->not_after_s = certificate_not_after_s(certificate);
}
