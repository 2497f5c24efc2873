/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections that change their protocol (RFC 9110 7.8; WebSocket, RFC 6455): from the request that asks for it to the end of the
 * tunnel. In the traffic threads; forward.c asks what may be asked for, connection.c starts the tunnel.
 *
 * Until the server's 101 is here, what else the visitor sends stays where it is: no byte of it reaches a server that might take
 * it for a request. A tunnel keeps the visitor's record, the server's connection and the line for the access log; no task, no
 * buffer, no snapshot.
 */
#include "http/access_log.h"
#include "http/http_private.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_MOST (HTTP_HEAD_MOST + HTTP_HEAD_OWN_BYTES)

/* ---- asking ------------------------------------------------------------------------------------------------------- */

bool http_upgrade_is_asked(const struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	struct span protocol = http_value(&request->head, HTTP_FIELD_UPGRADE);

	/* Another version of HTTP, or TLS, would go through a tunnel unread: past every rule of this site, and requests of other
	 * visitors with it if the server takes them for its own. */
	return request->upgrade && exchange->visitor == &http1_visitor && request->method == HTTP_METHOD_GET &&
	       request->framing == HTTP_BODY_NONE && !span_equal_nocase(protocol, SPAN("h2")) &&
	       !span_starts_with_nocase(protocol, SPAN("h2c")) && !span_starts_with_nocase(protocol, SPAN("http")) &&
	       !span_starts_with_nocase(protocol, SPAN("tls"));
}

void http_upgrade_write(struct http_writer *writer, struct span protocol)
{
	http_write(writer, SPAN("Connection: Upgrade\r\n"));
	http_write_field(writer, SPAN("Upgrade"), protocol);
}

/* ---- being answered ------------------------------------------------------------------------------------------------ */

static bool names_upgrade(const struct http_head *head)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		struct span rest = http_text(head, head->fields[i].value);
		while (head->fields[i].known == HTTP_FIELD_CONNECTION && rest.start != NULL)
			if (span_equal_nocase(span_trim(span_cut(&rest, ',')), SPAN("upgrade")))
				return true;
	}
	return false;
}

bool http_upgrade_is_granted(const struct http_exchange *exchange)
{
	const struct http_head *head = &exchange->response.head;
	struct span asked = http_value(&exchange->request.head, HTTP_FIELD_UPGRADE);

	return http_upgrade_is_asked(exchange) && exchange->response.head.minor == 1 &&
	       (head->repeated & HTTP_SET(HTTP_FIELD_UPGRADE)) == 0 && names_upgrade(head) &&
	       span_equal_nocase(http_value(head, HTTP_FIELD_UPGRADE), asked);
}

static void write_head(struct http_writer *writer, struct http_exchange *exchange)
{
	const struct http_response *response = &exchange->response;

	http_write_response(writer, response, 0);
	http_upgrade_write(writer, http_value(&response->head, HTTP_FIELD_UPGRADE));
	http_write(writer, SPAN("Via: 1.1 noah\r\n"));
	for (unsigned i = 0; i < exchange->own_field_count; i++)
		http_write_field(writer, exchange->own_fields[i].name, exchange->own_fields[i].value);
	http_write_head_end(writer);
}

enum http_outcome http_upgrade_answer(struct http_exchange *exchange, size_t head_size)
{
	struct http_writer writer;
	char *head = arena_allocate(task_arena(), HEAD_MOST);

	if (head == NULL)
		return OUTCOME_NO_RESOURCES;
	http_answer_fields(exchange);
	http_writer_init(&writer, head, HEAD_MOST, NULL, 0);
	write_head(&writer, exchange);
	if (!http_writer_finish(&writer))
		return OUTCOME_NO_RESOURCES;
	buffer_consume(&exchange->server->stream.input, head_size);
	exchange->status = 101;
	BOARD_COUNT(exchange->core->lane, answers_1xx, 1);
	exchange->answer_begun = true;
	enum http_outcome outcome =
	    http1_outcome_of_write(stream_write_bytes(&exchange->client->stream, head, writer.size, exchange->site->idle_timeout_ms));
	exchange->answer_whole = outcome == OUTCOME_OK;
	return outcome == OUTCOME_OK ? OUTCOME_TUNNEL : outcome;
}

/* ---- the tunnel ---------------------------------------------------------------------------------------------------- */

#define UPGRADE_MAGIC 0x75706772u
struct http_upgrade {
	uint32_t magic;
	int row;          /* on the board, of its server */
	struct list link; /* core->upgrades */
	struct http_client *client;
	struct upstream_connection *server;
	struct tunnel *tunnel;
	uint64_t started_us;
	struct log_entry entry; /* its texts stand in `texts` */
	char target[CLUSTER_NAME_SIZE + 8];
	char texts[];
};

static const size_t entry_texts[] = {
    offsetof(struct log_entry, client),   offsetof(struct log_entry, method), offsetof(struct log_entry, target),
    offsetof(struct log_entry, version),  offsetof(struct log_entry, line),   offsetof(struct log_entry, host),
    offsetof(struct log_entry, referrer), offsetof(struct log_entry, agent),  offsetof(struct log_entry, site),
    offsetof(struct log_entry, server),   offsetof(struct log_entry, tls),    offsetof(struct log_entry, user),
};

