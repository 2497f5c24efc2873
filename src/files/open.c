/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Opening beneath a directory, and how work for files gets to a pool thread. cache.c, root.c and read.c call it, in tasks; what
 * ends in _work runs on the pool thread. Nothing here knows the cache.
 *
 * openat2(2) keeps the walk beneath the root whatever the names on the way are or become while it goes on: ".." and links
 * (absolute ones, and those of /proc) that lead out are errors. On the loop only what is in memory is walked (RESOLVE_CACHED),
 * and only on the root's own file system, because opening a file of another one may ask a machine far away.
 */
#include "cluster/cluster.h"
#include "files/files_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WALKS_MOST 100u

/* ---- how much of the pool a root may have ------------------------------------------------------------------------ */

#define BUSY_ROOTS_MOST 64u                                   /* that have jobs at the same time; those of more wait */
static pthread_mutex_t busy_lock = PTHREAD_MUTEX_INITIALIZER; /* of all threads; held for a look at this table */
static struct {
	uint64_t hash;
	unsigned jobs; /* 0: the place is free */
	bool closing;  /* one of them closes a file; one is enough, so that those that are asked for can still be opened */
} busy[BUSY_ROOTS_MOST];

static bool take_slot(uint64_t hash, bool to_close)
{
	unsigned place = BUSY_ROOTS_MOST;
	bool taken = false;

	pthread_mutex_lock(&busy_lock);
	for (unsigned i = 0; i < BUSY_ROOTS_MOST; i++) {
		if (busy[i].jobs > 0 && busy[i].hash == hash) {
			place = i;
			break;
		}
		if (busy[i].jobs == 0 && place == BUSY_ROOTS_MOST)
			place = i;
	}
	if (place < BUSY_ROOTS_MOST && busy[place].jobs < FILES_JOBS_MOST && !(to_close && busy[place].closing)) {
		busy[place].hash = hash;
		busy[place].jobs++;
		busy[place].closing |= to_close;
		taken = true;
	}
	pthread_mutex_unlock(&busy_lock);
	return taken;
}

static void give_slot_back(uint64_t hash, bool to_close)
{
	pthread_mutex_lock(&busy_lock);
	for (unsigned i = 0; i < BUSY_ROOTS_MOST; i++) {
		if (busy[i].jobs > 0 && busy[i].hash == hash) {
			busy[i].jobs--;
			busy[i].closing &= !to_close;
			break;
		}
	}
	pthread_mutex_unlock(&busy_lock);
}

/* ---- closing -------------------------------------------------------------------------------------------------------- */

static void close_work(struct offload *offload)
{
	struct files_job *job = OWNER_OF(offload, struct files_job, offload);

	close(job->found.descriptor);
}

static void closed(struct offload *offload)
{
	struct files_job *job = OWNER_OF(offload, struct files_job, offload);
	struct files_core *core = job->core;

	give_slot_back(job->hash, true);
	free(job);
	files_close_waiting(core);
}

void files_close_waiting(struct files_core *core)
{
	uint64_t busy_hash = 0;

	LIST_EACH_SAFE (item, &core->closing) { /* at most as many as the process has descriptors */
		struct files_job *job = OWNER_OF(item, struct files_job, link);
		if (job->hash == busy_hash || !take_slot(job->hash, true)) {
			busy_hash = job->hash;
			continue;
		}
		list_remove(&job->link);
		if (offload_begin(core->loop, &job->offload))
			continue;
		give_slot_back(job->hash, true);
		list_prepend(&core->closing, &job->link);
		return;
	}
}

void files_close(struct files_core *core, uint64_t hash, bool local, int descriptor)
{
	if (local) {
		close(descriptor);
		return;
	}
	if (core->ended)
		return; /* the process is about to end, and must not wait for a disk */
	struct files_job *job = files_job_new(0);
	if (job == NULL) {
		close(descriptor);
		return;
	}
	job->core = core;
	job->hash = hash;
	job->found.descriptor = descriptor;
	job->offload.work = close_work;
	job->offload.release = closed;
	list_append(&core->closing, &job->link);
	files_close_waiting(core);
	/* A place may become free without this core's knowing. */
	if (!list_is_empty(&core->closing) && !core->sweep.armed)
		timer_set(&core->sweep, SWEEP_MS);
}

int64_t files_patience_left_ms(const struct files_patience *patience)
{
	uint64_t now_us = loop_now_us(patience->loop);
	return now_us >= patience->until_us ? 0 : (int64_t)((patience->until_us - now_us) / 1000u) + 1;
}

struct files_patience files_patience(struct files_core *core, uint64_t hash, int64_t timeout_ms)
{
	return (struct files_patience){
	    .core = core,
	    .loop = core->loop,
	    .until_us = loop_now_us(core->loop) + (uint64_t)timeout_ms * 1000u,
	    .hash = hash,
	};
}

