/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fields of a request that only a proxy in front of an app may set: the visitor's address, how and for what he came, who he is.
 * Apps that believe them believe whoever sends them, so none that noah does not write itself is passed on. Pure; called by
 * http_request.c for every request.
 *
 * Programs behind a gateway read X_Real.IP as X-Real-IP (RFC 3875 4.1.18), and Proxy as the variable HTTP_PROXY. So any byte that
 * is neither letter nor digit counts as '-'.
 */
#include "proto/http_private.h"

/* In lower case. */
struct own_name {
	uint8_t size;
	bool begins; /* all names that begin so, not only this one */
	char text[26];
};
#define IS(name)                      \
	{                                 \
		sizeof(name) - 1, false, name \
	}
#define BEGINS(name)                 \
	{                                \
		sizeof(name) - 1, true, name \
	}

static const struct own_name of_c[] = {
    BEGINS("cf-connecting-ip"),
    IS("cf-pseudo-ipv4"),
    IS("cf-visitor"),
    IS("client-ip"),
};
static const struct own_name of_d[] = {
    IS("do-connecting-ip"),
};
static const struct own_name of_f[] = {
    IS("fastly-client-ip"), IS("fastly-ssl"), IS("fly-client-ip"), BEGINS("forwarded"), IS("front-end-https"),
};
static const struct own_name of_h[] = {
    IS("http-client-ip"),
    BEGINS("http-x-forwarded"),
};
static const struct own_name of_i[] = {
    IS("incap-client-ip"),
};
static const struct own_name of_p[] = {
    IS("proxy"),
    IS("proxy-client-ip"),
};
static const struct own_name of_r[] = {
    IS("remote-addr"),
    IS("remote-user"),
};
static const struct own_name of_s[] = {
    BEGINS("ssl-client-"),
};
static const struct own_name of_t[] = {
    IS("true-client-ip"),
};
static const struct own_name of_w[] = {
    BEGINS("wl-proxy-"),
};
static const struct own_name of_x[] = {
    IS("x-accel-mapping"),
    IS("x-appengine-user-ip"),
    IS("x-arr-clientcert"),
    IS("x-arr-ssl"),
    IS("x-azure-clientip"),
    IS("x-azure-socketip"),
    IS("x-client-ip"),
    IS("x-cluster-client-ip"),
    IS("x-envoy-external-address"),
    IS("x-forwarded"),
    BEGINS("x-forwarded-"),
    IS("x-host"),
    IS("x-http-host-override"),
    BEGINS("x-original-"),
    IS("x-originating-ip"),
    IS("x-proxyuser-ip"),
    IS("x-real-ip"),
    IS("x-remote-addr"),
    IS("x-remote-ip"),
    IS("x-remote-user"),
    IS("x-rewrite-url"),
    IS("x-scheme"),
    IS("x-sendfile-type"),
    BEGINS("x-ssl-"),
    IS("x-url-scheme"),
};

/* By their first letter. */
#define OF(letter, table) [(letter) - 'a'] = {table, COUNT_OF(table)}
static const struct {
	const struct own_name *names;
	size_t count;
} by_letter[26] = {
    OF('c', of_c), OF('d', of_d), OF('f', of_f), OF('h', of_h), OF('i', of_i), OF('p', of_p),
    OF('r', of_r), OF('s', of_s), OF('t', of_t), OF('w', of_w), OF('x', of_x),
};

static char fold(char byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return (char)(byte + 'a' - 'A');
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ? byte : '-';
}

static bool is_so_named(struct span name, const struct own_name *own)
{
	size_t at = 0;

	if (own->begins ? name.size < own->size : name.size != own->size)
		return false;
	while (at < own->size && fold(name.start[at]) == own->text[at])
		at++;
	return at == own->size;
}

static bool is_of_proxies(struct span name)
{
	unsigned letter = (unsigned)(name.start[0] | 0x20) - 'a';

	if (letter >= COUNT_OF(by_letter))
		return false;
	for (size_t i = 0; i < by_letter[letter].count; i++)
		if (is_so_named(name, &by_letter[letter].names[i]))
			return true;
	return false;
}

void http_head_drop_proxy_fields(struct http_head *head)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		struct http_field *field = &head->fields[i];
		if (field->known == HTTP_FIELD_OTHER && is_of_proxies(http_text(head, field->name)))
			field->dropped = true;
	}
}
