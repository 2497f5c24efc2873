/* SPDX-License-Identifier: BSD-2-Clause
 *
 * values: names, hosts, paths and addresses. See values.h. Pure functions.
 */
#include "cluster/values.h"

#include <ctype.h>
#include <stdio.h>

#define QUOTED(text) (int)((text).size < 60 ? (text).size : 60), (text).start

static bool is_name_byte(char byte)
{
	return isalnum((unsigned char)byte) || byte == '-' || byte == '_' || byte == '.';
}

bool value_check_name(struct span text, char why[VALUE_WHY_SIZE])
{
	if (text.size == 0 || text.size >= CLUSTER_NAME_SIZE) {
		snprintf(why, VALUE_WHY_SIZE, "a name has 1 to %u letters, `%.*s` has %zu", CLUSTER_NAME_SIZE - 1, QUOTED(text),
		         text.size);
		return false;
	}
	for (size_t i = 0; i < text.size; i++)
		if (!is_name_byte(text.start[i]) || (i == 0 && !isalnum((unsigned char)text.start[i]))) {
			snprintf(
			    why, VALUE_WHY_SIZE,
			    "`%.*s` cannot be a name; a name begins with a letter or digit, and has only letters, digits, `.`, `-` and `_`",
			    QUOTED(text));
			return false;
		}
	return true;
}

/* "[::1]" or "10.0.0.1": a visitor may have typed an address. */
static bool is_literal_address(struct span text)
{
	struct address address;
	return address_parse(text, false, &address) && address.family != ADDRESS_UNIX && address.port == 0 &&
	       (address.family == ADDRESS_IPV4 || text.start[0] == '[');
}

/* What is wrong with a host that is not an address; NULL when nothing is. */
static const char *find_host_fault(struct span text, bool is_pattern)
{
	if (memchr(text.start, '*', text.size) != NULL)
		return is_pattern ? "a `*` stands alone or at the beginning, before a dot: `*.example.com`"
		                  : "`*` is not known here; write the whole name";
	if (memchr(text.start, '/', text.size) != NULL)
		return "write only the name, such as `www.example.com`, without `http://` and path";
	if (memchr(text.start, ':', text.size) != NULL)
		return "a name has no port; ports stand under `listen`";
	if (text.start[text.size - 1] == '.')
		return "leave the dot at the end away";
	for (size_t i = 0; i < text.size; i++) {
		unsigned char byte = (unsigned char)text.start[i];
		if (byte >= 0x80)
			return "write an international name as browsers send it, beginning with `xn--`";
		if (!is_name_byte(text.start[i]))
			return "only letters, digits, `.`, `-` and `_` may stand in a name";
		if (byte == '.' && (i == 0 || text.start[i - 1] == '.'))
			return "there is a dot too many";
	}
	return text.start[0] == '-' ? "a name does not begin with `-`" : NULL;
}

bool value_check_host(struct span text, bool is_pattern, char why[VALUE_WHY_SIZE])
{
	if (text.size == 0 || text.size >= CLUSTER_HOST_SIZE) {
		snprintf(why, VALUE_WHY_SIZE, "a host name has 1 to %u letters, this one has %zu", CLUSTER_HOST_SIZE - 1, text.size);
		return false;
	}
	if (is_literal_address(text) || (is_pattern && span_equal(text, SPAN("*"))))
		return true;
	bool is_wildcard = is_pattern && text.size > 2 && span_starts_with(text, SPAN("*."));
	const char *fault = find_host_fault(is_wildcard ? span_of(text.start + 2, text.size - 2) : text, is_pattern);
	if (fault == NULL)
		return true;
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a host name; %s", QUOTED(text), fault);
	return false;
}

bool value_check_url_path(struct span text, char why[VALUE_WHY_SIZE])
{
	const char *fault = NULL;
	if (text.size >= CLUSTER_PATH_SIZE)
		fault = "it is longer than 255 letters";
	else if (text.size > 7 && (span_starts_with(text, SPAN("http://")) || span_starts_with(text, SPAN("https:/"))))
		fault = "write only the path, such as `/servercheck.txt`; the host of the request is the key `host`";
	else if (text.size == 0 || text.start[0] != '/')
		fault = "a path begins with `/`";
	for (size_t i = 0; fault == NULL && i < text.size; i++)
		if (text.start[i] <= ' ' || text.start[i] == 0x7f || text.start[i] == '#')
			fault = "blanks, `#` and letters beyond ASCII must be written as %XX";
	if (fault == NULL)
		return true;
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not the path of a request; %s", QUOTED(text), fault);
	return false;
}

