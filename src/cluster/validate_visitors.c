/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_visitors: what must hold between the keys about who is let in, how often, and who says who he is. Called by validate.c
 * and its parts.
 */
#include "cluster/load.h"

/* ---- networks ------------------------------------------------------------------------------------------------- */

static struct address first_of(const struct cluster_network *network)
{
	struct address address = {.family = network->family};
	memcpy(address.ip, network->bytes, network->family == ADDRESS_IPV4 ? 4 : 16);
	return address;
}

/* Whether each network of `inner` lies in one of `outer`. */
static bool cover(const struct cluster_networks *outer, const struct cluster_networks *inner)
{
	for (uint32_t i = 0; i < inner->count; i++) {
		struct address address = first_of(&inner->list[i]);
		bool covered = false;
		for (uint32_t j = 0; j < outer->count && !covered; j++) {
			struct cluster_networks one = {.count = 1, .list = {outer->list[j]}};
			covered = outer->list[j].prefix <= inner->list[i].prefix && cluster_networks_contain(&one, &address);
		}
		if (!covered)
			return false;
	}
	return true;
}

/* ---- who is let in -------------------------------------------------------------------------------------------- */

void load_validate_access(struct load *load, const struct cluster_access *access, const struct cluster_access *of_site,
                          struct place *place)
{
	bool has_deny = load_has(load, place_at(place, "deny", NULL)), has_allow = load_has(load, place_at(place, "allow", NULL));
	bool has_users = load_has(load, place_at(place, "users", NULL));
	if ((has_deny || has_allow) && access->allow.count > 0 && cover(&access->deny, &access->allow))
		load_report_at(load, place_at(place, has_deny ? "deny" : "allow", NULL),
		               "nobody is let in: all that `allow` has is in `deny`; take it out of one of them");
	if (has_users && access->users_file[0] == '\0' && (of_site == NULL || of_site->users_file[0] == '\0') &&
	    load->report->total == 0)
		load_report_at(load, place_at(place, "users", NULL), "nobody is asked for a password here; take it out");
	if (load_has(load, place_at(place, "realm", NULL)) && access->users_file[0] == '\0' && load->report->total == 0)
		load_report_at(load, place_at(place, "realm", NULL),
		               "nobody is asked for a password here; add for example `users: /etc/noah/staging.users`, or take it out");
}

/* ---- how often ------------------------------------------------------------------------------------------------ */

static void validate_limits(struct load *load)
{
	const struct cluster *cluster = load->cluster;
	bool has_requests = cluster_limits_requests(cluster) || load->report->total > 0; /* one may have been wrong */
	if (load_has(load, AT("visitors", "ban")) && !has_requests)
		load_report_at(load, AT("visitors", "ban"),
		               "nobody is ever banned, because requests are not limited; add for example `requests: 100/10s`");
	if (load_has(load, AT("visitors", "exempt")) && !has_requests && cluster->visitors.connections_most == 0)
		load_report_at(load, AT("visitors", "exempt"),
		               "nobody is limited; add for example `requests: 100/10s`, or `connections: 200`");
}

/* ---- who says who he is --------------------------------------------------------------------------------------- */

static void validate_front_ends(struct load *load)
{
	const struct cluster_networks *from = &load->cluster->front_ends.from;
	for (uint32_t i = 0; i < from->count; i++)
		if (from->list[i].prefix == 0) {
			load_report_at(load, AT("front_ends", "from"),
			               "everybody could say that he is somebody else; name only the addresses of your proxies");
			return;
		}
}

/* Both are about HTTP. */
static void validate_sites(struct load *load)
{
	static const char *const parts[] = {"visitors", "front_ends"};
	for (unsigned i = 0; i < COUNT_OF(parts); i++)
		if (load_has(load, AT(parts[i])) && !load_has(load, AT("sites")))
			load_report_at(load, AT(parts[i]), "is about `sites`, and there are none; take it out");
}

void load_validate_visitors(struct load *load)
{
	validate_sites(load);
	validate_limits(load);
	validate_front_ends(load);
}
