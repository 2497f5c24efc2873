/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Certificates and keyrings: what is read and refused, that changed files are seen and bad ones change nothing, which certificate
 * a name gets, tickets over rotated keys, OCSP answers, what survives an upgrade. Handshakes are made in memory, with OpenSSL's
 * client.
 */
#include "unit.h"

#include "tls/tls_private.h"

#include <fcntl.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t test_began_s; /* handshakes look at the real clock */
#define NOW_S test_began_s

static char directory[] = "/tmp/noah-tls-XXXXXX";
static EVP_PKEY *authority_key;
static X509 *authority;

/* ---- a test authority --------------------------------------------------------------------------------------------- */

static X509 *issue(EVP_PKEY *key, const char *common, const char *names, uint64_t until_s, X509 *issuer, EVP_PKEY *issuer_key)
{
	static long serial = 100;
	X509 *x509 = X509_new();
	X509V3_CTX context;
	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
	ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)(NOW_S - 86400));
	ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)until_s);
	X509_set_pubkey(x509, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0);
	X509_set_issuer_name(x509, X509_get_subject_name(issuer == NULL ? x509 : issuer));
	X509V3_set_ctx(&context, issuer == NULL ? x509 : issuer, x509, NULL, NULL, 0);
	X509_EXTENSION *extension = names != NULL ? X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names)
	                                          : X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, "critical,CA:TRUE");
	assert_non_null(extension);
	X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
	assert_true(X509_sign(x509, issuer_key, EVP_sha256()) > 0);
	return x509;
}

static EVP_PKEY *key_of(const char *kind)
{
	EVP_PKEY *key = strcmp(kind, "RSA") == 0    ? EVP_RSA_gen(2048)
	                : strcmp(kind, "weak") == 0 ? EVP_RSA_gen(1024)
	                                            : EVP_EC_gen("P-256");
	assert_non_null(key);
	return key;
}

static const char *path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", directory, name);
	return path;
}

/* As programs that renew certificates do it: written aside, then renamed. */
static void replace_file(const char *name, const void *bytes, size_t size)
{
	char aside[160];
	snprintf(aside, sizeof aside, "%s/aside", directory);
	FILE *file = fopen(aside, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(aside, path_of(name)), 0);
}

static void write_pem(const char *name, X509 *leaf, EVP_PKEY *key, bool with_issuer)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	if (leaf != NULL)
		assert_int_equal(PEM_write_bio_X509(bio, leaf), 1);
	if (with_issuer)
		assert_int_equal(PEM_write_bio_X509(bio, authority), 1);
	if (key != NULL)
		assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	long size = BIO_get_mem_data(bio, &text);
	replace_file(name, text, (size_t)size);
	BIO_free(bio);
}

/* NAME.pem with chain and key. The leaf is the caller's. */
static X509 *make_files(const char *name, const char *kind, const char *names, uint64_t until_s)
{
	EVP_PKEY *key = key_of(kind);
	X509 *leaf = issue(key, "leaf", names, until_s, authority, authority_key);
	write_pem(name, leaf, key, true);
	EVP_PKEY_free(key);
	return leaf;
}

/* ---- clusters -------------------------------------------------------------------------------------------------------- */

static struct cluster *cluster;
static struct tls_messages messages;

static struct cluster_site *add_site(const char *first, const char *second)
{
	struct cluster_site *site = &cluster->sites[cluster->site_count++];
	*site = (struct cluster_site){.name_count = second == NULL ? 1 : 2, .listen_count = 1, .on = 1, .tls_least = 12};
	snprintf(site->name, sizeof site->name, "%s", first);
	snprintf(site->names[0], sizeof site->names[0], "%s", first);
	if (second != NULL)
		snprintf(site->names[1], sizeof site->names[1], "%s", second);
	assert_true(address_parse(SPAN("127.0.0.1:443"), true, &site->listen[0].address));
	site->listen[0].tls = 1;
	return site;
}