/* What keeps a well-formed address from being that of one machine; NULL when nothing does. */
static const char *find_ip_fault(const struct address *address)
{
	static const uint8_t none[16];
	const uint8_t *ip = address->ip;
	if (memcmp(ip, none, address->family == ADDRESS_IPV4 ? 4 : 16) == 0)
		return "it stands for every address; a server needs its own";
	if (address->family == ADDRESS_IPV4 && ip[0] >= 224)
		return "it is a multicast or broadcast address";
	if (address->family == ADDRESS_IPV6 && ip[0] == 0xff)
		return "it is a multicast address";
	if (address->family == ADDRESS_IPV6 && ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)
		return "a link-local address means something else on every interface; use a global or unique-local one";
	return NULL;
}

static struct span cut_before(struct span text, char sign)
{
	const char *at = memchr(text.start, sign, text.size);
	return at == NULL ? text : span_of(text.start, (size_t)(at - text.start));
}

bool value_parse_ip(struct span text, struct address *out, char why[VALUE_WHY_SIZE])
{
	struct address address;
	bool good = address_parse(text, false, &address) && address.family != ADDRESS_UNIX;
	if (good && address.port == 0 && text.start[0] != '[') {
		const char *fault = find_ip_fault(&address);
		if (fault == NULL) {
			*out = address;
			return true;
		}
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` cannot be the address of a server; %s", QUOTED(text), fault);
		return false;
	}
	struct span without_prefix = cut_before(text, '/');
	if (good) {
		char ip[ADDRESS_TEXT_SIZE];
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: a server has an address without a port; did you mean `%.50s`?", QUOTED(text),
		         address_format_ip(&address, ip));
	} else if (without_prefix.size > 0 && without_prefix.size < text.size && address_parse(without_prefix, false, &address)) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: the prefix length is not wanted here; did you mean `%.*s`?", QUOTED(text),
		         QUOTED(without_prefix));
	} else {
		snprintf(why, VALUE_WHY_SIZE,
		         "`%.*s` is not an IPv4 or IPv6 address, such as `192.168.0.11` or `fd00::11`; host names are not looked up",
		         QUOTED(text));
	}
	return false;
}

/* All addresses of the machine, IPv4 too: net_listen makes [::] dual-stack. */
static struct address any_address(uint16_t port)
{
	return (struct address){.family = ADDRESS_IPV6, .port = port};
}

static bool parse_port(struct span text, uint16_t *port)
{
	uint64_t number;
	if (!span_to_number(text, 65535, &number) || number == 0)
		return false;
	*port = (uint16_t)number;
	return true;
}

static bool is_number(struct span text)
{
	for (size_t i = 0; i < text.size; i++)
		if (!isdigit((unsigned char)text.start[i]))
			return false;
	return text.size > 0;
}

/* What may be written before a port or address of a site's `listen`, and the port when it stands alone. */
struct scheme {
	struct span prefix;
	uint16_t port;
	bool tls;
};

/* Cuts "https", "https:" and so on from the text; what follows may be empty. */
static struct scheme cut_scheme(struct span *text)
{
	static const struct scheme known[] = {{{"https", 5}, 443, true}, {{"http", 4}, 80, false}};
	for (unsigned i = 0; i < COUNT_OF(known); i++) {
		size_t size = known[i].prefix.size;
		if (!span_starts_with(*text, known[i].prefix) || (text->size > size && text->start[size] != ':'))
			continue;
		struct scheme found = known[i];
		size_t colon = text->size > size;
		found.prefix = span_of(text->start, size + colon);
		*text = span_of(text->start + size + colon, text->size - size - colon);
		return found;
	}
	return (struct scheme){.prefix = span_of(text->start, 0), .port = 80};
}

static const char *listen_examples(enum value_listen kind)
{
	switch (kind) {
	case VALUE_LISTEN_SITE:
		return "`http`, `https`, `8080`, `192.168.0.10:8080`, `[fd00::10]:8080` or `https:8443`";
	case VALUE_LISTEN_DATABASE:
		return "`3306`, `192.168.0.10:3306` or the path of a Unix socket";
	case VALUE_LISTEN_TCP:
		return "`2222` or `192.168.0.10:2222`";
	case VALUE_LISTEN_ADMIN:
		return "`9180` or `192.168.0.10:9180`";
	}
	return "";
}

/* `text` without the scheme that was written before it. */
static bool explain_listen(struct scheme scheme, struct span text, enum value_listen kind, char why[VALUE_WHY_SIZE])
{
	static const char *const usual[] = {"80", "3306", "2222", "9180"};
	struct address address;
	struct span whole = span_of(scheme.prefix.start, scheme.prefix.size + text.size), port = text, host = span_cut(&port, ':');
	bool has_port = port.start != NULL, no_bracket = memchr(text.start, ':', text.size) != NULL && text.start[0] != '[';
	int prefix = (int)scheme.prefix.size;
	const char *start = scheme.prefix.start;
	if (is_number(text) || (has_port && is_number(port) && address_parse(host, false, &address)))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: the port is out of range; ports are 1 to 65535", QUOTED(whole));
	else if (span_starts_with(text, SPAN("//")))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is an URL; write %s", QUOTED(whole), listen_examples(kind));
	else if (kind != VALUE_LISTEN_SITE && (span_equal(text, SPAN("http")) || span_equal(text, SPAN("https"))))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is for sites; write %s", QUOTED(whole), listen_examples(kind));
	else if (text.size > 0 && text.start[0] == '/')
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: %s", QUOTED(whole),
		         kind == VALUE_LISTEN_DATABASE ? "the path of a Unix socket has at most 107 letters"
		                                       : "it listens on TCP, not on a Unix socket");
	else if (address_parse(text, false, &address))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` has no port; did you mean `%.*s%s%.*s%s:%s`?", QUOTED(whole), prefix, start,
		         no_bracket ? "[" : "", QUOTED(text), no_bracket ? "]" : "", scheme.tls ? "443" : usual[kind]);
	else if (has_port && is_number(port) && (host.size == 0 || span_equal(host, SPAN("*"))))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: did you mean `%.*s%.*s`%s?", QUOTED(whole), prefix, start, QUOTED(port),
		         kind == VALUE_LISTEN_ADMIN ? "" : " (every address of the server)");
	else if (has_port && is_number(port) && span_equal_nocase(host, SPAN("localhost")))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: did you mean `%.*s127.0.0.1:%.*s`?", QUOTED(whole), prefix, start, QUOTED(port));
	else
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is nothing to listen on; write %s", QUOTED(whole), listen_examples(kind));
	return false;
}

