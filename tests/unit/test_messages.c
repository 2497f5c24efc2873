/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages between processes: what is right arrives with its descriptor; all else is a fault and leaks none.
 */
#include "unit.h"

#include "process/messages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2];

static int make_pair(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	assert_non_null(directory);
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

/* Sends raw bytes with `count` descriptors, as a faulty process might. */
static void send_raw(const void *bytes, size_t size, unsigned count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	int descriptors[4] = {0, 0, 0, 0};
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	memset(&control, 0, sizeof control);
	if (count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(rights), descriptors, count * sizeof(int));
	}
	assert_int_equal(sendmsg(pair[0], &header, 0), size);
}

static int receive(struct message *message, int *descriptor)
{
	return message_receive(pair[1], message, descriptor);
}

static void expect_fault(void)
{
	struct message message;
	int descriptor;
	unsigned before = open_descriptors();
	assert_int_equal(receive(&message, &descriptor), -EPROTO);
	assert_int_equal(descriptor, -1);
	assert_int_equal(open_descriptors(), before);
}

static void test_arrives_as_it_was_sent(void **state)
{
	(void)state;
	struct message out = {.type = MESSAGE_LISTENER}, in;
	int descriptor, file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	out.listener.id = 77;
	out.listener.kind = LISTENER_SQL;
	assert_true(address_parse(SPAN("[::1]:3306"), true, &out.listener.address));
	assert_int_equal(message_send(pair[0], &out, file), 0);
	assert_int_equal(receive(&in, &descriptor), 1);
	assert_int_equal(in.type, MESSAGE_LISTENER);
	assert_int_equal(in.listener.id, 77);
	assert_true(address_equal(&in.listener.address, &out.listener.address));
	assert_true(descriptor >= 0 && descriptor != file);
	assert_int_equal(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(descriptor);
	close(file);
	assert_int_equal(message_send(pair[0], &(struct message){.type = MESSAGE_DRAIN}, -1), 0);
	assert_int_equal(receive(&in, &descriptor), 1);
	assert_int_equal(descriptor, -1);
	assert_int_equal(receive(&in, &descriptor), -EAGAIN);
}

static void test_end_of_the_other_side(void **state)
{
	(void)state;
	struct message message;
	int descriptor;
	close(pair[0]);
	assert_int_equal(receive(&message, &descriptor), 0);
	assert_int_equal(message_send(pair[1], &(struct message){.type = MESSAGE_DRAIN}, -1), -EPIPE);
	pair[0] = dup(pair[1]); /* for close_pair */
}

static void test_unknown_type_is_a_fault(void **state)
{
	(void)state;
	struct message message = {.magic = MESSAGE_MAGIC, .type = MESSAGE_TYPES_END};
	send_raw(&message, sizeof message, 0);
	expect_fault();
	message.type = MESSAGE_TYPE_NONE;
	send_raw(&message, sizeof message, 1);
	expect_fault();
	message.type = UINT32_MAX;
	send_raw(&message, sizeof message, 0);
	expect_fault();
}

static void test_wrong_magic_is_a_fault(void **state)
{
	(void)state;
	struct message message = {.magic = MESSAGE_MAGIC + 1, .type = MESSAGE_DRAIN};
	send_raw(&message, offsetof(struct message, empty) + sizeof message.empty, 0);
	expect_fault();
}

static void test_wrong_size_is_a_fault(void **state)
{
	(void)state;
	struct message message = {.magic = MESSAGE_MAGIC, .type = MESSAGE_TAKEN};
	char large[sizeof message + 100];
	const size_t right = offsetof(struct message, snapshot) + sizeof message.snapshot;
	memset(large, 0, sizeof large);
	memcpy(large, &message, sizeof message);
	for (size_t size = 1; size <= sizeof large; size++) {
		if (size == right)
			continue;
		send_raw(large, size, 0);
		expect_fault();
	}
}

static void test_wrong_number_of_descriptors_is_a_fault(void **state)
{
	(void)state;
	struct message needs = {.magic = MESSAGE_MAGIC, .type = MESSAGE_SNAPSHOT};
	struct message carries_none = {.magic = MESSAGE_MAGIC, .type = MESSAGE_TAKEN};
	const size_t size = offsetof(struct message, snapshot) + sizeof needs.snapshot;
	send_raw(&needs, size, 0);
	expect_fault();
	send_raw(&carries_none, size, 1);
	expect_fault();
	for (unsigned count = 2; count <= 4; count++) {
		send_raw(&needs, size, count);
		expect_fault();
	}
}

static void test_full_channel_times_out(void **state)
{
	(void)state;
	int result = 0;
	for (unsigned i = 0; i < 100000 && result == 0; i++)
		result = message_send(pair[0], &(struct message){.type = MESSAGE_DRAIN}, -1);
	assert_int_equal(result, -ETIMEDOUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_pair, close_pair)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_arrives_as_it_was_sent), TEST(test_end_of_the_other_side), TEST(test_unknown_type_is_a_fault),
	    TEST(test_wrong_magic_is_a_fault), TEST(test_wrong_size_is_a_fault), TEST(test_wrong_number_of_descriptors_is_a_fault),
	    TEST(test_full_channel_times_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
