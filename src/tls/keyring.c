/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keyring: certificates, private keys and ticket keys as a memory file that nobody can change any more, and back. The supervisor
 * puts one together (set.c) and seals it; traffic maps it (core.c), and so does a supervisor after an upgrade (keeper.c).
 */
#include "tls/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

/* ---- ticket keys ------------------------------------------------------------------------------------------------ */

void ticket_keys_make(struct ticket_keys *keys, uint64_t now_s)
{
	random_bytes(keys->keys, sizeof keys->keys);
	keys->rotate_at_s = now_s + TICKET_ROTATE_S;
}

bool ticket_keys_rotate(struct ticket_keys *keys, uint64_t now_s)
{
	/* A clock that was set back must not keep a key in use for ever. */
	if (now_s < keys->rotate_at_s && keys->rotate_at_s - now_s <= TICKET_ROTATE_S)
		return false;
	keys->keys[TICKET_PREVIOUS] = keys->keys[TICKET_CURRENT];
	keys->keys[TICKET_CURRENT] = keys->keys[TICKET_NEXT];
	random_bytes(&keys->keys[TICKET_NEXT], sizeof keys->keys[TICKET_NEXT]);
	keys->rotate_at_s = now_s + TICKET_ROTATE_S;
	return true;
}

/* ---- putting one together --------------------------------------------------------------------------------------- */

void keyring_maker_init(struct keyring_maker *maker)
{
	*maker = (struct keyring_maker){.room = sizeof(struct keyring)};
	maker->keyring = calloc(1, maker->room);
	maker->failed = maker->keyring == NULL;
	if (maker->failed)
		return;
	maker->keyring->magic = KEYRING_MAGIC;
	maker->keyring->version = KEYRING_VERSION;
	maker->keyring->size = sizeof(struct keyring);
}

static bool make_room(struct keyring_maker *maker, size_t size)
{
	if (maker->failed || size > TLS_KEYRING_MOST - maker->keyring->size)
		return false;
	size_t wanted = maker->keyring->size + size;
	if (wanted <= maker->room)
		return true;
	/* Not realloc: it would leave a copy of private keys behind. */
	size_t room = wanted > TLS_KEYRING_MOST / 2 ? TLS_KEYRING_MOST : wanted * 2;
	struct keyring *grown = malloc(room);
	if (grown == NULL)
		return false;
	memcpy(grown, maker->keyring, maker->keyring->size);
	OPENSSL_cleanse(maker->keyring, maker->keyring->size);
	free(maker->keyring);
	maker->keyring = grown;
	maker->room = room;
	return true;
}

struct keyring_bytes keyring_maker_add(struct keyring_maker *maker, const void *bytes, size_t size)
{
	if (!make_room(maker, size)) {
		maker->failed = true;
		return (struct keyring_bytes){0};
	}
	struct keyring_bytes added = {.at = maker->keyring->size, .size = (uint32_t)size};
	if (size > 0)
		memcpy((char *)maker->keyring + added.at, bytes, size);
	maker->keyring->size += (uint32_t)size;
	return added;
}

static int write_sealed(const struct keyring *keyring)
{
	int descriptor = memfd_create("noah-keyring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result = descriptor < 0 ? -errno : 0;
	for (size_t at = 0; result == 0 && at < keyring->size;) {
		ssize_t written = write(descriptor, (const char *)keyring + at, keyring->size - at);
		if (written < 0)
			result = -errno;
		else
			at += (size_t)written;
	}
	if (result == 0 && fcntl(descriptor, F_ADD_SEALS, SEALS) != 0)
		result = -errno;
	if (result == 0)
		return descriptor;
	if (descriptor >= 0)
		close(descriptor);
	return result;
}

int keyring_maker_seal(struct keyring_maker *maker)
{
	int result = maker->failed ? -ENOMEM : write_sealed(maker->keyring);
	if (maker->keyring != NULL)
		OPENSSL_cleanse(maker->keyring, maker->keyring->size);
	free(maker->keyring);
	*maker = (struct keyring_maker){0};
	return result;
}

/* ---- mapping ----------------------------------------------------------------------------------------------------- */

static bool lies_within(const struct keyring *keyring, struct keyring_bytes bytes)
{
	return bytes.at <= keyring->size && bytes.size <= keyring->size - bytes.at;
}

static bool certificate_is_sound(const struct keyring *keyring, const struct keyring_certificate *certificate)
{
	return lies_within(keyring, certificate->chain) && lies_within(keyring, certificate->key) &&
	       lies_within(keyring, certificate->ocsp);
}

/* Counts and offsets that other code uses without looking again. */
static bool site_is_sound(const struct keyring *keyring, const struct keyring_site *site)
{
	if (memchr(site->name, '\0', sizeof site->name) == NULL || site->listen_count > CLUSTER_LISTEN_MOST ||
	    site->certificate_count > CLUSTER_CERTIFICATES_MOST || !lies_within(keyring, site->names))
		return false;
	struct span names = keyring_span(keyring, site->names);
	uint32_t ends = 0;
	for (size_t i = 0; i < names.size; i++)
		ends += names.start[i] == '\0';
	if (ends != site->name_count)
		return false;
	for (unsigned i = 0; i < site->certificate_count; i++)
		if (!certificate_is_sound(keyring, &site->certificates[i]))
			return false;
	return true;
}

static bool is_sound(const struct keyring *keyring, size_t size)
{
	if (keyring->magic != KEYRING_MAGIC || keyring->version != KEYRING_VERSION || keyring->size != size ||
	    keyring->site_count > CLUSTER_SITES_MOST)
		return false;
	for (unsigned i = 0; i < keyring->site_count; i++)
		if (!site_is_sound(keyring, &keyring->sites[i]))
			return false;
	return true;
}

const struct keyring *keyring_map(int descriptor)
{
	struct stat status;
	int seals = fcntl(descriptor, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(descriptor, &status) != 0)
		return NULL;
	if (status.st_size < (off_t)sizeof(struct keyring) || status.st_size > (off_t)TLS_KEYRING_MOST)
		return NULL;
	size_t size = (size_t)status.st_size;
	void *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
	if (mapped == MAP_FAILED)
		return NULL;
	(void)madvise(mapped, size, MADV_DONTDUMP); /* private keys are not for core files; harmless when refused */
	if (is_sound(mapped, size))
		return mapped;
	munmap(mapped, size);
	return NULL;
}

void keyring_unmap(const struct keyring *keyring)
{
	if (keyring == NULL)
		return;
	int result = munmap((void *)(uintptr_t)keyring, keyring->size); /* through an integer: nothing behind it is changed */
	ASSERT(result == 0);
}
