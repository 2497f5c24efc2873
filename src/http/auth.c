/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names and passwords (`users` of a site or route; Basic authentication, RFC 7617). In the traffic threads; admit.c asks once for
 * each request, when everything else has let it in.
 *
 *    Authorization -> right a moment ago? -> a turn in the line (auth_line.c) -> crypt(3) on a pool thread -> right or wrong
 *
 * A name that nobody has costs as much as a wrong password: the password is hashed like somebody's.
 */
#include "http/auth.h"
#include "http/route.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(AUTH_SETTING_SIZE >= CRYPT_OUTPUT_SIZE, "every hash fits");
_Static_assert(AUTH_PASSWORD_MOST < CRYPT_MAX_PASSPHRASE_SIZE, "every password is taken");

/* What the visitor says, in memory of the stack that is wiped. */
struct said {
	char memory[AUTH_NAME_MOST + 1 + AUTH_PASSWORD_MOST];
	struct span name, password;
};

/* ---- hashing, on a pool thread ---------------------------------------------------------------------------------------- */

struct check {
	struct offload offload; /* first */
	struct http_auth *auth;
	bool right;
	char setting[AUTH_SETTING_SIZE];
	char password[AUTH_PASSWORD_MOST + 1];
	struct crypt_data data; /* 32 KB */
};

/* As long for any two texts of one length: how much of a hash was right is nobody's business. */
static bool is_same(const char *a, const char *b)
{
	size_t size = strlen(a);
	unsigned char differs = 0;

	if (strlen(b) != size)
		return false;
	for (size_t i = 0; i < size; i++)
		differs |= (unsigned char)(a[i] ^ b[i]);
	return differs == 0;
}

static void check_work(struct offload *offload)
{
	struct check *check = OWNER_OF(offload, struct check, offload);
	const char *hashed = crypt_r(check->password, check->setting, &check->data);

	check->right = hashed != NULL && hashed[0] != '*' && is_same(hashed, check->setting);
}

/* Its turn is over, also when nobody waits for the result any more. */
static void check_release(struct offload *offload)
{
	struct check *check = OWNER_OF(offload, struct check, offload);

	auth_leave(check->auth);
	explicit_bzero(check->password, sizeof(check->password));
	explicit_bzero(&check->data, sizeof(check->data));
	free(check);
}

