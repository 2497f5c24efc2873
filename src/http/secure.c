/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The TLS handshake of a visitor's connection, before its first request. Called by connection.c, in the connection's task.
 */
#include "http/http_private.h"
#include "tls/tls.h"

/* Who speaks plain HTTP to a TLS port gets words that he can read. */
static void answer_plain_text(struct http_client *client)
{
	static const char page[] =
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>400 Bad Request</title></head>\n"
	    "<body>\n<h1>Bad Request</h1>\n<p>This port speaks HTTPS, and your request came as plain HTTP. Please begin "
	    "the address with https://</p>\n<p>400, noah</p>\n</body>\n</html>\n";
	static const char head[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
	                           "Connection: close\r\n\r\n";
	struct iovec parts[2] = {{.iov_base = (void *)(uintptr_t)head, .iov_len = sizeof head - 1},
	                         {.iov_base = (void *)(uintptr_t)page, .iov_len = sizeof page - 1}};
	(void)!stream_write(&client->stream, parts, 2, HTTP_LINGER_MS); /* he may have left */
}

enum net_result http_secure(struct http_client *client)
{
	struct http_core *core = client->core;
	struct ssl_ctx_st *context = core->tls == NULL ? NULL : tls_core_context(core->tls, &core->listeners[client->listener]);
	enum net_result result = NET_CLOSED;
	bool plain_text;

	client->insecure = false;
	if (context == NULL) /* a reload has taken the last site away from this listener */
		return result;
	result = stream_secure(&client->stream, context, http_routes_request_timeout_ms(core->routes, client->listener));
	if (result == NET_OK) {
		BOARD_COUNT(core->lane, tls_handshakes, 1);
		if (stream_is_resumed(&client->stream))
			BOARD_COUNT(core->lane, tls_resumed, 1);
		return result;
	}
	BOARD_COUNT(core->lane, tls_failed, 1);
	const char *why = stream_secure_failure(&plain_text);
	log_write(LOG_DEBUG, "TLS handshake with %s failed: %s", client->origin.text, why);
	if (plain_text)
		answer_plain_text(client);
	return result;
}