static void add_certificate(struct cluster_site *site, const char *chain, const char *key, const char *ocsp)
{
	struct cluster_certificate *certificate = &site->certificates[site->certificate_count++];
	*certificate = (struct cluster_certificate){.self_signed = chain == NULL};
	if (chain != NULL)
		snprintf(certificate->chain, sizeof certificate->chain, "%s", path_of(chain));
	if (key != NULL)
		snprintf(certificate->key, sizeof certificate->key, "%s", path_of(key));
	if (ocsp != NULL)
		snprintf(certificate->ocsp, sizeof certificate->ocsp, "%s", path_of(ocsp));
}

static void assert_message(const char *words)
{
	for (unsigned i = 0; i < messages.count; i++)
		if (strstr(messages.lines[i].text, words) != NULL)
			return;
	fail_msg("no message says \"%s\"; the first: %s", words, messages.count > 0 ? messages.lines[0].text : "none");
}

static struct tls_set *load(struct tls_keeper *keeper)
{
	return tls_set_load(keeper, cluster, NOW_S, &messages);
}

static void use(struct tls_core *core, const struct tls_set *set)
{
	int descriptor = tls_set_seal(set);
	assert_true(descriptor >= 0);
	const struct keyring *keyring = keyring_map(descriptor);
	close(descriptor);
	assert_non_null(keyring);
	assert_true(tls_core_use(core, keyring));
	keyring_unmap(keyring);
}

/* ---- handshakes ------------------------------------------------------------------------------------------------------ */

struct visit {
	const char *name; /* asked for; NULL: none */
	bool rsa_only;    /* TLS 1.2 without ECDSA */
	int most;         /* version; 0: any */
	bool ask_status;
	SSL_SESSION *resume; /* taken over */
	/* what came of it */
	bool good, resumed, stapled;
	X509 *shown;
	SSL_SESSION *session;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct visit *visit = SSL_get_app_data(ssl);
	SSL_SESSION_free(visit->session);
	visit->session = session;
	return 1;
}

static void visit_core(const struct tls_core *core, struct visit *visit)
{
	struct address at;
	assert_true(address_parse(SPAN("127.0.0.1:443"), true, &at));
	SSL_CTX *server_context = tls_core_context(core, &at), *context = SSL_CTX_new(TLS_client_method());
	assert_non_null(server_context);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, keep_session);
	if (visit->rsa_only)
		SSL_CTX_set_cipher_list(context, "ECDHE-RSA-AES128-GCM-SHA256");
	if (visit->rsa_only || visit->most != 0)
		SSL_CTX_set_max_proto_version(context, visit->most != 0 ? visit->most : TLS1_2_VERSION);
	SSL *client = SSL_new(context), *server = SSL_new(server_context);
	BIO *near, *far;
	BIO_new_bio_pair(&near, 0, &far, 0);
	SSL_set_bio(client, near, near);
	SSL_set_bio(server, far, far);
	SSL_set_app_data(client, visit);
	if (visit->name != NULL)
		SSL_ctrl(client, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)visit->name);
	if (visit->ask_status)
		SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
	if (visit->resume != NULL)
		SSL_set_session(client, visit->resume);
	SSL_SESSION_free(visit->resume);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	int client_done = 0, server_done = 0;
	for (unsigned i = 0; i < 20 && (client_done != 1 || server_done != 1); i++) {
		client_done = SSL_do_handshake(client);
		server_done = SSL_do_handshake(server);
	}
	char byte;
	(void)!SSL_read(client, &byte, 1); /* takes the ticket */
	const unsigned char *answer;
	visit->good = client_done == 1 && server_done == 1;
	visit->resumed = SSL_session_reused(client) == 1;
	visit->stapled = SSL_get_tlsext_status_ocsp_resp(client, &answer) > 0;
	visit->shown = SSL_get1_peer_certificate(client);
	SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else its session would count as broken */
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(context);
}

static void visit_end(struct visit *visit)
{
	X509_free(visit->shown);
	SSL_SESSION_free(visit->session);
}

static void assert_shown(const struct tls_core *core, const char *name, bool rsa_only, const X509 *expected)
{
	struct visit visit = {.name = name, .rsa_only = rsa_only};
	visit_core(core, &visit);
	assert_true(visit.good);
	assert_non_null(visit.shown);
	assert_int_equal(X509_cmp(visit.shown, expected), 0);
	visit_end(&visit);
}

