/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah plan`: what each server would do, in words.
 */
#include "cluster/cluster.h"
#include "command/command.h"

int command_plan(int argc, char **argv)
{
	const char *file = COMMAND_DEFAULT_FILE;
	const struct command_option table[] = {{NULL, NULL, NULL, NULL, NULL}};
	const struct command_usage usage = {
	    .name = "plan",
	    .arguments = "[FILE]",
	    .about = "Reads the cluster FILE (default " COMMAND_DEFAULT_FILE ") and says in words what each server would do:\n"
	             "where noah listens, where it sends requests and statements, and what it checks. Nothing is changed.\n"
	             "Exit code: 0, or 2 when the file is not good (or for wrong arguments).",
	    .options = table,
	    .file = &file,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	static struct cluster_messages messages, about_self;
	struct cluster *cluster = cluster_load(file, CLUSTER_FILE_ONLY, &messages);
	for (unsigned i = 0; i < messages.count; i++)
		fprintf(stderr, "%s\n", messages.text[i]);
	if (messages.left_out > 0)
		fprintf(stderr, "and %u more\n", messages.left_out);
	if (cluster == NULL)
		return COMMAND_USAGE;
	/* for the words "this machine"; elsewhere the plan is as good */
	if (!cluster_find_self(cluster, NULL, &about_self))
		cluster->self = CLUSTER_NO_SERVER;
	cluster_print_plan(cluster, stdout);
	cluster_free(cluster);
	return COMMAND_OK;
}