bool value_parse_listen(struct span text, enum value_listen kind, struct address *out, bool *tls, char why[VALUE_WHY_SIZE])
{
	struct scheme scheme = {.prefix = span_of(text.start, 0)};
	struct address address;
	uint16_t port = 0;
	if (kind == VALUE_LISTEN_SITE) {
		scheme = cut_scheme(&text);
		*tls = scheme.tls;
	}
	if (scheme.prefix.size > 0 && text.size == 0 && scheme.prefix.start[scheme.prefix.size - 1] != ':') {
		*out = any_address(scheme.port);
		return true;
	}
	if (parse_port(text, &port)) {
		*out = any_address(port);
		if (kind == VALUE_LISTEN_ADMIN)
			*out = (struct address){.family = ADDRESS_IPV4, .port = port, .ip = {127, 0, 0, 1}};
		return true;
	}
	if (address_parse(text, false, &address) &&
	    (address.family == ADDRESS_UNIX ? kind == VALUE_LISTEN_DATABASE : address.port != 0)) {
		*out = address;
		return true;
	}
	return explain_listen(scheme, text, kind, why);
}

bool value_parse_name_and_port(struct span text, struct span *name, uint16_t *port, char why[VALUE_WHY_SIZE])
{
	struct span rest = text;
	*name = span_cut(&rest, ':');
	if (rest.start != NULL && !parse_port(rest, port)) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: %s", QUOTED(text),
		         is_number(rest) ? "the port is out of range; ports are 1 to 65535"
		                         : "after the colon stands a port, such as `web1:8080`");
		return false;
	}
	return true;
}