/* ---- tests: reading --------------------------------------------------------------------------------------------------- */

static void good_certificates_are_described(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	struct tls_description description;
	X509_free(make_files("good.pem", "EC", "DNS:www.example.test,DNS:*.example.org,IP:192.0.2.7", NOW_S + 90 * 86400));
	add_certificate(add_site("www.example.test", "a.example.org"), "good.pem", NULL, NULL);
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	assert_int_equal(messages.count, 0);
	assert_true(tls_set_describe(set, 0, NOW_S, &description));
	assert_string_equal(description.names, "www.example.test, *.example.org, 192.0.2.7");
	assert_string_equal(description.issuer, "Test Authority");
	assert_string_equal(description.key, "ECDSA P-256");
	assert_int_equal(description.not_after_s, NOW_S + 90 * 86400);
	assert_string_equal(description.warning, "");
	assert_true(tls_set_describe(set, 0, NOW_S + 80 * 86400, &description));
	assert_non_null(strstr(description.warning, "expires at"));
	assert_false(tls_set_describe(set, 1, NOW_S, &description));
	tls_set_free(set);
	tls_keeper_free(keeper);
	(void)state;
}

static void expect_refused(const char *chain, const char *key, const char *words)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	cluster->site_count = 0;
	add_certificate(add_site("www.example.test", NULL), chain, key, NULL);
	assert_null(load(keeper));
	assert_int_equal(messages.errors, 1);
	assert_message(words);
	tls_keeper_free(keeper);
}

static void bad_files_are_refused(void **state)
{
	EVP_PKEY *key = key_of("EC"), *other = key_of("EC");
	X509 *leaf = issue(key, "leaf", "DNS:www.example.test", NOW_S + 86400 * 90, authority, authority_key);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, password[] = "secret";
	write_pem("chain.pem", leaf, NULL, true);
	write_pem("other.key", NULL, other, false);
	PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), NULL, 0, NULL, password);
	long size = BIO_get_mem_data(bio, &text);
	replace_file("locked.key", text, (size_t)size);
	replace_file("empty.pem", "", 0);
	replace_file("spoiled.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 60);
	X509_free(make_files("weak.pem", "weak", "DNS:www.example.test", NOW_S + 86400 * 90));
	assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
	expect_refused("nothing.pem", NULL, "nothing.pem: cannot be opened: No such file");
	expect_refused("empty.pem", NULL, "empty.pem: no certificate in it");
	expect_refused("spoiled.pem", NULL, "spoiled.pem: certificate number 1 cannot be read");
	expect_refused("chain.pem", NULL, "chain.pem: no private key in it");
	expect_refused("chain.pem", "other.key", "other.key: the key does not belong to the certificate");
	expect_refused("chain.pem", "locked.key", "locked.key: the key is locked by a password");
	expect_refused("chain.pem", "chain.pem", "chain.pem: no private key in it");
	expect_refused("weak.pem", NULL, "key too small");
	expect_refused("pipe", NULL, "pipe: no regular file");
	BIO_free(bio);
	X509_free(leaf);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	(void)state;
}

static void what_is_only_doubtful_is_a_warning(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	EVP_PKEY *key = key_of("EC");
	X509 *leaf = issue(key, "leaf", "DNS:www.example.test", NOW_S - 10, authority, authority_key);
	X509 *stranger = issue(key, "stranger", NULL, NOW_S + 86400, NULL, key);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	PEM_write_bio_X509(bio, leaf);
	PEM_write_bio_X509(bio, stranger);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	long size = BIO_get_mem_data(bio, &text);
	replace_file("doubtful.pem", text, (size_t)size);
	struct cluster_site *site = add_site("www.example.test", "*.other.test");
	add_certificate(site, "doubtful.pem", NULL, "nothing.der");
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	assert_int_equal(messages.errors, 0);
	assert_message("has expired at");
	assert_message("are not in order");
	assert_message("none is good for the site's name *.other.test");
	assert_message("nothing.der: cannot be opened");
	tls_set_free(set);
	tls_keeper_free(keeper);
	BIO_free(bio);
	X509_free(leaf);
	X509_free(stranger);
	EVP_PKEY_free(key);
	(void)state;
}

