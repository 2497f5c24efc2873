/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One HTTP or TCP check. In a task of the watch process; watch.c calls it.
 *
 * GET with "Connection: close" on a fresh connection: a check must also notice when no new connection is taken. At most BODY_MOST
 * bytes of a body are read, and only when a digest is wanted.
 */
#include "proto/http.h"
#include "watch/watch_private.h"

#include <openssl/evp.h>
#include <stdio.h>

#define BODY_MOST    (1u << 20)
#define INTERIM_MOST 8u /* 1xx answers before the final one */

struct check_clock check_clock_start(const struct cluster_check *check)
{
	uint64_t now = clock_monotonic_us();
	return (struct check_clock){.start_us = now, .deadline_us = now + (uint64_t)check->timeout_ms * 1000};
}

int64_t check_clock_left_ms(const struct check_clock *clock)
{
	uint64_t now = clock_monotonic_us();
	return now >= clock->deadline_us ? 0 : (int64_t)((clock->deadline_us - now + 999) / 1000);
}

double check_clock_took_ms(const struct check_clock *clock)
{
	return (double)(clock_monotonic_us() - clock->start_us) / 1000.0;
}

void check_failed_net(struct check_result *result, const struct cluster_check *check, enum net_result net,
                      const char *while_doing)
{
	result->good = false;
	if (net == NET_TIMEOUT)
		snprintf(result->reason, sizeof result->reason, "timed out after %g s while %s", check->timeout_ms / 1000.0, while_doing);
	else if (net == NET_REFUSED || net == NET_UNREACHABLE)
		snprintf(result->reason, sizeof result->reason, "%s", net_result_text(net));
	else
		snprintf(result->reason, sizeof result->reason, "%s while %s", net_result_text(net), while_doing);
}

void check_tcp(const struct cluster_check *check, const struct address *address, struct check_result *result)
{
	struct check_clock clock = check_clock_start(check);
	struct stream stream;
	stream_init(&stream);
	enum net_result net = stream_connect(&stream, address, check->timeout_ms);
	if (net == NET_OK) {
		result->good = true;
		snprintf(result->reason, sizeof result->reason, "connected in %.0f ms", check_clock_took_ms(&clock));
	} else {
		check_failed_net(result, check, net, "connecting");
	}
	stream_close(&stream);
}

/* ---- the body's digest ---------------------------------------------------------------------------------------- */

struct body {
	struct stream *stream;
	const struct cluster_check *check;
	struct check_clock clock;
	EVP_MD_CTX *digest;
	uint64_t size;
	enum net_result net; /* how the last read ended */
};

/* Takes `size` bytes off the input into the digest. False when the body grows too long. */
static bool body_take(struct body *body, size_t size)
{
	body->size += size;
	if (body->size > BODY_MOST)
		return false;
	ASSERT(EVP_DigestUpdate(body->digest, body->stream->input.memory + body->stream->input.start, size) == 1);
	buffer_consume(&body->stream->input, size);
	return true;
}

static bool body_fill(struct body *body)
{
	body->net = stream_fill(body->stream, check_clock_left_ms(&body->clock));
	return body->net == NET_OK;
}

/* NULL when the whole body is in the digest; otherwise what is wrong ("" when body->net tells). */
static const char *read_plain(struct body *body, bool until_close, uint64_t length)
{
	while (until_close || body->size < length) { /* at most BODY_MOST bytes */
		size_t there = buffer_filled(&body->stream->input);
		if (there == 0) {
			if (!body_fill(body))
				return until_close && body->net == NET_CLOSED ? NULL : "";
			continue;
		}
		if (!until_close && there > length - body->size)
			there = (size_t)(length - body->size);
		if (!body_take(body, there))
			return "the body is longer than 1 MiB";
	}
	return NULL;
}

static const char *read_chunked(struct body *body)
{
	struct http_chunked chunked;
	http_chunked_init(&chunked);
	for (;;) { /* at most BODY_MOST bytes of data, and the parser bounds the rest */
		size_t framing = 0, data = 0;
		enum http_fault fault;
		enum http_answer answer = http_chunked_decode(&chunked, buffer_span(&body->stream->input), &framing, &data, &fault);
		if (answer == HTTP_WRONG)
			return http_fault_text(fault);
		buffer_consume(&body->stream->input, framing);
		if (data > 0 && !body_take(body, data))
			return "the body is longer than 1 MiB";
		if (answer == HTTP_DONE)
			return NULL;
		if (framing + data == 0 && !body_fill(body))
			return "";
	}
}

