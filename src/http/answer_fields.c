/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What becomes of the head of a server's answer on its way out: what its visitor need not know is left out, how long it may be
 * kept is said, noah's own fields are added. relay.c calls it before the head goes out; static*.c asks for the expiry of files.
 */
#include "http/compress.h"

/* One field of this name only, and it is noah's (RFC 6797 8.1: a browser reads the first). */
static void drop_hsts_of_server(struct http_head *head)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (span_equal_nocase(http_text(head, head->fields[i].name), SPAN("Strict-Transport-Security")))
			head->fields[i].dropped = true;
	}
}

/* Which software answers, and which version of it, is of use only to who looks for one with a known hole. */
static void hide_versions(struct http_head *head)
{
	static const enum http_field_name names[] = {HTTP_FIELD_SERVER, HTTP_FIELD_X_POWERED_BY, HTTP_FIELD_X_ASPNET_VERSION,
	                                             HTTP_FIELD_X_ASPNETMVC_VERSION};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		http_drop_known(head, names[i]);
}

void http_expiry_field(struct http_exchange *exchange, int status, uint64_t present)
{
	const uint64_t said = HTTP_SET(HTTP_FIELD_CACHE_CONTROL) | HTTP_SET(HTTP_FIELD_EXPIRES) | HTTP_SET(HTTP_FIELD_PRAGMA) |
	                      HTTP_SET(HTTP_FIELD_SET_COOKIE);

	if (exchange->answers->expires_s == CLUSTER_NO_EXPIRY || (present & said) != 0)
		return;
	if (exchange->request.method != HTTP_METHOD_GET && exchange->request.method != HTTP_METHOD_HEAD)
		return;
	if (status != 200 && status != 203 && status != 206 && status != 304)
		return;
	const char *value = arena_printf(task_arena(), "max-age=%u", exchange->answers->expires_s);
	if (value != NULL)
		exchange_add_field(exchange, SPAN("Cache-Control"), span_of_text(value));
}

bool http_answer_of_server(struct http_exchange *exchange)
{
	struct http_response *response = &exchange->response;

	if (exchange->hsts.size > 0)
		drop_hsts_of_server(&response->head);
	if (exchange->answers->hide_versions)
		hide_versions(&response->head);
	http_expiry_field(exchange, response->status, response->head.present);
	return http_compress_decide_response(exchange);
}