/* ---- tests: choosing --------------------------------------------------------------------------------------------------- */

static void names_choose_certificates(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	struct tls_core *core = tls_core_new();
	uint64_t until_s = NOW_S + 86400 * 90;
	X509 *one = make_files("one.pem", "EC", "DNS:one.test", until_s),
	     *one_rsa = make_files("one-rsa.pem", "RSA", "DNS:one.test", until_s);
	X509 *wild = make_files("wild.pem", "EC", "DNS:*.two.test", until_s);
	X509 *deep = make_files("deep.pem", "EC", "DNS:*.deep.two.test", until_s),
	     *www = make_files("www.pem", "EC", "DNS:www.two.test", until_s);
	struct cluster_site *site = add_site("one.test", NULL);
	add_certificate(site, "one.pem", NULL, NULL);
	add_certificate(site, "one-rsa.pem", NULL, NULL);
	site = add_site("*.two.test", "www.two.test"); /* two of the same kind: the name decides */
	add_certificate(site, "wild.pem", NULL, NULL);
	add_certificate(site, "www.pem", NULL, NULL);
	site = add_site("*.deep.two.test", NULL);
	add_certificate(site, "deep.pem", NULL, NULL);
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	use(core, set);
	assert_shown(core, "one.test", false, one);
	assert_shown(core, "ONE.test", false, one);
	assert_shown(core, "one.test", true, one_rsa);
	assert_shown(core, "a.two.test", false, wild);
	assert_shown(core, "a.b.two.test", false, wild);
	assert_shown(core, "a.deep.two.test", false, deep);
	assert_shown(core, "deep.two.test", false, wild);
	assert_shown(core, "www.two.test", false, wild); /* it covers that name too, and is the first */
	assert_shown(core, "elsewhere.test", false, one);
	assert_shown(core, NULL, false, one);
	cluster->sites[1].certificates[0] = cluster->sites[1].certificates[1];
	cluster->sites[1].certificate_count = 1;
	tls_set_free(set);
	set = load(keeper);
	assert_non_null(set);
	use(core, set);
	assert_shown(core, "www.two.test", false, www);
	tls_set_free(set);
	tls_core_free(core);
	tls_keeper_free(keeper);
	X509 *all[] = {one, one_rsa, wild, deep, www};
	for (unsigned i = 0; i < COUNT_OF(all); i++)
		X509_free(all[i]);
	(void)state;
}

static void a_site_for_every_name_is_the_default(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	struct tls_core *core = tls_core_new();
	uint64_t until_s = NOW_S + 86400 * 90;
	X509 *one = make_files("one.pem", "EC", "DNS:one.test", until_s), *any = make_files("any.pem", "EC", "DNS:any.test", until_s);
	add_certificate(add_site("one.test", NULL), "one.pem", NULL, NULL);
	add_certificate(add_site("any", "*"), "any.pem", NULL, NULL);
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	use(core, set);
	assert_shown(core, "one.test", false, one);
	assert_shown(core, "elsewhere.test", false, any);
	assert_shown(core, NULL, false, any);
	tls_set_free(set);
	tls_core_free(core);
	tls_keeper_free(keeper);
	X509_free(one);
	X509_free(any);
	(void)state;
}

static void versions_are_limited(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	struct tls_core *core = tls_core_new();
	struct cluster_site *site = add_site("new.test", NULL);
	site->tls_least = 13;
	add_certificate(site, NULL, NULL, NULL);
	add_certificate(add_site("old.test", NULL), NULL, NULL, NULL);
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	use(core, set);
	static const struct {
		const char *name;
		int most;
		bool good;
	} cases[] = {{"new.test", TLS1_2_VERSION, false},
	             {"new.test", TLS1_3_VERSION, true},
	             {"old.test", TLS1_2_VERSION, true},
	             {"old.test", TLS1_1_VERSION, false},
	             {"old.test", TLS1_3_VERSION, true}};
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		struct visit visit = {.name = cases[i].name, .most = cases[i].most};
		visit_core(core, &visit);
		assert_int_equal(visit.good, cases[i].good);
		visit_end(&visit);
	}
	tls_set_free(set);
	tls_core_free(core);
	tls_keeper_free(keeper);
	(void)state;
}