static enum http_outcome hash(struct http_exchange *exchange, struct http_auth *auth, const struct said *said,
                              struct span setting, bool *right)
{
	enum http_outcome outcome = auth_enter(auth, exchange->origin);
	if (outcome != OUTCOME_OK)
		return outcome;
	struct check *check = calloc(1, sizeof(*check));
	if (check == NULL) {
		auth_leave(auth);
		return OUTCOME_NO_RESOURCES;
	}
	check->offload.work = check_work;
	check->offload.release = check_release;
	check->auth = auth;
	memcpy(check->setting, setting.start, setting.size);
	memcpy(check->password, said->password.start, said->password.size);
	switch (offload_run(&check->offload, AUTH_WAIT_MS)) {
	case WAIT_READY:
		*right = check->right;
		check_release(&check->offload);
		return OUTCOME_OK;
	case WAIT_TIMEOUT:
		return OUTCOME_PASSWORDS_BUSY;
	case WAIT_CANCELLED:
		break;
	}
	return OUTCOME_STOPPING;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------- */

/* WWW-Authenticate: Basic realm="…", charset="UTF-8" (RFC 7617 2.1). */
static bool add_challenge(struct http_exchange *exchange)
{
	const char *realm = exchange->access->realm;
	struct span tail = SPAN("\", charset=\"UTF-8\"");
	char *text = arena_allocate(task_arena(), sizeof("Basic realm=\"") + 2 * CLUSTER_NAME_SIZE + tail.size);
	if (text == NULL)
		return false;
	char *end = stpcpy(text, "Basic realm=\"");
	for (; *realm != '\0'; realm++) { /* RFC 9110 5.6.4 */
		if (*realm == '"' || *realm == '\\')
			*end++ = '\\';
		*end++ = *realm;
	}
	end = mempcpy(end, tail.start, tail.size);
	exchange_add_field(exchange, SPAN("WWW-Authenticate"), span_of(text, (size_t)(end - text)));
	return true;
}

static enum http_outcome ask(struct http_exchange *exchange)
{
	return add_challenge(exchange) ? OUTCOME_UNAUTHORIZED : OUTCOME_NO_RESOURCES;
}

static enum http_outcome refuse(struct http_exchange *exchange, const struct said *said)
{
	int size = (int)(said->name.size < 64 ? said->name.size : 64);
	snprintf(exchange->detail, sizeof(exchange->detail), "no such user, or not the password: %.*s", size, said->name.start);
	return ask(exchange);
}

/* ---- what he says ------------------------------------------------------------------------------------------------------- */

/* More than one Authorization is no way to say one thing. */
static bool read_said(const struct http_exchange *exchange, struct said *said)
{
	const struct http_head *head = &exchange->request.head;
	struct span value = http_value(head, HTTP_FIELD_AUTHORIZATION);

	return value.size > 0 && (head->repeated & HTTP_SET(HTTP_FIELD_AUTHORIZATION)) == 0 &&
	       http_basic_read(value, said->memory, sizeof(said->memory), &said->name, &said->password) &&
	       said->name.size <= AUTH_NAME_MOST && said->password.size <= AUTH_PASSWORD_MOST;
}

/* Of this file in this snapshot, with this name and this password. */
static void make_key(const struct http_exchange *exchange, const struct said *said, struct auth_key *key)
{
	struct {
		uint64_t half, generation;
		uint32_t users, name_size;
		char said[AUTH_NAME_MOST + AUTH_PASSWORD_MOST];
	} text = {.generation = exchange->routes->view->cluster->generation,
	          .users = exchange->access->users,
	          .name_size = (uint32_t)said->name.size};
	size_t size = offsetof(typeof(text), said) + said->name.size + said->password.size;

	char *end = mempcpy(text.said, said->name.start, said->name.size);
	memcpy(end, said->password.start, said->password.size);
	for (; text.half < 2; text.half++)
		key->halves[text.half] = hash_bytes(&text, size);
	explicit_bzero(&text, sizeof(text));
}

static enum http_outcome let_in(struct http_exchange *exchange, const struct said *said)
{
	char *name = arena_copy_text(task_arena(), said->name);
	if (name == NULL)
		return OUTCOME_NO_RESOURCES;
	exchange->user = span_of(name, said->name.size);
	return OUTCOME_OK;
}

static enum http_outcome judge(struct http_exchange *exchange, const struct said *said)
{
	const struct cluster_page *file = &exchange->routes->view->cluster->pages[exchange->access->users - 1];
	struct http_auth *auth = auth_of(exchange->core);
	struct auth_key key;
	struct span setting;
	bool right = false;

	if (auth == NULL)
		return OUTCOME_NO_RESOURCES;
	make_key(exchange, said, &key);
	if (auth_is_kept(auth, &key, exchange_now_us(exchange)))
		return let_in(exchange, said);
	bool known = auth_users_find(span_of(file->bytes, file->size), said->name, &setting);
	if (setting.size == 0 || setting.size >= AUTH_SETTING_SIZE)
		return refuse(exchange, said); /* cluster/users.c lets no such hash in */
	enum http_outcome outcome = hash(exchange, auth, said, setting, &right);
	if (outcome != OUTCOME_OK)
		return outcome;
	if (!known || !right)
		return refuse(exchange, said);
	auth_keep(auth, &key, exchange_now_us(exchange));
	return let_in(exchange, said);
}

/* Nobody is asked to send a password in plain to where he would only be sent on to https. */
static enum http_outcome lead_to_https(struct http_exchange *exchange)
{
	if (exchange->secure || !exchange->site->redirect_to_https)
		return OUTCOME_OK;
	return redirect_if_needed(exchange);
}

enum http_outcome http_auth_admit(struct http_exchange *exchange)
{
	struct said said;

	if (LIKELY(exchange->access->users == 0))
		return OUTCOME_OK;
	enum http_outcome outcome = lead_to_https(exchange);
	if (outcome != OUTCOME_OK)
		return outcome;
	outcome = read_said(exchange, &said) ? judge(exchange, &said) : ask(exchange);
	explicit_bzero(said.memory, sizeof(said.memory));
	return outcome;
}
