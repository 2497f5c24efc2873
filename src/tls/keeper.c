/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keeper: what the supervisor has of TLS that is in no file and outlives a reload: the keys of session tickets, and the
 * certificates that noah made. A supervisor after `noah upgrade` takes them over from the keyring of the one before.
 */
#include "tls/tls_private.h"

#include <openssl/crypto.h>
#include <stdlib.h>

struct tls_keeper *tls_keeper_new(uint64_t now_s)
{
	struct tls_keeper *keeper = calloc(1, sizeof *keeper);
	if (keeper != NULL)
		ticket_keys_make(&keeper->tickets, now_s);
	return keeper;
}

void tls_keeper_free(struct tls_keeper *keeper)
{
	if (keeper == NULL)
		return;
	for (unsigned i = 0; i < KEEPER_OWN_MOST; i++)
		certificate_clear(&keeper->own[i].certificate);
	OPENSSL_cleanse(keeper, sizeof *keeper);
	free(keeper);
}

const char *packed_name_next(struct span *names)
{
	return names->size == 0 ? NULL : span_cut(names, '\0').start;
}

/* Takes over `certificate`. */
static void keep_own(struct tls_keeper *keeper, uint64_t identity, const struct certificate *certificate)
{
	unsigned place = keeper->own_next;
	for (unsigned i = 0; i < KEEPER_OWN_MOST; i++)
		if (keeper->own[i].identity == identity)
			place = i;
	if (place == keeper->own_next)
		keeper->own_next = (keeper->own_next + 1) % KEEPER_OWN_MOST;
	certificate_clear(&keeper->own[place].certificate);
	keeper->own[place].identity = identity;
	keeper->own[place].certificate = *certificate;
}

static bool copy_of(const struct certificate *from, struct certificate *to)
{
	return certificate_from_keyring(to, span_of(from->chain, from->chain_size), span_of(from->key, from->key_size));
}

static uint64_t identity_of(struct span names)
{
	return hash_stable(names.start, names.size) | 1;
}

bool keeper_own_certificate(struct tls_keeper *keeper, struct span names, uint64_t now_s, struct certificate *certificate)
{
	uint64_t identity = identity_of(names);
	for (unsigned i = 0; i < KEEPER_OWN_MOST; i++)
		if (keeper->own[i].identity == identity && certificate_not_after_s(&keeper->own[i].certificate) > now_s + OWN_RENEW_S)
			return copy_of(&keeper->own[i].certificate, certificate);
	struct certificate made;
	if (!certificate_make(&made, names, now_s))
		return false;
	if (!copy_of(&made, certificate)) {
		certificate_clear(&made);
		return false;
	}
	keep_own(keeper, identity, &made);
	return true;
}

bool tls_keeper_inherit(struct tls_keeper *keeper, int descriptor)
{
	const struct keyring *keyring = keyring_map(descriptor);
	if (keyring == NULL)
		return false;
	keeper->tickets = keyring->tickets;
	for (unsigned i = 0; i < keyring->site_count; i++) {
		const struct keyring_site *site = &keyring->sites[i];
		struct span names = keyring_span(keyring, site->names);
		for (unsigned j = 0; j < site->certificate_count; j++) {
			const struct keyring_certificate *kept = &site->certificates[j];
			struct certificate certificate;
			if (kept->self_signed &&
			    certificate_from_keyring(&certificate, keyring_span(keyring, kept->chain), keyring_span(keyring, kept->key)))
				keep_own(keeper, identity_of(names), &certificate);
		}
	}
	keyring_unmap(keyring);
	return true;
}
