/* SPDX-License-Identifier: BSD-2-Clause
 *
 * checker: stands in as the app server and judges every byte that reaches it. Written by RFC 9112 alone, byte by byte, and by
 * nothing of src/proto's means. A request is right only if no reader could read it in a second way:
 *
 *   - lines end in CR LF; no other CR or LF, no NUL, no control but HTAB in a value;
 *   - METHOD SP target SP "HTTP/1.1"; the target is a path with or without query, or "*" for OPTIONS;
 *   - a name is a token followed at once by a colon, and no look-alike of a name that decides something (Content_Length);
 *   - one Host, a plain host and port; at most one of Content-Length (digits) and Transfer-Encoding (exactly "chunked");
 *   - no field that belongs to one connection, but "Connection: upgrade" with one Upgrade;
 *   - a chunk is SIZE CR LF data CR LF, without extensions; there are no trailers;
 *   - exactly one X-Real-IP, with the address that only the proxy can know. Bytes that the proxy took for a body, and this reader
 * takes for a request, do not have it.
 *
 * A target /valid/SIZE/SUM says how long the body is and what it sums up to (FNV-1a).
 *
 *   checker ADDRESS VISITOR-ADDRESS     prints its port, then at the end of its input one line with its counts. Violations go to
 *                                       standard error. One thread.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM             65536u /* of a connection: a head of 16 KB, what the proxy adds, and some of the body */
#define DESCRIPTORS_MOST 4096
#define EVENTS_MOST      256
#define SHOWN_MOST       20u

enum state { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_END };

struct connection {
	char bytes[ROOM];
	size_t filled, at; /* at: where the present head, or the next piece of the body, begins */
	enum state state;
	uint64_t left, body_bytes;
	uint32_t body_sum;
	bool is_head;  /* its answer has no body */
	bool is_valid; /* /valid/: the next two count */
	uint64_t wanted_bytes;
	uint32_t wanted_sum;
};

static struct connection *connections[DESCRIPTORS_MOST];
static const char *visitor;
static struct {
	uint64_t requests, whole, cut, violations, valid, body_bytes, with_length, chunked, upgrades;
} counts;

/* ---- what is wrong ---------------------------------------------------------------------------------------------- */

static void show(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size && i < 1500; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		if (byte == '\n')
			fputs("\\n\n    ", stderr);
		else if (byte < ' ' || byte >= 0x7f || byte == '\\')
			fprintf(stderr, "\\x%02x", byte);
		else
			fputc(byte, stderr);
	}
	fputc('\n', stderr);
}

/* Always -1. */
__attribute__((format(printf, 2, 3))) static int violation(const struct connection *connection, const char *format, ...)
{
	va_list arguments;
	if (counts.violations++ >= SHOWN_MOST)
		return -1;
	fputs("violation: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\n    ", stderr);
	show(connection->bytes + connection->at, connection->filled - connection->at);
	return -1;
}

/* ---- a head ------------------------------------------------------------------------------------------------------ */

struct text {
	const char *start;
	size_t size;
};

/* What the fields of one head amount to. Functions that judge return 1, or -1 after a violation. */
struct head {
	struct text method, target, host, length, forwarded_host, via, upgrade, connection;
	unsigned hosts, lengths, codings, addresses, forwarded_for, protocols, forwarded_hosts, connections, upgrades, max_forwards;
};

static bool is(struct text text, const char *word)
{
	return text.size == strlen(word) && strncasecmp(text.start, word, text.size) == 0;
}

static bool is_exactly(struct text text, const char *word)
{
	return text.size == strlen(word) && memcmp(text.start, word, text.size) == 0;
}

static bool ends_with(struct text text, const char *word)
{
	size_t size = strlen(word);
	return text.size >= size && memcmp(text.start + text.size - size, word, size) == 0;
}

static bool is_token(struct text text)
{
	for (size_t i = 0; i < text.size; i++)
		if (!isalnum((unsigned char)text.start[i]) && (text.start[i] == 0 || strchr("!#$%&'*+-.^_`|~", text.start[i]) == NULL))
			return false;
	return text.size > 0;
}

static bool is_number(struct text text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.start[i] < '0' || text.start[i] > '9')
			return false;
	return text.size > 0 && text.size <= 19;
}

/* Bytes of a path and of a query by RFC 3986, and those that browsers send as they are (URL standard); none of them separates
 * anything in a request line. */
