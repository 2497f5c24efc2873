/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Roots: from the path in the cluster file to the directory that it means now. It is opened on a pool thread (a path may lead to
 * any disk), and again once FILES_TRUST_US have passed and somebody asks: a deploy that lets a link point elsewhere is seen.
 * Called by cache.c, in tasks.
 */
#include "files/files_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- directories ---------------------------------------------------------------------------------------------------- */

struct files_directory *files_directory_ref(struct files_directory *directory)
{
	directory->references++;
	return directory;
}

void files_directory_unref(struct files_directory *directory)
{
	ASSERT(directory->references > 0);
	if (--directory->references > 0)
		return;
	close(directory->descriptor);
	free(directory);
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

/* Takes what was found over. FILES_OK: root->directory is what the name means now, or NULL: there is none. */
static enum files_result root_take(struct files_root *root, struct files_found *found)
{
	struct files_directory *before = root->directory;
	enum files_result result = files_result_of(found->error);

	if (result == FILES_NO_RESOURCES || result == FILES_FAILED) {
		/* Whether it is another one cannot be told: without descriptors the one that is known will do. */
		if (found->descriptor >= 0)
			close(found->descriptor);
		return result == FILES_NO_RESOURCES && before != NULL ? FILES_OK : result;
	}
	if (found->error == 0 && before != NULL && before->device == found->status.st_dev && before->inode == found->status.st_ino) {
		close(found->descriptor); /* the same: what is open below it stays good */
		return FILES_OK;
	}
	root->directory = NULL;
	if (before != NULL)
		files_directory_unref(before);
	if (found->error != 0) {
		if (found->descriptor >= 0)
			close(found->descriptor);
		errno = found->error;
		LOG_LIMITED(LOG_WARNING, 10000, "static files: %s: %m", root->text);
		return FILES_OK;
	}
	struct files_directory *directory = calloc(1, sizeof(*directory));
	if (directory == NULL) {
		close(found->descriptor);
		return FILES_NO_RESOURCES;
	}
	*directory = (struct files_directory){
	    .references = 1,
	    .descriptor = found->descriptor,
	    .local = found->local,
	    .in_memory = found->in_memory,
	    .root_hash = root->hash,
	    .device = found->status.st_dev,
	    .inode = found->status.st_ino,
	};
	root->directory = directory;
	return FILES_OK;
}

/* One that is not there is soon looked for again: it may have been moved away to make room for the next. */
static bool is_fresh(const struct files_core *core, const struct files_root *root)
{
	uint64_t trust_us = root->directory != NULL ? FILES_TRUST_US : FILES_TRUST_MISSING_US;
	return root->looked_us != 0 && loop_now_us(core->loop) - root->looked_us <= trust_us;
}

/* One task has it opened, the others wait for that. */
static enum files_result root_renew(struct files_core *core, struct files_root *root, const struct files_patience *patience)
{
	struct files_found found;

	while (!is_fresh(core, root)) { /* at most until the patience ends */
		if (root->opening) {
			int64_t left_ms = files_patience_left_ms(patience);
			if (left_ms == 0)
				return FILES_STALLED;
			if (task_wait(&root->changed, left_ms) == WAIT_CANCELLED)
				return FILES_CANCELLED;
			continue;
		}
		root->opening = true;
		enum files_result result = files_open_root(root->text, patience, &found);
		root->opening = false;
		if (result == FILES_OK)
			result = root_take(root, &found);
		if (result == FILES_OK)
			root->looked_us = loop_now_us(core->loop);
		wait_queue_wake_all(&root->changed);
		if (result != FILES_OK)
			return result;
	}
	return FILES_OK;
}

/* ---- finding -------------------------------------------------------------------------------------------------------- */

static struct files_root *root_find(struct files_core *core, const char *text)
{
	if (core->last_root != NULL && strcmp(core->last_root->text, text) == 0)
		return core->last_root;
	uint64_t hash = hash_stable(text, strlen(text));
	struct list *bucket = &core->roots[hash % ROOT_BUCKETS];

	LIST_EACH (item, bucket) { /* as many as the cluster files of the last seconds name */
		struct files_root *root = OWNER_OF(item, struct files_root, link);
		if (root->hash == hash && strcmp(root->text, text) == 0) {
			core->last_root = root;
			return root;
		}
	}
	struct files_root *root = calloc(1, sizeof(*root));
	if (root == NULL)
		return NULL;
	root->text = strdup(text);
	if (root->text == NULL) {
		free(root);
		return NULL;
	}
	root->hash = hash;
	wait_queue_init(&root->changed);
	list_append(bucket, &root->link);
	return root;
}

enum files_result files_root_enter(struct files_core *core, const char *text, int64_t timeout_ms, struct files_root **out)
{
	struct files_root *root = root_find(core, text);

	if (root == NULL)
		return FILES_NO_RESOURCES;
	root->users++;
	root->used_us = loop_now_us(core->loop);
	enum files_result result = FILES_OK;
	if (!is_fresh(core, root)) {
		struct files_patience patience = files_patience(core, root->hash, timeout_ms);
		result = root_renew(core, root, &patience);
	}
	if (result == FILES_OK && root->directory == NULL)
		result = FILES_MISSING;
	if (result != FILES_OK)
		files_root_leave(root);
	else
		*out = root;
	return result;
}

void files_root_leave(struct files_root *root)
{
	ASSERT(root->users > 0);
	root->users--;
}

/* ---- letting go ------------------------------------------------------------------------------------------------------ */

static void root_free(struct files_core *core, struct files_root *root)
{
	ASSERT(root->users == 0);
	if (core->last_root == root)
		core->last_root = NULL;
	list_remove(&root->link);
	if (root->directory != NULL)
		files_directory_unref(root->directory);
	free(root->text);
	free(root);
}

void files_roots_sweep(struct files_core *core)
{
	uint64_t now_us = loop_now_us(core->loop);

	for (unsigned i = 0; i < ROOT_BUCKETS; i++) {
		LIST_EACH_SAFE (item, &core->roots[i]) {
			struct files_root *root = OWNER_OF(item, struct files_root, link);
			if (root->users == 0 && now_us - root->used_us > FILES_UNUSED_US)
				root_free(core, root);
		}
	}
}

void files_roots_free(struct files_core *core)
{
	for (unsigned i = 0; i < ROOT_BUCKETS; i++) {
		LIST_EACH_SAFE (item, &core->roots[i])
			root_free(core, OWNER_OF(item, struct files_root, link));
	}
}
