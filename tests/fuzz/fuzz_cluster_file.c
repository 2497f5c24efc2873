/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzzes the cluster file: YAML, the table of keys, the rules between keys; and what is made from a good one.
 */
#include "cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages are one printable line each: nothing of the file may break out of them. */
static void check_messages(const struct cluster_messages *messages)
{
	ASSERT(messages->count >= 1 && messages->count <= CLUSTER_MESSAGES_MOST);
	for (unsigned i = 0; i < messages->count; i++) {
		ASSERT(memchr(messages->text[i], '\0', sizeof(messages->text[i])) != NULL);
		for (const char *at = messages->text[i]; *at != '\0'; at++)
			ASSERT((unsigned char)*at >= 0x20 && *at != 0x7f);
		ASSERT(i == 0 || messages->line[i - 1] <= messages->line[i]);
	}
}

/* A good file: its plan, its difference from itself (none) and from an empty cluster, and the way through a sealed memory file.
 */
static void check_cluster(const struct cluster *cluster, FILE *nowhere)
{
	static struct cluster empty = {.magic = CLUSTER_MAGIC, .version = CLUSTER_VERSION, .self = CLUSTER_NO_SERVER};
	ASSERT(cluster->server_count > 0 && cluster->site_count + cluster->database_count + cluster->service_count > 0);
	cluster_print_plan(cluster, nowhere);
	ASSERT(cluster_print_difference(cluster, cluster, nowhere) == 0);
	ASSERT(cluster_print_difference(&empty, cluster, nowhere) > 0);
	int descriptor = cluster_seal(cluster);
	ASSERT(descriptor >= 0);
	const struct cluster *copy = cluster_map(descriptor);
	close(descriptor);
	/* not byte for byte: that would touch many megabytes of empty pages for each input */
	ASSERT(copy != NULL && cluster_print_difference(cluster, copy, nowhere) == 0);
	ASSERT(memcmp(copy->servers, cluster->servers, sizeof(copy->servers)) == 0);
	ASSERT(memcmp(copy->sites, cluster->sites, cluster->site_count * sizeof(copy->sites[0])) == 0);
	ASSERT(memcmp(copy->services, cluster->services, cluster->service_count * sizeof(copy->services[0])) == 0);
	cluster_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cluster_messages messages;
	static FILE *nowhere;
	if (nowhere == NULL)
		nowhere = fopen("/dev/null", "w");
	ASSERT(nowhere != NULL);
	struct cluster *cluster = cluster_load_text("fuzz.yaml", span_of(data, size), CLUSTER_FILE_ONLY, &messages);
	if (cluster == NULL) {
		check_messages(&messages);
		return 0;
	}
	ASSERT(messages.count == 0);
	check_cluster(cluster, nowhere);
	cluster_free(cluster);
	return 0;
}