/* ---- words of HTTP -------------------------------------------------------------------------------------------- */

bool value_check_token(struct span text, const char *what, char why[VALUE_WHY_SIZE])
{
	const char *fault = text.size == 0 ? "it is empty" : text.size >= CLUSTER_NAME_SIZE ? "it has more than 63 letters" : NULL;
	for (size_t i = 0; fault == NULL && i < text.size; i++)
		if (!isalnum((unsigned char)text.start[i]) && strchr("!#$%&'*+-.^_`|~", text.start[i]) == NULL)
			fault = "only letters, digits, `-` and `_` should stand in it";
	if (fault == NULL)
		return true;
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not the name of a %s; %s", QUOTED(text), what, fault);
	return false;
}

bool value_check_file_type(struct span text, char why[VALUE_WHY_SIZE])
{
	struct span without = text;
	while (without.size > 0 && (without.start[0] == '.' || without.start[0] == '*'))
		without = span_of(without.start + 1, without.size - 1);
	bool good = without.size > 0 && without.size < CLUSTER_TYPE_SIZE;
	for (size_t i = 0; good && i < without.size; i++)
		good = isalnum((unsigned char)without.start[i]) || without.start[i] == '-' || without.start[i] == '_';
	if (good && without.size == text.size)
		return true;
	if (good)
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: the type stands without its dot; did you mean `%.*s`?", QUOTED(text),
		         QUOTED(without));
	else
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not the type of a file; write its last letters, such as `jpg`, at most %u",
		         QUOTED(text), CLUSTER_TYPE_SIZE - 1);
	return false;
}

bool value_check_redirect(struct span text, char why[VALUE_WHY_SIZE])
{
	struct span host = text;
	bool is_url = span_starts_with(text, SPAN("http://")) || span_starts_with(text, SPAN("https://"));
	if (is_url)
		host = cut_before(span_of(text.start + (text.start[4] == 's' ? 8 : 7), text.size - (text.start[4] == 's' ? 8 : 7)), '/');
	const char *fault = NULL;
	if (text.size >= CLUSTER_URL_SIZE)
		fault = "it is longer than 511 letters";
	else if (span_starts_with(text, SPAN("//")))
		fault = "write `https://` before the name of a host, or one `/` before a path";
	else if (!is_url && (text.size == 0 || text.start[0] != '/'))
		fault = "an URL begins with `https://` or `http://`, a path with `/`";
	else if (host.size == 0 || strchr("?#:@", host.start[0]) != NULL)
		fault = "the name of the host is missing";
	for (size_t i = 0; fault == NULL && i < text.size; i++)
		if (text.start[i] <= ' ' || text.start[i] >= 0x7f || strchr("\"<>\\^`{|}", text.start[i]) != NULL)
			fault = "blanks, quotes, brackets and letters beyond ASCII must be written as %XX";
	if (fault == NULL)
		return true;
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` is nowhere to redirect to; %s", QUOTED(text), fault);
	return false;
}

bool value_parse_bool(struct span text, bool *out, char why[VALUE_WHY_SIZE])
{
	static const char *const others[] = {"yes", "no", "on", "off", "1", "0", "true", "false", "y", "n"};
	if (span_equal(text, SPAN("true")) || span_equal(text, SPAN("false"))) {
		*out = text.start[0] == 't';
		return true;
	}
	for (unsigned i = 0; i < COUNT_OF(others); i++)
		if (span_equal_nocase(text, span_of_text(others[i]))) {
			snprintf(why, VALUE_WHY_SIZE, "`%.*s`: did you mean `%s`?", QUOTED(text), i % 2 == 0 ? "true" : "false");
			return false;
		}
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` is neither `true` nor `false`", QUOTED(text));
	return false;
}