/* ---- jobs --------------------------------------------------------------------------------------------------------- */

/* On the loop: the job has ended, or was never begun. */
static void free_job(struct files_job *job)
{
	if (job->found.descriptor >= 0)
		files_close(job->core, job->hash, false, job->found.descriptor);
	if (job->directory != NULL)
		files_directory_unref(job->directory);
	if (job->file != NULL)
		files_unref(job->file);
	free(job);
}

static void release_job(struct offload *offload)
{
	struct files_job *job = OWNER_OF(offload, struct files_job, offload);

	give_slot_back(job->hash, false);
	free_job(job);
}

struct files_job *files_job_new(size_t room)
{
	struct files_job *job = malloc(sizeof(*job) + room);

	if (job == NULL)
		return NULL;
	memset(job, 0, sizeof(*job));
	job->found.descriptor = -1;
	job->offload.release = release_job;
	return job;
}

enum files_result files_job_run(struct files_job *job, const struct files_patience *patience,
                                void (*work)(struct offload *offload))
{
	job->core = patience->core;
	job->hash = patience->hash;
	job->offload.work = work;
	while (!take_slot(job->hash, false)) { /* until others have ended, or the patience */
		int64_t most_ms = files_patience_left_ms(patience);
		enum wait_result waited = most_ms > 0 ? task_sleep(most_ms < SLOT_LOOK_MS ? most_ms : SLOT_LOOK_MS) : WAIT_READY;
		if (most_ms == 0 || waited == WAIT_CANCELLED) {
			free_job(job);
			return most_ms == 0 ? FILES_STALLED : FILES_CANCELLED;
		}
	}
	switch (offload_run(&job->offload, files_patience_left_ms(patience))) {
	case WAIT_READY:
		return FILES_OK;
	case WAIT_TIMEOUT:
		return FILES_STALLED;
	case WAIT_CANCELLED:
		break;
	}
	return FILES_CANCELLED;
}

/* ---- what kind of disk it is on ------------------------------------------------------------------------------------ */

/* Those that ask nobody but a disk of this machine. Of what is not in this list everything is done on the pool. */
static void look_at_file_system(struct files_found *found)
{
	static const uint32_t locals[] = {
	    EXT4_SUPER_MAGIC,  XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC,          F2FS_SUPER_MAGIC,  OVERLAYFS_SUPER_MAGIC,
	    SQUASHFS_MAGIC,    EROFS_SUPER_MAGIC_V1,  ISOFS_SUPER_MAGIC,          MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC,
	    NILFS_SUPER_MAGIC, 0x2fc12fc1u /* ZFS */, 0xca451a4eu /* bcachefs */,
	};
	struct statfs status;

	if (fstatfs(found->descriptor, &status) != 0)
		return;
	uint32_t type = (uint32_t)status.f_type;
	found->in_memory = type == TMPFS_MAGIC || type == RAMFS_MAGIC;
	found->local = found->in_memory;
	for (size_t i = 0; i < COUNT_OF(locals); i++)
		found->local |= type == locals[i];
}

/* ---- errors ------------------------------------------------------------------------------------------------------- */

enum files_result files_result_of(int error)
{
	switch (error) {
	case 0:
		return FILES_OK;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return FILES_NO_RESOURCES;
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case EINVAL: /* the file system knows no such names */
	case EILSEQ:
	case EXDEV: /* it leads out */
	case ENXIO: /* a socket, a device */
	case ENODEV:
	case EACCES:
	case EPERM:
		return FILES_MISSING;
	default: /* EIO, ENOTCONN, ETIMEDOUT, ESTALE, …: whether it is there cannot be told */
		return FILES_FAILED;
	}
}

/* ---- beneath ------------------------------------------------------------------------------------------------------ */

static int walk(int directory, const char *path, enum files_how how, uint64_t resolve)
{
	/* A FIFO must not be waited for, nor a terminal become ours. */
	struct open_how open_how = {
	    .flags = O_CLOEXEC | (how == OPEN_TO_LOOK ? O_PATH : O_RDONLY | O_NONBLOCK | O_NOCTTY),
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
	};
	return (int)syscall(SYS_openat2, directory, path, &open_how, sizeof(open_how));
}

/* Where an open file lies. False: nobody can say, or nowhere any more. */
static bool find_place(int descriptor, char *text, size_t room, struct span *place)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
	ssize_t size = readlink(link, text, room);
	if (size <= 0 || (size_t)size == room)
		return false;
	*place = span_of(text, (size_t)size);
	return memmem(text, (size_t)size, " (deleted)", 10) == NULL;
}

/* A link on the way led to it. Its own name is held to the same rules as that of the link: no picture shows a program's source.
 */
