/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading: what the kernel has in memory at once (RWF_NOWAIT), everything else on a pool thread. http/ calls it, in tasks.
 *
 * sendfile(2) has no such flag. So before it is used, a window of the file is read once without waiting, just to see that it is
 * all in memory; that is believed for FILES_TRUST_US, so a file that many ask for is looked at once a second.
 */
#include "files/files_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

static enum files_result result_of_error(int error)
{
	return error == ENOMEM || error == ENOBUFS ? FILES_NO_RESOURCES : FILES_FAILED;
}

/* ---- without waiting -------------------------------------------------------------------------------------------------- */

/* FILES_OK: all of it; FILES_STALLED: not all of it is in memory, or nobody can say. */
static enum files_result read_now(struct files_file *file, uint64_t offset, void *out, size_t size)
{
	struct iovec part = {.iov_base = out, .iov_len = size};

	if (!file->local || (!file->has_nowait && !file->in_memory))
		return FILES_STALLED;
	ssize_t got;
	do
		got = preadv2(file->descriptor, &part, 1, (off_t)offset, file->in_memory ? 0 : RWF_NOWAIT);
	while (got < 0 && errno == EINTR);
	if (got == (ssize_t)size)
		return FILES_OK;
	if (got >= 0 || errno == EAGAIN)
		return FILES_STALLED; /* or its end, which the pool thread finds too */
	if (errno == EOPNOTSUPP) {
		file->has_nowait = false;
		return FILES_STALLED;
	}
	return result_of_error(errno);
}

/* ---- on the pool ------------------------------------------------------------------------------------------------------ */

static void read_work(struct offload *offload)
{
	struct files_job *job = OWNER_OF(offload, struct files_job, offload);

	while (job->done_bytes < job->size_bytes) {
		ssize_t got = pread(job->file->descriptor, job->bytes + job->done_bytes, job->size_bytes - job->done_bytes,
		                    (off_t)(job->offset + job->done_bytes));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			job->found.error = errno;
		if (got <= 0)
			return;
		job->done_bytes += (size_t)got;
	}
}

/* `out` may be NULL: it is only to be in memory. */
static enum files_result read_on_pool(struct files_file *file, uint64_t offset, void *out, size_t size, int64_t timeout_ms)
{
	struct files_patience patience = files_patience(file->core, file->directory->root_hash, timeout_ms);
	struct files_job *job = files_job_new(size);

	if (job == NULL)
		return FILES_NO_RESOURCES;
	job->file = files_ref(file);
	job->offset = offset;
	job->size_bytes = size;
	enum files_result result = files_job_run(job, &patience, read_work);
	if (result != FILES_OK)
		return result;
	if (job->found.error != 0)
		result = result_of_error(job->found.error);
	else if (job->done_bytes < size)
		result = FILES_CUT;
	else if (out != NULL)
		memcpy(out, job->bytes, size);
	job->offload.release(&job->offload);
	return result;
}

/* ---- what is called ----------------------------------------------------------------------------------------------------- */

enum files_result files_read(struct files_file *file, uint64_t offset, void *out, size_t size, int64_t timeout_ms)
{
	CHECK_MAGIC(file, FILES_MAGIC);
	ASSERT(size > 0 && size <= FILES_WINDOW_BYTES);
	enum files_result result = read_now(file, offset, out, size);
	return result == FILES_STALLED ? read_on_pool(file, offset, out, size, timeout_ms) : result;
}

enum files_result files_warm(struct files_file *file, uint64_t offset, uint64_t size, int64_t timeout_ms, size_t *warm_bytes)
{
	uint64_t window = offset / FILES_WINDOW_BYTES, start = window * FILES_WINDOW_BYTES;
	uint64_t end = file->size_bytes - start < FILES_WINDOW_BYTES ? file->size_bytes : start + FILES_WINDOW_BYTES;
	unsigned place = (unsigned)(window % FILES_WINDOWS_KEPT);

	CHECK_MAGIC(file, FILES_MAGIC);
	ASSERT(file->local && size > 0 && offset + size <= file->size_bytes);
	*warm_bytes = (size_t)(end - offset < size ? end - offset : size);
	if (file->in_memory || (file->window_us[place] != 0 && file->window[place] == (uint32_t)window &&
	                        files_now_us(file) - file->window_us[place] <= FILES_TRUST_US))
		return FILES_OK;
	struct files_core *core = file->core;
	if (core->window == NULL)
		core->window = malloc(FILES_WINDOW_BYTES);
	if (core->window == NULL)
		return FILES_NO_RESOURCES;
	enum files_result result = read_now(file, start, core->window, (size_t)(end - start));
	if (result == FILES_STALLED)
		result = read_on_pool(file, start, NULL, (size_t)(end - start), timeout_ms);
	if (result == FILES_OK) {
		file->window[place] = (uint32_t)window;
		file->window_us[place] = files_now_us(file);
	}
	return result;
}
