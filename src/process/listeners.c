/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listeners: the listening sockets of this server. The supervisor opens and keeps them, so that they stay open while traffic is
 * restarted: a visitor who connects meanwhile waits in the socket's queue.
 *
 * Runs in the supervisor; called by supervisor.c (start, reload, stop) and children.c (a new traffic process).
 */
#include "process/supervisor_private.h"

#include "net/net.h"

#include <errno.h>
#include <unistd.h>

#define LISTEN_QUEUE 4096 /* the kernel cuts it to net.core.somaxconn */

static struct listener *find(struct supervisor *supervisor, uint32_t kind, const struct address *address)
{
	for (unsigned i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = &supervisor->listeners[i];
		if (listener->name.kind == kind && address_equal(&listener->name.address, address))
			return listener;
	}
	return NULL;
}

static bool is_everywhere(const struct address *address)
{
	static const uint8_t zero[sizeof address->ip];
	return memcmp(address->ip, zero, address->family == ADDRESS_IPV4 ? 4 : sizeof zero) == 0;
}

/* Our own socket that keeps another one from being opened: a wildcard and a single address at the same port. */
static const struct listener *find_in_the_way(const struct supervisor *supervisor, const struct address *address)
{
	for (unsigned i = 0; i < supervisor->listener_count; i++) {
		const struct address *other = &supervisor->listeners[i].name.address;
		if (other->family != ADDRESS_UNIX && address->family != ADDRESS_UNIX && other->port == address->port &&
		    (is_everywhere(other) || is_everywhere(address)))
			return &supervisor->listeners[i];
	}
	return NULL;
}

static bool want(struct supervisor *supervisor, uint32_t kind, const struct address *address, char *why, size_t why_size)
{
	struct listener *listener = find(supervisor, kind, address);
	if (listener != NULL) {
		listener->wanted = true;
		return true;
	}
	char text[ADDRESS_TEXT_SIZE];
	address_format(address, text);
	if (supervisor->listener_count == LISTENERS_MOST) {
		snprintf(why, why_size, "cannot listen at %s: more than %u addresses to listen at", text, LISTENERS_MOST);
		return false;
	}
	int descriptor = net_listen(address, LISTEN_QUEUE);
	if (descriptor < 0) {
		const struct listener *ours = descriptor == -EADDRINUSE ? find_in_the_way(supervisor, address) : NULL;
		const char *mend = ours != NULL ? "noah itself listens at this port, on all addresses now or by the new file: restart it "
		                                  "to change that, or choose "
		                                  "another port"
		                   : descriptor == -EADDRINUSE
		                       ? "another program listens there (see: ss -ltnp); stop it or choose another address"
		                   : descriptor == -EADDRNOTAVAIL ? "this server has no such address"
		                   : descriptor == -EACCES        ? "not allowed: start noah as root, or give it CAP_NET_BIND_SERVICE"
		                                                  : "check the address under `listen`";
		snprintf(why, why_size, "cannot listen at %s: %s; %s", text, strerror(-descriptor), mend);
		return false;
	}
	listener = &supervisor->listeners[supervisor->listener_count++];
	*listener = (struct listener){.descriptor = descriptor, .wanted = true};
	listener->name.id = supervisor->next_listener_id++;
	listener->name.kind = kind;
	listener->name.address = *address;
	return true;
}

static void close_one(struct listener *listener)
{
	close(listener->descriptor);
	if (listener->name.address.family == ADDRESS_UNIX)
		unlink(listener->name.address.path);
}

bool listeners_open(struct supervisor *supervisor, const struct cluster *cluster, char *why, size_t why_size)
{
	unsigned before = supervisor->listener_count;
	bool good = true;
	for (unsigned i = 0; i < before; i++)
		supervisor->listeners[i].wanted = false;
	for (unsigned i = 0; i < cluster->site_count && good; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		for (unsigned j = 0; j < site->listen_count && good; j++)
			if (cluster_listens_on(cluster, site->on, &site->listen[j].address, cluster->self))
				good = want(supervisor, LISTENER_HTTP, &site->listen[j].address, why, why_size);
	}
	for (unsigned i = 0; i < cluster->database_count && good; i++) {
		const struct cluster_database *database = &cluster->databases[i];
		for (unsigned j = 0; j < database->listen_count && good; j++)
			if (cluster_listens_on(cluster, database->on, &database->listen[j], cluster->self))
				good = want(supervisor, LISTENER_SQL, &database->listen[j], why, why_size);
	}
	while (!good && supervisor->listener_count > before)
		close_one(&supervisor->listeners[--supervisor->listener_count]);
	return good;
}

void listeners_tell_new(struct supervisor *supervisor, uint32_t first_new_id)
{
	for (unsigned i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = &supervisor->listeners[i];
		if (listener->name.id < first_new_id)
			continue;
		struct message message = {.type = MESSAGE_LISTENER};
		message.listener = listener->name;
		child_send(supervisor, PROCESS_TRAFFIC, &message, listener->descriptor);
	}
}

void listeners_close_unwanted(struct supervisor *supervisor)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = &supervisor->listeners[i];
		if (listener->wanted) {
			supervisor->listeners[kept++] = *listener;
			continue;
		}
		struct message message = {.type = MESSAGE_LISTENER_GONE};
		message.listener = listener->name;
		child_send(supervisor, PROCESS_TRAFFIC, &message, -1);
		close_one(listener);
	}
	supervisor->listener_count = kept;
}

void listeners_close_all(struct supervisor *supervisor)
{
	while (supervisor->listener_count > 0)
		close_one(&supervisor->listeners[--supervisor->listener_count]);
}
