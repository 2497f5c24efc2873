/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A body on its way through, in one direction: which of the bytes at hand go on, and where it ends. Pure: no I/O. Used by
 * upload.c for requests and by forward.c for answers.
 */
#include "http/http_private.h"

void http_body_init(struct http_body *body, enum http_passing passing, enum http_framing framing, uint64_t length)
{
	*body = (struct http_body){.passing = (uint8_t)passing};
	switch (framing) {
	case HTTP_BODY_NONE:
		body->done = true;
		break;
	case HTTP_BODY_LENGTH:
		body->left = length;
		body->done = length == 0;
		break;
	case HTTP_BODY_CHUNKED:
		http_chunked_init(&body->chunked);
		break;
	case HTTP_BODY_UNTIL_CLOSE:
	case HTTP_BODY_TUNNEL:
		body->until_close = true;
		break;
	}
}

static struct http_step plain_step(struct http_body *body, size_t size)
{
	struct http_step step = {.forward = size};

	if (!body->until_close) {
		if (step.forward > body->left)
			step.forward = (size_t)body->left;
		body->left -= step.forward;
		body->done = body->left == 0;
	}
	body->content_bytes += step.forward;
	return step;
}

bool http_body_next(struct http_body *body, struct span bytes, struct http_step *step, enum http_fault *fault)
{
	enum http_answer answer = HTTP_MORE;

	ASSERT(bytes.size > 0 && !body->done);
	*step = (struct http_step){0};
	switch ((enum http_passing)body->passing) {
	case PASS_PLAIN:
	case PASS_WRAPPED:
		*step = plain_step(body, bytes.size);
		return true;
	case PASS_CHUNKED:
		answer = http_chunked_pass(&body->chunked, bytes, &step->forward, &step->drop, fault);
		break;
	case PASS_DECODED:
		answer = http_chunked_decode(&body->chunked, bytes, &step->skip, &step->forward, fault);
		break;
	}
	body->content_bytes = body->chunked.data_bytes;
	body->done = answer == HTTP_DONE;
	return answer != HTTP_WRONG;
}
