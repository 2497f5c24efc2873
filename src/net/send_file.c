/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes of a file to a plain stream, by the kernel alone (sendfile). In tasks on traffic's loops; http/ calls it.
 */
#include "net/net_private.h"

#include <errno.h>
#include <sys/sendfile.h>

enum net_result stream_send_file_now(struct stream *stream, int file, uint64_t offset, size_t size, size_t *sent)
{
	struct watched *watched = &stream->watched;

	ASSERT(stream->tls == NULL);
	for (*sent = 0; *sent < size;) {
		if (!watched->writable)
			return NET_TIMEOUT;
		off_t at = (off_t)(offset + *sent);
		ssize_t moved = sendfile(watched->descriptor, file, &at, size - *sent);
		if (moved > 0) {
			*sent += (size_t)moved;
			stream->bytes_written += (uint64_t)moved;
		} else if (moved == 0) {
			return NET_CLOSED; /* the file ends here */
		} else if (errno == EAGAIN) {
			watched->writable = false;
		} else if (errno != EINTR) {
			return net_result_of_errno(errno);
		}
	}
	return NET_OK;
}
