/* SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot: a cluster that several threads of one process use until the last of them lets go.
 *
 * A reload swaps the snapshot while requests and sessions still work by the old one; each holds a reference only as long as it
 * needs it. Used by upstream, http, tcp, sql, watch and process; every function may be called from any thread.
 */
#ifndef NOAH_SNAPSHOT_H
#define NOAH_SNAPSHOT_H

#include "cluster/cluster.h"

struct snapshot;

/* Takes over `cluster` (from cluster_load or cluster_map) and returns it with one reference, the caller's. NULL when memory is
 * out: the cluster then still belongs to the caller. */
struct snapshot *snapshot_new(const struct cluster *cluster) MUST_CHECK;
/* One reference more; returns its argument. */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* One reference less; the last one frees the cluster. NULL is allowed and ignored. */
void snapshot_unref(struct snapshot *snapshot);
/* Borrowed: good as long as the caller's reference. */
const struct cluster *snapshot_cluster(const struct snapshot *snapshot);

#endif
