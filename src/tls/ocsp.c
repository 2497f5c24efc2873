/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ocsp: whether a file holds an OCSP answer (RFC 6960) that may be stapled to a certificate: of this certificate, signed by its
 * issuer or by whom that one has entrusted, "good", and still valid. Runs in the supervisor.
 */
#include "tls/tls_private.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <time.h>

static bool signature_is_good(OCSP_BASICRESP *basic, X509 *issuer)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *known = sk_X509_new_null();
	bool good = store != NULL && known != NULL && sk_X509_push(known, issuer) > 0 && X509_STORE_add_cert(store, issuer) == 1 &&
	            X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 && OCSP_basic_verify(basic, known, store, 0) == 1;
	sk_X509_free(known);
	X509_STORE_free(store);
	return good;
}

static uint64_t seconds_of(const ASN1_GENERALIZEDTIME *time)
{
	struct tm parts;
	time_t seconds;
	if (ASN1_TIME_to_tm(time, &parts) != 1 || (seconds = timegm(&parts)) < 0)
		return 0;
	return (uint64_t)seconds;
}

/* NULL: it may be stapled until *until_s. */
static const char *fault_of(OCSP_BASICRESP *basic, const struct certificate *certificate, uint64_t now_s, uint64_t *until_s)
{
	ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
	int status, reason;
	bool found = false;
	for (unsigned i = 0; i < 2 && !found; i++) { /* its issuer has named the certificate by one of these */
		OCSP_CERTID *id = OCSP_cert_to_id(i == 0 ? EVP_sha1() : EVP_sha256(), certificate->leaf, certificate->issuer);
		found = id != NULL && OCSP_resp_find_status(basic, id, &status, &reason, NULL, &from, &until) == 1;
		OCSP_CERTID_free(id);
	}
	if (!found)
		return "it is about another certificate";
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return status == V_OCSP_CERTSTATUS_REVOKED ? "it says that the certificate is revoked"
		                                           : "its issuer does not know the certificate";
	*until_s = until == NULL ? 0 : seconds_of(until);
	if (until == NULL)
		return "it does not say how long it is valid";
	if (*until_s <= now_s)
		return "it has expired";
	if (!signature_is_good(basic, certificate->issuer))
		return "its signature is not that of the certificate's issuer";
	return NULL;
}

bool ocsp_check(const struct certificate *certificate, struct span answer, uint64_t now_s, uint64_t *until_s, char *why,
                size_t why_size)
{
	const unsigned char *der = (const unsigned char *)answer.start;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &der, (long)answer.size);
	OCSP_BASICRESP *basic = response == NULL ? NULL : OCSP_response_get1_basic(response);
	const char *fault;

	*until_s = 0;
	if (response == NULL)
		fault = "it is no OCSP answer (DER)";
	else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL || basic == NULL)
		fault = "it is an answer without a result";
	else if (certificate->issuer == NULL)
		fault = "the chain has no issuer's certificate to check it with";
	else
		fault = fault_of(basic, certificate, now_s, until_s);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	if (fault != NULL)
		snprintf(why, why_size, "%s", fault);
	return fault == NULL;
}
