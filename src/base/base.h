/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base: what every other folder may use, and nothing that waits or touches a socket.
 *
 * Assertions, spans of bytes, intrusive lists, arenas, hashing, clocks, addresses, exact number parsing, the log.
 * Everything here may be called from any process and any thread unless its comment says otherwise.
 */
#ifndef NOAH_BASE_H
#define NOAH_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define OWNER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* ---- assertions (assert.c) ------------------------------------------------------------------------------------
 * A programming fault is an assertion, never an error return: the process prints where and dies, and the
 * supervisor starts it again. Bad input is never an assertion. They stay on in every build. */

_Noreturn void assert_failed(const char *condition, const char *file, int line, const char *function);

#define ASSERT(condition)                                                                                              \
	do {                                                                                                               \
		if (UNLIKELY(!(condition)))                                                                                    \
			assert_failed(#condition, __FILE__, __LINE__, __func__);                                                   \
	} while (0)

/* Long-lived objects start with `uint32_t magic`; functions that receive one check it on entry. */
#define CHECK_MAGIC(object, expected) ASSERT((object) != NULL && (object)->magic == (expected))

/* ---- spans (span.c) -------------------------------------------------------------------------------------------
 * A borrowed run of bytes; never owns, not zero-terminated. An empty span may have start == NULL. */

struct span {
	const char *start;
	size_t size;
};

#define SPAN(literal) ((struct span){ .start = "" literal, .size = sizeof(literal) - 1 })

static inline struct span span_of(const void *start, size_t size)
{
	return (struct span){ .start = start, .size = size };
}

static inline struct span span_of_text(const char *text)
{
	return (struct span){ .start = text, .size = strlen(text) };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.start, b.start, a.size) == 0);
}

/* Compares ASCII letters without regard to case; all other bytes exactly. */
bool span_equal_nocase(struct span a, struct span b);
bool span_starts_with(struct span text, struct span prefix);
/* As span_equal_nocase compares. */
bool span_starts_with_nocase(struct span text, struct span prefix);
bool span_ends_with_nocase(struct span text, struct span end);
/* Removes spaces and tabs (RFC 9110 5.6.3 OWS) at both ends. */
struct span span_trim(struct span text);
/* Cuts `*rest` at the first `separator`: returns what stood before it and leaves in `*rest` what follows. Without a
 * separator everything is returned and `*rest` becomes { NULL, 0 }: loop while rest.start != NULL. */
struct span span_cut(struct span *rest, char separator);
/* Copies into `out` (room for out_size bytes) and ends it with a zero byte. False when it does not fit (out is ""). */
bool span_copy(struct span text, char *out, size_t out_size) MUST_CHECK;

/* Exact decimal numbers: digits only, no sign, no blanks, no overflow past `most`. False leaves *value alone. */
bool span_to_number(struct span text, uint64_t most, uint64_t *value) MUST_CHECK;
bool span_to_hex_number(struct span text, uint64_t most, uint64_t *value) MUST_CHECK;

/* ---- intrusive doubly linked lists (inline) ------------------------------------------------------------------- */

struct list {
	struct list *next;
	struct list *previous;
};

