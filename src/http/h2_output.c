/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What goes to a visitor over HTTP/2: frames of all his streams, one behind the other in a few buffers, sent once in a turn of
 * the loop by the connection's task. A body is copied once, from the server's input buffer to here; over TLS each full buffer is
 * one record. Called by the tasks of the connection and of its streams.
 *
 * A visitor who does not read fills the buffers, then his windows; then what comes for his streams is absorbed (absorb.c).
 */
#include "http/h2.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* ---- the buffers ---------------------------------------------------------------------------------------------------- */

size_t h2_output_room(const struct h2_output *output)
{
	size_t room = (size_t)(H2_OUTPUT_BUFFERS - output->count) * NET_BUFFER_SIZE;

	if (output->count > 0)
		room += NET_BUFFER_SIZE - output->buffers[(output->first + output->count - 1) % H2_OUTPUT_BUFFERS].end;
	return room;
}

bool h2_output_add(struct h2_output *output, const void *bytes, size_t size)
{
	const char *from = bytes;

	while (size > 0) {
		struct buffer *last = &output->buffers[(output->first + output->count + H2_OUTPUT_BUFFERS - 1) % H2_OUTPUT_BUFFERS];
		if (output->count == 0 || last->end == NET_BUFFER_SIZE) {
			if (output->count == H2_OUTPUT_BUFFERS)
				return false;
			last = &output->buffers[(output->first + output->count) % H2_OUTPUT_BUFFERS];
			if (!buffer_hold(last))
				return false;
			output->count++;
		}
		size_t part = NET_BUFFER_SIZE - last->end < size ? NET_BUFFER_SIZE - last->end : size;
		memcpy(last->memory + last->end, from, part);
		last->end += (uint32_t)part;
		from += part;
		size -= part;
	}
	return true;
}

enum net_result h2_output_send(struct h2_output *output, struct stream *stream)
{
	while (output->count > 0) {
		struct buffer *buffer = &output->buffers[output->first];
		size_t sent;
		enum net_result result = stream_write_now(stream, buffer->memory + buffer->start, buffer_filled(buffer), &sent);
		if (result != NET_OK)
			return result;
		buffer->start += (uint32_t)sent;
		if (buffer->start < buffer->end)
			continue;
		buffer_release(buffer);
		output->first = (output->first + 1) % H2_OUTPUT_BUFFERS;
		output->count--;
	}
	return NET_OK;
}

uint64_t h2_bytes_taken(const struct h2_connection *connection)
{
	const struct stream *stream = &connection->client->stream;
	int waiting = 0;

	if (ioctl(stream->watched.descriptor, SIOCOUTQ, &waiting) != 0)
		waiting = 0;
	return stream->bytes_written > (uint64_t)waiting ? stream->bytes_written - (uint64_t)waiting : 0;
}

void h2_output_free(struct h2_output *output)
{
	for (unsigned i = 0; i < H2_OUTPUT_BUFFERS; i++)
		buffer_release(&output->buffers[i]);
	output->count = 0;
}

/* ---- frames --------------------------------------------------------------------------------------------------------- */

void h2_pump(struct h2_connection *connection)
{
	/* A frame that nghttp2 has made must find room, whatever DATA went before it: h2_data_send leaves as much. */
	while (!connection->dead && h2_output_room(&connection->output) >= H2_FRAME_MOST) {
		const uint8_t *bytes;
		ssize_t size = nghttp2_session_mem_send(connection->session, &bytes);
		if (size == 0)
			break;
		if (size == NGHTTP2_ERR_CALLBACK_FAILURE)
			h2_give_up(connection, NGHTTP2_ENHANCE_YOUR_CALM);
		else if (size < 0 || !h2_output_add(&connection->output, bytes, (size_t)size))
			connection->dead = true; /* out of memory */
	}
	if (connection->output.count > 0 || connection->dead)
		wait_queue_wake_one(&connection->wake);
}

/* ---- DATA ------------------------------------------------------------------------------------------------------------ */

/* How much of what the stream offers goes into the next frame; it is not copied here. */
ssize_t h2_data_read(nghttp2_session *session, int32_t id, uint8_t *memory, size_t most, uint32_t *flags,
                     nghttp2_data_source *source, void *argument)
{
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, id);

	(void)memory;
	(void)source;
	(void)argument;
	if (stream == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (stream->offered_bytes == 0 && !stream->end_offered)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (stream->offered_bytes > most)
		return (ssize_t)most;
	if (stream->end_offered)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)stream->offered_bytes;
}

/* The frame that h2_data_read has measured, into the output. */
int h2_data_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t size, nghttp2_data_source *source,
                 void *argument)
{
	struct h2_connection *connection = argument;
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)source;
	if (stream == NULL || stream->offered_bytes < size)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* its task has given up meanwhile */
	if (h2_output_room(&connection->output) < size + 9 + H2_FRAME_MOST)
		return NGHTTP2_ERR_WOULDBLOCK;
	bool added = h2_output_add(&connection->output, head, 9);
	stream->offered_bytes -= size;
	while (added && size > 0) {
		size_t part = stream->parts->iov_len < size ? stream->parts->iov_len : size;
		added = h2_output_add(&connection->output, stream->parts->iov_base, part);
		stream->parts->iov_base = (char *)stream->parts->iov_base + part;
		stream->parts->iov_len -= part;
		size -= part;
		if (stream->parts->iov_len == 0) {
			stream->parts++;
			stream->part_count--;
		}
	}
	if (!added)
		return NGHTTP2_ERR_NOMEM;
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		stream->end_sent = true;
	wait_queue_wake_all(&stream->changed);
	return 0;
}
