/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pages: reads the small files that sites without apps answer with. Runs in the supervisor and in `noah check`, once for each
 * loading: traffic never opens a file.
 */
#include "cluster/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void read_page(struct load *load, const char *const *parts, const char *file, struct cluster_page *page)
{
	/* O_NONBLOCK: a pipe under that name must not hold the supervisor */
	int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	if (descriptor < 0 || fstat(descriptor, &status) != 0) {
		load_report_at(load, parts, "%s cannot be read: %s", file, strerror(errno));
	} else if (!S_ISREG(status.st_mode)) {
		load_report_at(load, parts, "%s is not a plain file", file);
	} else if (status.st_size > (off_t)sizeof(page->bytes)) {
		load_report_at(load, parts, "%s has %lld bytes; a page has at most 64 KB, so let a web server answer (`apps`)", file,
		               (long long)status.st_size);
	} else {
		/* no more than its size: what lies behind stays untouched, and so costs no memory */
		ssize_t size = pread(descriptor, page->bytes, (size_t)status.st_size, 0);
		if (size < 0)
			load_report_at(load, parts, "%s cannot be read: %s", file, strerror(errno));
		else
			page->size = (uint32_t)size;
	}
	if (descriptor >= 0)
		close(descriptor);
}

/* The site before this one that names the same file; NULL when there is none. */
static const struct cluster_site *find_same(const struct cluster *cluster, const struct cluster_site *site)
{
	for (const struct cluster_site *other = cluster->sites; other < site; other++)
		if (other->page > 0 && strcmp(other->page_file, site->page_file) == 0)
			return other;
	return NULL;
}

void load_pages(struct load *load, enum cluster_depth depth)
{
	struct cluster *cluster = load->cluster;
	for (struct cluster_site *site = cluster->sites; site < cluster->sites + cluster->site_count; site++) {
		const char *const *parts = AT("sites", site->name, "page");
		if (site->page_file[0] == '\0')
			continue;
		const struct cluster_site *same = find_same(cluster, site);
		if (same != NULL) {
			site->page = same->page;
			continue;
		}
		if (cluster->page_count == CLUSTER_PAGES_MOST) {
			load_report_at(load, parts, "more than %u different pages; that is the most", CLUSTER_PAGES_MOST);
			return;
		}
		site->page = ++cluster->page_count;
		if (depth == CLUSTER_WHOLE)
			read_page(load, parts, site->page_file, &cluster->pages[site->page - 1]);
	}
}