static struct span *text_of(struct log_entry *entry, unsigned index)
{
	return (struct span *)(void *)((char *)entry + entry_texts[index]);
}

/* As much of a text as the log may show. */
static size_t kept_size(struct span text)
{
	return text.size < LOG_TARGET_MOST ? text.size : LOG_TARGET_MOST;
}

static struct http_upgrade *upgrade_new(struct http_exchange *exchange)
{
	struct log_entry entry;
	size_t size = 0;

	http_log_fill(&entry, exchange, OUTCOME_TUNNEL, false);
	for (unsigned i = 0; i < COUNT_OF(entry_texts); i++)
		size += kept_size(*text_of(&entry, i));
	struct http_upgrade *upgrade = calloc(1, sizeof(*upgrade) + size);
	if (upgrade == NULL)
		return NULL;
	upgrade->entry = entry;
	char *place = upgrade->texts;
	for (unsigned i = 0; i < COUNT_OF(entry_texts); i++) {
		struct span *text = text_of(&upgrade->entry, i);
		if (text->start == NULL)
			continue;
		*text = span_of(memcpy(place, text->start, kept_size(*text)), kept_size(*text));
		place += text->size;
	}
	return upgrade;
}

static enum http_outcome outcome_of(const struct tunnel_result *result)
{
	switch (result->how) {
	case NET_OK:
	case NET_CLOSED:
		return OUTCOME_TUNNEL;
	case NET_TIMEOUT:
		return OUTCOME_TUNNEL_IDLE;
	case NET_CANCELLED:
		return OUTCOME_TUNNEL_STOPPED;
	case NET_NO_RESOURCES:
		return OUTCOME_NO_RESOURCES;
	case NET_REFUSED:
	case NET_RESET:
	case NET_UNREACHABLE:
	case NET_FAILED:
		break;
	}
	return result->by_first ? OUTCOME_VISITOR_GONE : OUTCOME_TUNNEL_CUT;
}

static void tunnel_ended(void *argument, const struct tunnel_result *result)
{
	struct http_upgrade *upgrade = argument;
	struct http_client *client = upgrade->client;
	struct http_core *core = client->core;
	struct log_entry *entry = &upgrade->entry;
	enum http_outcome outcome = outcome_of(result);
	char cause[HTTP_DETAIL_SIZE];

	CHECK_MAGIC(upgrade, UPGRADE_MAGIC);
	entry->wall_us = http_core_wall_us(core);
	entry->end = span_of_text(http_outcome_text(outcome));
	entry->failure = outcome == OUTCOME_TUNNEL_CUT || outcome == OUTCOME_NO_RESOURCES;
	if (entry->failure) {
		snprintf(cause, sizeof(cause), "%s: %s", upgrade->target, net_result_text(result->how));
		entry->cause = span_of_text(cause);
		LOG_LIMITED(LOG_WARNING, 1000, "a tunnel ended (%s): %s", http_outcome_text(outcome), cause);
	}
	entry->in += result->first_bytes;
	entry->out += result->second_bytes;
	entry->bytes = result->second_bytes;
	entry->total_us = loop_now_us(core->loop) - upgrade->started_us;
	http_log_put(core->log, entry);
	upstream_close(upgrade->server);
	upstream_end_row(&core->upstream, upgrade->row);
	BOARD_COUNT(core->lane, tunnels_open, -1);
	list_remove(&upgrade->link);
	upgrade->magic = 0;
	free(upgrade);
	http_connection_free(client);
}

bool http_upgrade_start(struct http_exchange *exchange)
{
	struct http_client *client = exchange->client;
	struct http_core *core = exchange->core;
	struct http_upgrade *upgrade = upgrade_new(exchange);
	struct upstream_connection *server = exchange->server;

	exchange->server = NULL;
	if (upgrade != NULL)
		upgrade->tunnel = tunnel_start(&client->stream, &server->stream, exchange->site->idle_timeout_ms, tunnel_ended, upgrade);
	if (upgrade == NULL || upgrade->tunnel == NULL) {
		free(upgrade);
		upstream_close(server);
		upstream_end(&core->upstream, exchange->target);
		return false;
	}
	upgrade->magic = UPGRADE_MAGIC;
	upgrade->row = exchange->target->row;
	memcpy(upgrade->target, exchange->target->text, sizeof(upgrade->target));
	upgrade->client = client;
	upgrade->server = server;
	upgrade->started_us = exchange->started_us;
	list_remove(&client->link); /* it still counts as open */
	list_append(&core->upgrades, &upgrade->link);
	BOARD_COUNT(core->lane, tunnels_open, 1);
	if (core->ending)
		tunnel_hurry(upgrade->tunnel, HTTP_DRAIN_SILENCE_MS);
	return true;
}

void http_upgrades_hurry(struct http_core *core)
{
	LIST_EACH (item, &core->upgrades)
		tunnel_hurry(OWNER_OF(item, struct http_upgrade, link)->tunnel, HTTP_DRAIN_SILENCE_MS);
}
