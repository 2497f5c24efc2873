/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay: runs one fuzzer's function over every file of the folders and files named on the command line, without libFuzzer, so
 * that the corpus is a test with any compiler and sanitizer. Linked with one tests/fuzz/fuzz_NAME.c. Each input is a buffer of
 * exactly its size on the heap: the address sanitizer sees a read past its end. Prints how many inputs ran.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MOST (16u << 20)
#define PATH_MOST  4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs_run;

static void fail(const char *path)
{
	fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
	exit(2);
}

static void run_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		fail(path);
	uint8_t *bytes = malloc(size != 0 ? size : 1);
	if (bytes == NULL || fread(bytes, 1, size, file) != size)
		fail(path);
	fclose(file);
	/* Shown only when the input kills the process: the output is a pipe that is read after the end. */
	printf("input %s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	inputs_run++;
}

static void run_path(const char *path)
{
	struct stat facts;
	if (stat(path, &facts) != 0)
		fail(path);
	if (!S_ISDIR(facts.st_mode)) {
		if (facts.st_size > (off_t)INPUT_MOST) {
			errno = EFBIG;
			fail(path);
		}
		run_file(path, (size_t)facts.st_size);
		return;
	}
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	if (count < 0)
		fail(path);
	for (int i = 0; i < count; i++) {
		char child[PATH_MOST];
		if (entries[i]->d_name[0] != '.') {
			snprintf(child, sizeof(child), "%s/%s", path, entries[i]->d_name);
			run_path(child);
		}
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("replayed %u inputs\n", inputs_run);
	return inputs_run > 0 ? 0 : 2;
}
