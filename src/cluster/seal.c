/* SPDX-License-Identifier: BSD-2-Clause
 *
 * seal: a snapshot as a memory file that nobody can change any more, and back. The supervisor seals, its children map.
 */
#include "cluster/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS      (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)
#define SPARE_SIZE 4096u /* pages that hold only zeros stay holes: nearly all of a small cluster's snapshot */

static bool is_zero(const char *bytes, size_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static int write_snapshot(int descriptor, const struct cluster *cluster)
{
	const char *bytes = (const char *)cluster;
	if (ftruncate(descriptor, sizeof(*cluster)) != 0)
		return -errno;
	for (size_t at = 0; at < sizeof(*cluster); at += SPARE_SIZE) {
		size_t size = sizeof(*cluster) - at < SPARE_SIZE ? sizeof(*cluster) - at : SPARE_SIZE;
		if (is_zero(bytes + at, size))
			continue;
		ssize_t written = pwrite(descriptor, bytes + at, size, (off_t)at);
		if (written < 0)
			return -errno;
		if ((size_t)written != size)
			return -ENOSPC;
	}
	return fcntl(descriptor, F_ADD_SEALS, SEALS) == 0 ? 0 : -errno;
}

int cluster_seal(const struct cluster *cluster)
{
	CHECK_MAGIC(cluster, CLUSTER_MAGIC);
	int descriptor = memfd_create("noah-cluster", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (descriptor < 0)
		return -errno;
	int result = write_snapshot(descriptor, cluster);
	if (result == 0)
		return descriptor;
	close(descriptor);
	return result;
}

/* Counts and indexes that other code uses without looking again. */
static bool is_sound(const struct cluster *cluster)
{
	return cluster->magic == CLUSTER_MAGIC && cluster->version == CLUSTER_VERSION &&
	       cluster->server_count <= CLUSTER_SERVERS_MOST && cluster->site_count <= CLUSTER_SITES_MOST &&
	       cluster->database_count <= CLUSTER_DATABASES_MOST && cluster->service_count <= CLUSTER_SERVICES_MOST &&
	       cluster->page_count <= CLUSTER_PAGES_MOST &&
	       (cluster->self == CLUSTER_NO_SERVER || cluster->self < cluster->server_count);
}

const struct cluster *cluster_map(int descriptor)
{
	struct stat status;
	int seals = fcntl(descriptor, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS)
		return NULL;
	if (fstat(descriptor, &status) != 0 || status.st_size != (off_t)sizeof(struct cluster))
		return NULL;
	const struct cluster *cluster = mmap(NULL, sizeof(*cluster), PROT_READ, MAP_SHARED, descriptor, 0);
	if (cluster == MAP_FAILED)
		return NULL;
	if (is_sound(cluster))
		return cluster;
	cluster_free(cluster);
	return NULL;
}

void cluster_free(const struct cluster *cluster)
{
	if (cluster == NULL)
		return;
	/* through an integer: munmap takes a pointer that is not const, and changes nothing behind it */
	int result = munmap((void *)(uintptr_t)cluster, sizeof(*cluster));
	ASSERT(result == 0);
}
