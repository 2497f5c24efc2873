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
#include <fcntl.h>
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

/* All that is listened at by one file. */
struct wish {
	struct supervisor *supervisor;
	const struct cluster *cluster;
	char *why;
	size_t why_size;
};

static const char *mend_of(const struct supervisor *supervisor, const struct address *address, int error)
{
	if (error == EADDRINUSE && find_in_the_way(supervisor, address) != NULL)
		return "noah itself listens at this port, on all addresses now or by the new file: restart it to change that, or choose "
		       "another port";
	switch (error) {
	case EADDRINUSE:
		return "another program listens there (see: ss -ltnp); stop it or choose another address";
	case EADDRNOTAVAIL:
		return "this server has no such address";
	case EACCES:
		return "not allowed: start noah as root, or give it CAP_NET_BIND_SERVICE";
	default:
		return "check the address under `listen`";
	}
}

/* The socket for a new listener, or -errno. One that is open already for another purpose (a site's port is to be TLS from now on)
 * is used again, so that it is never closed: for the moment of the change both serve it. */
static int open_socket(const struct supervisor *supervisor, const struct address *address)
{
	for (unsigned i = 0; i < supervisor->listener_count; i++) {
		const struct listener *listener = &supervisor->listeners[i];
		if (address_equal(&listener->name.address, address)) {
			int descriptor = fcntl(listener->descriptor, F_DUPFD_CLOEXEC, 0);
			return descriptor < 0 ? -errno : descriptor;
		}
	}
	return net_listen(address, LISTEN_QUEUE);
}

static bool want(const struct wish *wish, uint64_t on, uint32_t kind, const struct address *address)
{
	struct supervisor *supervisor = wish->supervisor;
	if (!cluster_listens_on(wish->cluster, on, address, wish->cluster->self))
		return true;
	struct listener *listener = find(supervisor, kind, address);
	if (listener != NULL) {
		listener->wanted = true;
		return true;
	}
	char text[ADDRESS_TEXT_SIZE];
	address_format(address, text);
	if (supervisor->listener_count == LISTENERS_MOST) {
		snprintf(wish->why, wish->why_size, "cannot listen at %s: more than %u addresses to listen at", text, LISTENERS_MOST);
		return false;
	}
	int descriptor = open_socket(supervisor, address);
	if (descriptor < 0) {
		snprintf(wish->why, wish->why_size, "cannot listen at %s: %s; %s", text, strerror(-descriptor),
		         mend_of(supervisor, address, -descriptor));
		return false;
	}
	listener = &supervisor->listeners[supervisor->listener_count++];
	*listener = (struct listener){.descriptor = descriptor, .wanted = true};
	listener->name.id = supervisor->next_listener_id++;
	listener->name.kind = kind;
	listener->name.address = *address;
	return true;
}

static bool want_all(const struct wish *wish)
{
	const struct cluster *cluster = wish->cluster;
	bool good = true;
	for (unsigned i = 0; i < cluster->site_count; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		for (unsigned j = 0; j < site->listen_count && good; j++)
			good = want(wish, site->on, site->listen[j].tls ? LISTENER_HTTPS : LISTENER_HTTP, &site->listen[j].address);
	}
	for (unsigned i = 0; i < cluster->service_count; i++)
		for (unsigned j = 0; j < cluster->services[i].listen_count && good; j++)
			good = want(wish, cluster->services[i].on, LISTENER_TCP, &cluster->services[i].listen[j]);
	for (unsigned i = 0; i < cluster->database_count; i++)
		for (unsigned j = 0; j < cluster->databases[i].listen_count && good; j++)
			good = want(wish, cluster->databases[i].on, LISTENER_SQL, &cluster->databases[i].listen[j]);
	for (unsigned i = 0; i < cluster->admin.listen_count && good; i++)
		good = want(wish, UINT64_MAX, LISTENER_ADMIN, &cluster->admin.listen[i]);
	return good;
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
	for (unsigned i = 0; i < before; i++)
		supervisor->listeners[i].wanted = false;
	struct wish wish = {.supervisor = supervisor, .cluster = cluster, .why = why, .why_size = why_size};
	bool good = want_all(&wish);
	while (!good && supervisor->listener_count > before)
		close_one(&supervisor->listeners[--supervisor->listener_count]);
	return good;
}

/* The process that accepts there. */
static enum process_row acceptor_of(const struct listener *listener)
{
	return listener->name.kind == LISTENER_ADMIN ? PROCESS_WATCH : PROCESS_TRAFFIC;
}

void listeners_tell(struct supervisor *supervisor, enum process_row row, uint32_t first_id)
{
	for (unsigned i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = &supervisor->listeners[i];
		if (listener->name.id < first_id || acceptor_of(listener) != row)
			continue;
		struct message message = {.type = MESSAGE_LISTENER};
		message.listener = listener->name;
		child_send(supervisor, row, &message, listener->descriptor);
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
		child_send(supervisor, acceptor_of(listener), &message, -1);
		close_one(listener);
	}
	supervisor->listener_count = kept;
}

void listeners_renew(struct supervisor *supervisor)
{
	uint32_t first_id = supervisor->next_listener_id;
	static struct message gone[LISTENERS_MOST]; /* 32 KB: too much for a stack */
	for (unsigned i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = &supervisor->listeners[i];
		gone[i] = (struct message){.type = MESSAGE_LISTENER_GONE};
		gone[i].listener = listener->name;
		listener->name.id = supervisor->next_listener_id++;
	}
	listeners_tell(supervisor, PROCESS_TRAFFIC, first_id);
	children_send_snapshot(supervisor);
	for (unsigned i = 0; i < supervisor->listener_count; i++)
		if (acceptor_of(&supervisor->listeners[i]) == PROCESS_TRAFFIC)
			child_send(supervisor, PROCESS_TRAFFIC, &gone[i], -1);
}

void listeners_close_all(struct supervisor *supervisor)
{
	while (supervisor->listener_count > 0)
		close_one(&supervisor->listeners[--supervisor->listener_count]);
}
