/* SPDX-License-Identifier: BSD-2-Clause
 *
 * values: single values of the cluster file, from text and back. Pure functions; private to cluster/.
 *
 * Each parser returns true, or false with a sentence in `why` that quotes the text and says what was probably meant.
 */
#ifndef NOAH_CLUSTER_VALUES_H
#define NOAH_CLUSTER_VALUES_H

#include "cluster/cluster.h"

#define VALUE_WHY_SIZE  320u
#define VALUE_TEXT_SIZE 1024u /* three paths of files, or an URL, with words around them */

/* "250ms", "2s", "5m", "8h", "1d"; "0" needs no unit. Milliseconds. */
bool value_parse_duration(struct span text, uint64_t *ms, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* "64k", "8m", "1g", "2t" (powers of 1024, capitals too), or a number of bytes. */
bool value_parse_size(struct span text, uint64_t *bytes, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* In the largest unit that leaves a whole number: "1500ms", "2m". Returns out. */
const char *value_format_duration(uint64_t ms, char out[VALUE_TEXT_SIZE]);
const char *value_format_size(uint64_t bytes, char out[VALUE_TEXT_SIZE]);

/* "200" or "200-399". */
bool value_parse_status(struct span text, uint16_t *least, uint16_t *most, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* Exactly 2 * size hex digits. */
bool value_parse_hex(struct span text, uint8_t *out, size_t size, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* A word for a server, database or cluster: letters, digits, `.`, `-` and `_`, beginning with a letter or digit. */
bool value_check_name(struct span text, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* A host name or address as it stands in a Host header without a port. A pattern may also be `*` or `*.example.com`. */
bool value_check_host(struct span text, bool is_pattern, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* The path of a request: begins with `/`, visible ASCII, no fragment (RFC 9112 3.2.1). */
bool value_check_url_path(struct span text, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* The address of a server: IPv4 or IPv6 of one machine, without port or prefix. */
bool value_parse_ip(struct span text, struct address *out, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* What listens: a site (`http`, `https`, `https:PORT`, `https:ADDRESS:PORT`, …), a database (also Unix sockets), a TCP service,
 * or the metrics (a port alone is one of 127.0.0.1). All of them: PORT, ADDRESS:PORT. `tls` only for a site, otherwise NULL. */
enum value_listen { VALUE_LISTEN_SITE, VALUE_LISTEN_DATABASE, VALUE_LISTEN_TCP, VALUE_LISTEN_ADMIN };
bool value_parse_listen(struct span text, enum value_listen kind, struct address *out, bool *tls,
                        char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* "NAME:PORT" or "NAME": cuts at the colon. A missing port leaves *port alone. */
bool value_parse_name_and_port(struct span text, struct span *name, uint16_t *port, char why[VALUE_WHY_SIZE]) MUST_CHECK;

/* "100/10s": so many in so long. */
bool value_parse_rate(struct span text, struct cluster_rate *out, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* "10.0.0.0/8", "2001:db8::/32", "192.0.2.7". False with an empty `why` when it is neither network nor address: perhaps a name.
 */
bool value_parse_network(struct span text, struct cluster_network *out, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* The network that has only this address. */
struct cluster_network value_network_of(const struct address *address);
/* As it is written; "192.0.2.7" without prefix when it is one address. Returns out. */
const char *value_format_network(const struct cluster_network *network, char out[VALUE_TEXT_SIZE]);

/* The name of a file in its directory: no `/`, does not begin with a dot. */
bool value_check_file_name(struct span text, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* What may stand in the quotes of a header. */
bool value_check_realm(struct span text, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* `true` or `false`. */
bool value_parse_bool(struct span text, bool *out, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* The name of a header or a cookie: a token (RFC 9110 5.6.2). `what` is it in the sentence. */
bool value_check_token(struct span text, const char *what, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* The ending of a file's name without its dot: "jpg". */
bool value_check_file_type(struct span text, char why[VALUE_WHY_SIZE]) MUST_CHECK;
/* Where a redirect leads: http://…, https://…, or a path. */
bool value_check_redirect(struct span text, char why[VALUE_WHY_SIZE]) MUST_CHECK;

#endif
