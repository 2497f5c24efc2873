/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah advise`: how many connections to this machine's web servers fit into its memory, measured here and now. It asks no
 * running noah; advise_look.c looks at the machine, advise_size.c concludes, here it is put into words.
 */
#include "command/advise.h"
#include "command/command.h"

#include <stdlib.h>

/* ---- which addresses ---------------------------------------------------------------------------------------------------- */

static struct advise_address *find_address(struct advise_report *report, const struct cluster *cluster,
                                           const struct cluster_app *app)
{
	for (unsigned i = 0; i < report->address_count; i++)
		if (address_equal(&report->addresses[i].address, &app->address))
			return &report->addresses[i];
	if (report->address_count == ADVISE_ADDRESSES_MOST)
		return NULL;
	struct advise_address *address = &report->addresses[report->address_count++];
	address->address = app->address;
	address->configured = app->connections_most;
	snprintf(address->text, sizeof address->text, "%s:%u", cluster->servers[app->server].name, app->address.port);
	return address;
}

static void add_site(struct advise_address *address, const struct cluster_walk *walk)
{
	size_t used = strlen(address->sites);
	const char *path = walk->route == NULL ? "" : walk->route->path[0] != '\0' ? walk->route->path : walk->route->types[0];
	char site[CLUSTER_NAME_SIZE + CLUSTER_PATH_SIZE + 16];
	snprintf(site, sizeof site, "%s %s%s%s", walk->service != NULL ? "service" : "site", walk->name, path[0] != '\0' ? " " : "",
	         path);
	if (strstr(address->sites, site) == NULL && used + strlen(site) + 3 < sizeof address->sites)
		snprintf(address->sites + used, sizeof address->sites - used, "%s%s", used > 0 ? ", " : "", site);
}

static void find_addresses(struct advise_report *report, const struct cluster *cluster)
{
	uint64_t on[ADVISE_ADDRESSES_MOST] = {0};
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(cluster, &walk)) {
		for (uint32_t i = 0; i < walk.group->app_count; i++) {
			if (walk.group->apps[i].server != cluster->self)
				continue;
			struct advise_address *address = find_address(report, cluster, &walk.group->apps[i]);
			if (address == NULL)
				continue;
			add_site(address, &walk);
			on[address - report->addresses] |= walk.on;
		}
	}
	for (unsigned i = 0; i < report->address_count; i++)
		report->addresses[i].fronts = (unsigned)__builtin_popcountll(on[i]);
}

/* ---- words ----------------------------------------------------------------------------------------------------------------- */

static unsigned megabytes(uint64_t bytes)
{
	return (unsigned)((bytes + (UINT64_C(1) << 19)) >> 20);
}

static void print_part(const char *what, uint64_t bytes, const char *names)
{
	printf("  %-22s %7u MB%s%s\n", what, megabytes(bytes), names[0] != '\0' ? "   " : "", names);
}

static void print_memory(const struct advise_report *report, const char *server)
{
	char others[192] = "";
	if (report->other_count > 0)
		snprintf(others, sizeof others, "%u processes; the largest: %s", report->other_count, report->largest_others);
	printf("%s%s%s: %u MB of memory%s, %u processor%s\n", command_colour(stdout, "bold"), server, command_colour(stdout, "off"),
	       megabytes(report->machine->memory_bytes), report->machine->limited ? " (the limit of its control group)" : "",
	       report->machine->processors, report->machine->processors == 1 ? "" : "s");
	print_part("kernel", report->machine->kernel_bytes, "");
	print_part("databases and caches", report->database_bytes, report->database_names);
	print_part("noah", report->noah_bytes, "");
	print_part("other processes", report->other_bytes, others);
	print_part("reserve", report->reserve_bytes, "a tenth, for cached files and for what grows");
	print_part("left for web servers", report->left_bytes, "without what their parent processes take");
}

static const char *model_words(enum advise_model model)
{
	return model == ADVISE_ONE_EACH ? "one request each" : model == ADVISE_MANY ? "many requests each" : "passes on";
}

static void print_program(const struct advise_program *program)
{
	printf("  %s: %u process%s, %s, %.1f MB on average, the larger ones %.1f MB",
	       program->program[0] != '\0' ? program->program : program->name, program->workers, program->workers == 1 ? "" : "es",
	       model_words(program->model), (double)program->average_bytes / 1048576, (double)program->large_bytes / 1048576);
	if (program->others > 0)
		printf("; parents %.1f MB", (double)program->others_bytes / 1048576);
	putchar('\n');
}

static void print_verdict(const struct advise_address *address)
{
	const char *yellow = command_colour(stdout, "yellow"), *green = command_colour(stdout, "green"),
	           *off = command_colour(stdout, "off");
	if (address->fit == 0)
		return;
	if (address->configured == 0)
		printf("  %s%u connections fit%s; the file sets no cap. Write in `apps`:\n", yellow, address->fit, off);
	else if (address->configured > address->fit)
		printf(
		    "  %s%u connections fit, the file allows %u%s: with all of them in use the machine would run out of memory. Write in "
		    "`apps`:\n",
		    yellow, address->fit, address->configured, off);
	else
		printf("  %s%u connections fit, the file allows %u%s: good. The most would be:\n", green, address->fit,
		       address->configured, off);
	printf("    - { server: %s, connections: %u }\n", address->text, address->fit);
}

static void print_words(const struct advise_report *report, const char *server)
{
	print_memory(report, server);
	for (unsigned i = 0; i < report->address_count; i++) {
		const struct advise_address *address = &report->addresses[i];
		printf("\n%s%s%s  %s\n", command_colour(stdout, "bold"), address->text, command_colour(stdout, "off"), address->sites);
		if (address->program >= 0)
			print_program(&report->programs[address->program]);
		if (address->program >= 0 && report->pool.workers > 0)
			print_program(&report->pool);
		print_verdict(address);
	}
	if (report->note_count > 0)
		putchar('\n');
	for (unsigned i = 0; i < report->note_count; i++)
		printf("note: %s\n", report->notes[i]);
	if (report->program_count > 0)
		puts("note: sizes are as of now; processes grow with use, so ask again when they have served for a while");
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------------ */

static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);
	return json != NULL ? json : json_string("");
}

static json_t *bytes_json(uint64_t bytes)
{
	return bytes > INT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *program_json(const struct advise_program *program)
{
	static const char *const models[] = {
	    [ADVISE_ONE_EACH] = "one-each", [ADVISE_MANY] = "many", [ADVISE_ELSEWHERE] = "elsewhere"};
	if (program->workers == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:s, s:b, s:i, s:i, s:o, s:o, s:o, s:o}", "program", text_json(program->program), "name",
	                 text_json(program->name), "model", models[program->model], "model_known", program->known, "workers",
	                 (int)program->workers, "parents", (int)program->others, "parents_bytes", bytes_json(program->others_bytes),
	                 "average_bytes", bytes_json(program->average_bytes), "large_bytes", bytes_json(program->large_bytes),
	                 "limit_bytes", bytes_json(program->limit_bytes));
}

static json_t *address_json(const struct advise_report *report, const struct advise_address *address)
{
	json_t *json = json_object();
	json_object_set_new(json, "server", text_json(address->text));
	json_object_set_new(json, "used_by", text_json(address->sites));
	json_object_set_new(json, "fronts", json_integer(address->fronts));
	json_object_set_new(json, "listens", json_boolean(address->sockets > 0));
	json_object_set_new(json, "program", address->program >= 0 ? program_json(&report->programs[address->program]) : json_null());
	json_object_set_new(json, "configured", address->configured > 0 ? json_integer(address->configured) : json_null());
	json_object_set_new(json, "fit", address->fit > 0 ? json_integer(address->fit) : json_null());
	return json;
}

static void print_json(const struct advise_report *report, const char *server)
{
	json_t *addresses = json_array(), *notes = json_array();
	for (unsigned i = 0; i < report->address_count; i++)
		json_array_append_new(addresses, address_json(report, &report->addresses[i]));
	for (unsigned i = 0; i < report->note_count; i++)
		json_array_append_new(notes, text_json(report->notes[i]));
	json_t *memory = json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "total_bytes",
	                           bytes_json(report->machine->memory_bytes), "limited", report->machine->limited, "kernel_bytes",
	                           bytes_json(report->machine->kernel_bytes), "databases_bytes", bytes_json(report->database_bytes),
	                           "noah_bytes", bytes_json(report->noah_bytes), "others_bytes", bytes_json(report->other_bytes),
	                           "reserve_bytes", bytes_json(report->reserve_bytes), "left_bytes", bytes_json(report->left_bytes));
	json_t *json =
	    json_pack("{s:o, s:i, s:o, s:o, s:o, s:o}", "server", text_json(server), "processors", (int)report->machine->processors,
	              "memory", memory, "apps", addresses, "pool", program_json(&report->pool), "notes", notes);
	command_print_json(json);
	json_decref(json);
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

/* The server of this machine in the file; NULL: everything has been said. */
static struct cluster *load(const char *file, const char *server)
{
	static struct cluster_messages messages;
	struct cluster *cluster = cluster_load(file, CLUSTER_FILE_ONLY, &messages);
	if (cluster != NULL && !cluster_find_self(cluster, server, &messages)) {
		cluster_free(cluster);
		cluster = NULL;
	}
	if (cluster != NULL)
		return cluster;
	for (unsigned i = 0; i < messages.count; i++)
		fprintf(stderr, "%s\n", messages.text[i]);
	if (messages.left_out > 0)
		fprintf(stderr, "and %u more\n", messages.left_out);
	return NULL;
}

static uint64_t *read_limits(const struct advise_machine *machine)
{
	uint64_t *limits = calloc(machine->count + 1, sizeof *limits);
	for (unsigned i = 0; i < machine->count && limits != NULL; i++)
		limits[i] = machine->processes[i].held != 0 ? advise_limit_of("", machine->processes[i].pid) : UINT64_MAX;
	return limits;
}

static int advise(const struct cluster *cluster, bool as_json)
{
	static struct advise_report report;
	struct advise_machine machine;
	const char *server = cluster->servers[cluster->self].name;
	unsigned advised = 0;
	find_addresses(&report, cluster);
	if (report.address_count == 0) {
		fprintf(stderr, "noah advise: the cluster file has no app on %s: run it on a web server\n", server);
		return COMMAND_FAILED;
	}
	if (!advise_look("", report.addresses, report.address_count, &machine)) {
		fprintf(stderr, "noah advise: /proc cannot be read: %m\n");
		advise_machine_free(&machine);
		return COMMAND_FAILED;
	}
	uint64_t *limits = read_limits(&machine);
	advise_size(&report, &machine, limits);
	if (as_json)
		print_json(&report, server);
	else
		print_words(&report, server);
	for (unsigned i = 0; i < report.address_count; i++)
		advised += report.addresses[i].fit > 0;
	free(limits);
	advise_machine_free(&machine);
	return advised > 0 ? COMMAND_OK : COMMAND_FAILED;
}

int command_advise(int argc, char **argv)
{
	const char *file = COMMAND_DEFAULT_FILE, *server = NULL;
	bool as_json = false;
	const struct command_option options[] = {
	    {"json", NULL, "print one JSON object instead of sentences", &as_json, NULL},
	    {"server", "NAME", "which server of the file this machine is (found by its addresses otherwise)", NULL, &server},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "advise",
	    .arguments = "[FILE]",
	    .about = "On a web server: measures the processes that listen on the apps' addresses of the cluster FILE "
	             "(default\n" COMMAND_DEFAULT_FILE
	             "), what else the machine's memory is used for, and says how many connections fit:\n"
	             "(memory - kernel - databases - other processes - reserve) / size of a process; what the file sets; and the "
	             "line for\n"
	             "it. Nothing is changed and no running noah is asked. Run it as root, under load, on each web server.\n"
	             "Exit code: 0 when it could say a number, 1 when it could not, 2 for wrong arguments or a bad file.",
	    .options = options,
	    .file = &file,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	struct cluster *cluster = load(file, server);
	if (cluster == NULL)
		return COMMAND_USAGE;
	code = advise(cluster, as_json);
	cluster_free(cluster);
	return code;
}
