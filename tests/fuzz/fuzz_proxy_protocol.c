/* SPDX-License-Identifier: BSD-2-Clause
 *
 * PROXY headers: what is right is right at no shorter length, and stays so whatever follows; what is wrong never becomes right
 * when more comes; and the header that noah itself writes of what was read says the same again.
 */
#include <stdlib.h>

#include "proto/proxy_protocol.h"
#include "tcp/tcp_private.h"

static enum proxy_answer parse(const uint8_t *data, size_t size, struct proxy_told *told, size_t *used)
{
	const char *why = NULL;
	char *copy = malloc(size != 0 ? size : 1);
	ASSERT(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	enum proxy_answer answer = proxy_protocol_parse(copy, size, told, used, &why);
	free(copy);
	ASSERT((answer == PROXY_WRONG) == (why != NULL));
	ASSERT(answer == PROXY_DONE ? *used <= size && *used > 0 && *used <= PROXY_PROTOCOL_MOST : !told->known && !told->secure);
	ASSERT(answer != PROXY_MORE || size < PROXY_PROTOCOL_MOST);
	return answer;
}

/* Once decided it stays so; the first length at which it is decided, with its answer, in *decided and the result. */
static enum proxy_answer walk(const uint8_t *data, size_t size, size_t *decided)
{
	enum proxy_answer answer = PROXY_MORE;
	struct proxy_told told;
	size_t used;

	*decided = size;
	for (size_t cut = 0; cut <= size; cut += cut < 128 || size - cut < 16 ? 1 : 15) {
		enum proxy_answer now = parse(data, cut, &told, &used);
		ASSERT(answer == PROXY_MORE || now == answer);
		if (now != answer)
			*decided = cut;
		answer = now;
	}
	return answer;
}

static void write_again(const struct proxy_told *told)
{
	char header[TCP_PROXY_HEADER_MOST];
	struct proxy_told again;
	size_t used;

	for (unsigned version = 1; version <= 2; version++) {
		size_t size = tcp_proxy_header(version, &told->from, &told->to, header);
		ASSERT(parse((const uint8_t *)header, size, &again, &used) == PROXY_DONE && used == size && !again.secure);
		ASSERT(again.known == (told->from.family == told->to.family));
		ASSERT(!again.known || (address_equal(&again.from, &told->from) && address_equal(&again.to, &told->to)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_told told, at_once;
	size_t used, decided;

	if (size > 2 * PROXY_PROTOCOL_MOST)
		return 0;
	enum proxy_answer answer = parse(data, size, &at_once, &used);
	ASSERT(walk(data, size, &decided) == answer);
	if (answer != PROXY_DONE)
		return 0;
	ASSERT(used <= decided); /* the walk may step over it */
	size_t alone;
	ASSERT(parse(data, used, &told, &alone) == PROXY_DONE && alone == used);
	ASSERT(parse(data, used - 1, &told, &alone) == PROXY_MORE);
	if (at_once.known) {
		ASSERT(at_once.from.family == ADDRESS_IPV4 || at_once.from.family == ADDRESS_IPV6);
		write_again(&at_once);
	}
	return 0;
}
