/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The files that a core keeps open: from a root and a path to an open file that is still what it was. What was found under a name
 * is believed for FILES_TRUST_US; that the open file itself has not changed is asked at each use, which costs no path walk and
 * waits for nobody. http/ calls it, in tasks.
 *
 * A struct files_file never changes what it says of its file. When the file is another one now, it is forgotten here, and whoever
 * is sending it goes on with the one that he began.
 */
#include "files/files_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define NS_IN_S          UINT64_C(1000000000)
#define SETTLED_AFTER_NS (2 * NS_IN_S) /* a change within one tick of the clock leaves the time as it is */

static void sweep(struct timer *timer);

struct files_core *files_core_new(struct loop *loop)
{
	struct files_core *core = calloc(1, sizeof(*core));

	if (core == NULL)
		return NULL;
	core->loop = loop;
	timer_init(&core->sweep, sweep);
	list_init(&core->order);
	list_init(&core->closing);
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&core->files[i]);
	for (unsigned i = 0; i < ROOT_BUCKETS; i++)
		list_init(&core->roots[i]);
	return core;
}

/* ---- references ----------------------------------------------------------------------------------------------------- */

uint64_t files_now_us(const struct files_file *file)
{
	return loop_now_us(file->core->loop);
}

struct files_file *files_ref(struct files_file *file)
{
	CHECK_MAGIC(file, FILES_MAGIC);
	file->references++;
	return file;
}

static void forget_content(struct files_file *file)
{
	if (file->content == NULL)
		return;
	file->core->content_bytes -= (size_t)file->size_bytes;
	free((void *)(uintptr_t)file->content);
	file->content = NULL;
}

void files_unref(struct files_file *file)
{
	CHECK_MAGIC(file, FILES_MAGIC);
	ASSERT(file->references > 0);
	if (--file->references > 0)
		return;
	file->magic = 0;
	forget_content(file);
	files_close(file->core, file->directory->root_hash, file->local, file->descriptor);
	files_directory_unref(file->directory);
	free(file->path);
	free(file);
}

/* Out of the cache; who uses it keeps it. */
static void forget(struct files_file *file)
{
	struct files_core *core = file->core;

	list_remove(&file->link);
	list_remove(&file->order);
	ASSERT(core->order.next != &file->order && core->order.previous != &file->order);
	core->file_count--;
	files_unref(file);
}

/* Nothing keeps a deleted file's room on the disk, or a disk from being unmounted, for longer than somebody uses it. */
static void sweep(struct timer *timer)
{
	struct files_core *core = OWNER_OF(timer, struct files_core, sweep);
	uint64_t now_us = loop_now_us(core->loop);

	while (!list_is_empty(&core->order)) { /* at most FILES_OPEN_MOST */
		struct files_file *oldest = OWNER_OF(core->order.previous, struct files_file, order);
		if (now_us - oldest->used_us <= FILES_UNUSED_US)
			break;
		forget(oldest);
	}
	files_roots_sweep(core);
	files_close_waiting(core);
	bool empty = list_is_empty(&core->order) && list_is_empty(&core->closing);
	for (unsigned i = 0; empty && i < ROOT_BUCKETS; i++)
		empty = list_is_empty(&core->roots[i]);
	if (!empty)
		timer_set(&core->sweep, SWEEP_MS);
}

void files_core_free(struct files_core *core)
{
	core->ended = true;
	while (!list_is_empty(&core->order))
		forget(OWNER_OF(core->order.next, struct files_file, order));
	LIST_EACH_SAFE (item, &core->closing)
		free(OWNER_OF(item, struct files_job, link));
	files_roots_free(core);
	free(core->window);
	free(core);
}

/* ---- is it still what it was ------------------------------------------------------------------------------------------ */

static uint64_t modified_ns(int64_t seconds, uint32_t nanoseconds)
{
	return seconds < 0 ? 0 : (uint64_t)seconds * NS_IN_S + nanoseconds;
}

static bool is_same(const struct files_file *file, const struct stat *status)
{
	return (uint64_t)status->st_size == file->size_bytes && status->st_ino == file->inode && status->st_dev == file->device &&
	       modified_ns(status->st_mtim.tv_sec, (uint32_t)status->st_mtim.tv_nsec) == file->modified_ns;
}

