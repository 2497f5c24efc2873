/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Memory whose last byte is the last one that may be read: behind it lies a page without any rights. A parser that looks one byte
 * too far dies there. Included after unit.h.
 */
#ifndef NOAH_TESTS_UNIT_EDGE_H
#define NOAH_TESTS_UNIT_EDGE_H

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EDGE_SIZE 65536u

/* Copies `size` bytes (at most EDGE_SIZE) so that they end at the edge, and returns where they start. One copy at a time. */
static inline char *edge_copy(const void *bytes, size_t size)
{
	static char *memory;
	if (memory == NULL) {
		size_t page = (size_t)sysconf(_SC_PAGESIZE);
		memory = mmap(NULL, EDGE_SIZE + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(memory, MAP_FAILED);
		assert_int_equal(mprotect(memory + EDGE_SIZE, page, PROT_NONE), 0);
	}
	assert_true(size <= EDGE_SIZE);
	return memcpy(memory + EDGE_SIZE - size, bytes, size);
}

#endif
