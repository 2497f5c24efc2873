/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plan_group: servers that do the same work, in sentences (`noah plan`). See plan.h.
 */
#include "cluster/plan.h"

const char *plan_joint(uint32_t index, uint32_t count, const char *last)
{
	return index == 0 ? "" : index + 1 == count ? last : ", ";
}

static const char *plural(uint32_t count)
{
	return count == 1 ? "" : "s";
}

static void print_place(const struct address *address, FILE *out)
{
	static const uint8_t any[16];
	char text[ADDRESS_TEXT_SIZE];
	if (address->family == ADDRESS_IPV6 && memcmp(address->ip, any, sizeof(any)) == 0)
		fprintf(out, "port %u of every address", address->port);
	else
		fputs(address_format(address, text), out);
}

void plan_print_listeners(const struct plan *plan, uint64_t on, const struct address *listen, const bool *tls, uint32_t count)
{
	uint32_t mine = 0, printed = 0;
	for (uint32_t i = 0; i < count; i++)
		mine += cluster_listens_on(plan->cluster, on, &listen[i], plan->server);
	if (mine == 0)
		fputs("nothing (every `listen` is the address of another server)", plan->out);
	for (uint32_t i = 0; i < count; i++)
		if (cluster_listens_on(plan->cluster, on, &listen[i], plan->server)) {
			fputs(plan_joint(printed++, mine, " and "), plan->out);
			print_place(&listen[i], plan->out);
			fputs(tls != NULL && tls[i] ? " with TLS" : "", plan->out);
		}
}

void plan_print_apps(const struct plan *plan, const struct cluster_app *apps, uint32_t count, const char *last)
{
	char text[ADDRESS_TEXT_SIZE];
	for (uint32_t i = 0; i < count; i++) {
		fprintf(plan->out, "%s%s (%s", plan_joint(i, count, last), plan->cluster->servers[apps[i].server].name,
		        address_format(&apps[i].address, text));
		if (apps[i].weight != 1)
			fprintf(plan->out, ", weight %u", apps[i].weight);
		if (apps[i].backup)
			fputs(", only while no other works", plan->out);
		if (apps[i].connections_most > 0 && !apps[i].cap_of_group)
			fprintf(plan->out, ", at most %u connection%s", apps[i].connections_most, plural(apps[i].connections_most));
		fputs(")", plan->out);
	}
}

static void print_hash(const struct plan *plan, const struct cluster_group *group)
{
	switch ((enum cluster_hash)group->hash) {
	case HASH_ADDRESS:
		fputs(", always the same one for an address", plan->out);
		return;
	case HASH_PATH:
		fputs(", always the same one for a path", plan->out);
		return;
	case HASH_HEADER:
		fprintf(plan->out, ", always the same one for a value of the header %s", group->hash_name);
		return;
	case HASH_COOKIE:
		fprintf(plan->out, ", always the same one for a value of the cookie %s", group->hash_name);
		return;
	}
}

void plan_print_choice(const struct plan *plan, const struct cluster_group *group)
{
	plan_print_apps(plan, group->apps, group->app_count, " or ");
	if (group->app_count == 1)
		return;
	switch ((enum cluster_balance)group->balance) {
	case BALANCE_ROUND_ROBIN:
		fputs(", in turn", plan->out);
		return;
	case BALANCE_LEAST_CONNECTIONS:
		fputs(", whichever has the fewest under way", plan->out);
		return;
	case BALANCE_LEAST_LATENCY:
		fputs(", the quicker one of two drawn by lot", plan->out);
		return;
	case BALANCE_HASH:
		print_hash(plan, group);
		return;
	}
}

static void print_line_of_waiting(const struct plan *plan, const struct cluster_group *group, const char *what)
{
	char text[VALUE_TEXT_SIZE];
	if (group->queue_most > 0)
		fprintf(plan->out, "%sUp to %u %s%s may wait in line for one whose connections are all in use, each for at most %s.\n",
		        plan->indent, group->queue_most, what, plural(group->queue_most),
		        value_format_duration(group->queue_timeout_ms, text));
	else
		fprintf(plan->out, "%sWhile the connections of all are in use, a %s is refused.\n", plan->indent, what);
}

void plan_print_load(const struct plan *plan, const struct cluster_group *group, const char *what)
{
	char text[VALUE_TEXT_SIZE];
	bool has_cap = false, all_have_own = true;
	for (uint32_t i = 0; i < group->app_count; i++) {
		has_cap |= group->apps[i].connections_most > 0;
		all_have_own &= !group->apps[i].cap_of_group;
	}
	if (group->connections_most > 0 && !all_have_own)
		fprintf(plan->out, "%sAt most %u connection%s %s to %s at the same time, from all threads of this noah.\n", plan->indent,
		        group->connections_most, plural(group->connections_most), group->connections_most == 1 ? "goes" : "go",
		        group->app_count == 1 ? "it" : "each of them");
	if (has_cap)
		print_line_of_waiting(plan, group, what);
	if (group->slow_start_ms > 0)
		fprintf(plan->out, "%sOne that came up again gets its full share after %s.\n", plan->indent,
		        value_format_duration(group->slow_start_ms, text));
	if (group->sticky[0] != '\0' && group->app_count > 1)
		fprintf(plan->out, "%sA visitor stays with one of them by the cookie %s, while it works.\n", plan->indent, group->sticky);
}

void plan_print_timing(const struct plan *plan, const struct cluster_check *check)
{
	char every[VALUE_TEXT_SIZE], timeout[VALUE_TEXT_SIZE];
	fprintf(plan->out,
	        " every %s, for at most %s each time: %u %s in a row and it is not used, %u %s in a row and it is used again.\n",
	        value_format_duration(check->every_ms, every), value_format_duration(check->timeout_ms, timeout), check->fall,
	        check->fall == 1 ? "failure" : "failures", check->rise, check->rise == 1 ? "success" : "successes");
}

void plan_print_check(const struct plan *plan, const struct cluster_group *group)
{
	const struct cluster_check *check = &group->check;
	const char *each = group->app_count == 1 ? "it" : "each of them";
	if (check->kind != CHECK_HTTP) {
		fprintf(plan->out, "%sIt checks %s by connecting", plan->indent, each);
	} else {
		fprintf(plan->out, "%sIt checks %s with GET http://%s%s (answer %u", plan->indent, each, check->host, check->path,
		        check->status_least);
		if (check->status_most != check->status_least)
			fprintf(plan->out, " to %u", check->status_most);
		fprintf(plan->out, "%s)",
		        check->digest == DIGEST_NONE  ? ""
		        : check->digest == DIGEST_MD5 ? " and the right MD5 of the body"
		                                      : " and the right SHA-256 of the body");
	}
	plan_print_timing(plan, check);
}
