/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah check`: is a cluster file good, and if not, everything that is wrong with it.
 */
#include "cluster/cluster.h"
#include "command/command.h"
#include "tls/tls.h"

#include <jansson.h>
#include <stdlib.h>

static const char *plural(uint32_t count)
{
	return count == 1 ? "" : "s";
}

/* A message about the whole file. */
static void add_message(struct cluster_messages *messages, const char *file, const char *text)
{
	if (messages->count == CLUSTER_MESSAGES_MOST) {
		messages->left_out++;
		return;
	}
	char *out = messages->text[messages->count];
	if (snprintf(out, sizeof(messages->text[0]), "%.120s: %s", file, text) >= (int)sizeof(messages->text[0]))
		memcpy(out + sizeof(messages->text[0]) - 4, "...", 4);
	messages->line[messages->count] = messages->column[messages->count] = 0;
	messages->count++;
}

/* Adds what is wrong with the files of certificates to the messages. False: something is (warnings are none). */
static bool check_certificates(const char *file, const struct cluster *cluster, struct tls_messages *found,
                               struct cluster_messages *messages)
{
	uint64_t now_s = clock_wall_us() / 1000000;
	struct tls_keeper *keeper = tls_keeper_new(now_s);
	struct tls_set *set = keeper == NULL ? NULL : tls_set_load(keeper, cluster, now_s, found);
	bool good = set != NULL;
	for (unsigned i = 0; i < found->count && !good; i++)
		if (found->lines[i].error)
			add_message(messages, file, found->lines[i].text);
	if (!good && messages->count == 0)
		add_message(messages, file, "out of memory");
	tls_set_free(set);
	tls_keeper_free(keeper);
	return good;
}

static void print_words(const char *file, const struct cluster *cluster, const struct cluster_messages *messages,
                        const struct cluster_messages *warnings, const struct tls_messages *certificates)
{
	for (unsigned i = 0; i < messages->count; i++)
		fprintf(stderr, "%s\n", messages->text[i]);
	if (messages->left_out > 0)
		fprintf(stderr, "and %u more\n", messages->left_out);
	for (unsigned i = 0; i < certificates->count; i++)
		if (!certificates->lines[i].error)
			fprintf(stderr, "%s: warning: %s\n", file, certificates->lines[i].text);
	for (unsigned i = 0; i < warnings->count; i++)
		fprintf(stderr, "%s: %s\n", file, warnings->text[i]);
	if (cluster == NULL) {
		fprintf(stderr, "%s%s is not good%s\n", command_colour(stderr, "red"), file, command_colour(stderr, "off"));
		return;
	}
	printf("%s%s is good%s: cluster %s, %u server%s, %u site%s, %u database%s", command_colour(stdout, "green"), file,
	       command_colour(stdout, "off"), cluster->name, cluster->server_count, plural(cluster->server_count),
	       cluster->site_count, plural(cluster->site_count), cluster->database_count, plural(cluster->database_count));
	if (cluster->service_count > 0)
		printf(", %u service%s", cluster->service_count, plural(cluster->service_count));
	if (cluster->self == CLUSTER_NO_SERVER)
		puts("; this machine is none of its servers");
	else
		printf("; this machine is %s\n", cluster->servers[cluster->self].name);
}

/* Text that came from outside and is no UTF-8 (a file's name) is left out, not a reason to die. */
static json_t *json_text(const char *text)
{
	json_t *json = json_string(text);
	return json != NULL ? json : json_string("");
}

static json_t *make_warnings(const struct cluster_messages *warnings, const struct tls_messages *certificates)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < certificates->count; i++)
		if (!certificates->lines[i].error)
			json_array_append_new(list, json_text(certificates->lines[i].text));
	for (unsigned i = 0; i < warnings->count; i++)
		json_array_append_new(list, json_text(warnings->text[i] + strlen("warning: ")));
	return list;
}

static bool print_json(const char *file, const struct cluster *cluster, const struct cluster_messages *messages,
                       const struct cluster_messages *warnings, const struct tls_messages *certificates)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < messages->count; i++)
		json_array_append_new(list, json_pack("{s:i, s:i, s:o}", "line", (int)messages->line[i], "column",
		                                      (int)messages->column[i], "text", json_text(messages->text[i])));
	json_t *answer = json_pack("{s:o, s:b, s:o, s:i, s:o}", "file", json_text(file), "good", cluster != NULL, "messages", list,
	                           "left_out", (int)messages->left_out, "warnings", make_warnings(warnings, certificates));
	if (cluster != NULL) {
		json_object_set_new(answer, "cluster", json_text(cluster->name));
		json_object_set_new(answer, "servers", json_integer(cluster->server_count));
		json_object_set_new(answer, "sites", json_integer(cluster->site_count));
		json_object_set_new(answer, "databases", json_integer(cluster->database_count));
		json_object_set_new(answer, "services", json_integer(cluster->service_count));
		json_object_set_new(answer, "this_server",
		                    cluster->self == CLUSTER_NO_SERVER ? json_null() : json_text(cluster->servers[cluster->self].name));
	}
	char *text = json_dumps(answer, JSON_INDENT(2));
	json_decref(answer);
	if (text == NULL)
		return false;
	puts(text);
	free(text);
	return true;
}

int command_check(int argc, char **argv)
{
	const char *file = COMMAND_DEFAULT_FILE, *server = NULL;
	bool json = false, file_only = false;
	const struct command_option table[] = {
	    {"json", NULL, "print one JSON object instead of sentences", &json, NULL},
	    {"server", "NAME", "check also that the file has this server (this machine is looked for by its addresses otherwise)",
	     NULL, &server},
	    {"file-only", NULL, "do not look at the files that the file names (passwords, users, certificates, pages, directories)",
	     &file_only, NULL},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "check",
	    .arguments = "[FILE]",
	    .about =
	        "Reads the cluster FILE (default " COMMAND_DEFAULT_FILE ") and says whether it is good. Otherwise it prints one\n"
	        "line for everything that is wrong: FILE:LINE:COLUMN: key: what is wrong; what was probably meant.\n"
	        "Warnings are about what is allowed and hardly meant; the file is good with them.\n"
	        "Nothing is changed and nobody is asked over the network.\n"
	        "Exit code: 0 when the file is good, 2 when it is not (or for wrong arguments).",
	    .options = table,
	    .file = &file,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	static struct cluster_messages messages, about_self, warnings;
	static struct tls_messages certificates;
	struct cluster *cluster = cluster_load(file, file_only ? CLUSTER_FILE_ONLY : CLUSTER_WHOLE, &messages);
	if (cluster != NULL && !cluster_find_self(cluster, server, &about_self) && server != NULL) {
		/* only a name that was asked for is an error: a file may be checked anywhere */
		messages = about_self;
		cluster_free(cluster);
		cluster = NULL;
	}
	if (cluster != NULL && !file_only && !check_certificates(file, cluster, &certificates, &messages)) {
		cluster_free(cluster);
		cluster = NULL;
	}
	if (cluster != NULL && !file_only)
		cluster_warn(cluster, &warnings);
	bool printed = true;
	if (json)
		printed = print_json(file, cluster, &messages, &warnings, &certificates);
	else
		print_words(file, cluster, &messages, &warnings, &certificates);
	code = cluster == NULL ? COMMAND_USAGE : printed ? COMMAND_OK : COMMAND_FAILED;
	cluster_free(cluster);
	return code;
}