/* The open file itself. Of a file system that would have to ask, only what the kernel believes. */
static bool look_whether_same(const struct files_file *file)
{
	struct statx more;
	struct stat status;

	if (file->local)
		return fstat(file->descriptor, &status) == 0 && is_same(file, &status);
	return statx(file->descriptor, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE | STATX_MTIME, &more) == 0 &&
	       more.stx_size == file->size_bytes && modified_ns(more.stx_mtime.tv_sec, more.stx_mtime.tv_nsec) == file->modified_ns;
}

/* Once in a turn of the loop: its requests have come at the same time. */
static bool is_unchanged(struct files_file *file)
{
	uint64_t now_us = loop_now_us(file->core->loop);

	if (file->looked_us == now_us)
		return true;
	if (!look_whether_same(file))
		return false;
	file->looked_us = now_us;
	return true;
}

/* ---- content in memory -------------------------------------------------------------------------------------------------- */

static bool content_room(struct files_core *core, size_t size)
{
	if (core->content_bytes + size <= FILES_CONTENTS_MOST_BYTES)
		return true;
	/* From those that were not used for longest, and are not being sent. */
	for (struct list *item = core->order.previous; item != &core->order && core->content_bytes + size > FILES_CONTENTS_MOST_BYTES;
	     item = item->previous) { /* at most FILES_OPEN_MOST */
		struct files_file *file = OWNER_OF(item, struct files_file, order);
		if (file->references == 1)
			forget_content(file);
	}
	return core->content_bytes + size <= FILES_CONTENTS_MOST_BYTES;
}

/* Only once it has settled: what was written a moment ago may be written again without another time. */
static bool is_settled(const struct files_file *file)
{
	return clock_wall_us() * 1000u > file->modified_ns + SETTLED_AFTER_NS;
}

/* If that costs no waiting for a disk. */
static void keep_content(struct files_core *core, struct files_file *file)
{
	size_t size = (size_t)file->size_bytes;

	if (file->content != NULL || !file->local || file->size_bytes == 0 || file->size_bytes > FILES_CONTENT_MOST_BYTES ||
	    !is_settled(file) || !content_room(core, size))
		return;
	char *content = malloc(size);
	if (content == NULL)
		return;
	struct iovec part = {.iov_base = content, .iov_len = size};
	if (preadv2(file->descriptor, &part, 1, 0, file->in_memory ? 0 : RWF_NOWAIT) != (ssize_t)size || !look_whether_same(file)) {
		free(content);
		return;
	}
	file->content = content;
	core->content_bytes += size;
}

/* ---- the cache ---------------------------------------------------------------------------------------------------------- */

static struct files_file *find(struct files_core *core, uint64_t hash, struct span path, const struct files_directory *directory)
{
	LIST_EACH (item, &core->files[hash % BUCKETS]) {
		struct files_file *file = OWNER_OF(item, struct files_file, link);
		if (file->hash == hash && file->directory == directory && span_equal(span_of(file->path, file->path_size), path))
			return file;
	}
	return NULL;
}

static void used(struct files_core *core, struct files_file *file)
{
	file->used_us = loop_now_us(core->loop);
	list_remove(&file->order);
	list_prepend(&core->order, &file->order);
}

static struct files_file *file_new(struct files_core *core, struct files_directory *directory, uint64_t hash, struct span path,
                                   const struct files_found *found)
{
	struct files_file *file = calloc(1, sizeof(*file));

	if (file == NULL)
		return NULL;
	file->path = malloc(path.size + 1);
	if (file->path == NULL) {
		free(file);
		return NULL;
	}
	memcpy(file->path, path.start, path.size);
	file->path_size = path.size;
	file->magic = FILES_MAGIC;
	file->references = 1;
	file->core = core;
	file->directory = files_directory_ref(directory);
	file->hash = hash;
	file->descriptor = found->descriptor;
	file->local = found->local;
	file->in_memory = found->in_memory;
	file->has_nowait = !found->in_memory;
	file->size_bytes = (uint64_t)found->status.st_size;
	file->modified_ns = modified_ns(found->status.st_mtim.tv_sec, (uint32_t)found->status.st_mtim.tv_nsec);
	file->device = found->status.st_dev;
	file->inode = found->status.st_ino;
	list_init(&file->link);
	list_init(&file->order);
	return file;
}