static void format_hex(const uint8_t *bytes, size_t size, char *out)
{
	for (size_t i = 0; i < size; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void compare_digest(struct body *body, struct check_result *result)
{
	uint8_t found[EVP_MAX_MD_SIZE];
	unsigned size;
	char found_text[65], expected_text[65];
	bool md5 = body->check->digest == DIGEST_MD5;
	ASSERT(EVP_DigestFinal_ex(body->digest, found, &size) == 1 && size == (md5 ? 16 : 32));
	if (memcmp(found, body->check->digest_bytes, size) == 0)
		return;
	format_hex(found, size, found_text);
	format_hex(body->check->digest_bytes, size, expected_text);
	result->good = false;
	snprintf(result->reason, sizeof result->reason, "body differs: %s is %s, expected %s", md5 ? "MD5" : "SHA-256", found_text,
	         expected_text);
}

static void check_body(struct body *body, const struct http_response *response, struct check_result *result)
{
	body->digest = EVP_MD_CTX_new();
	if (body->digest == NULL ||
	    EVP_DigestInit_ex(body->digest, body->check->digest == DIGEST_MD5 ? EVP_md5() : EVP_sha256(), NULL) != 1) {
		result->good = false;
		snprintf(result->reason, sizeof result->reason, "this machine's OpenSSL does not do %s",
		         body->check->digest == DIGEST_MD5 ? "MD5: use sha256" : "SHA-256");
		EVP_MD_CTX_free(body->digest);
		return;
	}
	const char *wrong = response->framing == HTTP_BODY_CHUNKED
	                        ? read_chunked(body)
	                        : read_plain(body, response->framing == HTTP_BODY_UNTIL_CLOSE,
	                                     response->framing == HTTP_BODY_LENGTH ? response->length : 0);
	if (wrong == NULL)
		compare_digest(body, result);
	else if (wrong[0] == '\0')
		check_failed_net(result, body->check, body->net, "reading the body");
	else {
		result->good = false;
		snprintf(result->reason, sizeof result->reason, "bad answer: %s", wrong);
	}
	EVP_MD_CTX_free(body->digest);
}

/* ---- the exchange --------------------------------------------------------------------------------------------- */

static enum net_result send_request(struct stream *stream, const struct cluster_check *check, const struct address *address,
                                    int64_t timeout_ms)
{
	char host[ADDRESS_TEXT_SIZE], request[CLUSTER_PATH_SIZE + CLUSTER_HOST_SIZE + 256];
	int size = snprintf(request, sizeof request,
	                    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: noah/" NOAH_VERSION " (check)\r\nAccept: */*\r\n"
	                    "Connection: close\r\n\r\n",
	                    check->path, check->host[0] != '\0' ? check->host : address_format(address, host));
	ASSERT(size > 0 && (size_t)size < sizeof request);
	return stream_write_bytes(stream, request, (size_t)size, timeout_ms);
}

/* Reads until the final head stands at the front of the input, and eats it. False: result says why. */
static bool read_head(struct stream *stream, const struct cluster_check *check, const struct check_clock *clock,
                      struct http_response *response, struct check_result *result)
{
	struct http_progress progress = {0};
	unsigned interim = 0;
	for (;;) { /* the parser takes at most HTTP_HEAD_MOST bytes for each of INTERIM_MOST + 1 heads */
		size_t used = 0;
		struct http_error error;
		struct span input = buffer_span(&stream->input);
		enum http_answer answer =
		    input.size == 0 ? HTTP_MORE
		                    : http_response_parse(&progress, input.start, input.size, HTTP_METHOD_GET, response, &used, &error);
		if (answer == HTTP_DONE && response->status >= 200) {
			buffer_consume(&stream->input, used);
			return true;
		}
		if (answer == HTTP_DONE && interim++ < INTERIM_MOST) {
			buffer_consume(&stream->input, used);
			progress = (struct http_progress){0};
			continue;
		}
		if (answer != HTTP_MORE) {
			snprintf(result->reason, sizeof result->reason, "bad answer: %s",
			         answer == HTTP_DONE ? "too many interim answers" : http_fault_text(error.fault));
			return false;
		}
		enum net_result net = stream_fill(stream, check_clock_left_ms(clock));
		if (net != NET_OK) {
			check_failed_net(result, check, net, "waiting for the answer");
			return false;
		}
	}
}

void check_http(const struct cluster_check *check, const struct address *address, struct check_result *result)
{
	struct check_clock clock = check_clock_start(check);
	struct stream stream;
	stream_init(&stream);
	result->good = false;
	enum net_result net = stream_connect(&stream, address, check->timeout_ms);
	const char *doing = "connecting";
	if (net == NET_OK) {
		doing = "sending the request";
		net = send_request(&stream, check, address, check_clock_left_ms(&clock));
	}
	if (net != NET_OK) {
		check_failed_net(result, check, net, doing);
		stream_close(&stream);
		return;
	}
	struct http_response response;
	if (read_head(&stream, check, &clock, &response, result)) {
		struct span words = http_status_reason(response.status);
		result->good = response.status >= check->status_least && response.status <= check->status_most;
		int size = snprintf(result->reason, sizeof result->reason, "%u %.*s", response.status, (int)words.size, words.start);
		char *rest = result->reason + size;
		size_t room = sizeof result->reason - (size_t)size;
		if (result->good)
			snprintf(rest, room, " in %.0f ms", check_clock_took_ms(&clock));
		else
			snprintf(rest, room, ", but %u-%u is expected", check->status_least, check->status_most);
		if (result->good && check->digest != DIGEST_NONE)
			check_body(&(struct body){.stream = &stream, .check = check, .clock = clock}, &response, result);
	}
	stream_close(&stream);
}
