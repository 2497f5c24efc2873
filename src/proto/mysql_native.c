/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mysql_native_password: proof of a password by SHA-1, and what noah gains from it (the client's SHA1(password), enough to
 * log in to a server as the same user). Pure; called by sql/ for both sides and by watch/ for its checks.
 */
#include "proto/mysql.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* SHA-1 over one or two runs of bytes. */
static void sha1(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t out[MYSQL_SHA1_SIZE])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned size = 0;
	/* Fails only without memory, or in a system that forbids SHA-1 altogether: neither can be served from. */
	ASSERT(context != NULL);
	ASSERT(EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1);
	ASSERT(EVP_DigestUpdate(context, a, a_size) == 1);
	ASSERT(EVP_DigestUpdate(context, b, b_size) == 1);
	ASSERT(EVP_DigestFinal_ex(context, out, &size) == 1 && size == MYSQL_SHA1_SIZE);
	EVP_MD_CTX_free(context);
}

bool mysql_native_parse_stored(struct span text, uint8_t stored[MYSQL_SHA1_SIZE])
{
	if (text.size != 1 + 2 * MYSQL_SHA1_SIZE || text.start[0] != '*')
		return false;
	uint8_t bytes[MYSQL_SHA1_SIZE];
	for (size_t i = 0; i < MYSQL_SHA1_SIZE; i++) {
		uint64_t byte;
		if (!span_to_hex_number(span_of(text.start + 1 + 2 * i, 2), 0xFF, &byte))
			return false;
		bytes[i] = (uint8_t)byte;
	}
	memcpy(stored, bytes, sizeof(bytes));
	return true;
}

void mysql_native_format_stored(const uint8_t stored[MYSQL_SHA1_SIZE], char out[42])
{
	static const char digits[] = "0123456789ABCDEF";
	char *next = out;
	*next++ = '*';
	for (size_t i = 0; i < MYSQL_SHA1_SIZE; i++) {
		*next++ = digits[stored[i] >> 4];
		*next++ = digits[stored[i] & 15];
	}
	*next = '\0';
}

void mysql_native_hash(struct span password, uint8_t password_sha1[MYSQL_SHA1_SIZE])
{
	sha1(password.size ? password.start : "", password.size, "", 0, password_sha1);
}

void mysql_native_store(const uint8_t password_sha1[MYSQL_SHA1_SIZE], uint8_t stored[MYSQL_SHA1_SIZE])
{
	sha1(password_sha1, MYSQL_SHA1_SIZE, "", 0, stored);
}

/* out = in XOR SHA1(scramble + stored): turns SHA1(password) into a reply and back. */
static void cross(const uint8_t in[MYSQL_SHA1_SIZE], const uint8_t stored[MYSQL_SHA1_SIZE],
                  const uint8_t scramble[MYSQL_SCRAMBLE_SIZE], uint8_t out[MYSQL_SHA1_SIZE])
{
	uint8_t mask[MYSQL_SHA1_SIZE];
	sha1(scramble, MYSQL_SCRAMBLE_SIZE, stored, MYSQL_SHA1_SIZE, mask);
	for (size_t i = 0; i < MYSQL_SHA1_SIZE; i++)
		out[i] = in[i] ^ mask[i];
}

bool mysql_native_verify(const uint8_t stored[MYSQL_SHA1_SIZE], const uint8_t scramble[MYSQL_SCRAMBLE_SIZE], struct span reply,
                         uint8_t password_sha1[MYSQL_SHA1_SIZE])
{
	if (reply.size != MYSQL_SHA1_SIZE)
		return false;
	uint8_t candidate[MYSQL_SHA1_SIZE], stored_again[MYSQL_SHA1_SIZE];
	cross((const uint8_t *)reply.start, stored, scramble, candidate);
	mysql_native_store(candidate, stored_again);
	bool equal = CRYPTO_memcmp(stored_again, stored, MYSQL_SHA1_SIZE) == 0;
	if (equal)
		memcpy(password_sha1, candidate, MYSQL_SHA1_SIZE);
	OPENSSL_cleanse(candidate, sizeof(candidate));
	return equal;
}

void mysql_native_reply(const uint8_t password_sha1[MYSQL_SHA1_SIZE], const uint8_t scramble[MYSQL_SCRAMBLE_SIZE],
                        uint8_t reply[MYSQL_SHA1_SIZE])
{
	uint8_t stored[MYSQL_SHA1_SIZE];
	mysql_native_store(password_sha1, stored);
	cross(password_sha1, stored, scramble, reply);
}