/* The caller keeps his reference. */
static void keep(struct files_core *core, struct files_file *file)
{
	if (core->file_count == FILES_OPEN_MOST)
		forget(OWNER_OF(core->order.previous, struct files_file, order));
	list_append(&core->files[file->hash % BUCKETS], &file->link);
	list_prepend(&core->order, &file->order);
	core->file_count++;
	files_ref(file);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

/* Rights that are not there are the administrator's fault, more often than not. */
static enum files_result result_of(const struct files_root *root, struct span path, int error)
{
	if (error == EACCES || error == EPERM) {
		errno = error;
		LOG_LIMITED(LOG_NOTICE, 10000, "static files: %s/%.*s: %m", root->text, (int)path.size, path.start);
	}
	return files_result_of(error);
}

/* What was found becomes a file of the cache, or nothing. */
static enum files_result take(struct files_core *core, const struct files_root *root, struct files_directory *directory,
                              uint64_t hash, struct span path, struct files_found *found, struct files_file **out)
{
	enum files_result result = result_of(root, path, found->error);

	if (result == FILES_OK && !S_ISREG(found->status.st_mode))
		result = S_ISDIR(found->status.st_mode) ? FILES_DIRECTORY : FILES_MISSING;
	/* Another task may have been here first: then that one is as good, if it is the same. */
	struct files_file *file = find(core, hash, path, directory);
	if (result == FILES_OK && file != NULL && is_same(file, &found->status) && is_unchanged(file)) {
		files_close(core, directory->root_hash, found->local, found->descriptor);
		file->checked_us = loop_now_us(core->loop);
		used(core, file);
		keep_content(core, file);
		*out = files_ref(file);
		return FILES_OK;
	}
	if (file != NULL)
		forget(file);
	if (result == FILES_OK)
		file = file_new(core, directory, hash, path, found);
	if (result == FILES_OK && file == NULL)
		result = FILES_NO_RESOURCES;
	if (result != FILES_OK) {
		if (found->descriptor >= 0)
			files_close(core, directory->root_hash, found->local, found->descriptor);
		return result;
	}
	file->checked_us = file->used_us = loop_now_us(core->loop);
	keep_content(core, file);
	keep(core, file);
	*out = file;
	return FILES_OK;
}

/* Both are the caller's to let go. */
static enum files_result enter(struct files_core *core, const char *root_text, int64_t timeout_ms, struct files_root **root,
                               struct files_directory **directory)
{
	enum files_result result = files_root_enter(core, root_text, timeout_ms, root);

	if (!core->sweep.armed)
		timer_set(&core->sweep, SWEEP_MS);
	if (result == FILES_OK)
		*directory = files_directory_ref((*root)->directory);
	return result;
}

enum files_result files_open(struct files_core *core, const char *root_text, struct span path, int64_t timeout_ms,
                             struct files_file **out)
{
	struct files_directory *directory;
	struct files_root *root;
	struct files_found found;

	*out = NULL;
	enum files_result result = enter(core, root_text, timeout_ms, &root, &directory);
	if (result != FILES_OK)
		return result;
	uint64_t hash = hash_bytes(path.start, path.size) ^ root->hash;
	struct files_file *file = find(core, hash, path, directory);
	if (file != NULL && loop_now_us(core->loop) - file->checked_us <= FILES_TRUST_US && is_unchanged(file)) {
		used(core, file);
		*out = files_ref(file);
	} else {
		struct files_patience patience = files_patience(core, root->hash, timeout_ms);
		result = files_open_beneath(directory, path, OPEN_TO_READ, &patience, &found);
		if (result == FILES_OK)
			result = take(core, root, directory, hash, path, &found, out);
	}
	files_directory_unref(directory);
	files_root_leave(root);
	return result;
}

enum files_result files_look(struct files_core *core, const char *root_text, struct span path, int64_t timeout_ms)
{
	struct files_directory *directory;
	struct files_root *root;
	struct files_found found;
	enum files_result result = enter(core, root_text, timeout_ms, &root, &directory);

	if (result != FILES_OK)
		return result;
	struct files_patience patience = files_patience(core, root->hash, timeout_ms);
	result = files_open_beneath(directory, path, OPEN_TO_LOOK, &patience, &found);
	if (result == FILES_OK)
		result = result_of(root, path, found.error);
	if (result == FILES_OK)
		result = S_ISDIR(found.status.st_mode) ? FILES_DIRECTORY : FILES_MISSING;
	if (found.descriptor >= 0)
		close(found.descriptor);
	files_directory_unref(directory);
	files_root_leave(root);
	return result;
}