/* ---- tests: while running ----------------------------------------------------------------------------------------------- */

static void changed_files_are_seen_and_bad_ones_change_nothing(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	struct tls_core *core = tls_core_new();
	struct tls_description description;
	uint64_t until_s = NOW_S + 86400 * 90;
	X509 *before = make_files("site.pem", "EC", "DNS:www.example.test", until_s);
	add_certificate(add_site("www.example.test", NULL), "site.pem", NULL, NULL);
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	use(core, set);
	assert_false(tls_set_look(set, NOW_S + 2));
	replace_file("site.pem", "nonsense", 8);
	assert_false(tls_set_look(set, NOW_S + 4)); /* perhaps only half of the change */
	assert_true(tls_set_describe(set, 0, NOW_S, &description));
	assert_string_equal(description.warning, "");
	assert_false(tls_set_look(set, NOW_S + 6));
	assert_true(tls_set_describe(set, 0, NOW_S, &description));
	assert_non_null(strstr(description.warning, "no certificate in it"));
	use(core, set);
	assert_shown(core, "www.example.test", false, before);
	X509 *after = make_files("site.pem", "EC", "DNS:www.example.test", until_s);
	assert_true(tls_set_look(set, NOW_S + 8));
	assert_false(tls_set_look(set, NOW_S + 10));
	assert_true(tls_set_describe(set, 0, NOW_S, &description));
	assert_string_equal(description.warning, "");
	use(core, set);
	assert_shown(core, "www.example.test", false, after);
	tls_set_free(set);
	tls_core_free(core);
	tls_keeper_free(keeper);
	X509_free(before);
	X509_free(after);
	(void)state;
}

/* *session stays the caller's, and becomes the one that this visit got if it was NULL. */
static bool resumes(const struct tls_core *core, int most, SSL_SESSION **session)
{
	struct visit visit = {.name = "one.test", .most = most};
	if (*session != NULL)
		visit.resume = SSL_SESSION_dup(*session); /* OpenSSL uses one only once */
	visit_core(core, &visit);
	assert_true(visit.good);
	if (*session == NULL) {
		assert_non_null(visit.session);
		*session = visit.session;
		visit.session = NULL;
	}
	visit_end(&visit);
	return visit.resumed;
}

static void tickets_outlive_one_rotation(int most)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S), *heir = tls_keeper_new(NOW_S);
	struct tls_core *core = tls_core_new(), *other = tls_core_new();
	add_certificate(add_site("one.test", NULL), NULL, NULL, NULL);
	add_certificate(add_site("two.test", NULL), NULL, NULL, NULL);
	struct tls_set *set = load(keeper);
	SSL_SESSION *first = NULL, *second = NULL;
	assert_non_null(set);
	use(core, set);
	use(other, set);
	assert_false(resumes(core, most, &first));
	assert_true(resumes(core, most, &first));
	assert_true(resumes(other, most, &first)); /* another thread's core */
	assert_false(tls_set_look(set, NOW_S + TICKET_ROTATE_S - 1));
	assert_true(tls_set_look(set, NOW_S + TICKET_ROTATE_S));
	use(core, set);
	assert_true(resumes(core, most, &first)); /* by the key before */
	assert_false(resumes(core, most, &second));
	assert_true(tls_set_look(set, NOW_S + 2 * TICKET_ROTATE_S));
	use(core, set);
	assert_false(resumes(core, most, &first)); /* that one is gone */
	assert_true(resumes(core, most, &second));
	/* The next program knows the keys, and the certificate that noah made. */
	int descriptor = tls_set_seal(set);
	assert_true(tls_keeper_inherit(heir, descriptor));
	close(descriptor);
	struct tls_set *next = load(heir);
	assert_non_null(next);
	use(other, next);
	assert_true(resumes(other, most, &second));
	struct visit before = {.name = "two.test"}, after = {.name = "two.test"};
	visit_core(core, &before);
	visit_core(other, &after);
	assert_int_equal(X509_cmp(before.shown, after.shown), 0);
	visit_end(&before);
	visit_end(&after);
	SSL_SESSION_free(first);
	SSL_SESSION_free(second);
	tls_set_free(set);
	tls_set_free(next);
	tls_core_free(core);
	tls_core_free(other);
	tls_keeper_free(keeper);
	tls_keeper_free(heir);
}