static inline void list_init(struct list *list)
{
	list->next = list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_insert_before(struct list *place, struct list *item)
{
	item->previous = place->previous;
	item->next = place;
	place->previous->next = item;
	place->previous = item;
}

static inline void list_append(struct list *list, struct list *item)
{
	list_insert_before(list, item);
}

static inline void list_prepend(struct list *list, struct list *item)
{
	list_insert_before(list->next, item);
}

/* Afterwards the item is a list of one: removing it again is harmless. */
static inline void list_remove(struct list *item)
{
	item->previous->next = item->next;
	item->next->previous = item->previous;
	list_init(item);
}

static inline struct list *list_take_first(struct list *list)
{
	struct list *first = list->next;
	if (first == list)
		return NULL;
	list_remove(first);
	return first;
}

/* The body may not remove `item`; use LIST_EACH_SAFE for that. */
#define LIST_EACH(item, head) for (struct list *item = (head)->next; item != (head); item = item->next)
#define LIST_EACH_SAFE(item, head)                                                                                     \
	for (struct list *item = (head)->next, *item##_next = item->next; item != (head);                                  \
	     item = item##_next, item##_next = item->next)

/* ---- arenas (arena.c) -----------------------------------------------------------------------------------------
 * A bump allocator: freed all at once, or back to a mark. Bounded: it never holds more than `limit` bytes. Not for
 * use by two threads at once. */

struct arena_chunk;

struct arena {
	struct arena_chunk *newest; /* NULL until the first allocation */
	char *next;                 /* first free byte of the newest chunk */
	char *end;                  /* its end */
	size_t held;                /* bytes of all chunks */
	size_t limit;
};

struct arena_mark {
	struct arena_chunk *chunk;
	char *next;
};

void arena_init(struct arena *arena, size_t limit_bytes);
/* `size` bytes aligned for any type, not cleared. NULL when the limit or the machine's memory is reached. */
void *arena_allocate(struct arena *arena, size_t size) MUST_CHECK;
void *arena_allocate_zeroed(struct arena *arena, size_t size) MUST_CHECK;
/* Copies `text` and adds a zero byte. NULL as above. */
char *arena_copy_text(struct arena *arena, struct span text) MUST_CHECK;
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
struct arena_mark arena_mark(const struct arena *arena);
/* Frees everything allocated after the mark. The first chunk is kept for reuse. */
void arena_rewind(struct arena *arena, struct arena_mark mark);
/* Frees everything, the first chunk too; the arena can be used again. */
void arena_free(struct arena *arena);

/* ---- hashing and randomness (hash.c) --------------------------------------------------------------------------
 * SipHash-1-3 under a key drawn once for each process: a stranger cannot choose colliding inputs. Not stable between
 * processes or runs. */

uint64_t hash_bytes(const void *bytes, size_t size);
/* The same for data that processes share: FNV-1a with 64 bits, no key, stable for ever. */
uint64_t hash_stable(const void *bytes, size_t size);
/* Fills from getrandom(2); cannot fail (it asserts). */
void random_bytes(void *out, size_t size);
/* Cheap, not secret, one state for each thread: for choosing servers and spreading timers. */
uint64_t random_quick(void);

/* ---- clocks (clock.c) ----------------------------------------------------------------------------------------- */

uint64_t clock_monotonic_us(void); /* CLOCK_MONOTONIC, the same for all processes of the machine, microseconds */
uint64_t clock_wall_us(void);      /* since 1970 UTC, microseconds */

#define CLOCK_TEXT_SIZE 32
/* "2026-11-20T23:41:03.123Z"; returns out. */
const char *clock_format(uint64_t wall_us, char out[CLOCK_TEXT_SIZE]);

/* ---- addresses (address.c) ------------------------------------------------------------------------------------
 * An IPv4 or IPv6 address with an optional port (0 = none), or a Unix socket's path. Plain data without pointers: it
 * may stand in shared memory. IPv4-mapped IPv6 is stored as IPv4. Unused bytes are zero, so memcmp compares. */

enum address_family {
	ADDRESS_NONE = 0,
	ADDRESS_IPV4 = 4,
	ADDRESS_IPV6 = 6,
	ADDRESS_UNIX = 1,
};

struct address {
	uint8_t family; /* enum address_family */
	uint8_t zero;
	uint16_t port; /* host order */
	union {
		uint8_t ip[16];  /* network order; the first 4 for IPv4 */
		char path[108];  /* Unix: zero-terminated */
	};
};

#define ADDRESS_TEXT_SIZE 120

/* "192.168.0.11", "::1" and, with a port, "192.168.0.11:80", "[::1]:80", or an absolute path for a Unix socket. With
 * need_port a port must be there; otherwise it may. False when the text is none of these. No name is looked up. */
bool address_parse(struct span text, bool need_port, struct address *out) MUST_CHECK;
/* The reverse, in the shortest form; the port is left out when it is 0. Returns out. */
const char *address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE]);
/* The same without the port. */
const char *address_format_ip(const struct address *address, char out[ADDRESS_TEXT_SIZE]);
bool address_equal(const struct address *a, const struct address *b);
/* For socket calls: fills `out` and returns its length; and back again (unknown families become ADDRESS_NONE). */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out);
void address_from_sockaddr(const struct sockaddr *from, socklen_t size, struct address *out);

/* ---- the log (log.c) ------------------------------------------------------------------------------------------
 * One line for each event: time, process, level, one sentence. Written whole with one write(2) to descriptor 2 or what
 * log_to chose, so lines of several processes do not mix. Control bytes are escaped, so that no input can forge a
 * line. Access logs are not this: see http/. */

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

void log_to(int descriptor);
void log_set_process(const char *name); /* borrowed for ever: a literal */
void log_set_level(enum log_level level);
bool log_level_parse(struct span text, enum log_level *out) MUST_CHECK;
/* At most 2,000 bytes are kept. errno is preserved; %m works. */
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
/* Writes at most one line in every `every_ms` for each call site; the next line that is written says how many were left
 * out. For what a stranger can cause as often as he likes. */
#define LOG_LIMITED(level, every_ms, ...)                                                                              \
	do {                                                                                                               \
		static struct log_limit limit_of_this_place;                                                                   \
		log_write_limited(&limit_of_this_place, (level), (every_ms), __VA_ARGS__);                                     \
	} while (0)
struct log_limit {
	uint64_t next_us;
	uint64_t left_out;
};
void log_write_limited(struct log_limit *limit, enum log_level level, uint64_t every_ms, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
