/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Timers: a hierarchical wheel (Varghese and Lauck, 1987) of 6 levels with 64 slots each, in milliseconds: level 0 holds the
 * next 64 ms exactly, level 1 the next 4 s in slots of 64 ms, and so on up to two years. Setting and clearing are O(1).
 *
 * A timer stands on the level of the highest base-64 digit in which its time differs from `elapsed_ms`. So all digits above are
 * equal and its own digit is greater than elapsed's: on each level only slots after the current one are filled, and everything on
 * a lower level comes before everything on a higher one. When a slot of a higher level begins, its timers move down.
 */
#include "loop/loop_private.h"

#include <limits.h>

#define LEVEL_BITS 6u
#define FARTHEST_MS ((1ull << LEVEL_BITS * WHEEL_LEVELS) - 1)

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	wheel->elapsed_ms = now_ms;
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		wheel->occupied[level] = 0;
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	}
}

static void insert(struct timer_wheel *wheel, struct timer *timer)
{
	ASSERT(timer->due_ms > wheel->elapsed_ms);
	uint64_t differing = wheel->elapsed_ms ^ timer->due_ms;
	unsigned level = (63u - (unsigned)__builtin_clzll(differing)) / LEVEL_BITS;
	if (level >= WHEEL_LEVELS) /* across the wheel's own end: once in two years, it moves down early and again */
		level = WHEEL_LEVELS - 1;
	unsigned slot = (unsigned)(timer->due_ms >> (level * LEVEL_BITS)) % WHEEL_SLOTS;
	timer->level = (uint8_t)level;
	timer->slot = (uint8_t)slot;
	wheel->occupied[level] |= 1ull << slot;
	list_append(&wheel->slots[level][slot], &timer->link);
}

/* The earliest slot: its level and the time at which it begins. False when there is none. */
static bool find_next(const struct timer_wheel *wheel, unsigned *level_out, unsigned *slot_out, uint64_t *begins_ms)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		if (wheel->occupied[level] == 0)
			continue;
		unsigned shift = level * LEVEL_BITS;
		unsigned current = (unsigned)(wheel->elapsed_ms >> shift) % WHEEL_SLOTS;
		uint64_t after = current == 63 ? 0 : wheel->occupied[level] & ~0ull << (current + 1);
		uint64_t turn_bits = after != 0 ? after : wheel->occupied[level]; /* else: next turn, only on the top level */
		unsigned slot = (unsigned)__builtin_ctzll(turn_bits);
		uint64_t turn_start = wheel->elapsed_ms >> (shift + LEVEL_BITS) << (shift + LEVEL_BITS);
		*begins_ms = turn_start + ((uint64_t)slot << shift) + (after != 0 ? 0 : 1ull << (shift + LEVEL_BITS));
		*level_out = level;
		*slot_out = slot;
		return true;
	}
	return false;
}

void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms)
{
	unsigned level, slot;
	uint64_t begins_ms;

	while (find_next(wheel, &level, &slot, &begins_ms) && begins_ms <= now_ms) {
		struct list due;
		list_init(&due);
		struct list *first = &wheel->slots[level][slot];
		while (!list_is_empty(first)) {
			struct list *link = first->next;
			list_remove(link);
			list_append(&due, link);
		}
		wheel->occupied[level] &= ~(1ull << slot);
		wheel->elapsed_ms = begins_ms;
		struct list *link;
		while ((link = list_take_first(&due)) != NULL) {
			struct timer *timer = OWNER_OF(link, struct timer, link);
			if (timer->due_ms > begins_ms) {
				insert(wheel, timer);
				continue;
			}
			timer->armed = false;
			timer->run(timer);
		}
	}
	if (now_ms > wheel->elapsed_ms)
		wheel->elapsed_ms = now_ms;
}

int timer_wheel_next_ms(const struct timer_wheel *wheel, uint64_t now_ms)
{
	unsigned level, slot;
	uint64_t begins_ms;

	if (!find_next(wheel, &level, &slot, &begins_ms))
		return -1;
	if (begins_ms <= now_ms)
		return 0;
	return begins_ms - now_ms > INT_MAX ? INT_MAX : (int)(begins_ms - now_ms);
}

void timer_init(struct timer *timer, void (*run)(struct timer *timer))
{
	*timer = (struct timer){ .run = run };
	list_init(&timer->link);
}

void timer_set(struct timer *timer, int64_t after_ms)
{
	struct loop *loop = loop_current();

	CHECK_MAGIC(loop, LOOP_MAGIC);
	timer_clear(timer);
	if (after_ms < 0)
		after_ms = 0;
	if ((uint64_t)after_ms > FARTHEST_MS)
		after_ms = (int64_t)FARTHEST_MS;
	timer->due_ms = (loop->now_us + 999u) / 1000u + (uint64_t)after_ms;
	if (timer->due_ms <= loop->wheel.elapsed_ms)
		timer->due_ms = loop->wheel.elapsed_ms + 1;
	timer->armed = true;
	insert(&loop->wheel, timer);
}

void timer_clear(struct timer *timer)
{
	if (!timer->armed)
		return;
	struct loop *loop = loop_current(); /* NULL once loop_run has returned: what is freed then may still have a timer set */
	list_remove(&timer->link);
	/* While its slot is being run the timer may stand on that function's own list: the bit is off then already. */
	if (loop != NULL && list_is_empty(&loop->wheel.slots[timer->level][timer->slot]))
		loop->wheel.occupied[timer->level] &= ~(1ull << timer->slot);
	timer->armed = false;
}