static bool is_target(struct text text)
{
	const char *more = "-._~!$&'()*+,;=:@/%[]^`{|}";
	bool query = false;
	for (size_t i = 0; i < text.size; i++) {
		char byte = text.start[i];
		if (query && (byte == '?' || byte == '\\'))
			continue;
		if (byte == '?')
			query = true;
		else if (byte <= ' ' || byte >= 0x7f || (!isalnum((unsigned char)byte) && strchr(more, byte) == NULL))
			return false;
	}
	return text.size > 0 && text.start[0] == '/';
}

static bool is_host(struct text text)
{
	char copy[64];
	struct in6_addr ignored;
	size_t i = 0;
	if (text.size > 0 && text.start[0] == '[') {
		while (i < text.size && text.start[i] != ']')
			i++;
		if (i == text.size || i - 1 >= sizeof(copy))
			return false;
		memcpy(copy, text.start + 1, i - 1);
		copy[i - 1] = '\0';
		if (inet_pton(AF_INET6, copy, &ignored) != 1)
			return false;
		i++;
	} else {
		while (i < text.size && (isalnum((unsigned char)text.start[i]) || (text.start[i] != 0 && strchr("-._~", text.start[i]))))
			i++;
	}
	if (i == 0 || i == text.size)
		return i > 0;
	struct text port = {text.start + i + 1, text.size - i - 1};
	return text.start[i] == ':' && is_number(port) && port.size <= 5;
}

/* Names that decide something, or that a server believes because only a proxy may set them: '_' for '-' is a disguise. */
static bool is_disguised(struct text name)
{
	static const char *const known[] = {"Content-Length",    "Transfer-Encoding", "X-Forwarded-For",
	                                    "X-Forwarded-Proto", "X-Real-IP",         "X-Forwarded-Host",
	                                    "X-Forwarded-Port",  "Keep-Alive",        "Proxy-Connection"};
	if (memchr(name.start, '_', name.size) == NULL)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t at = 0;
		if (strlen(known[i]) != name.size)
			continue;
		while (at < name.size &&
		       (tolower(name.start[at]) == tolower(known[i][at]) || (name.start[at] == '_' && known[i][at] == '-')))
			at++;
		if (at == name.size)
			return true;
	}
	return false;
}

static bool belongs_to_one_connection(struct text name)
{
	return is(name, "Keep-Alive") || is(name, "Proxy-Connection") || is(name, "TE") || is(name, "Trailer") ||
	       is(name, "HTTP2-Settings") || is(name, "Proxy-Authorization");
}

static int take_field(struct connection *connection, struct head *head, struct text name, struct text value)
{
	if (!is_token(name))
		return violation(connection, "a field name is no token");
	for (size_t i = 0; i < value.size; i++)
		if (((unsigned char)value.start[i] < ' ' && value.start[i] != '\t') || value.start[i] == 0x7f)
			return violation(connection, "a field value has a control byte");
	if (is_disguised(name))
		return violation(connection, "%.*s is a disguise", (int)name.size, name.start);
	if (belongs_to_one_connection(name) || is(name, "Forwarded") || is(name, "X-Forwarded-Port"))
		return violation(connection, "%.*s must not be passed on", (int)name.size, name.start);
	while (value.size > 0 && (*value.start == ' ' || *value.start == '\t')) {
		value.start++;
		value.size--;
	}
	while (value.size > 0 && (value.start[value.size - 1] == ' ' || value.start[value.size - 1] == '\t'))
		value.size--;

	if (is(name, "Host")) {
		head->hosts++;
		head->host = value;
	} else if (is(name, "Content-Length")) {
		head->lengths++;
		head->length = value;
	} else if (is(name, "Transfer-Encoding")) {
		head->codings++;
		if (!is_exactly(value, "chunked"))
			return violation(connection, "Transfer-Encoding is not exactly chunked");
	} else if (is(name, "X-Real-IP")) {
		head->addresses++;
		if (!is_exactly(value, visitor))
			return violation(connection, "X-Real-IP is not the visitor's address");
	} else if (is(name, "X-Forwarded-For")) {
		head->forwarded_for++;
		if (!ends_with(value, visitor))
			return violation(connection, "X-Forwarded-For does not end in the visitor's address");
	} else if (is(name, "X-Forwarded-Proto")) {
		head->protocols++;
		if (!is_exactly(value, "http"))
			return violation(connection, "X-Forwarded-Proto is not http");
	} else if (is(name, "X-Forwarded-Host")) {
		head->forwarded_hosts++;
		head->forwarded_host = value;
	} else if (is(name, "Expect")) {
		if (!is(value, "100-continue"))
			return violation(connection, "Expect is not 100-continue");
	} else if (is(name, "Max-Forwards")) {
		head->max_forwards += is_number(value) ? 1 : 2;
	} else if (is(name, "Connection")) {
		head->connections++;
		head->connection = value;
	} else if (is(name, "Upgrade")) {
		head->upgrades++;
		head->upgrade = value;
	} else if (is(name, "Via")) {
		head->via = value; /* the last one counts */
	}
	return 1;
}

