/* SPDX-License-Identifier: BSD-2-Clause
 *
 * identity: which server this machine is, which listeners a server opens, and under which key a checked address stands on the
 * board.
 */
#include "cluster/report.h"
#include "cluster/suggest.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>

/* ---- self ----------------------------------------------------------------------------------------------------- */

static bool is_on_interface(const struct ifaddrs *interfaces, const struct address *wanted)
{
	for (const struct ifaddrs *at = interfaces; at != NULL; at = at->ifa_next) {
		struct address address;
		if (at->ifa_addr == NULL || (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
			continue;
		socklen_t size = at->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
		address_from_sockaddr(at->ifa_addr, size, &address);
		address.port = wanted->port;
		if (wanted->family != ADDRESS_NONE && address_equal(&address, wanted))
			return true;
	}
	return false;
}

static bool find_by_name(struct cluster *cluster, const char *wanted, struct report *report)
{
	struct suggestion suggestion = {0};
	for (uint32_t i = 0; i < cluster->server_count; i++) {
		if (strcmp(cluster->servers[i].name, wanted) == 0) {
			cluster->self = i;
			return true;
		}
		suggest_consider(&suggestion, wanted, cluster->servers[i].name);
	}
	char known[160] = "";
	size_t used = 0;
	for (uint32_t i = 0; i < cluster->server_count && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i == 0 ? "" : ", ", cluster->servers[i].name);
	if (suggestion.word != NULL)
		report_add(report, 0, 0, "", "no server is called `%.60s`; did you mean `%s`?", wanted, suggestion.word);
	else
		report_add(report, 0, 0, "", "no server is called `%.60s`; there are %s", wanted, known);
	return false;
}

bool cluster_find_self(struct cluster *cluster, const char *wanted, struct cluster_messages *messages)
{
	CHECK_MAGIC(cluster, CLUSTER_MAGIC);
	struct report report;
	struct ifaddrs *interfaces = NULL;
	report_init(&report, cluster->name, messages);
	if (wanted != NULL)
		return find_by_name(cluster, wanted, &report);
	if (getifaddrs(&interfaces) != 0) {
		report_add(&report, 0, 0, "", "this machine's addresses cannot be read: %s; say which server it is: --server NAME",
		           strerror(errno));
		return false;
	}
	uint32_t found = CLUSTER_NO_SERVER, second = CLUSTER_NO_SERVER;
	for (uint32_t i = 0; i < cluster->server_count; i++) {
		const struct cluster_server *server = &cluster->servers[i];
		if (!is_on_interface(interfaces, &server->address) && !is_on_interface(interfaces, &server->public_address))
			continue;
		if (found == CLUSTER_NO_SERVER)
			found = i;
		else
			second = i;
	}
	freeifaddrs(interfaces);
	if (found == CLUSTER_NO_SERVER)
		report_add(&report, 0, 0, "", "this machine has no address of any server in the file; say which it is: --server NAME");
	else if (second != CLUSTER_NO_SERVER)
		report_add(&report, 0, 0, "", "this machine has addresses of %s and of %s; say which it is: --server NAME",
		           cluster->servers[found].name, cluster->servers[second].name);
	else
		cluster->self = found;
	return report.total == 0;
}

/* ---- listeners ------------------------------------------------------------------------------------------------ */

static bool same_ip(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, a->family == ADDRESS_IPV4 ? 4 : 16) == 0;
}

bool cluster_listens_on(const struct cluster *cluster, uint64_t on, const struct address *listen, uint32_t server)
{
	if (!cluster_is_on(on, server) || server >= cluster->server_count)
		return false;
	if (listen->family == ADDRESS_UNIX)
		return true;
	for (uint32_t i = 0; i < cluster->server_count; i++) {
		const struct cluster_server *owner = &cluster->servers[i];
		if (same_ip(listen, &owner->address) || same_ip(listen, &owner->public_address))
			return i == server;
	}
	return true; /* every address, the loopback, or one that the file does not know */
}

/* ---- target keys ---------------------------------------------------------------------------------------------- */

static void format_digest(const struct cluster_check *check, char *out, size_t size)
{
	unsigned count = check->digest == DIGEST_MD5 ? 16 : check->digest == DIGEST_SHA256 ? 32 : 0;
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%02x",
		                         i > 0         ? ""
		                         : count == 16 ? " md5:"
		                                       : " sha256:",
		                         check->digest_bytes[i]);
}

