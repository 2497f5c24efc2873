/* SPDX-License-Identifier: BSD-2-Clause
 *
 * files: the files below a root, for a visitor who names them: opened so that nothing outside the root is ever reached, kept open
 * for a moment, and read so that a slow disk never holds up a loop.
 *
 * Runs in the traffic process, one files_core for each of its threads; http/ calls it, from tasks. What the kernel has in memory
 * is opened, looked at and read on the loop; everything else is done by a thread of the pool (loop's offload_run) while the task
 * waits.
 *
 *     files_open      the file of this name, open, as it is now   (cache.c, open.c, root.c)
 *     files_read      some of its bytes; or files_warm, and then sendfile finds them in memory   (read.c)
 *     files_unref
 *
 * A name that is replaced (rename), and a root that is (a link that points elsewhere now), are seen within FILES_TRUST_US; a file
 * that is written in place at its next use.
 */
#ifndef NOAH_FILES_H
#define NOAH_FILES_H

#include "loop/loop.h"

/* ---- bounds ----------------------------------------------------------------------------------------------------- */

#define FILES_OPEN_MOST           512u              /* files that one core keeps open for later */
#define FILES_TRUST_US            UINT64_C(1000000) /* so long a name means what it meant */
#define FILES_TRUST_MISSING_US    UINT64_C(50000)   /* … and a root that is not there is believed so */
#define FILES_UNUSED_US           UINT64_C(5000000) /* what nobody asks for is closed after this time */
#define FILES_CONTENT_MOST_BYTES  16384u            /* a file up to this size has its content kept in memory */
#define FILES_CONTENTS_MOST_BYTES (4u << 20)        /* of all files of one core */
#define FILES_WINDOW_BYTES        262144u           /* so much of a file is looked at, or fetched, at once */
#define FILES_WINDOWS_KEPT        8u                /* for each file: windows known to be in memory */
#define FILES_JOBS_MOST           3u /* pool threads that one root can occupy: a dead disk leaves one for everything else */
#define FILES_PATH_MOST           4095u
#define FILES_TEXT_SIZE           72u /* of what somebody notes beside a file */

/* ---- outcomes --------------------------------------------------------------------------------------------------- */

enum files_result {
	FILES_OK,
	FILES_DIRECTORY,    /* it is one */
	FILES_MISSING,      /* nothing of that name: also what is no regular file, is outside the root, or may not be read */
	FILES_CUT,          /* it has fewer bytes than it had when it was opened */
	FILES_STALLED,      /* the disk gave no answer in time */
	FILES_FAILED,       /* the disk could not read it */
	FILES_NO_RESOURCES, /* descriptors or memory */
	FILES_CANCELLED,
};

/* ---- an open file ----------------------------------------------------------------------------------------------- */

struct files_directory;

#define FILES_MAGIC 0x66696c65u
struct files_file {
	uint32_t magic;
	int descriptor;
	bool local;      /* on a disk of this machine: what is in memory can be read without waiting for anybody */
	bool in_memory;  /* its file system is memory */
	bool has_nowait; /* its file system can say what is in memory */
	uint64_t size_bytes;
	uint64_t modified_ns; /* since 1970 */
	const char *content;  /* all of it; NULL: not in memory */
	/* For whoever uses it; good as long as the file is what it was. */
	uint64_t note_us;
	uint32_t note;
	char text[FILES_TEXT_SIZE]; /* text[0] is zero as long as nobody has written there */
	/* private */
	unsigned references;
	struct list link, order; /* in the cache: its bucket, and the last used first; lists of one when it is not there */
	struct files_core *core;
	struct files_directory *directory;
	uint64_t hash;
	char *path;
	size_t path_size;
	uint64_t device, inode, checked_us, used_us, looked_us;
	uint64_t window_us[FILES_WINDOWS_KEPT];
	uint32_t window[FILES_WINDOWS_KEPT];
};

/* ---- one for each thread ---------------------------------------------------------------------------------------- */

struct files_core;
/* NULL: no memory. */
struct files_core *files_core_new(struct loop *loop) MUST_CHECK;
/* After loop_run has returned, before loop_free. */
void files_core_free(struct files_core *core);

/* ---- opening (cache.c) ------------------------------------------------------------------------------------------ */

/* The regular file `path` (no '/' in front, no empty part, at most FILES_PATH_MOST bytes; "": the root) below `root` (absolute).
 * FILES_OK: *out is the caller's reference. FILES_DIRECTORY and all others: *out is NULL. Waits, at most timeout_ms. */
enum files_result files_open(struct files_core *core, const char *root, struct span path, int64_t timeout_ms,
                             struct files_file **out) MUST_CHECK;
/* Whether it is a directory (FILES_DIRECTORY); nothing is opened that would notice. FILES_MISSING: anything else. */
enum files_result files_look(struct files_core *core, const char *root, struct span path, int64_t timeout_ms) MUST_CHECK;
struct files_file *files_ref(struct files_file *file);
void files_unref(struct files_file *file);

/* ---- reading (read.c) ------------------------------------------------------------------------------------------- */

/* Exactly these bytes into `out`, at most FILES_WINDOW_BYTES. Waits, at most timeout_ms. */
enum files_result files_read(struct files_file *file, uint64_t offset, void *out, size_t size_bytes,
                             int64_t timeout_ms) MUST_CHECK;
/* Makes sure that these bytes are in memory, at most up to the end of the window in which they begin; *warm_bytes tells how many
 * are: sendfile(2) will not wait for the disk. Only for files that are `local`. Waits, at most timeout_ms. */
enum files_result files_warm(struct files_file *file, uint64_t offset, uint64_t size_bytes, int64_t timeout_ms,
                             size_t *warm_bytes) MUST_CHECK;

/* ---- types (types.c) -------------------------------------------------------------------------------------------- */

struct files_type {
	const char *ending; /* lower case, without the dot */
	const char *media;  /* with its charset, for text */
	bool compressible;  /* a coded one may lie beside it; what noah compresses by itself is in http/compress_decide.c */
};
/* What the last part of a path ends in, behind its last dot; empty: it has none, or begins with its only one. */
struct span files_ending(struct span path);
/* .git, .env, .htaccess, "." and "..": a part of the name begins with a dot. Only /.well-known/ may (RFC 8615: files for
 * programs). */
bool files_is_hidden(struct span name) MUST_CHECK;
/* By the ending, in any case. NULL: not known, and not served unless the administrator names it. */
const struct files_type *files_type_find(struct span ending) MUST_CHECK;
/* All of them, sorted by ending. */
const struct files_type *files_types(size_t *count) MUST_CHECK;

#endif
