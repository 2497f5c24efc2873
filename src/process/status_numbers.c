/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Warnings of `noah status` that come from numbers on the board: lines of the access log that were lost, sites that answer with
 * errors, servers whose connections are all in use. Runs in the supervisor; status.c calls it.
 */
#include "process/status.h"

#define ERRORS_LEAST   10u /* of the last minute's requests: fewer are no reason to worry */
#define ERRORS_PERCENT 5u
#define FULL_S         30u /* everybody in line for so long */

static void warn(json_t *warnings, const char *text)
{
	json_array_append_new(warnings, status_text(text));
}

static void warn_of_lost_lines(const struct supervisor *supervisor, json_t *warnings)
{
	uint64_t lost = 0;
	char text[160];
	for (unsigned i = 0; i < board_counter_count; i++)
		if (strcmp(board_counter_names[i].name, "log_lines_lost") == 0)
			lost = board_sum(supervisor->board, i);
	if (lost == 0)
		return;
	snprintf(text, sizeof text,
	         "%ju lines of the access log were lost since noah started: is its disk full, or does syslog not run?",
	         (uintmax_t)lost);
	warn(warnings, text);
}

static void warn_of_errors(const struct supervisor *supervisor, json_t *warnings)
{
	char text[CLUSTER_NAME_SIZE + 160];
	for (unsigned i = 0; i < supervisor->cluster->site_count; i++) {
		int row = board_site_row(supervisor->board, supervisor->cluster->sites[i].name);
		if (row < 0)
			continue;
		const struct board_site *site = &supervisor->board->sites[row];
		unsigned ended = atomic_load(&site->recent_ended), errors = atomic_load(&site->recent_errors);
		if (errors < ERRORS_LEAST || (uint64_t)errors * 100 < (uint64_t)ended * ERRORS_PERCENT)
			continue;
		snprintf(text, sizeof text, "site %.63s: %u of the last minute's %u requests were answered with 5xx: see the access log",
		         site->name, errors, ended);
		warn(warnings, text);
	}
}

static void warn_of_full_servers(const struct supervisor *supervisor, json_t *warnings)
{
	char text[ADDRESS_TEXT_SIZE + 160], address[ADDRESS_TEXT_SIZE];
	unsigned gates = atomic_load(&supervisor->board->gate_rows);
	uint64_t now = clock_monotonic_us();
	for (unsigned i = 0; i < gates && i < BOARD_GATES_MOST; i++) {
		const struct board_gate *gate = &supervisor->board->gates[i];
		uint64_t since = atomic_load(&gate->full_since_us);
		if (since == 0 || now < since + FULL_S * UINT64_C(1000000))
			continue;
		snprintf(text, sizeof text, "%s: all %u connections have been in use for %ju s, %u wait for one",
		         address_format(&gate->address, address), atomic_load(&gate->connections_most),
		         (uintmax_t)((now - since) / 1000000), board_gate_waiting(gate));
		warn(warnings, text);
	}
}

void status_warn_of_numbers(const struct supervisor *supervisor, json_t *warnings)
{
	warn_of_lost_lines(supervisor, warnings);
	warn_of_errors(supervisor, warnings);
	warn_of_full_servers(supervisor, warnings);
}
