/* SPDX-License-Identifier: BSD-2-Clause
 *
 * messages: sending and receiving on a channel between the supervisor and a child. Runs in all of them.
 */
#include "process/messages.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER_SIZE offsetof(struct message, empty)

static const struct {
	const char *name;
	size_t size;
	bool descriptor;
} types[] = {
#define X(name, payload, descriptor, meaning) [name] = {#name, HEADER_SIZE + sizeof(struct payload), descriptor},
    MESSAGES(X)
#undef X
};

const char *message_type_text(uint32_t type)
{
	return type > MESSAGE_TYPE_NONE && type < MESSAGE_TYPES_END ? types[type].name : "unknown";
}

union control {
	struct cmsghdr header;                   /* for its alignment */
	char bytes[CMSG_SPACE(2 * sizeof(int))]; /* room for one more than allowed, so that it is seen */
};

int message_send(int channel, const struct message *message, int descriptor)
{
	ASSERT(message->type > MESSAGE_TYPE_NONE && message->type < MESSAGE_TYPES_END);
	ASSERT(types[message->type].descriptor == (descriptor >= 0));
	struct message copy = *message;
	copy.magic = MESSAGE_MAGIC;
	struct iovec part = {.iov_base = &copy, .iov_len = types[message->type].size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	union control control = {0};
	if (descriptor >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
	}
	for (;;) { /* ends by success, by an error, or when poll has timed out */
		if (sendmsg(channel, &header, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		struct pollfd writable = {.fd = channel, .events = POLLOUT};
		if (poll(&writable, 1, MESSAGE_SEND_MS) == 0)
			return -ETIMEDOUT;
	}
}

/* Takes the descriptors out of what was received: keeps the first, closes all others. Returns how many there were. */
static unsigned take_descriptors(struct msghdr *header, int *first)
{
	unsigned count = 0;
	*first = -1;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t offset = CMSG_LEN(0); offset + sizeof(int) <= part->cmsg_len; offset += sizeof(int)) {
			int descriptor;
			memcpy(&descriptor, (char *)part + offset, sizeof descriptor);
			if (count++ == 0)
				*first = descriptor;
			else
				close(descriptor);
		}
	}
	return count;
}

int message_receive(int channel, struct message *message, int *descriptor)
{
	struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
	union control control;
	struct msghdr header = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	memset(message, 0, sizeof *message);
	*descriptor = -1;
	ssize_t size;
	do
		size = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return errno == ECONNRESET ? 0 : -errno;
	unsigned count = take_descriptors(&header, descriptor);
	if (size == 0 && count == 0)
		return 0;

	uint32_t type = (size_t)size >= HEADER_SIZE && message->magic == MESSAGE_MAGIC ? message->type : MESSAGE_TYPE_NONE;
	if (type > MESSAGE_TYPE_NONE && type < MESSAGE_TYPES_END && (size_t)size == types[type].size &&
	    (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && count == (types[type].descriptor ? 1u : 0u))
		return 1;
	log_write(LOG_ERROR, "a message between processes is not right: type %u (%s), %zd bytes, %u descriptors", type,
	          message_type_text(type), size, count);
	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
	return -EPROTO;
}