const char *cluster_target_key(const struct cluster_check *check, const struct address *address,
                               char out[CLUSTER_TARGET_KEY_SIZE])
{
	/* what is checked, not how often: a reload that only changes `every` keeps what is known */
	char text[CLUSTER_HOST_SIZE + CLUSTER_PATH_SIZE + ADDRESS_TEXT_SIZE + 160], digest[96], place[ADDRESS_TEXT_SIZE];
	address_format(address, place);
	int size;
	if (check->kind == CHECK_HTTP) {
		format_digest(check, digest, sizeof(digest));
		size = snprintf(text, sizeof(text), "http:GET %s%s [%u-%u]%s %s", check->host, check->path, check->status_least,
		                check->status_most, digest, place);
	} else {
		size = snprintf(text, sizeof(text), "%s:%s", check->kind == CHECK_MYSQL ? "mysql" : "tcp", place);
	}
	ASSERT(size > 0 && (size_t)size < sizeof(text));
	memset(out, 0, CLUSTER_TARGET_KEY_SIZE);
	if ((size_t)size < CLUSTER_TARGET_KEY_SIZE) {
		memcpy(out, text, (size_t)size);
		return out;
	}
	snprintf(out, CLUSTER_TARGET_KEY_SIZE, "%.*s#%016llx", (int)(CLUSTER_TARGET_KEY_SIZE - 18), text,
	         (unsigned long long)hash_stable(text, (size_t)size));
	return out;
}

/* Places are numbered: a site's own group and the one for what is missing among its files, then those of its routes, site by
 * site; then the services'. */
bool cluster_walk_groups(const struct cluster *cluster, struct cluster_walk *walk)
{
	const uint32_t each = 2 * (CLUSTER_ROUTES_MOST + 1), of_sites = cluster->site_count * each;

	while (walk->next < of_sites + cluster->service_count) {
		uint32_t place = walk->next++;
		if (place >= of_sites) {
			const struct cluster_service *service = &cluster->services[place - of_sites];
			walk->site = NULL;
			walk->route = NULL;
			walk->service = service;
			walk->files = NULL;
			walk->group = &service->group;
			walk->name = service->name;
			walk->on = service->on;
			return true;
		}
		const struct cluster_site *site = &cluster->sites[place / each];
		uint32_t route = place % each / 2;
		if (route > site->route_count) {
			walk->next = (place / each + 1) * each;
			continue;
		}
		walk->site = site;
		walk->route = route == 0 ? NULL : &site->routes[route - 1];
		walk->service = NULL;
		walk->files = place % 2 == 0 ? NULL : route == 0 ? &site->files : &walk->route->files;
		walk->group = walk->files != NULL ? &walk->files->servers : route == 0 ? &site->group : &walk->route->group;
		walk->name = site->name;
		walk->on = site->on;
		if (walk->group->app_count > 0)
			return true;
	}
	return false;
}

bool cluster_limits_requests(const struct cluster *cluster)
{
	if (cluster->visitors.requests.most > 0)
		return true;
	for (const struct cluster_site *site = cluster->sites; site < cluster->sites + cluster->site_count; site++) {
		if (site->limits.requests.most > 0)
			return true;
		for (const struct cluster_route *route = site->routes; route < site->routes + site->route_count; route++)
			if (route->limits.requests.most > 0)
				return true;
	}
	return false;
}
