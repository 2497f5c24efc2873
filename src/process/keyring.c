/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keyring: certificates and ticket keys on their way from the files to traffic. Loaded with the cluster file, looked at every few
 * seconds (a renewed certificate needs no reload), handed to traffic as a sealed memory file, and over an upgrade to the next
 * supervisor.
 *
 * Runs in the supervisor, which is root and may read the keys; called by supervisor.c, children.c and take_over.c.
 */
#include "process/supervisor_private.h"

#include "tls/tls.h"

#include <stdlib.h>
#include <unistd.h>

#define KEYRING_LOOK_MS 2000

static uint64_t now_s(void)
{
	return clock_wall_us() / 1000000;
}

/* The first error for who asked, everything for the log. */
static void tell(const struct tls_messages *messages, char *why, size_t why_size)
{
	const char *first = NULL;
	for (unsigned i = 0; i < messages->count; i++) {
		if (messages->lines[i].error && first == NULL)
			first = messages->lines[i].text;
		else
			log_write(messages->lines[i].error ? LOG_ERROR : LOG_WARNING, "%s", messages->lines[i].text);
	}
	if (first != NULL && messages->errors > 1)
		snprintf(why, why_size, "%.400s (and %u more)", first, messages->errors - 1);
	else if (first != NULL)
		snprintf(why, why_size, "%s", first);
}

bool keyring_prepare(struct supervisor *supervisor, const struct cluster *cluster, struct keyring_preparation *preparation,
                     char *why, size_t why_size)
{
	struct tls_messages *messages = malloc(sizeof *messages); /* 33 KB: too much for a stack */
	*preparation = (struct keyring_preparation){.descriptor = -1};
	snprintf(why, why_size, "out of memory");
	if (supervisor->keeper == NULL)
		supervisor->keeper = tls_keeper_new(now_s());
	if (supervisor->keeper == NULL || messages == NULL)
		goto out;
	preparation->set = tls_set_load(supervisor->keeper, cluster, now_s(), messages);
	tell(messages, why, why_size);
	if (preparation->set == NULL || tls_set_is_empty(preparation->set))
		goto out;
	preparation->descriptor = tls_set_seal(preparation->set);
	if (preparation->descriptor < 0) {
		snprintf(why, why_size, "cannot make a sealed memory file for the certificates: %s", strerror(-preparation->descriptor));
		keyring_forget(preparation);
	}
out:
	free(messages);
	return preparation->set != NULL;
}

void keyring_forget(struct keyring_preparation *preparation)
{
	if (preparation->descriptor >= 0)
		close(preparation->descriptor);
	tls_set_free(preparation->set);
	*preparation = (struct keyring_preparation){.descriptor = -1};
}

void keyring_tell(struct supervisor *supervisor)
{
	if (supervisor->keyring.descriptor >= 0)
		child_send(supervisor, PROCESS_TRAFFIC, &(struct message){.type = MESSAGE_KEYRING}, supervisor->keyring.descriptor);
}

/* For the metrics, which another process shows. */
static void write_on_board(const struct supervisor *supervisor)
{
	struct tls_description *description = malloc(sizeof *description);
	const struct tls_set *set = supervisor->keyring.set;
	unsigned count = 0;
	if (description == NULL)
		return;
	for (; set != NULL && tls_set_describe(set, count, now_s(), description); count++) /* at most BOARD_CERTIFICATES_MOST */
		board_certificate_write(supervisor->board, count, description->names, description->not_after_s);
	board_certificates_end(supervisor->board, count);
	free(description);
}

void keyring_use(struct supervisor *supervisor, const struct keyring_preparation *preparation)
{
	keyring_forget(&supervisor->keyring);
	supervisor->keyring = *preparation;
	supervisor->keyring_looked_us = clock_monotonic_us();
	write_on_board(supervisor);
	keyring_tell(supervisor);
}

/* ---- while running ------------------------------------------------------------------------------------------------ */

void keyring_look(struct supervisor *supervisor)
{
	struct keyring_preparation *keyring = &supervisor->keyring;
	if (clock_monotonic_us() < keyring_next_us(supervisor))
		return;
	supervisor->keyring_looked_us = clock_monotonic_us();
	if (!tls_set_look(keyring->set, now_s()))
		return;
	int descriptor = tls_set_seal(keyring->set);
	if (descriptor < 0) {
		log_write(LOG_ERROR, "cannot make a sealed memory file for the changed certificates: %s; those before stay in use",
		          strerror(-descriptor));
		return;
	}
	close(keyring->descriptor);
	keyring->descriptor = descriptor;
	write_on_board(supervisor);
	keyring_tell(supervisor);
}

uint64_t keyring_next_us(const struct supervisor *supervisor)
{
	const struct keyring_preparation *keyring = &supervisor->keyring;
	if (supervisor->stopping || keyring->set == NULL || keyring->descriptor < 0)
		return UINT64_MAX;
	return supervisor->keyring_looked_us + KEYRING_LOOK_MS * 1000;
}

/* ---- over an upgrade ---------------------------------------------------------------------------------------------- */

void keyring_adopt(struct supervisor *supervisor, int descriptor)
{
	supervisor->keeper = tls_keeper_new(now_s());
	if (descriptor >= 0 && (supervisor->keeper == NULL || !tls_keeper_inherit(supervisor->keeper, descriptor)))
		log_write(LOG_WARNING, "the former program's session tickets cannot be read: visitors make new ones");
	supervisor->keyring = (struct keyring_preparation){.descriptor = descriptor};
}

void keyring_go_on(struct supervisor *supervisor)
{
	struct keyring_preparation preparation;
	char why[512];
	/* Its traffic has the keyring that was handed back. Files that have gone bad meanwhile leave it with that. */
	if (!keyring_prepare(supervisor, supervisor->cluster, &preparation, why, sizeof why))
		log_write(LOG_WARNING, "%s; the certificates in use stay, and are not looked at again until a reload", why);
	else
		keyring_use(supervisor, &preparation);
}

bool keyring_could_be(const struct cluster *cluster, char *why, size_t why_size)
{
	struct tls_messages *messages = malloc(sizeof *messages);
	struct tls_keeper *keeper = tls_keeper_new(now_s());
	struct tls_set *set = messages == NULL || keeper == NULL ? NULL : tls_set_load(keeper, cluster, now_s(), messages);
	bool good = set != NULL;
	snprintf(why, why_size, "out of memory");
	for (unsigned i = 0; !good && messages != NULL && keeper != NULL && i < messages->count; i++)
		if (messages->lines[i].error) {
			snprintf(why, why_size, "%s", messages->lines[i].text);
			break;
		}
	tls_set_free(set);
	tls_keeper_free(keeper);
	free(messages);
	return good;
}

void keyring_end(struct supervisor *supervisor)
{
	keyring_forget(&supervisor->keyring);
	tls_keeper_free(supervisor->keeper);
	supervisor->keeper = NULL;
}