static int judge_head(struct connection *connection, const struct head *head)
{
	if (head->hosts != 1 || !is_host(head->host))
		return violation(connection, "%u Hosts, or not a plain one", head->hosts);
	if (head->lengths + head->codings > 1)
		return violation(connection, "%u Content-Lengths and %u Transfer-Encodings", head->lengths, head->codings);
	if (head->lengths == 1 && !is_number(head->length))
		return violation(connection, "Content-Length is no plain number");
	if (head->addresses != 1 || head->forwarded_for != 1 || head->protocols != 1)
		return violation(connection, "%u X-Real-IP, %u X-Forwarded-For, %u X-Forwarded-Proto", head->addresses,
		                 head->forwarded_for, head->protocols);
	if (head->forwarded_hosts > 1 ||
	    (head->forwarded_hosts == 1 && (head->forwarded_host.size != head->host.size ||
	                                    memcmp(head->forwarded_host.start, head->host.start, head->host.size) != 0)))
		return violation(connection, "X-Forwarded-Host is not Host");
	if (head->max_forwards > 1 && is_exactly(head->method, "OPTIONS")) /* means nothing elsewhere: RFC 9110 7.6.2 */
		return violation(connection, "Max-Forwards is repeated or no number");
	if (!ends_with(head->via, " noah"))
		return violation(connection, "the last Via is not noah's");
	if (head->connections != head->upgrades || head->upgrades > 1 ||
	    (head->upgrades == 1 &&
	     (!is(head->connection, "upgrade") || !is_exactly(head->method, "GET") || head->upgrade.size == 0)))
		return violation(connection, "Connection and Upgrade that are no single plain upgrade");
	counts.upgrades += head->upgrades;
	return 1;
}

static int parse_line(struct connection *connection, struct head *head, struct text line)
{
	const char *end = line.start + line.size;
	const char *first = memchr(line.start, ' ', line.size);
	if (first == NULL)
		return violation(connection, "the request line has no blank");
	const char *second = memchr(first + 1, ' ', (size_t)(end - first - 1));
	if (second == NULL || !is_exactly((struct text){second + 1, (size_t)(end - second - 1)}, "HTTP/1.1"))
		return violation(connection, "the request line does not end in HTTP/1.1");
	head->method = (struct text){line.start, (size_t)(first - line.start)};
	head->target = (struct text){first + 1, (size_t)(second - first - 1)};
	if (!is_token(head->method) || is_exactly(head->method, "CONNECT") || is_exactly(head->method, "TRACE"))
		return violation(connection, "the method is no token, or one that must not come here");
	if (!is_target(head->target) && !(is_exactly(head->target, "*") && is_exactly(head->method, "OPTIONS")))
		return violation(connection, "the target is neither a path nor * for OPTIONS");
	return 1;
}

/* What the target says of the body. */
static void read_promise(struct connection *connection, struct text target)
{
	char copy[64];
	unsigned long long size;
	unsigned sum;
	connection->is_valid = false;
	if (target.size >= sizeof(copy) || memcmp(target.start, "/valid/", target.size < 7 ? target.size : 7) != 0)
		return;
	memcpy(copy, target.start, target.size);
	copy[target.size] = '\0';
	if (sscanf(copy, "/valid/%llu/%u", &size, &sum) == 2) {
		connection->is_valid = true;
		connection->wanted_bytes = size;
		connection->wanted_sum = sum;
	}
}

