/* SPDX-License-Identifier: BSD-2-Clause
 *
 * core: one traffic thread's contexts, made from a keyring: which listener shows which certificate for which name. The threads
 * share nothing, not even OpenSSL's locks: its version 3.0 spends more time in those than in ciphers. Called by process/traffic.c
 * (keyrings), http/ (contexts, tls_may_serve).
 *
 * Contexts that a new keyring needs again are kept, so a changed file costs one site's contexts, and new ticket keys none.
 */
#include "tls/tls_private.h"

#include <openssl/err.h>
#include <stdlib.h>

struct tls_core *tls_core_new(void)
{
	struct tls_core *core = calloc(1, sizeof *core);
	if (core == NULL)
		return NULL;
	core->libraries = OSSL_LIB_CTX_new();
	core->ticket_cipher = core->libraries == NULL ? NULL : EVP_CIPHER_fetch(core->libraries, "AES-256-CBC", NULL);
	if (core->ticket_cipher != NULL)
		return core;
	tls_core_free(core);
	return NULL;
}

static void drop_contexts(struct tls_core *core)
{
	for (unsigned i = 0; i < core->listener_count; i++)
		SSL_CTX_free(core->listeners[i].context);
	for (unsigned i = 0; i < core->context_count; i++)
		SSL_CTX_free(core->contexts[i]);
	free(core->listeners);
	free(core->contexts);
	core->listeners = NULL;
	core->contexts = NULL;
	core->listener_count = core->context_count = 0;
}

void tls_core_free(struct tls_core *core)
{
	if (core == NULL)
		return;
	drop_contexts(core);
	EVP_CIPHER_free(core->ticket_cipher);
	OSSL_LIB_CTX_free(core->libraries);
	OPENSSL_cleanse(&core->tickets, sizeof core->tickets);
	free(core);
}

/* ---- from a keyring to contexts -------------------------------------------------------------------------------- */

/* A site's certificates while contexts are made of them: whether they cover a name is asked for each. */
struct leaves {
	X509 *leaf[CLUSTER_CERTIFICATES_MOST];
	int kind[CLUSTER_CERTIFICATES_MOST]; /* of key */
};

static bool leaves_open(const struct tls_core *core, const struct keyring *keyring, const struct keyring_site *site,
                        struct leaves *leaves)
{
	bool good = true;
	*leaves = (struct leaves){0};
	for (unsigned i = 0; i < site->certificate_count; i++) {
		struct span chain = keyring_span(keyring, site->certificates[i].chain);
		leaves->leaf[i] = certificate_next(&chain, core->libraries);
		if (leaves->leaf[i] == NULL)
			good = false;
		else
			leaves->kind[i] = EVP_PKEY_get_base_id(X509_get0_pubkey(leaves->leaf[i]));
	}
	return good;
}

static void leaves_close(struct leaves *leaves)
{
	for (unsigned i = 0; i < CLUSTER_CERTIFICATES_MOST; i++)
		X509_free(leaves->leaf[i]);
}

/* The certificates for a name: of each kind of key the first that covers it; when none does at all, the first of each kind. */
static unsigned mask_for(const struct leaves *leaves, unsigned count, const char *name)
{
	unsigned covering = 0, mask = 0;
	for (unsigned i = 0; i < count; i++)
		if (certificate_covers(leaves->leaf[i], name))
			covering |= 1u << i;
	for (unsigned i = 0; i < count; i++) {
		bool first = covering == 0 || (covering >> i & 1) != 0;
		for (unsigned j = 0; j < i && first; j++)
			first = (mask >> j & 1) == 0 || leaves->kind[j] != leaves->kind[i];
		if (first)
			mask |= 1u << i;
	}
	return mask;
}

static uint64_t identity_of(const struct keyring_site *site, unsigned mask)
{
	struct {
		char name[CLUSTER_NAME_SIZE];
		uint64_t least, certificates[CLUSTER_CERTIFICATES_MOST];
	} parts = {.least = site->least};
	memcpy(parts.name, site->name, strlen(site->name));
	for (unsigned i = 0; i < site->certificate_count; i++)
		parts.certificates[i] = (mask >> i & 1) != 0 ? site->certificates[i].identity : 0;
	return hash_stable(&parts, sizeof parts);
}

