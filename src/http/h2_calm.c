/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Visitors who wear noah out: what costs them little and noah much is paid with points, of which a connection has a thousand and
 * gets a hundred back each second. Browsers, which cancel a page's requests when a person goes on, stay far below. In the
 * connection's task, or a stream's, called by h2_receive.c and h2_connection.c.
 */
#include "http/h2.h"

#define POINTS_MOST        1000u
#define POINTS_EACH_SECOND 100u

static const uint32_t prices[] = {
    [H2_RESET_BY_VISITOR] = 4,
    [H2_RESET_PROVOKED] = 4,
    [H2_FRAME_FOR_NOTHING] = 1,
};

void h2_calm_init(struct h2_connection *connection)
{
	connection->calm = (struct h2_calm){.updated_us = loop_now_us(connection->client->core->loop), .points = POINTS_MOST};
}

bool h2_calm_pay(struct h2_connection *connection, enum h2_nuisance nuisance, const char *what)
{
	struct h2_calm *calm = &connection->calm;
	uint64_t now_us = loop_now_us(connection->client->core->loop);
	uint64_t earned = (now_us - calm->updated_us) * POINTS_EACH_SECOND / 1000000u;

	if (earned > 0) {
		calm->points = earned + calm->points > POINTS_MOST ? POINTS_MOST : calm->points + (uint32_t)earned;
		calm->updated_us = now_us;
	}
	if (calm->points < prices[nuisance]) {
		connection->complaint = what;
		return false;
	}
	calm->points -= prices[nuisance];
	return true;
}

/* nghttp2 says nothing of frames that it ignores: PRIORITY, unknown ones, those of streams that are over, and each CONTINUATION.
 * They cost him nine bytes and noah not much more, but a whole connection of them is an attack and nothing else. */
void h2_calm_count_frames(struct h2_connection *connection, struct span bytes)
{
	struct h2_frames_seen *seen = &connection->seen;

	while (bytes.size > 0) {
		size_t part = bytes.size;
		if (seen->skip > 0) {
			part = part < seen->skip ? part : seen->skip;
			seen->skip -= (uint32_t)part;
			seen->complete += seen->skip == 0;
		} else {
			part = part < sizeof(seen->head) - seen->head_size ? part : sizeof(seen->head) - seen->head_size;
			memcpy(seen->head + seen->head_size, bytes.start, part);
			seen->head_size += (uint8_t)part;
			if (seen->head_size == sizeof(seen->head)) { /* RFC 9113 4.1: it begins with the length of what follows */
				seen->head_size = 0;
				seen->skip = (uint32_t)seen->head[0] << 16 | (uint32_t)seen->head[1] << 8 | seen->head[2];
				seen->complete += seen->skip == 0;
			}
		}
		bytes.start += part;
		bytes.size -= part;
	}
}

bool h2_calm_pay_unreported(struct h2_connection *connection)
{
	struct h2_frames_seen *seen = &connection->seen;

	/* A head in pieces is reported with its last one. */
	while (seen->complete > seen->reported + seen->paid) {
		if (!h2_calm_pay(connection, H2_FRAME_FOR_NOTHING, "too many frames that mean nothing here"))
			return false;
		seen->paid++;
	}
	return true;
}

static void put_number(unsigned char *out, uint32_t number)
{
	for (unsigned i = 0; i < 4; i++)
		out[i] = (unsigned char)(number >> (24 - 8 * i));
}

void h2_give_up(struct h2_connection *connection, uint32_t code)
{
	/* RFC 9113 6.8: 8 bytes, type 7, no flags, stream 0; last stream, error code. */
	unsigned char frame[17] = {0, 0, 8, NGHTTP2_GOAWAY};

	if (connection->dead)
		return;
	put_number(frame + 9, (uint32_t)nghttp2_session_get_last_proc_stream_id(connection->session));
	put_number(frame + 13, code);
	if (code == NGHTTP2_ENHANCE_YOUR_CALM)
		LOG_LIMITED(LOG_WARNING, 1000, "HTTP/2 connection of %s ended: %s", connection->client->origin.text,
		            connection->complaint != NULL ? connection->complaint : "too much of something");
	if (!h2_output_add(&connection->output, frame, sizeof(frame)))
		connection->fate = FATE_ABORT; /* without room: he reads nothing anyway */
	connection->dead = true;
}
