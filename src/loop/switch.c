/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Switching from one stack to another: x86-64 and arm64 by hand (only what a called function must preserve is saved), anything
 * else, or -DLOOP_SWITCH_PORTABLE, with ucontext. The sanitizers are told of every switch.
 */
#include "loop/loop_private.h"

#if LOOP_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if LOOP_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if !defined(LOOP_SWITCH_PORTABLE) && (defined(__x86_64__) || defined(__aarch64__))

/* Saves the preserved registers on the running stack, its pointer in *save, and goes on at `load`. */
void loop_switch_stacks(void **save, void *load);

#if defined(__x86_64__)
/* System V ABI: rbx, rbp, r12 to r15 are the callee's to keep. The floating-point control words are never changed here. */
__asm__(".text\n"
        ".globl loop_switch_stacks\n"
        ".hidden loop_switch_stacks\n"
        ".type loop_switch_stacks, @function\n"
        "loop_switch_stacks:\n"
        "	endbr64\n"
        "	pushq %rbp\n"
        "	pushq %rbx\n"
        "	pushq %r12\n"
        "	pushq %r13\n"
        "	pushq %r14\n"
        "	pushq %r15\n"
        "	movq %rsp, (%rdi)\n"
        "	movq %rsi, %rsp\n"
        "	popq %r15\n"
        "	popq %r14\n"
        "	popq %r13\n"
        "	popq %r12\n"
        "	popq %rbx\n"
        "	popq %rbp\n"
        "	ret\n"
        ".size loop_switch_stacks, . - loop_switch_stacks\n");

static void prepare_stack(struct context *context, void (*entry)(void))
{
	/* At a function's first instruction rsp + 8 is a multiple of 16; the return address of entry is 0, which ends a backtrace. */
	uintptr_t top = ((uintptr_t)context->stack_low + context->stack_size) & ~(uintptr_t)15;
	void **frame = (void **)top - 8;

	for (int i = 0; i < 6; i++)
		frame[i] = NULL;
	frame[6] = (void *)(uintptr_t)entry;
	frame[7] = NULL;
	context->stack_pointer = frame;
}
#else
/* AAPCS64: x19 to x30 and the low halves of v8 to v15 are the callee's to keep. */
__asm__(".text\n"
        ".globl loop_switch_stacks\n"
        ".hidden loop_switch_stacks\n"
        ".type loop_switch_stacks, %function\n"
        "loop_switch_stacks:\n"
        "	hint #34\n" /* bti c */
        "	sub sp, sp, #160\n"
        "	stp x19, x20, [sp, #0]\n"
        "	stp x21, x22, [sp, #16]\n"
        "	stp x23, x24, [sp, #32]\n"
        "	stp x25, x26, [sp, #48]\n"
        "	stp x27, x28, [sp, #64]\n"
        "	stp x29, x30, [sp, #80]\n"
        "	stp d8, d9, [sp, #96]\n"
        "	stp d10, d11, [sp, #112]\n"
        "	stp d12, d13, [sp, #128]\n"
        "	stp d14, d15, [sp, #144]\n"
        "	mov x9, sp\n"
        "	str x9, [x0]\n"
        "	mov sp, x1\n"
        "	ldp x19, x20, [sp, #0]\n"
        "	ldp x21, x22, [sp, #16]\n"
        "	ldp x23, x24, [sp, #32]\n"
        "	ldp x25, x26, [sp, #48]\n"
        "	ldp x27, x28, [sp, #64]\n"
        "	ldp x29, x30, [sp, #80]\n"
        "	ldp d8, d9, [sp, #96]\n"
        "	ldp d10, d11, [sp, #112]\n"
        "	ldp d12, d13, [sp, #128]\n"
        "	ldp d14, d15, [sp, #144]\n"
        "	add sp, sp, #160\n"
        "	ret\n"
        ".size loop_switch_stacks, . - loop_switch_stacks\n");

static void prepare_stack(struct context *context, void (*entry)(void))
{
	uintptr_t top = ((uintptr_t)context->stack_low + context->stack_size) & ~(uintptr_t)15;
	void **frame = (void **)top - 20;

	for (int i = 0; i < 20; i++)
		frame[i] = NULL;
	frame[11] = (void *)(uintptr_t)entry; /* x30, to which ret goes */
	context->stack_pointer = frame;
}
#endif

static void switch_stacks(struct context *from, struct context *to)
{
	loop_switch_stacks(&from->stack_pointer, to->stack_pointer);
}

#else /* portable */

#include <ucontext.h>

static void prepare_stack(struct context *context, void (*entry)(void))
{
	/* The ucontext_t stands at the top of the stack that it describes. */
	uintptr_t top = ((uintptr_t)context->stack_low + context->stack_size - sizeof(ucontext_t)) & ~(uintptr_t)63;
	ucontext_t *where = (ucontext_t *)top;

	ASSERT(getcontext(where) == 0);
	where->uc_stack.ss_sp = context->stack_low;
	where->uc_stack.ss_size = (size_t)(top - (uintptr_t)context->stack_low);
	where->uc_link = NULL;
	makecontext(where, entry, 0);
	context->stack_pointer = where;
}

static void switch_stacks(struct context *from, struct context *to)
{
	static _Thread_local ucontext_t thread_context;

	if (from->stack_pointer == NULL)
		from->stack_pointer = &thread_context;
	ASSERT(swapcontext(from->stack_pointer, to->stack_pointer) == 0);
}

#endif

void context_prepare(struct context *context, char *stack_low, size_t stack_size, void (*entry)(void))
{
	context->stack_low = stack_low;
	context->stack_size = stack_size;
	context->fake_stack = NULL;
#if LOOP_ASAN
	/* Frames that ended here without returning left their red zones behind. */
	__asan_unpoison_memory_region(stack_low, stack_size);
#endif
#if LOOP_TSAN
	if (context->thread_fiber == NULL)
		context->thread_fiber = __tsan_create_fiber(0);
#endif
	prepare_stack(context, entry);
}

void context_switch(struct context *from, struct context *to, bool from_ends)
{
#if LOOP_ASAN
	__sanitizer_start_switch_fiber(from_ends ? NULL : &from->fake_stack, to->stack_low, to->stack_size);
#endif
#if LOOP_TSAN
	if (from->thread_fiber == NULL)
		from->thread_fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->thread_fiber, 0);
#endif
	switch_stacks(from, to);
	(void)from_ends;
#if LOOP_ASAN
	__sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

void context_entered(struct context *context, struct context *from)
{
#if LOOP_ASAN
	const void *low;
	size_t size;
	__sanitizer_finish_switch_fiber(NULL, &low, &size);
	if (from->stack_low == NULL) { /* the thread's own stack: learned here */
		from->stack_low = (char *)(uintptr_t)low;
		from->stack_size = size;
	}
#endif
	(void)context;
	(void)from;
}

void context_discard(struct context *context)
{
#if LOOP_TSAN
	if (context->thread_fiber != NULL)
		__tsan_destroy_fiber(context->thread_fiber);
#endif
	context->thread_fiber = NULL;
}
