/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of files/ share with one another and with nobody else.
 */
#ifndef NOAH_FILES_PRIVATE_H
#define NOAH_FILES_PRIVATE_H

#include "files/files.h"

#include <sys/stat.h>

#define BUCKETS      1024u /* of open files: twice FILES_OPEN_MOST */
#define ROOT_BUCKETS 64u
#define SWEEP_MS     2000
#define SLOT_LOOK_MS 20 /* how often a task looks whether another thread's job has ended */

/* A directory below which files are opened; kept as long as somebody uses it. */
struct files_directory {
	unsigned references; /* of the loop's thread */
	int descriptor;      /* O_PATH */
	bool local, in_memory;
	uint64_t root_hash; /* on whose account it is read */
	uint64_t device, inode;
};

/* A root as the cluster file names it, and the directory that this name means now. */
struct files_root {
	struct list link; /* in its bucket */
	unsigned users;   /* tasks */
	uint64_t hash;
	char *text;
	struct files_directory *directory; /* NULL: not opened yet, or there is none */
	bool opening;                      /* a task has that done */
	uint64_t looked_us, used_us;       /* 0: never */
	struct wait_queue changed;
};

struct files_core {
	struct loop *loop;
	struct timer sweep;
	struct list files[BUCKETS];
	struct list order; /* all files of the cache, the last used first */
	unsigned file_count;
	size_t content_bytes;
	struct list roots[ROOT_BUCKETS];
	struct files_root *last_root; /* that was asked for; NULL: none, or it is gone */
	struct list closing;          /* jobs: descriptors that wait for a thread to close them */
	bool ended;                   /* the loop has; what a thread would have to close stays as it is */
	char *window;                 /* FILES_WINDOW_BYTES that are read only to see that they are in memory: filled and forgotten */
};

/* ---- work for the pool (open.c) ---------------------------------------------------------------------------------- */

/* What was found under a name. */
struct files_found {
	int descriptor; /* -1: none; O_PATH for a directory that was only looked for */
	int error;      /* errno; 0: all went well */
	bool local, in_memory;
	struct stat status;
};

/* Until when a task waits. */
struct files_patience {
	struct files_core *core;
	struct loop *loop;
	uint64_t until_us;
	uint64_t hash; /* of the root on whose account it is */
};
struct files_patience files_patience(struct files_core *core, uint64_t hash, int64_t timeout_ms);
int64_t files_patience_left_ms(const struct files_patience *patience) MUST_CHECK; /* 0: it has ended */

struct files_job {
	struct offload offload; /* first */
	struct files_core *core;
	struct list link; /* in core->closing */
	uint64_t hash;
	struct files_directory *directory; /* a reference, or NULL */
	struct files_file *file;           /* the same */
	struct files_found found;
	uint64_t offset;
	size_t size_bytes, done_bytes;
	char bytes[]; /* a path, or what was read */
};
/* NULL: no memory. */
struct files_job *files_job_new(size_t room) MUST_CHECK;
/* Has work(job) run on a pool thread. FILES_OK: it has run, and the caller frees it with job->offload.release. Otherwise it is
 * gone (its descriptor too, if it still finds one). */
enum files_result files_job_run(struct files_job *job, const struct files_patience *patience,
                                void (*work)(struct offload *offload)) MUST_CHECK;

/* close(2) asks some file systems (FUSE): what is not `local` is closed by the pool, on the account of the root with this hash.
 */
void files_close(struct files_core *core, uint64_t hash, bool local, int descriptor);
/* Closes what waits for that, as far as there are threads. */
void files_close_waiting(struct files_core *core);
/* What an error means: of opening, by any name. 0 is FILES_OK. */
enum files_result files_result_of(int error);

enum files_how { OPEN_TO_READ, OPEN_TO_LOOK };
/* Beneath the directory: on the loop if the kernel has all of it in memory, else on the pool. FILES_OK: *found is filled,
 * whatever there is; its descriptor is the caller's. */
enum files_result files_open_beneath(struct files_directory *directory, struct span path, enum files_how how,
                                     const struct files_patience *patience, struct files_found *found) MUST_CHECK;
/* By its absolute path, on the pool. */
enum files_result files_open_root(const char *path, const struct files_patience *patience, struct files_found *found) MUST_CHECK;

/* ---- roots (root.c) ----------------------------------------------------------------------------------------------- */

/* The root, with a directory as of FILES_TRUST_US ago at most. FILES_OK: root->users has one more, for files_root_leave. */
enum files_result files_root_enter(struct files_core *core, const char *text, int64_t timeout_ms,
                                   struct files_root **out) MUST_CHECK;
void files_root_leave(struct files_root *root);
/* Closes those that nobody has used. */
void files_roots_sweep(struct files_core *core);
void files_roots_free(struct files_core *core);
struct files_directory *files_directory_ref(struct files_directory *directory);
void files_directory_unref(struct files_directory *directory);

/* ---- reading (read.c) ---------------------------------------------------------------------------------------------- */

uint64_t files_now_us(const struct files_file *file);

#endif
