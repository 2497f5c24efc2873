/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The supervisor and a child that breaks the protocol: the child is killed, whatever it said.
 */
#include "unit.h"

#include "process/supervisor_private.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that only waits for its end, with a channel on which the test speaks in its name. */
static struct supervisor *make(int *childs_end)
{
	int pair[2];
	struct supervisor *supervisor = calloc(1, sizeof *supervisor);
	assert_non_null(supervisor);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	struct child *child = &supervisor->children[PROCESS_WATCH];
	child->channel = pair[0];
	*childs_end = pair[1];
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0)
		for (;;)
			pause();
	return supervisor;
}

static int signal_that_ended(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void expect_killed(const void *bytes, size_t size)
{
	int childs_end;
	struct supervisor *supervisor = make(&childs_end);
	assert_int_equal(send(childs_end, bytes, size, 0), size);
	child_receive(supervisor, PROCESS_WATCH);
	assert_int_equal(signal_that_ended(supervisor->children[PROCESS_WATCH].pid), SIGKILL);
	assert_int_equal(supervisor->children[PROCESS_WATCH].channel, -1);
	close(childs_end);
	free(supervisor);
}

static void test_unknown_message_kills_the_child(void **state)
{
	(void)state;
	struct message message = {.magic = MESSAGE_MAGIC, .type = MESSAGE_TYPES_END};
	expect_killed(&message, sizeof message);
	expect_killed("rubbish", 7);
}

static void test_message_that_only_the_supervisor_may_send_kills_the_child(void **state)
{
	(void)state;
	struct message message = {.magic = MESSAGE_MAGIC, .type = MESSAGE_DRAIN};
	expect_killed(&message, offsetof(struct message, empty) + sizeof message.empty);
}

static void test_right_message_is_taken(void **state)
{
	(void)state;
	int childs_end;
	struct supervisor *supervisor = make(&childs_end);
	struct child *child = &supervisor->children[PROCESS_WATCH];
	struct message message = {.type = MESSAGE_TAKEN};
	message.snapshot.generation = 12;
	assert_int_equal(message_send(childs_end, &message, -1), 0);
	child_receive(supervisor, PROCESS_WATCH);
	assert_int_equal(child->taken_generation, 12);
	assert_int_equal(kill(child->pid, 0), 0);
	kill(child->pid, SIGTERM);
	assert_int_equal(signal_that_ended(child->pid), SIGTERM);
	close(child->channel);
	close(childs_end);
	free(supervisor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unknown_message_kills_the_child),
	    cmocka_unit_test(test_message_that_only_the_supervisor_may_send_kills_the_child),
	    cmocka_unit_test(test_right_message_is_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
