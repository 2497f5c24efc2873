/* SPDX-License-Identifier: BSD-2-Clause
 *
 * users: is every line of a file of users (htpasswd) one that crypt(3) can check a password against? Called by pages.c.
 *
 * Weak ways (DES, MD5, SHA-1, plain text) are refused with the mend, and so are hashes that take so long that a few wrong
 * passwords would keep the machine busy. Only form is looked at here; passwords are checked in http/auth.c.
 */
#include "cluster/load.h"

#include <ctype.h>
#include <stdio.h>

#define BCRYPT_COST_MOST 14u      /* about a second */
#define SHA_ROUNDS_MOST  1000000u /* the same */
/* Of yescrypt: cost 8 of 11, which takes 128 MB and about as long. As letters, which are in the order of their values. */
#define YESCRYPT_SIZE_MOST  'C'
#define YESCRYPT_BLOCK_MOST 'T'

/* Letters of hashes. */
static size_t count_letters(struct span text)
{
	size_t count = 0;
	while (count < text.size &&
	       (isalnum((unsigned char)text.start[count]) || text.start[count] == '.' || text.start[count] == '/'))
		count++;
	return count;
}

static struct span skip(struct span text, size_t size)
{
	return span_of(text.start + size, text.size - size);
}

static bool is_all_letters(struct span text, size_t size)
{
	return text.size == size && count_letters(text) == size;
}

static const char *find_bcrypt_fault(struct span rest)
{
	uint64_t cost = 0;
	if (rest.size < 3 || !span_to_number(span_of(rest.start, 2), 31, &cost) || rest.start[2] != '$' ||
	    !is_all_letters(skip(rest, 3), 53))
		return "is not whole";
	return cost > BCRYPT_COST_MOST ? "takes too long to check (cost more than 14)" : NULL;
}

/* "[rounds=N$]SALT$HASH" (crypt(5)). */
static const char *find_sha_fault(struct span rest, size_t hash_size)
{
	uint64_t rounds = 0;
	if (span_starts_with(rest, SPAN("rounds="))) {
		rest = skip(rest, 7);
		struct span number = span_cut(&rest, '$');
		if (!span_to_number(number, UINT64_MAX, &rounds) || rest.start == NULL)
			return "is not whole";
	}
	struct span salt = span_cut(&rest, '$');
	if (salt.size == 0 || salt.size > 16 || count_letters(salt) != salt.size || rest.start == NULL ||
	    !is_all_letters(rest, hash_size))
		return "is not whole";
	return rounds > SHA_ROUNDS_MOST ? "takes too long to check (more than 1000000 rounds)" : NULL;
}

/* "PARAMETERS$SALT$HASH" (crypt(5)); the parameters as passwd and mkpasswd write them: "j9T". */
static const char *find_yescrypt_fault(struct span rest)
{
	struct span parameters = span_cut(&rest, '$'), salt = rest.start == NULL ? rest : span_cut(&rest, '$');
	if (rest.start == NULL || count_letters(salt) != salt.size || !is_all_letters(rest, 43))
		return "is not whole";
	if (!is_all_letters(parameters, 3) || parameters.start[0] != 'j')
		return "is hashed in a way that noah does not know";
	bool costly = parameters.start[1] > YESCRYPT_SIZE_MOST || parameters.start[2] > YESCRYPT_BLOCK_MOST;
	return costly ? "takes too much time and memory to check (cost more than 8)" : NULL;
}

/* What is wrong with what stands behind the colon; NULL when nothing is. */
static const char *find_hash_fault(struct span hash)
{
	struct span rest = hash;
	if (hash.size == 0)
		return "is missing";
	if (span_starts_with(hash, SPAN("$apr1$")) || span_starts_with(hash, SPAN("$1$")))
		return "is hashed with MD5, which is too weak";
	if (span_starts_with(hash, SPAN("{SHA}")) || span_starts_with(hash, SPAN("{SSHA}")))
		return "is hashed with SHA-1, which is too weak";
	if (hash.size < 4 || hash.start[0] != '$')
		return "is not hashed, or in a way that is too weak";
	rest = skip(rest, 3);
	if (span_starts_with(hash, SPAN("$y$")))
		return find_yescrypt_fault(rest);
	if (span_starts_with(hash, SPAN("$5$")))
		return find_sha_fault(rest, 43);
	if (span_starts_with(hash, SPAN("$6$")))
		return find_sha_fault(rest, 86);
	if (span_starts_with(hash, SPAN("$2a$")) || span_starts_with(hash, SPAN("$2b$")) || span_starts_with(hash, SPAN("$2y$")))
		return find_bcrypt_fault(skip(hash, 4));
	return "is hashed in a way that noah does not know";
}

/* A name that the line before `line` has already. */
static bool is_named_before(struct span text, const char *line, struct span name)
{
	while (text.size > 0 && text.start < line) {
		struct span before = span_cut(&text, '\n');
		if (span_equal(span_cut(&before, ':'), name) && before.start != NULL)
			return true;
	}
	return false;
}

/* False after a report: one wrong line is enough to know what to do about all of them. */
static bool validate_line(struct load *load, const char *const *parts, const char *file, struct span text, struct span line,
                          unsigned number)
{
	struct span hash = line, name = span_cut(&hash, ':');
	if (hash.start == NULL || name.size == 0 || name.size > CLUSTER_USER_NAME_MOST) {
		load_report_at(load, parts, "%s: line %u is not NAME:HASH; `htpasswd -B %s NAME` writes it", file, number, file);
		return false;
	}
	for (size_t i = 0; i < name.size; i++)
		if ((unsigned char)name.start[i] < ' ' || name.start[i] == 0x7f) {
			load_report_at(load, parts, "%s: a control character is in the name in line %u", file, number);
			return false;
		}
	const char *fault = find_hash_fault(hash);
	int size = (int)(name.size < 60 ? name.size : 60);
	if (fault != NULL)
		load_report_at(load, parts, "%s: the password of `%.*s` (line %u) %s; make it anew with `htpasswd -B %s %.*s`", file,
		               size, name.start, number, fault, file, size, name.start);
	else if (is_named_before(text, line.start, name))
		load_report_at(load, parts, "%s: `%.*s` stands there twice, also in line %u; keep one of them", file, size, name.start,
		               number);
	else
		return true;
	return false;
}

void load_validate_users(struct load *load, const char *const *parts, const char *file, struct span text)
{
	struct span rest = text;
	unsigned users = 0;
	if (span_starts_with(text, SPAN("\xef\xbb\xbf"))) {
		load_report_at(load, parts,
		               "%s: a byte order mark stands before the first name, which would not be found; save it without", file);
		return;
	}
	for (unsigned number = 1; rest.size > 0; number++) {
		struct span line = span_cut(&rest, '\n');
		if (line.size > 0 && line.start[line.size - 1] == '\r')
			line.size--;
		if (line.size == 0 || line.start[0] == '#')
			continue;
		if (!validate_line(load, parts, file, text, line, number))
			return;
		users++;
	}
	if (users == 0)
		load_report_at(load, parts, "%s: nobody is in it; `htpasswd -B %s NAME` adds somebody", file, file);
}
