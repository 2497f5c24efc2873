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
static const char *find_host_fault(struct span text)
{
	if (text.size > 2 && text.start[0] == '*')
		return "only `*` alone is known, not part of a name; list the names one by one";
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

bool value_check_host(struct span text, char why[VALUE_WHY_SIZE])
{
	if (text.size == 0 || text.size >= CLUSTER_HOST_SIZE) {
		snprintf(why, VALUE_WHY_SIZE, "a host name has 1 to %u letters, this one has %zu", CLUSTER_HOST_SIZE - 1, text.size);
		return false;
	}
	if (span_equal(text, SPAN("*")) || is_literal_address(text))
		return true;
	const char *fault = find_host_fault(text);
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

static bool explain_listen(struct span text, bool for_http, char why[VALUE_WHY_SIZE])
{
	struct address address;
	struct span port = text;
	struct span host = span_cut(&port, ':');
	bool has_port = port.start != NULL;
	if (is_number(text) || (has_port && is_number(port) && address_parse(host, false, &address)))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: the port is out of range; ports are 1 to 65535", QUOTED(text));
	else if (for_http && span_equal_nocase(text, SPAN("https")))
		snprintf(why, VALUE_WHY_SIZE, "`https` is not known to this version of noah; it listens for plain `http`");
	else if (text.size > 0 && text.start[0] == '/')
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: %s", QUOTED(text),
		         for_http ? "a site listens on TCP, not on a Unix socket" : "the path of a Unix socket has at most 107 letters");
	else if (address_parse(text, false, &address))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` has no port; did you mean `%s%.*s%s:%s`?", QUOTED(text),
		         address.family == ADDRESS_IPV6 && text.start[0] != '[' ? "[" : "", QUOTED(text),
		         address.family == ADDRESS_IPV6 && text.start[0] != '[' ? "]" : "", for_http ? "80" : "3306");
	else if (has_port && is_number(port) && (host.size == 0 || span_equal(host, SPAN("*"))))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: did you mean `%.*s` (every address of the server)?", QUOTED(text), QUOTED(port));
	else if (has_port && is_number(port) && span_equal_nocase(host, SPAN("localhost")))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: did you mean `127.0.0.1:%.*s`?", QUOTED(text), QUOTED(port));
	else
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is nothing to listen on; write %s`8080`, `192.168.0.10:8080` or %s", QUOTED(text),
		         for_http ? "`http`, " : "", for_http ? "`[fd00::10]:8080`" : "the path of a Unix socket");
	return false;
}

bool value_parse_listen(struct span text, bool for_http, struct address *out, char why[VALUE_WHY_SIZE])
{
	uint16_t port = 80;
	if ((for_http && span_equal(text, SPAN("http"))) || parse_port(text, &port)) {
		*out = any_address(port);
		return true;
	}
	struct address address;
	if (address_parse(text, false, &address) && (address.family == ADDRESS_UNIX ? !for_http : address.port != 0)) {
		*out = address;
		return true;
	}
	return explain_listen(text, for_http, why);
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