/* 1: a whole head was taken; 0: more bytes are needed; -1: violation. */
static int take_head(struct connection *connection)
{
	struct head head = {0};
	const char *line = connection->bytes + connection->at, *end = connection->bytes + connection->filled;

	for (unsigned number = 0;; number++) {
		const char *at = line;
		while (at < end && *at != '\r' && *at != '\n' && *at != 0)
			at++;
		if (at == end || (*at == '\r' && at + 1 == end))
			return 0;
		if (*at != '\r' || at[1] != '\n')
			return violation(connection, "a line has a CR, an LF or a NUL of its own");
		struct text text = {line, (size_t)(at - line)};
		line = at + 2;
		if (number == 0) {
			if (parse_line(connection, &head, text) < 0)
				return -1;
			continue;
		}
		if (text.size == 0)
			break;
		const char *colon = memchr(text.start, ':', text.size);
		if (colon == NULL)
			return violation(connection, "a field line has no colon");
		if (take_field(connection, &head, (struct text){text.start, (size_t)(colon - text.start)},
		               (struct text){colon + 1, (size_t)(text.start + text.size - colon - 1)}) < 0)
			return -1;
	}
	if (judge_head(connection, &head) < 0)
		return -1;
	counts.requests++;
	connection->is_head = is_exactly(head.method, "HEAD");
	connection->body_bytes = 0;
	connection->body_sum = 2166136261u;
	read_promise(connection, head.target);
	connection->state = head.codings > 0 ? CHUNK_SIZE : BODY;
	connection->left = head.lengths > 0 ? strtoull(head.length.start, NULL, 10) : 0;
	counts.with_length += head.lengths;
	counts.chunked += head.codings;
	connection->at = (size_t)(line - connection->bytes);
	return 1;
}

/* ---- a body ------------------------------------------------------------------------------------------------------ */

static void take_content(struct connection *connection)
{
	size_t there = connection->filled - connection->at;
	size_t size = connection->left < there ? (size_t)connection->left : there;
	for (size_t i = 0; i < size; i++)
		connection->body_sum = (connection->body_sum ^ (unsigned char)connection->bytes[connection->at + i]) * 16777619u;
	connection->at += size;
	connection->left -= size;
	connection->body_bytes += size;
	counts.body_bytes += size;
}

/* 1: CR LF was taken; 0: more bytes are needed; -1: something else is there. */
static int take_line_end(struct connection *connection)
{
	size_t there = connection->filled - connection->at;
	if (there == 0 || (there == 1 && connection->bytes[connection->at] == '\r'))
		return 0;
	if (there < 2 || memcmp(connection->bytes + connection->at, "\r\n", 2) != 0)
		return violation(connection, "CR LF is missing behind a chunk or at the body's end");
	connection->at += 2;
	return 1;
}

static int take_chunk_size(struct connection *connection)
{
	const char *at = connection->bytes + connection->at, *end = connection->bytes + connection->filled;
	unsigned digits = 0;
	uint64_t size = 0;
	for (; at < end && isxdigit((unsigned char)*at); at++, digits++)
		size = size << 4 | (unsigned)(isdigit((unsigned char)*at) ? *at - '0' : tolower(*at) - 'a' + 10);
	if (digits > 16)
		return violation(connection, "a chunk's size does not fit 64 bits");
	if (at == end || (*at == '\r' && at + 1 == end))
		return 0;
	if (digits == 0 || *at != '\r' || at[1] != '\n')
		return violation(connection, "a chunk's size line is more than digits");
	connection->at = (size_t)(at + 2 - connection->bytes);
	connection->left = size;
	connection->state = size == 0 ? LAST_END : CHUNK_DATA;
	return 1;
}

static int request_ended(struct connection *connection)
{
	connection->state = HEAD;
	counts.whole++;
	if (!connection->is_valid)
		return 1;
	if (connection->body_bytes != connection->wanted_bytes || connection->body_sum != connection->wanted_sum)
		return violation(connection, "a body came out differently: %llu bytes, %llu were sent",
		                 (unsigned long long)connection->body_bytes, (unsigned long long)connection->wanted_bytes);
	counts.valid++;
	return 1;
}

/* Large enough to be compressed for who wants it, and it says what noah does not pass on. 60 of them fit into the window of an
 * HTTP/2 connection that nobody opens further. */
static bool answer(const struct connection *connection, int descriptor)
{
	static char whole[1300];
	static size_t size;
	if (size == 0)
		size = (size_t)snprintf(whole, sizeof(whole),
		                        "HTTP/1.1 200 OK\r\nServer: checker/1.0\r\nX-Powered-By: checker/1.0\r\n"
		                        "Content-Type: text/plain\r\nContent-Length: 1040\r\n\r\n%1040s",
		                        "the end of what the server has to say");
	size_t wanted = connection->is_head ? size - 1040 : size;
	return send(descriptor, whole, wanted, MSG_NOSIGNAL) == (ssize_t)wanted;
}