static SSL_CTX *find_context(SSL_CTX *const *contexts, unsigned count, uint64_t identity)
{
	for (unsigned i = 0; i < count; i++)
		if (context_shown(contexts[i])->identity == identity)
			return contexts[i];
	return NULL;
}

static bool keep_context(struct tls_core *core, SSL_CTX *context)
{
	if (core->context_count == core->context_room) {
		unsigned room = core->context_room == 0 ? 8 : core->context_room * 2; /* at most one for each name */
		SSL_CTX **grown = realloc(core->contexts, room * sizeof(SSL_CTX *));
		if (grown == NULL)
			return false;
		core->contexts = grown;
		core->context_room = room;
	}
	core->contexts[core->context_count++] = context;
	return true;
}

/* The context for these certificates: made already, or of the keyring before, or a new one. Borrowed. */
static SSL_CTX *context_for(struct tls_core *core, const struct tls_core *before, const struct keyring *keyring,
                            const struct keyring_site *site, unsigned mask)
{
	uint64_t identity = identity_of(site, mask);
	SSL_CTX *context = find_context(core->contexts, core->context_count, identity);
	if (context != NULL)
		return context;
	context = find_context(before->contexts, before->context_count, identity);
	if (context != NULL)
		SSL_CTX_up_ref(context);
	else
		context = context_new(before, keyring, site, mask, identity);
	if (context == NULL || keep_context(core, context))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

/* ---- listeners ------------------------------------------------------------------------------------------------- */

static struct entry *entry_new(const struct tls_core *core, size_t names_most, size_t name_bytes)
{
	struct entry *entry = calloc(1, sizeof *entry);
	if (entry == NULL)
		return NULL;
	entry->core = core;
	entry->names = tls_names_new((unsigned)names_most);
	entry->name_bytes = malloc(name_bytes + 1);
	entry->contexts = calloc(names_most + 1, sizeof(SSL_CTX *));
	if (entry->names != NULL && entry->name_bytes != NULL && entry->contexts != NULL)
		return entry;
	entry_free(entry);
	return NULL;
}

static unsigned number_of(struct entry *entry, SSL_CTX *context)
{
	for (unsigned i = 0; i < entry->count; i++)
		if (entry->contexts[i] == context)
			return i;
	SSL_CTX_up_ref(context);
	entry->contexts[entry->count] = context;
	return entry->count++;
}

static bool listens(const struct keyring_site *site, const struct address *listener)
{
	for (unsigned i = 0; i < site->listen_count; i++)
		if (address_equal(&site->listen[i], listener))
			return site->certificate_count > 0;
	return false;
}

/* Adds the site's names to those of the listener. `names` is where they stand in entry->name_bytes. */
static bool add_site(struct tls_core *core, const struct tls_core *before, const struct keyring *keyring,
                     const struct keyring_site *site, struct entry *entry, struct span names)
{
	struct leaves leaves;
	const char *name;
	bool good = leaves_open(before, keyring, site, &leaves);
	while (good && (name = packed_name_next(&names)) != NULL) {
		SSL_CTX *context = context_for(core, before, keyring, site, mask_for(&leaves, site->certificate_count, name));
		good = context != NULL;
		if (good)
			tls_names_add(entry->names, name, number_of(entry, context));
	}
	leaves_close(&leaves);
	return good;
}

/* All sites of one listener. Who asks for no name, or an unknown one, is shown what the site for "*" has, else the first site. */
static SSL_CTX *make_entry(struct tls_core *core, const struct tls_core *before, const struct keyring *keyring,
                           const struct address *listener)
{
	size_t names_most = 0, bytes = 0;
	for (unsigned i = 0; i < keyring->site_count; i++)
		if (listens(&keyring->sites[i], listener)) {
			names_most += keyring->sites[i].name_count;
			bytes += keyring->sites[i].names.size;
		}
	struct entry *entry = entry_new(before, names_most, bytes);
	bool good = entry != NULL;
	bytes = 0;
	for (unsigned i = 0; i < keyring->site_count && good; i++) {
		const struct keyring_site *site = &keyring->sites[i];
		if (!listens(site, listener))
			continue;
		struct span names = keyring_span(keyring, site->names);
		memcpy(entry->name_bytes + bytes, names.start, names.size);
		good = add_site(core, before, keyring, site, entry, span_of(entry->name_bytes + bytes, names.size));
		bytes += names.size;
	}
	SSL_CTX *only = good && entry->count == 1 ? entry->contexts[0] : NULL;
	if (good && entry->count > 1)
		return context_new_entry(entry);
	if (only != NULL)
		SSL_CTX_up_ref(only); /* nothing is to be chosen */
	entry_free(entry);
	return only;
}

static bool add_listener(struct tls_core *core, const struct tls_core *before, const struct keyring *keyring,
                         const struct address *listener)
{
	if (tls_core_context(core, listener) != NULL)
		return true;
	if (core->listener_count == core->listener_room) {
		unsigned room = core->listener_room == 0 ? 4 : core->listener_room * 2; /* at most TLS_LISTENERS_MOST */
		struct core_listener *grown = realloc(core->listeners, room * sizeof *grown);
		if (grown == NULL)
			return false;
		core->listeners = grown;
		core->listener_room = room;
	}
	SSL_CTX *context = make_entry(core, before, keyring, listener);
	if (context == NULL)
		return false;
	core->listeners[core->listener_count++] = (struct core_listener){.address = *listener, .context = context};
	return true;
}

/* ---- use ------------------------------------------------------------------------------------------------------- */

static uint64_t identity_of_all(const struct keyring *keyring)
{
	/* Offsets and names follow each other in the same order in equal keyrings. */
	uint64_t identity = hash_stable(keyring->sites, keyring->site_count * sizeof keyring->sites[0]);
	for (unsigned i = 0; i < keyring->site_count; i++) {
		struct span names = keyring_span(keyring, keyring->sites[i].names);
		uint64_t parts[2] = {identity, hash_stable(names.start, names.size)};
		identity = hash_stable(parts, sizeof parts);
	}
	return identity;
}

bool tls_core_use(struct tls_core *core, const struct keyring *keyring)
{
	uint64_t identity = identity_of_all(keyring);
	struct tls_core next = {.identity = identity};
	bool good = true;

	if (core->identity != identity) {
		for (unsigned i = 0; i < keyring->site_count && good; i++) {
			const struct keyring_site *site = &keyring->sites[i];
			for (unsigned j = 0; j < site->listen_count && site->certificate_count > 0 && good; j++)
				good = add_listener(&next, core, keyring, &site->listen[j]);
		}
		if (!good) {
			drop_contexts(&next);
			return false;
		}
		drop_contexts(core);
		core->listeners = next.listeners;
		core->listener_count = next.listener_count;
		core->listener_room = next.listener_room;
		core->contexts = next.contexts;
		core->context_count = next.context_count;
		core->context_room = next.context_room;
		core->identity = identity;
	}
	core->tickets = keyring->tickets;
	ERR_clear_error(); /* what was tried in vain on the way is no connection's fault */
	return true;
}

struct ssl_ctx_st *tls_core_context(const struct tls_core *core, const struct address *listener)
{
	for (unsigned i = 0; i < core->listener_count; i++)
		if (address_equal(&core->listeners[i].address, listener))
			return core->listeners[i].context;
	return NULL;
}

bool tls_may_serve(const struct stream *stream, const char *site, struct span host)
{
	struct ssl_st *ssl = stream_ssl(stream);
	char name[CLUSTER_HOST_SIZE];
	if (ssl == NULL)
		return true;
	struct span asked = span_of_text(stream_server_name(stream));
	const struct shown *shown = context_shown(SSL_get_SSL_CTX(ssl));
	if (asked.size == 0 || span_equal(asked, host) || shown == NULL || strcmp(shown->site, site) == 0)
		return true;
	if (!span_copy(host, name, sizeof name))
		return false;
	for (unsigned i = 0; i < shown->count; i++)
		if (certificate_covers(shown->certificates[i].leaf, name))
			return true;
	return false;
}