static bool may_be_linked(int directory, int descriptor)
{
	char root_text[FILES_PATH_MOST + 1], text[FILES_PATH_MOST + 1];
	struct span root, name;

	if (!find_place(directory, root_text, sizeof(root_text), &root) || !find_place(descriptor, text, sizeof(text), &name))
		return false;
	if (root.size == 1)
		root.size = 0; /* "/" */
	if (!span_starts_with(name, root) || name.size <= root.size || name.start[root.size] != '/')
		return false;
	name = span_of(name.start + root.size + 1, name.size - root.size - 1);
	return !files_is_hidden(name) && !cluster_is_private_type(files_ending(name));
}

static void look_at(struct files_found *found)
{
	if (fstat(found->descriptor, &found->status) != 0)
		found->error = errno;
}

/* False: there is no descriptor, but an error. */
static bool open_beneath(int directory, const char *path, enum files_how how, bool only_cached, struct files_found *found)
{
	const uint64_t cached = only_cached ? RESOLVE_CACHED | RESOLVE_NO_XDEV : 0;

	found->error = 0;
	found->descriptor = walk(directory, path, how, cached | RESOLVE_NO_SYMLINKS);
	bool linked = found->descriptor < 0 && errno == ELOOP;
	if (linked)
		found->descriptor = walk(directory, path, how, cached);
	if (found->descriptor < 0) {
		found->error = errno;
		return false;
	}
	look_at(found);
	if (linked && found->error == 0 && S_ISREG(found->status.st_mode) && !may_be_linked(directory, found->descriptor))
		found->error = ENOENT;
	return true;
}

static void open_work(struct offload *offload)
{
	struct files_job *job = OWNER_OF(offload, struct files_job, offload);
	struct files_found *found = &job->found;

	/* Beneath a root, ".." in a link cannot be followed while anything on the machine is renamed: EAGAIN. */
	for (unsigned i = 0; i < WALKS_MOST; i++) {
		if (open_beneath(job->directory->descriptor, job->bytes, (enum files_how)job->offset, false, found) ||
		    found->error != EAGAIN)
			break;
	}
	if (found->descriptor >= 0 && found->error == 0 && found->status.st_dev != job->directory->device)
		look_at_file_system(found);
}

static enum files_result finish_open(struct files_job *job, struct files_found *found)
{
	*found = job->found;
	if (found->error == 0 && found->status.st_dev == job->directory->device) {
		found->local = job->directory->local;
		found->in_memory = job->directory->in_memory;
	}
	job->found.descriptor = -1; /* the caller's */
	job->offload.release(&job->offload);
	return FILES_OK;
}

enum files_result files_open_beneath(struct files_directory *directory, struct span path, enum files_how how,
                                     const struct files_patience *patience, struct files_found *found)
{
	char name[FILES_PATH_MOST + 1];

	*found = (struct files_found){.descriptor = -1, .local = directory->local, .in_memory = directory->in_memory};
	if (!span_copy(path.size > 0 ? path : SPAN("."), name, sizeof(name))) {
		found->error = ENAMETOOLONG;
		return FILES_OK;
	}
	if (directory->local) {
		if (open_beneath(directory->descriptor, name, how, true, found))
			return FILES_OK;
		/* Not in memory, on another file system (or it leads out: the pool finds that too), or a kernel without RESOLVE_CACHED.
		 */
		if (found->error != EAGAIN && found->error != EXDEV && found->error != EINVAL)
			return FILES_OK;
	}
	struct files_job *job = files_job_new(path.size + 2);
	if (job == NULL)
		return FILES_NO_RESOURCES;
	memcpy(job->bytes, name, strlen(name) + 1);
	job->directory = files_directory_ref(directory);
	job->offset = how;
	enum files_result result = files_job_run(job, patience, open_work);
	return result == FILES_OK ? finish_open(job, found) : result;
}

/* ---- roots -------------------------------------------------------------------------------------------------------- */

static void open_root_work(struct offload *offload)
{
	struct files_job *job = OWNER_OF(offload, struct files_job, offload);
	struct files_found *found = &job->found;

	found->descriptor = open(job->bytes, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (found->descriptor < 0) {
		found->error = errno;
		return;
	}
	look_at(found);
	if (found->error == 0)
		look_at_file_system(found);
}

enum files_result files_open_root(const char *path, const struct files_patience *patience, struct files_found *found)
{
	size_t size = strlen(path) + 1;
	struct files_job *job = files_job_new(size);

	if (job == NULL)
		return FILES_NO_RESOURCES;
	memcpy(job->bytes, path, size);
	enum files_result result = files_job_run(job, patience, open_root_work);
	if (result != FILES_OK)
		return result;
	*found = job->found;
	job->found.descriptor = -1;
	job->offload.release(&job->offload);
	return FILES_OK;
}