/* As take_head. */
static int step(struct connection *connection, int descriptor)
{
	int result = 1;
	switch (connection->state) {
	case HEAD:
		return connection->at == connection->filled ? 0 : take_head(connection);
	case BODY:
		take_content(connection);
		if (connection->left > 0)
			return 0;
		result = request_ended(connection);
		break;
	case CHUNK_SIZE:
		return take_chunk_size(connection);
	case CHUNK_DATA:
		take_content(connection);
		if (connection->left > 0)
			return 0;
		connection->state = CHUNK_END;
		return 1;
	case CHUNK_END:
		result = take_line_end(connection);
		if (result == 1)
			connection->state = CHUNK_SIZE;
		return result;
	case LAST_END:
		result = take_line_end(connection);
		if (result == 1)
			result = request_ended(connection);
		break;
	}
	return result == 1 && connection->state == HEAD && !answer(connection, descriptor) ? -1 : result;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void forget(int descriptor, bool ended_by_proxy)
{
	struct connection *connection = connections[descriptor];
	if (ended_by_proxy && (connection->state != HEAD || connection->at < connection->filled))
		counts.cut++;
	free(connection);
	connections[descriptor] = NULL;
	close(descriptor);
}

static void serve(int descriptor)
{
	struct connection *connection = connections[descriptor];
	for (;;) {
		if (connection->at > 0) {
			memmove(connection->bytes, connection->bytes + connection->at, connection->filled - connection->at);
			connection->filled -= connection->at;
			connection->at = 0;
		}
		if (connection->filled == ROOM) {
			violation(connection, "a head is larger than %u bytes", ROOM);
			forget(descriptor, false);
			return;
		}
		ssize_t got = recv(descriptor, connection->bytes + connection->filled, ROOM - connection->filled, 0);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			forget(descriptor, true);
			return;
		}
		connection->filled += (size_t)got;
		int result;
		do
			result = step(connection, descriptor);
		while (result > 0);
		if (result < 0) {
			forget(descriptor, false);
			return;
		}
	}
}

static void watch(int poller, int descriptor)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) != 0)
		err(1, "epoll");
}

static void accept_all(int poller, int listener)
{
	const int on = 1;
	int descriptor;
	while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (descriptor >= DESCRIPTORS_MOST || (connections[descriptor] = malloc(sizeof(struct connection))) == NULL)
			errx(1, "too many connections");
		connections[descriptor]->filled = connections[descriptor]->at = 0;
		connections[descriptor]->state = HEAD;
		(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		watch(poller, descriptor);
	}
}

static int listen_at(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
		errx(2, "%s is not an IPv4 address", address);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 4096) != 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &size) != 0)
		err(1, "%s", address);
	printf("%u\n", ntohs(at.sin_port));
	fflush(stdout);
	return listener;
}

int main(int count, char **words)
{
	struct epoll_event events[EVENTS_MOST];
	if (count != 3)
		errx(2, "checker ADDRESS VISITOR-ADDRESS");
	visitor = words[2];
	int listener = listen_at(words[1]), poller = epoll_create1(EPOLL_CLOEXEC);
	watch(poller, listener);
	watch(poller, STDIN_FILENO);
	for (;;) { /* until the standard input ends */
		int ready = epoll_wait(poller, events, EVENTS_MOST, -1);
		for (int i = 0; i < ready; i++) {
			int descriptor = events[i].data.fd;
			if (descriptor == STDIN_FILENO) {
				printf("{\"requests\": %llu, \"whole\": %llu, \"cut\": %llu, \"violations\": %llu, \"valid\": %llu, "
				       "\"body_bytes\": %llu, "
				       "\"with_length\": %llu, \"chunked\": %llu, \"upgrades\": %llu}\n",
				       (unsigned long long)counts.requests, (unsigned long long)counts.whole, (unsigned long long)counts.cut,
				       (unsigned long long)counts.violations, (unsigned long long)counts.valid,
				       (unsigned long long)counts.body_bytes, (unsigned long long)counts.with_length,
				       (unsigned long long)counts.chunked, (unsigned long long)counts.upgrades);
				return 0;
			}
			if (descriptor == listener)
				accept_all(poller, listener);
			else
				serve(descriptor);
		}
	}
}
