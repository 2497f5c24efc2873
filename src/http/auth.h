/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What auth.c, auth_line.c and auth_users.c share: passwords of visitors, and how often they are hashed at the same time.
 */
#ifndef NOAH_HTTP_AUTH_H
#define NOAH_HTTP_AUTH_H

#include "http/http_private.h"

#define AUTH_NAME_MOST     CLUSTER_USER_NAME_MOST
#define AUTH_PASSWORD_MOST 511u  /* bytes: what crypt(3) takes */
#define AUTH_SETTING_SIZE  384u  /* a hashed password and its zero (CRYPT_OUTPUT_SIZE) */
#define AUTH_KEPT_MOST     1024u /* passwords that were found right and are remembered, for each core */
#define AUTH_KEPT_MS       60000 /* so long */
#define AUTH_AT_ONCE       2u    /* passwords hashed at the same time in the process: files need the pool's threads too */
#define AUTH_WAITING_MOST  64u   /* requests that wait for that, of each core */
#define AUTH_OF_ONE_MOST   8u    /* of them, of one address (IPv6: /64) */
#define AUTH_WAIT_MS       10000 /* so long */

/* ---- remembered passwords, and who waits (auth_line.c) ------------------------------------------------------------------ */

/* What stands for a name with its password in one file of users: a hash under the process's key. */
struct auth_key {
	uint64_t halves[2];
};

struct http_auth;
/* The core's, made when it is first needed. NULL: no memory. */
struct http_auth *auth_of(struct http_core *core) MUST_CHECK;
bool auth_is_kept(const struct http_auth *auth, const struct auth_key *key, uint64_t now_us) MUST_CHECK;
void auth_keep(struct http_auth *auth, const struct auth_key *key, uint64_t now_us);

/* Waits for a turn to have a password hashed; auth_leave gives it back. OUTCOME_OK, or why there is none: too many of this
 * address, or of all, wait already, or it took too long. */
enum http_outcome auth_enter(struct http_auth *auth, const struct http_origin *origin) MUST_CHECK;
void auth_leave(struct http_auth *auth);

/* ---- the file of users (auth_users.c) ------------------------------------------------------------------------------------- */

/* The hashed password of that name in an htpasswd file. False: there is none; then it is that of somebody, always the same for
 * the same name, so that looking takes as long. */
bool auth_users_find(struct span file, struct span name, struct span *setting) MUST_CHECK;

#endif