static void tickets_of_tls_13(void **state)
{
	tickets_outlive_one_rotation(TLS1_3_VERSION);
	(void)state;
}

static void tickets_of_tls_12(void **state)
{
	tickets_outlive_one_rotation(TLS1_2_VERSION);
	(void)state;
}

static void self_signed_ones_are_kept_and_renewed(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	struct tls_description description;
	add_certificate(add_site("www.example.test", "*"), NULL, NULL, NULL);
	struct tls_set *set = load(keeper), *again;
	assert_non_null(set);
	assert_int_equal(messages.count, 0);
	assert_true(tls_set_describe(set, 0, NOW_S, &description));
	assert_string_equal(description.names, "www.example.test");
	assert_true(description.self_signed);
	uint64_t until_s = description.not_after_s;
	again = tls_set_load(keeper, cluster, NOW_S + 86400, &messages);
	assert_non_null(again);
	assert_true(tls_set_describe(again, 0, NOW_S, &description));
	assert_int_equal(description.not_after_s, until_s);
	keeper->tickets.rotate_at_s = until_s; /* of no interest here */
	assert_true(tls_set_look(again, until_s - 86400));
	assert_true(tls_set_describe(again, 0, NOW_S, &description));
	assert_true(description.not_after_s > until_s);
	tls_set_free(set);
	tls_set_free(again);
	tls_keeper_free(keeper);
	(void)state;
}

/* ---- tests: OCSP --------------------------------------------------------------------------------------------------------- */

static void write_ocsp(const char *name, X509 *leaf, int status, uint64_t until_s, EVP_PKEY *signer)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, authority);
	ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(NOW_S - 3600)), *until = ASN1_TIME_set(NULL, (time_t)until_s);
	unsigned char *der = NULL;
	assert_non_null(OCSP_basic_add1_status(basic, id, status, 0, status == V_OCSP_CERTSTATUS_REVOKED ? from : NULL, from, until));
	assert_int_equal(OCSP_basic_sign(basic, authority, signer, EVP_sha256(), NULL, 0), signer == authority_key);
	OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	int size = i2d_OCSP_RESPONSE(response, &der);
	assert_true(size > 0);
	replace_file(name, der, (size_t)size);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
}

static bool staples(struct tls_keeper *keeper, const char *words)
{
	struct tls_description description;
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	assert_true(tls_set_describe(set, 0, NOW_S, &description));
	if (words != NULL)
		assert_message(words);
	tls_set_free(set);
	return description.stapled;
}

static void ocsp_answers_are_checked_and_stapled(void **state)
{
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	struct tls_core *core = tls_core_new();
	X509 *leaf = make_files("stapled.pem", "EC", "DNS:www.example.test", NOW_S + 86400 * 90);
	X509 *other = make_files("other.pem", "EC", "DNS:www.example.test", NOW_S + 86400 * 90);
	add_certificate(add_site("www.example.test", NULL), "stapled.pem", NULL, "answer.der");
	write_ocsp("answer.der", leaf, V_OCSP_CERTSTATUS_GOOD, NOW_S + 3600, authority_key);
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	assert_int_equal(messages.count, 0);
	use(core, set);
	struct visit visit = {.name = "www.example.test", .ask_status = true}, silent = {.name = "www.example.test"};
	visit_core(core, &visit);
	visit_core(core, &silent);
	assert_true(visit.stapled);
	assert_false(silent.stapled);
	visit_end(&visit);
	visit_end(&silent);
	assert_false(tls_set_look(set, NOW_S + 3599));
	assert_true(tls_set_look(set, NOW_S + 3600)); /* it has run out: none is better */
	use(core, set);
	visit = (struct visit){.name = "www.example.test", .ask_status = true};
	visit_core(core, &visit);
	assert_true(visit.good);
	assert_false(visit.stapled);
	visit_end(&visit);
	write_ocsp("answer.der", leaf, V_OCSP_CERTSTATUS_GOOD, NOW_S + 9000, authority_key);
	assert_true(tls_set_look(set, NOW_S + 3602));
	tls_set_free(set);
	write_ocsp("answer.der", leaf, V_OCSP_CERTSTATUS_GOOD, NOW_S - 10, authority_key);
	assert_false(staples(keeper, "it has expired"));
	write_ocsp("answer.der", other, V_OCSP_CERTSTATUS_GOOD, NOW_S + 3600, authority_key);
	assert_false(staples(keeper, "it is about another certificate"));
	write_ocsp("answer.der", leaf, V_OCSP_CERTSTATUS_REVOKED, NOW_S + 3600, authority_key);
	assert_false(staples(keeper, "it says that the certificate is revoked"));
	replace_file("answer.der", "nonsense", 8);
	assert_false(staples(keeper, "it is no OCSP answer"));
	tls_core_free(core);
	tls_keeper_free(keeper);
	X509_free(leaf);
	X509_free(other);
	(void)state;
}

