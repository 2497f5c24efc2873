/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files below a root: nothing outside is reached, what is open is still what it was, what has changed is seen, bounds hold.
 */
#include "unit.h"

#include "cluster/cluster.h"
#include "files/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static char place[64]; /* a directory of this test: "outside", "root" and whatever it makes */
static char root[256];
static struct files_core *core;

static void path_in(char out[256], const char *name)
{
	snprintf(out, 256, "%s/%s", place, name);
}

static void put(const char *name, const char *text)
{
	char path[256];

	path_in(path, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Written long ago: its content may be kept. */
static void settle(const char *name)
{
	const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000, .tv_nsec = 123}};
	char path[256];

	path_in(path, name);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void link_to(const char *target, const char *name)
{
	char path[256];

	path_in(path, name);
	assert_int_equal(symlink(target, path), 0);
}

static void make_directory(const char *name)
{
	char path[256];

	path_in(path, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static enum files_result open_one(const char *name, struct files_file **file)
{
	return files_open(core, root, span_of_text(name), PATIENCE_MS, file);
}

static enum files_result try_one(const char *name)
{
	struct files_file *file;
	enum files_result result = open_one(name, &file);

	if (result == FILES_OK)
		files_unref(file);
	else
		assert_null(file);
	return result;
}

/* What is in it, by files_read. */
static void assert_holds(const char *name, const char *text)
{
	struct files_file *file;
	char bytes[256] = "";

	assert_int_equal(open_one(name, &file), FILES_OK);
	assert_int_equal(file->size_bytes, strlen(text));
	assert_int_equal(files_read(file, 0, bytes, strlen(text), PATIENCE_MS), FILES_OK);
	assert_string_equal(bytes, text);
	files_unref(file);
}

/* Waits, with a deadline, until the file holds this. */
static void wait_until_holds(const char *name, const char *text)
{
	struct files_file *file;
	char bytes[256];

	for (unsigned i = 0; i < 500; i++) {
		memset(bytes, 0, sizeof(bytes));
		if (open_one(name, &file) == FILES_OK) {
			bool same = file->size_bytes == strlen(text) && files_read(file, 0, bytes, strlen(text), PATIENCE_MS) == FILES_OK &&
			            strcmp(bytes, text) == 0;
			files_unref(file);
			if (same)
				return;
		}
		assert_int_equal(task_sleep(10), WAIT_READY);
	}
	fail_msg("%s never became \"%s\"", name, text);
}

static unsigned count_descriptors(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");

	assert_non_null(directory);
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

/* ---- each test is a task on a fresh loop ------------------------------------------------------------------------------ */

static void (*body)(void);

static void run_body(void *unused)
{
	(void)unused;
	body();
	loop_stop(loop_current());
}

static void in_loop(void (*what)(void))
{
	char command[128];
	unsigned before = count_descriptors();

	snprintf(place, sizeof(place), "/tmp/noah-files-XXXXXX");
	assert_non_null(mkdtemp(place));
	snprintf(root, sizeof(root), "%s/root", place);
	make_directory("root");
	put("outside.txt", "secret");
	put("root/inside.txt", "inside");
	struct loop *loop = loop_new("test");
	assert_non_null(loop);
	core = files_core_new(loop);
	assert_non_null(core);
	body = what;
	assert_non_null(task_start(loop, "body", run_body, NULL));
	loop_run(loop);
	files_core_free(core);
	loop_free(loop);
	assert_int_equal(count_descriptors(), before); /* everything is closed */
	snprintf(command, sizeof(command), "rm -rf %s", place);
	assert_int_equal(system(command), 0);
}

/* ---- what is reached ---------------------------------------------------------------------------------------------------- */

static void reached(void)
{
	char path[256], far_away[256];

	assert_holds("inside.txt", "inside");
	make_directory("root/deep");
	put("root/deep/down.txt", "down");
	assert_holds("deep/down.txt", "down");
	assert_int_equal(try_one("deep"), FILES_DIRECTORY);
	assert_int_equal(try_one(""), FILES_DIRECTORY);
	assert_int_equal(files_look(core, root, SPAN("deep"), PATIENCE_MS), FILES_DIRECTORY);
	assert_int_equal(files_look(core, root, SPAN("inside.txt"), PATIENCE_MS), FILES_MISSING);
	assert_int_equal(files_look(core, root, SPAN("../root/deep"), PATIENCE_MS), FILES_MISSING);
	assert_int_equal(try_one("nothing.txt"), FILES_MISSING);
	assert_int_equal(try_one("inside.txt/more.txt"), FILES_MISSING);

	/* Out of the root by every door there is. */
	assert_int_equal(try_one("../outside.txt"), FILES_MISSING);
	assert_int_equal(try_one("deep/../../outside.txt"), FILES_MISSING);
	path_in(far_away, "outside.txt");
	assert_int_equal(try_one(far_away), FILES_MISSING);
	assert_int_equal(try_one("/etc/passwd"), FILES_MISSING);
	link_to("../outside.txt", "root/up.txt");
	assert_int_equal(try_one("up.txt"), FILES_MISSING);
	link_to(far_away, "root/absolute.txt");
	assert_int_equal(try_one("absolute.txt"), FILES_MISSING);
	link_to("..", "root/parent");
	assert_int_equal(try_one("parent/outside.txt"), FILES_MISSING);
	assert_int_equal(files_look(core, root, SPAN("parent"), PATIENCE_MS), FILES_MISSING);
	link_to("/proc/self/cwd", "root/magic");
	assert_int_equal(try_one("magic/outside.txt"), FILES_MISSING);
	link_to("loop.txt", "root/loop.txt");
	assert_int_equal(try_one("loop.txt"), FILES_MISSING);
	/* Links that stay inside are good. */
	link_to("deep/down.txt", "root/within.txt");
	assert_holds("within.txt", "down");
	link_to("../deep", "root/deep/again");
	assert_holds("deep/again/down.txt", "down");

	/* What is no file. */
	path_in(path, "root/fifo.txt");
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(try_one("fifo.txt"), FILES_MISSING);
	path_in(path, "root/null.txt");
	if (mknod(path, S_IFCHR | 0644, makedev(1, 3)) == 0)
		assert_int_equal(try_one("null.txt"), FILES_MISSING);
	path_in(path, "root/socket.txt");
	assert_int_equal(mknod(path, S_IFSOCK | 0644, 0), 0);
	assert_int_equal(try_one("socket.txt"), FILES_MISSING);

	char longest[FILES_PATH_MOST + 16];
	memset(longest, 'a', sizeof(longest));
	struct files_file *file;
	assert_int_equal(files_open(core, root, span_of(longest, FILES_PATH_MOST), PATIENCE_MS, &file), FILES_MISSING);
	assert_int_equal(files_open(core, root, span_of(longest, sizeof(longest)), PATIENCE_MS, &file), FILES_MISSING);
	assert_int_equal(files_open(core, "/nonexistent-root", SPAN("a.txt"), PATIENCE_MS, &file), FILES_MISSING);
	assert_int_equal(files_open(core, far_away, SPAN("a.txt"), PATIENCE_MS, &file), FILES_MISSING); /* no directory */
}

static void test_reached(void **unused)
{
	(void)unused;
	in_loop(reached);
}

/* ---- what changes ------------------------------------------------------------------------------------------------------- */

static void changes(void)
{
	char from[256], to[256];
	struct files_file *file;

	/* A small file that has settled is kept in memory; written in place it is seen at the next use. */
	settle("root/inside.txt");
	assert_int_equal(open_one("inside.txt", &file), FILES_OK);
	assert_non_null(file->content);
	assert_memory_equal(file->content, "inside", 6);
	assert_int_equal(file->modified_ns, UINT64_C(1000000000000000123));
	put("root/inside.txt", "INSIDE");
	assert_memory_equal(file->content, "inside", 6); /* who has it goes on with it */
	files_unref(file);
	assert_holds("inside.txt", "INSIDE");
	/* What was written just now may be written again unseen: it is not kept. */
	assert_int_equal(open_one("inside.txt", &file), FILES_OK);
	assert_null(file->content);
	/* A truncated one is not filled up with anything. */
	path_in(to, "root/inside.txt");
	assert_int_equal(truncate(to, 3), 0);
	char bytes[6];
	assert_int_equal(files_read(file, 0, bytes, 6, PATIENCE_MS), FILES_CUT);
	files_unref(file);
	assert_holds("inside.txt", "INS");

	/* Another file under the same name is seen after FILES_TRUST_US. */
	put("root/next.txt", "next");
	path_in(from, "root/next.txt");
	assert_int_equal(rename(from, to), 0);
	wait_until_holds("inside.txt", "next");
	assert_int_equal(unlink(to), 0);
	for (unsigned i = 0; i < 500 && try_one("inside.txt") != FILES_MISSING; i++)
		assert_int_equal(task_sleep(10), WAIT_READY);
	assert_int_equal(try_one("inside.txt"), FILES_MISSING);
}

static void test_changes(void **unused)
{
	(void)unused;
	in_loop(changes);
}

/* A deploy: the root is a link, which is made to point elsewhere in one step. */
static void deploys(void)
{
	char from[256], to[256];

	make_directory("one");
	make_directory("two");
	put("one/page.html", "one");
	put("two/page.html", "two");
	link_to("one", "current");
	path_in(root, "current");
	assert_holds("page.html", "one");
	link_to("two", "next");
	path_in(from, "next");
	path_in(to, "current");
	assert_int_equal(rename(from, to), 0);
	wait_until_holds("page.html", "two");
}

static void test_deploys(void **unused)
{
	(void)unused;
	in_loop(deploys);
}

/* ---- bounds -------------------------------------------------------------------------------------------------------------- */

static void bounds(void)
{
	char name[64];
	unsigned before = count_descriptors();

	for (unsigned i = 0; i < FILES_OPEN_MOST + 100; i++) {
		snprintf(name, sizeof(name), "root/%u.txt", i);
		put(name, name);
		assert_holds(name + 5, name);
	}
	assert_true(count_descriptors() <= before + FILES_OPEN_MOST + 2);
	/* And all of it is closed when nobody asks any more. */
	for (unsigned i = 0; i < 1500 && count_descriptors() > before; i++)
		assert_int_equal(task_sleep(10), WAIT_READY);
	assert_int_equal(count_descriptors(), before);
	assert_holds("7.txt", "root/7.txt");
}

static void test_bounds(void **unused)
{
	(void)unused;
	in_loop(bounds);
}

/* Without descriptors no file seems to be missing: neither one, nor all because the root could not be looked at again. */
static void exhausted(void)
{
	struct rlimit before, none;
	struct files_file *file;

	put("root/open.txt", "open");
	put("root/other.txt", "other");
	assert_holds("open.txt", "open");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	enum files_result at_once = open_one("open.txt", &file);
	if (at_once == FILES_OK)
		files_unref(file);
	enum files_result other = try_one("other.txt");
	assert_int_equal(task_sleep((int64_t)(FILES_TRUST_US / 1000) + 10), WAIT_READY);
	enum files_result later = try_one("other.txt"); /* the root is looked at again */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(at_once, FILES_OK);
	assert_int_equal(other, FILES_NO_RESOURCES);
	assert_int_equal(later, FILES_NO_RESOURCES);
	assert_holds("other.txt", "other");
}

static void test_exhausted(void **unused)
{
	(void)unused;
	in_loop(exhausted);
}

/* Contents in memory stay below their bound, with files that have the largest size that is kept. */
static void contents(void)
{
	char name[64], text[FILES_CONTENT_MOST_BYTES + 1];
	struct files_file *held;
	unsigned kept = 0;

	memset(text, 'x', FILES_CONTENT_MOST_BYTES);
	text[FILES_CONTENT_MOST_BYTES] = '\0';
	for (unsigned i = 0; i < 2 * FILES_CONTENTS_MOST_BYTES / FILES_CONTENT_MOST_BYTES; i++) {
		snprintf(name, sizeof(name), "root/%u.txt", i);
		put(name, text);
		settle(name);
		assert_int_equal(try_one(name + 5), FILES_OK);
	}
	for (unsigned i = 0; i < 2 * FILES_CONTENTS_MOST_BYTES / FILES_CONTENT_MOST_BYTES; i++) {
		snprintf(name, sizeof(name), "%u.txt", i);
		struct files_file *file;
		assert_int_equal(open_one(name, &file), FILES_OK);
		kept += file->content != NULL;
		files_unref(file);
	}
	assert_in_range(kept, 1, FILES_CONTENTS_MOST_BYTES / FILES_CONTENT_MOST_BYTES);
	assert_int_equal(open_one("1.txt", &held), FILES_OK);
	files_unref(held);
}

static void test_contents(void **unused)
{
	(void)unused;
	in_loop(contents);
}

/* ---- large files ----------------------------------------------------------------------------------------------------------- */

static void windows(void)
{
	const size_t size = 3 * FILES_WINDOW_BYTES / 2;
	char *text = malloc(size + 1), *back = malloc(size), path[256];
	struct files_file *file;
	size_t warm;

	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 23);
	text[size] = '\0';
	put("root/large.txt", text);
	assert_int_equal(open_one("large.txt", &file), FILES_OK);
	assert_null(file->content);
	assert_true(file->local);
	assert_int_equal(files_warm(file, 10, size - 10, PATIENCE_MS, &warm), FILES_OK);
	assert_int_equal(warm, FILES_WINDOW_BYTES - 10);
	assert_int_equal(files_warm(file, FILES_WINDOW_BYTES, size - FILES_WINDOW_BYTES, PATIENCE_MS, &warm), FILES_OK);
	assert_int_equal(warm, size - FILES_WINDOW_BYTES);
	assert_int_equal(files_warm(file, 5, 7, PATIENCE_MS, &warm), FILES_OK);
	assert_int_equal(warm, 7);
	/* Also when the kernel has nothing of it in memory. */
	assert_int_equal(fsync(file->descriptor), 0);
	assert_int_equal(posix_fadvise(file->descriptor, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(files_read(file, 1, back, FILES_WINDOW_BYTES, PATIENCE_MS), FILES_OK);
	assert_memory_equal(back, text + 1, FILES_WINDOW_BYTES);
	/* Cut while it is sent. */
	path_in(path, "root/large.txt");
	assert_int_equal(truncate(path, FILES_WINDOW_BYTES + 1), 0);
	assert_int_equal(files_read(file, FILES_WINDOW_BYTES, back, 2, PATIENCE_MS), FILES_CUT);
	files_unref(file);
	free(text);
	free(back);
}

static void test_windows(void **unused)
{
	(void)unused;
	in_loop(windows);
}

/* ---- types ------------------------------------------------------------------------------------------------------------------
 */

static void test_types(void **unused)
{
	static const char *const known[] = {"html", "HTML", "css", "js", "Jpg", "woff2", "zst", "3gp", "7z", "zip", "svg", "txt"};
	size_t count;

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(known); i++)
		assert_non_null(files_type_find(span_of_text(known[i])));
	const struct files_type *types = files_types(&count);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(files_type_find(span_of_text(types[i].ending)), &types[i]); /* it is sorted */
		if (cluster_is_private_type(span_of_text(types[i].ending)))
			fail_msg("%s is private", types[i].ending);
	}
	assert_null(files_type_find(SPAN("php")));
	assert_null(files_type_find(SPAN("")));
	assert_null(files_type_find(SPAN("html5")));
	assert_null(files_type_find(SPAN("abcdefghijklmnopqrstuvwxyz")));
	assert_null(files_type_find(span_of("css\0x", 5)));
	assert_string_equal(files_type_find(SPAN("html"))->media, "text/html; charset=utf-8");
	assert_true(span_equal(files_ending(SPAN("a/b.min.js")), SPAN("js")));
	assert_true(span_equal(files_ending(SPAN("a.d/b")), SPAN("")));
	assert_true(span_equal(files_ending(SPAN("a/.html")), SPAN("")));
	assert_true(span_equal(files_ending(SPAN(".html")), SPAN("")));
	assert_true(span_equal(files_ending(SPAN("a.")), SPAN("")));
	assert_true(span_equal(files_ending(SPAN("")), SPAN("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reached), cmocka_unit_test(test_changes),   cmocka_unit_test(test_deploys),
	    cmocka_unit_test(test_bounds),  cmocka_unit_test(test_contents),  cmocka_unit_test(test_windows),
	    cmocka_unit_test(test_types),   cmocka_unit_test(test_exhausted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
