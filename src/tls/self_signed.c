/* SPDX-License-Identifier: BSD-2-Clause
 *
 * self_signed: a certificate for a demo or staging site, signed by its own key: visitors' browsers will warn. Made by the
 * supervisor, kept over reloads and upgrades (keeper.c), new after a restart.
 */
#include "tls/tls_private.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define VALID_S          (365u * 86400u)
#define CLOCK_SLACK_S    86400u /* visitors' clocks may be slow */
#define COMMON_NAME_MOST 64u    /* RFC 5280, upper bounds */

static bool is_ip(const char *name)
{
	struct address address;
	return address_parse(span_of_text(name), false, &address) && address.family != ADDRESS_UNIX && address.port == 0;
}

/* "DNS:a.example, IP:10.0.0.1", to be freed. */
static char *alternative_names(struct span names)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const char *separator = "", *name;
	if (out == NULL)
		return NULL;
	while ((name = packed_name_next(&names)) != NULL) {
		if (strcmp(name, "*") == 0)
			continue;
		fprintf(out, "%s%s:%s", separator, is_ip(name) ? "IP" : "DNS", name);
		separator = ", ";
	}
	if (separator[0] == '\0')
		fputs("DNS:localhost", out); /* a site for every name: none is better than another */
	return fclose(out) == 0 ? text : NULL;
}

static bool add_extension(X509 *x509, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	bool added = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static bool fill(X509 *x509, EVP_PKEY *key, const char *first, const char *alternatives, uint64_t now_s)
{
	const char *common = strcmp(first, "*") == 0 || strlen(first) > COMMON_NAME_MOST ? "noah" : first;
	X509_NAME *subject = X509_get_subject_name(x509);
	uint64_t serial;
	random_bytes(&serial, sizeof serial);
	return X509_set_version(x509, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial >> 1) == 1 &&
	       ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)(now_s - CLOCK_SLACK_S)) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)(now_s + VALID_S)) != NULL && X509_set_pubkey(x509, key) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x509, subject) == 1 && add_extension(x509, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x509, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x509, NID_ext_key_usage, "serverAuth") && add_extension(x509, NID_subject_alt_name, alternatives) &&
	       X509_sign(x509, key, EVP_sha256()) > 0;
}

/* PEM first and then as any other certificate: so it is checked as one. */
static bool parse_own(struct certificate *certificate, X509 *x509, EVP_PKEY *key)
{
	char why[256];
	BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	char *chain_text = NULL, *key_text = NULL;
	bool made = chain != NULL && secret != NULL && PEM_write_bio_X509(chain, x509) == 1 &&
	            PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (made) {
		long chain_size = BIO_get_mem_data(chain, &chain_text), key_size = BIO_get_mem_data(secret, &key_text);
		made = certificate_parse(certificate, span_of(chain_text, (size_t)chain_size), span_of(key_text, (size_t)key_size), why,
		                         sizeof why);
		OPENSSL_cleanse(key_text, (size_t)key_size);
	}
	BIO_free(chain);
	BIO_free(secret);
	return made;
}

bool certificate_make(struct certificate *certificate, struct span names, uint64_t now_s)
{
	char *alternatives = alternative_names(names);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x509 = X509_new();
	bool made = alternatives != NULL && key != NULL && x509 != NULL && fill(x509, key, names.start, alternatives, now_s) &&
	            parse_own(certificate, x509, key);
	ERR_clear_error();
	X509_free(x509);
	EVP_PKEY_free(key);
	free(alternatives);
	return made;
}
