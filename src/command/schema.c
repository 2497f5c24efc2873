/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah schema`: the JSON Schema of the cluster file, or the reference of its keys in Markdown.
 */
#include "cluster/cluster.h"
#include "command/command.h"

int command_schema(int argc, char **argv)
{
	bool reference = false;
	const struct command_option table[] = {
	    {"reference", NULL, "print every key with its default and an example, as Markdown", &reference, NULL},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "schema",
	    .arguments = "",
	    .about = "Prints the JSON Schema (draft 2020-12) of the cluster file, so that an editor completes and checks it. With\n"
	             "the YAML language server: store it, and begin the cluster file with\n"
	             "    # yaml-language-server: $schema=/etc/noah/noah.schema.json\n"
	             "Exit code: 0, or 2 for wrong arguments.",
	    .options = table,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	if (reference)
		cluster_print_reference(stdout);
	else
		cluster_print_schema(stdout);
	return COMMAND_OK;
}
