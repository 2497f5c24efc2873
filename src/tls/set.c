/* SPDX-License-Identifier: BSD-2-Clause
 *
 * set: the certificates of one cluster file: read, checked, watched, put into a keyring. In the supervisor, which looks at the
 * files every few seconds, and in `noah check`.
 *
 * A file that has gone bad changes nothing: what was read before stays in use, and the description warns. Chain and key are
 * mostly replaced one after the other, so what does not fit together gets until the next look to do so.
 */
#include "tls/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough of a file's state to see that it is another one now. */
struct file_state {
	uint64_t device, inode, size;
	struct timespec changed, written;
};

struct set_certificate {
	struct cluster_certificate from;
	struct certificate certificate;                       /* in use */
	struct file_state chain_state, key_state, ocsp_state; /* when last looked at */
	char *ocsp;                                           /* NULL: none */
	size_t ocsp_size;
	uint64_t ocsp_until_s;
	bool in_doubt;     /* the files have changed and do not fit: perhaps only until the next look */
	char warning[256]; /* why the files as they are now are not used; "" when they are */
	char ocsp_warning[256];
};

struct set_site {
	struct keyring_site row; /* what goes into a keyring, without names and certificates */
	char *names;             /* each with a zero byte behind it */
	size_t names_size;
	struct set_certificate certificates[CLUSTER_CERTIFICATES_MOST];
};

struct tls_set {
	struct tls_keeper *keeper;
	unsigned site_count;
	struct set_site sites[CLUSTER_SITES_MOST];
};

/* ---- messages ------------------------------------------------------------------------------------------------------- */

static void message_add(struct tls_messages *messages, bool error, const char *site, const char *format, ...) PRINTF_LIKE(4, 5);

