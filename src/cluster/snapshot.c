/* SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot: see snapshot.h. Any thread.
 */
#include "cluster/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SNAPSHOT_MAGIC 0x4e534e50u

struct snapshot {
	uint32_t magic;
	atomic_uint references;
	const struct cluster *cluster;
};

struct snapshot *snapshot_new(const struct cluster *cluster)
{
	CHECK_MAGIC(cluster, CLUSTER_MAGIC);
	struct snapshot *snapshot = malloc(sizeof(*snapshot));
	if (snapshot == NULL)
		return NULL;
	snapshot->magic = SNAPSHOT_MAGIC;
	atomic_init(&snapshot->references, 1);
	snapshot->cluster = cluster;
	return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
	unsigned before = atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
	ASSERT(before > 0 && before < UINT32_MAX);
	return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
	/* release: our reads are over before the last one frees; acquire: the last one sees that */
	unsigned before = atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel);
	ASSERT(before > 0);
	if (before > 1)
		return;
	cluster_free(snapshot->cluster);
	snapshot->magic = 0;
	free(snapshot);
}

const struct cluster *snapshot_cluster(const struct snapshot *snapshot)
{
	CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
	return snapshot->cluster;
}