/* ---- tests: the memory file ---------------------------------------------------------------------------------------------- */

static void what_is_no_keyring_is_not_mapped(void **state)
{
	char path[160];
	struct tls_keeper *keeper = tls_keeper_new(NOW_S);
	add_certificate(add_site("www.example.test", NULL), NULL, NULL, NULL);
	struct tls_set *set = load(keeper);
	assert_non_null(set);
	int sealed = tls_set_seal(set);
	assert_true(sealed >= 0);
	assert_int_equal(write(sealed, "x", 1), -1);
	snprintf(path, sizeof path, "%s/copy", directory);
	int copy = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(copy >= 0);
	assert_null(keyring_map(copy)); /* a file: not sealed */
	close(copy);
	struct keyring_maker maker;
	keyring_maker_init(&maker);
	maker.keyring->sites[0].names = (struct keyring_bytes){.at = maker.keyring->size, .size = 100};
	maker.keyring->site_count = 1;
	int outside = keyring_maker_seal(&maker);
	assert_true(outside >= 0);
	assert_null(keyring_map(outside)); /* names that lie behind its end */
	close(outside);
	close(sealed);
	tls_set_free(set);
	tls_keeper_free(keeper);
	(void)state;
}

/* ---- the program ----------------------------------------------------------------------------------------------------------- */

static int begin_test(void **state)
{
	cluster->site_count = 0;
	(void)state;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(good_certificates_are_described, begin_test),
	    cmocka_unit_test_setup(bad_files_are_refused, begin_test),
	    cmocka_unit_test_setup(what_is_only_doubtful_is_a_warning, begin_test),
	    cmocka_unit_test_setup(names_choose_certificates, begin_test),
	    cmocka_unit_test_setup(a_site_for_every_name_is_the_default, begin_test),
	    cmocka_unit_test_setup(versions_are_limited, begin_test),
	    cmocka_unit_test_setup(changed_files_are_seen_and_bad_ones_change_nothing, begin_test),
	    cmocka_unit_test_setup(tickets_of_tls_13, begin_test),
	    cmocka_unit_test_setup(tickets_of_tls_12, begin_test),
	    cmocka_unit_test_setup(self_signed_ones_are_kept_and_renewed, begin_test),
	    cmocka_unit_test_setup(ocsp_answers_are_checked_and_stapled, begin_test),
	    cmocka_unit_test_setup(what_is_no_keyring_is_not_mapped, begin_test),
	};
	char command[64];
	test_began_s = (uint64_t)time(NULL);
	if (mkdtemp(directory) == NULL)
		return 1;
	cluster = calloc(1, sizeof *cluster);
	cluster->server_count = 1;
	authority_key = key_of("EC");
	authority = issue(authority_key, "Test Authority", NULL, NOW_S + 86400 * 3650, NULL, authority_key);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	X509_free(authority);
	EVP_PKEY_free(authority_key);
	free(cluster);
	snprintf(command, sizeof command, "rm -rf %s", directory);
	return system(command) != 0 ? 1 : failed;
}