static void message_add(struct tls_messages *messages, bool error, const char *site, const char *format, ...)
{
	va_list arguments;
	char text[440];
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	messages->errors += error;
	if (messages->count == TLS_MESSAGES_MOST) {
		messages->left_out++;
		return;
	}
	messages->lines[messages->count].error = error;
	snprintf(messages->lines[messages->count].text, sizeof messages->lines[0].text, "sites.%.40s.certificate: %s", site, text);
	messages->count++;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static struct file_state state_of(const struct stat *status)
{
	return (struct file_state){.device = status->st_dev,
	                           .inode = status->st_ino,
	                           .size = (uint64_t)status->st_size,
	                           .changed = status->st_ctim,
	                           .written = status->st_mtim};
}

static struct file_state look_at(const char *path)
{
	struct stat status;
	struct file_state none = {0};
	return path[0] == '\0' || stat(path, &status) != 0 ? none : state_of(&status);
}

static bool is_same(const struct file_state *a, const struct file_state *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec && a->written.tv_sec == b->written.tv_sec &&
	       a->written.tv_nsec == b->written.tv_nsec;
}

struct file {
	char *bytes; /* NULL: not read */
	size_t size;
};

static void file_free(struct file *file)
{
	if (file->bytes != NULL)
		OPENSSL_cleanse(file->bytes, file->size); /* it may be a key */
	free(file->bytes);
	*file = (struct file){0};
}

static bool read_all(int descriptor, struct file *file, char *why, size_t why_size)
{
	while (file->size <= TLS_FILE_MOST) { /* a byte more than is allowed has room */
		ssize_t got = read(descriptor, file->bytes + file->size, TLS_FILE_MOST + 1 - file->size);
		if (got < 0) {
			snprintf(why, why_size, "cannot be read: %s", strerror(errno));
			return false;
		}
		if (got == 0)
			return true;
		file->size += (size_t)got;
	}
	snprintf(why, why_size, "larger than %u KB", TLS_FILE_MOST / 1024);
	return false;
}

static bool file_read(const char *path, struct file *file, char *why, size_t why_size)
{
	struct stat status;
	*file = (struct file){0};
	int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (descriptor < 0) {
		snprintf(why, why_size, "cannot be opened: %s", strerror(errno));
		return false;
	}
	bool good = false;
	if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
		snprintf(why, why_size, "no regular file");
	else if ((file->bytes = malloc(TLS_FILE_MOST + 1)) == NULL)
		snprintf(why, why_size, "out of memory");
	else
		good = read_all(descriptor, file, why, why_size);
	close(descriptor);
	if (!good)
		file_free(file);
	return good;
}

/* ---- one certificate ------------------------------------------------------------------------------------------------ */

static const char *key_path(const struct set_certificate *entry)
{
	return entry->from.key[0] != '\0' ? entry->from.key : entry->from.chain;
}

/* *why names the file too. */
static bool read_certificate(const struct set_certificate *entry, struct certificate *certificate, char *why, size_t why_size)
{
	struct file chain, key = {0};
	char reason[192] = "";
	const char *path = entry->from.chain;
	bool good = file_read(path, &chain, reason, sizeof reason);
	if (good && entry->from.key[0] != '\0') {
		path = entry->from.key;
		good = file_read(path, &key, reason, sizeof reason);
	}
	if (good) {
		path = entry->from.chain;
		struct span chain_text = span_of(chain.bytes, chain.size);
		struct span key_text = entry->from.key[0] != '\0' ? span_of(key.bytes, key.size) : chain_text;
		good = certificate_parse(certificate, chain_text, key_text, reason, sizeof reason);
		if (!good && entry->from.key[0] != '\0' && strstr(reason, "key") != NULL && strstr(reason, "refuses") == NULL)
			path = entry->from.key;
	}
	if (!good)
		snprintf(why, why_size, "%s: %s", path, reason);
	file_free(&chain);
	file_free(&key);
	return good;
}

static void ocsp_drop(struct set_certificate *entry)
{
	free(entry->ocsp);
	entry->ocsp = NULL;
	entry->ocsp_size = 0;
	entry->ocsp_until_s = 0;
}

/* Takes the answer that the file has now, or none and a warning. */
static void read_ocsp(struct set_certificate *entry, uint64_t now_s)
{
	struct file file;
	char reason[192] = "";
	ocsp_drop(entry);
	entry->ocsp_warning[0] = '\0';
	if (entry->from.ocsp[0] == '\0')
		return;
	entry->ocsp_state = look_at(entry->from.ocsp);
	bool good =
	    file_read(entry->from.ocsp, &file, reason, sizeof reason) &&
	    ocsp_check(&entry->certificate, span_of(file.bytes, file.size), now_s, &entry->ocsp_until_s, reason, sizeof reason);
	if (good) {
		entry->ocsp = file.bytes;
		entry->ocsp_size = file.size;
		return;
	}
	file_free(&file);
	entry->ocsp_until_s = 0;
	snprintf(entry->ocsp_warning, sizeof entry->ocsp_warning, "%.100s: %.100s; no OCSP answer goes along", entry->from.ocsp,
	         reason);
}

static void note_states(struct set_certificate *entry)
{
	entry->chain_state = look_at(entry->from.chain);
	entry->key_state = look_at(key_path(entry));
}

/* ---- loading ---------------------------------------------------------------------------------------------------------- */

static void warn_of_dates(const struct set_certificate *entry, const char *site, uint64_t now_s, struct tls_messages *messages)
{
	char text[CLOCK_TEXT_SIZE];
	uint64_t from_s = certificate_not_before_s(&entry->certificate), until_s = certificate_not_after_s(&entry->certificate);
	if (until_s <= now_s)
		message_add(messages, false, site, "%s: it has expired at %s", entry->from.chain, clock_format(until_s * 1000000, text));
	else if (from_s > now_s)
		message_add(messages, false, site, "%s: it is not valid before %s", entry->from.chain,
		            clock_format(from_s * 1000000, text));
	else if (until_s < now_s + TLS_WARN_BEFORE_S)
		message_add(messages, false, site, "%s: it expires at %s", entry->from.chain, clock_format(until_s * 1000000, text));
}

static bool load_certificate(struct tls_keeper *keeper, const struct set_site *site, struct set_certificate *entry,
                             uint64_t now_s, struct tls_messages *messages)
{
	const char *name = site->row.name;
	char why[448];
	if (entry->from.self_signed) {
		if (keeper_own_certificate(keeper, span_of(site->names, site->names_size), now_s, &entry->certificate))
			return true;
		message_add(messages, true, name, "cannot make a self-signed one: out of memory");
		return false;
	}
	note_states(entry); /* before reading: what changes while we read is seen by the next look */
	if (!read_certificate(entry, &entry->certificate, why, sizeof why)) {
		message_add(messages, true, name, "%s", why);
		return false;
	}
	warn_of_dates(entry, name, now_s, messages);
	if (entry->certificate.disordered)
		message_add(messages, false, name,
		            "%s: the certificates are not in order, each followed by its issuer's; some visitors will not trust it",
		            entry->from.chain);
	read_ocsp(entry, now_s);
	if (entry->ocsp_warning[0] != '\0')
		message_add(messages, false, name, "%s", entry->ocsp_warning);
	return true;
}

static bool covers(const struct set_site *into, const char *name)
{
	for (unsigned i = 0; i < into->row.certificate_count; i++)
		if (certificate_covers(into->certificates[i].certificate.leaf, name))
			return true;
	return false;
}

static void warn_of_names(const struct set_site *into, const struct cluster_site *site, struct tls_messages *messages)
{
	for (unsigned i = 0; i < site->name_count; i++)
		if (strcmp(site->names[i], "*") != 0 && !covers(into, site->names[i]))
			message_add(messages, false, site->name, "none is good for the site's name %s: visitors will be warned",
			            site->names[i]);
}

static bool pack_names(struct set_site *into, const struct cluster_site *site)
{
	into->names = calloc(site->name_count + 1, CLUSTER_HOST_SIZE);
	for (unsigned i = 0; into->names != NULL && i < site->name_count; i++) {
		size_t size = strlen(site->names[i]) + 1;
		memcpy(into->names + into->names_size, site->names[i], size);
		into->names_size += size;
	}
	return into->names != NULL;
}

static void load_site(struct tls_set *set, const struct cluster_site *site, uint64_t now_s, struct tls_messages *messages)
{
	struct set_site *into = &set->sites[set->site_count++];
	unsigned errors_before = messages->errors;
	memcpy(into->row.name, site->name, sizeof into->row.name);
	into->row.least = site->tls_least;
	into->row.name_count = site->name_count;
	into->row.certificate_count = site->certificate_count;
	for (unsigned i = 0; i < site->listen_count; i++)
		if (site->listen[i].tls)
			into->row.listen[into->row.listen_count++] = site->listen[i].address;
	if (!pack_names(into, site)) {
		message_add(messages, true, site->name, "out of memory");
		return;
	}
	for (unsigned i = 0; i < site->certificate_count; i++) {
		into->certificates[i].from = site->certificates[i];
		(void)!load_certificate(set->keeper, into, &into->certificates[i], now_s, messages); /* it has told */
	}
	if (messages->errors == errors_before)
		warn_of_names(into, site, messages);
}

struct tls_set *tls_set_load(struct tls_keeper *keeper, const struct cluster *cluster, uint64_t now_s,
                             struct tls_messages *messages)
{
	struct tls_set *set = calloc(1, sizeof *set);
	*messages = (struct tls_messages){0};
	if (set == NULL) {
		message_add(messages, true, cluster->name, "out of memory");
		return NULL;
	}
	set->keeper = keeper;
	for (unsigned i = 0; i < cluster->site_count; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		if (site->certificate_count > 0 && (cluster->self == CLUSTER_NO_SERVER || cluster_is_on(site->on, cluster->self)))
			load_site(set, site, now_s, messages);
	}
	if (messages->errors == 0)
		return set;
	tls_set_free(set);
	return NULL;
}

void tls_set_free(struct tls_set *set)
{
	if (set == NULL)
		return;
	for (unsigned i = 0; i < set->site_count; i++) {
		struct set_site *site = &set->sites[i];
		for (unsigned j = 0; j < CLUSTER_CERTIFICATES_MOST; j++) {
			certificate_clear(&site->certificates[j].certificate);
			ocsp_drop(&site->certificates[j]);
		}
		free(site->names);
	}
	free(set);
}

bool tls_set_is_empty(const struct tls_set *set)
{
	return set->site_count == 0;
}

/* ---- the keyring ------------------------------------------------------------------------------------------------------ */

static uint64_t identity_of(const struct set_certificate *entry)
{
	uint64_t parts[3] = {hash_stable(entry->certificate.chain, entry->certificate.chain_size),
	                     hash_stable(entry->certificate.key, entry->certificate.key_size),
	                     entry->ocsp == NULL ? 0 : hash_stable(entry->ocsp, entry->ocsp_size)};
	return hash_stable(parts, sizeof parts);
}

static void add_site(struct keyring_maker *maker, const struct set_site *site)
{
	struct keyring_site row = site->row;
	row.names = keyring_maker_add(maker, site->names, site->names_size);
	for (unsigned i = 0; i < row.certificate_count; i++) {
		const struct set_certificate *entry = &site->certificates[i];
		row.certificates[i] = (struct keyring_certificate){
		    .identity = identity_of(entry),
		    .chain = keyring_maker_add(maker, entry->certificate.chain, entry->certificate.chain_size),
		    .key = keyring_maker_add(maker, entry->certificate.key, entry->certificate.key_size),
		    .ocsp = keyring_maker_add(maker, entry->ocsp, entry->ocsp_size),
		    .self_signed = entry->from.self_signed,
		};
	}
	if (!maker->failed)
		maker->keyring->sites[maker->keyring->site_count++] = row;
}

int tls_set_seal(const struct tls_set *set)
{
	struct keyring_maker maker;
	keyring_maker_init(&maker);
	if (!maker.failed)
		maker.keyring->tickets = set->keeper->tickets;
	for (unsigned i = 0; i < set->site_count; i++)
		add_site(&maker, &set->sites[i]);
	return keyring_maker_seal(&maker);
}

/* ---- watching --------------------------------------------------------------------------------------------------------- */

static bool replace_certificate(struct set_certificate *entry, const char *site, bool final)
{
	struct certificate certificate;
	char why[448], text[CLOCK_TEXT_SIZE];
	if (!read_certificate(entry, &certificate, why, sizeof why)) {
		entry->in_doubt = !final;
		if (!final)
			return false;
		snprintf(entry->warning, sizeof entry->warning, "%.200s; the one before stays in use", why);
		log_write(LOG_WARNING, "site %s: %s", site, entry->warning);
		return false;
	}
	bool same = certificate.chain_size == entry->certificate.chain_size && certificate.key_size == entry->certificate.key_size &&
	            memcmp(certificate.chain, entry->certificate.chain, certificate.chain_size) == 0 &&
	            memcmp(certificate.key, entry->certificate.key, certificate.key_size) == 0;
	certificate_clear(&entry->certificate);
	entry->certificate = certificate;
	entry->in_doubt = false;
	entry->warning[0] = '\0';
	if (!same)
		log_write(LOG_NOTICE, "site %s: %s has changed and is used, good until %s", site, entry->from.chain,
		          clock_format(certificate_not_after_s(&certificate) * 1000000, text));
	return !same;
}

static bool look_at_files(struct set_certificate *entry, const char *site)
{
	struct file_state chain = look_at(entry->from.chain), key = look_at(key_path(entry));
	bool changed = !is_same(&chain, &entry->chain_state) || !is_same(&key, &entry->key_state);
	if (!changed && !entry->in_doubt)
		return false;
	entry->chain_state = chain;
	entry->key_state = key;
	return replace_certificate(entry, site, !changed);
}

static bool look_at_ocsp(struct set_certificate *entry, const char *site, uint64_t now_s, bool other_certificate)
{
	struct file_state state = look_at(entry->from.ocsp);
	bool ended = entry->ocsp != NULL && entry->ocsp_until_s <= now_s;
	if (entry->from.ocsp[0] == '\0' || (!ended && !other_certificate && is_same(&state, &entry->ocsp_state)))
		return false;
	read_ocsp(entry, now_s);
	if (entry->ocsp_warning[0] != '\0')
		log_write(LOG_WARNING, "site %s: %s", site, entry->ocsp_warning);
	return true;
}

static bool renew_own(struct tls_set *set, const struct set_site *site, struct set_certificate *entry, uint64_t now_s)
{
	struct certificate certificate;
	if (certificate_not_after_s(&entry->certificate) > now_s + OWN_RENEW_S)
		return false;
	if (!keeper_own_certificate(set->keeper, span_of(site->names, site->names_size), now_s, &certificate))
		return false; /* the next look tries again */
	certificate_clear(&entry->certificate);
	entry->certificate = certificate;
	return true;
}

bool tls_set_look(struct tls_set *set, uint64_t now_s)
{
	bool changed = ticket_keys_rotate(&set->keeper->tickets, now_s);
	for (unsigned i = 0; i < set->site_count; i++) {
		struct set_site *site = &set->sites[i];
		for (unsigned j = 0; j < site->row.certificate_count; j++) {
			struct set_certificate *entry = &site->certificates[j];
			bool other = entry->from.self_signed ? renew_own(set, site, entry, now_s) : look_at_files(entry, site->row.name);
			bool ocsp = look_at_ocsp(entry, site->row.name, now_s, other);
			changed = changed || other || ocsp;
		}
	}
	return changed;
}

/* ---- in words --------------------------------------------------------------------------------------------------------- */

static void warn_in_words(const struct set_certificate *entry, uint64_t now_s, struct tls_description *out)
{
	char text[CLOCK_TEXT_SIZE];
	const char *until = clock_format(out->not_after_s * 1000000, text);
	out->warning[0] = '\0';
	if (entry->warning[0] != '\0')
		snprintf(out->warning, sizeof out->warning, "%s", entry->warning);
	else if (out->not_after_s <= now_s)
		snprintf(out->warning, sizeof out->warning, "expired at %s", until);
	else if (certificate_not_before_s(&entry->certificate) > now_s)
		snprintf(out->warning, sizeof out->warning, "not valid yet");
	else if (out->not_after_s < now_s + TLS_WARN_BEFORE_S)
		snprintf(out->warning, sizeof out->warning, "expires at %s", until);
	else if (entry->ocsp_warning[0] != '\0')
		snprintf(out->warning, sizeof out->warning, "%s", entry->ocsp_warning);
}

bool tls_set_describe(const struct tls_set *set, unsigned index, uint64_t now_s, struct tls_description *out)
{
	for (unsigned i = 0; i < set->site_count; i++) {
		const struct set_site *site = &set->sites[i];
		if (index >= site->row.certificate_count) {
			index -= site->row.certificate_count;
			continue;
		}
		const struct set_certificate *entry = &site->certificates[index];
		*out = (struct tls_description){.site = site->row.name,
		                                .file = entry->from.chain,
		                                .self_signed = entry->from.self_signed,
		                                .stapled = entry->ocsp != NULL};
		certificate_describe(&entry->certificate, out);
		warn_in_words(entry, now_s, out);
		return true;
	}
	return false;
}
