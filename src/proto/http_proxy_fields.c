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

/* In lower case, by their first letter; one that ends in '*' stands for all that begin so. */
static const char *const of_c[] = {"cf-connecting-ip*", "cf-pseudo-ipv4", "cf-visitor", "client-ip", NULL};
static const char *const of_f[] = {"fastly-client-ip", "fastly-ssl", "forwarded", "forwarded-for*", "front-end-https", NULL};
static const char *const of_p[] = {"proxy", NULL};
static const char *const of_r[] = {"remote-addr", "remote-user", NULL};
static const char *const of_s[] = {"ssl-client-*", NULL};
static const char *const of_t[] = {"true-client-ip", NULL};
static const char *const of_x[] = {
    "x-accel-mapping",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-forwarded-*",
    "x-host",
    "x-original-*",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-rewrite-url",
    "x-scheme",
    "x-sendfile-type",
    "x-ssl-*",
    "x-url-scheme",
    NULL,
};
static const char *const *const by_letter[26] = {
    ['c' - 'a'] = of_c, ['f' - 'a'] = of_f, ['p' - 'a'] = of_p, ['r' - 'a'] = of_r,
    ['s' - 'a'] = of_s, ['t' - 'a'] = of_t, ['x' - 'a'] = of_x,
};

static char fold(char byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return (char)(byte + 'a' - 'A');
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ? byte : '-';
}

static bool is_so_named(struct span name, const char *own)
{
	size_t at = 0;

	while (at < name.size && own[at] != '\0' && own[at] != '*' && fold(name.start[at]) == own[at])
		at++;
	return own[at] == '*' || (at == name.size && own[at] == '\0');
}

static bool is_of_proxies(struct span name)
{
	unsigned letter = (unsigned)(name.start[0] | 0x20) - 'a';

	if (letter >= COUNT_OF(by_letter) || by_letter[letter] == NULL)
		return false;
	for (const char *const *own = by_letter[letter]; *own != NULL; own++)
		if (is_so_named(name, *own))
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
