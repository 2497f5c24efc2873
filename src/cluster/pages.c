/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pages: reads the small files that a cluster file names: answers of sites without apps, pages for errors, names and passwords of
 * visitors. Runs in the supervisor and in `noah check`, once for each loading: traffic never opens one.
 *
 * A file that is named several times is read once, and they share its place.
 */
#include "cluster/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is to be read for whom. */
struct wanted {
	const char *file;
	const char *const *parts; /* of the key that names it */
	const char *what;         /* "a page", and the mend for one that is too large */
	const char *mend;
	uint32_t *place; /* gets 1 + index into pages */
	bool is_users;
};

struct named {
	uint32_t count;
	const char *file[CLUSTER_PAGES_MOST]; /* by index into pages */
	bool is_users[CLUSTER_PAGES_MOST];
};

static void read_page(struct load *load, const struct wanted *wanted, struct cluster_page *page)
{
	const char *const *parts = wanted->parts;
	const char *file = wanted->file;
	/* O_NONBLOCK: a pipe under that name must not hold the supervisor */
	int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	if (descriptor < 0 || fstat(descriptor, &status) != 0) {
		load_report_at(load, parts, "%s cannot be read: %s", file, strerror(errno));
	} else if (!S_ISREG(status.st_mode)) {
		load_report_at(load, parts, "%s is not a plain file", file);
	} else if (status.st_size > (off_t)sizeof(page->bytes)) {
		load_report_at(load, parts, "%s has %lld bytes; %s has at most 64 KB, so %s", file, (long long)status.st_size,
		               wanted->what, wanted->mend);
	} else if (wanted->is_users && (status.st_mode & S_IWOTH) != 0) {
		load_report_at(load, parts, "%s can be written by everybody; mend it with `chmod 640 %s`", file, file);
	} else {
		/* no more than its size: what lies behind stays untouched, and so costs no memory */
		ssize_t size = pread(descriptor, page->bytes, (size_t)status.st_size, 0);
		if (size < 0)
			load_report_at(load, parts, "%s cannot be read: %s", file, strerror(errno));
		else
			page->size = (uint32_t)size;
		if (size >= 0 && wanted->is_users)
			load_validate_users(load, parts, file, span_of(page->bytes, page->size));
	}
	if (descriptor >= 0)
		close(descriptor);
}

/* Gives the file its place, the one that it has already if it was named before. False when there is no more room. */
static bool want(struct load *load, struct named *named, enum cluster_depth depth, const struct wanted *wanted)
{
	struct cluster *cluster = load->cluster;
	for (uint32_t i = 0; i < named->count; i++)
		if (strcmp(named->file[i], wanted->file) == 0 && named->is_users[i] == wanted->is_users) {
			*wanted->place = i + 1;
			return true;
		}
	if (named->count == CLUSTER_PAGES_MOST) {
		load_report_at(load, wanted->parts, "more than %u different pages and files of users; that is the most",
		               CLUSTER_PAGES_MOST);
		return false;
	}
	named->file[named->count] = wanted->file;
	named->is_users[named->count] = wanted->is_users;
	*wanted->place = cluster->page_count = ++named->count;
	if (depth == CLUSTER_WHOLE)
		read_page(load, wanted, &cluster->pages[*wanted->place - 1]);
	return true;
}

static bool want_users(struct load *load, struct named *named, enum cluster_depth depth, struct cluster_access *access,
                       struct place *place)
{
	const struct wanted users = {
	    .file = access->users_file,
	    .parts = place_at(place, "users", NULL),
	    .what = "a file of users",
	    .mend = "keep those in it who still come here, or give each route a file of its own",
	    .place = &access->users,
	    .is_users = true,
	};
	return access->users_file[0] == '\0' || want(load, named, depth, &users);
}

static bool want_error_pages(struct load *load, struct named *named, enum cluster_depth depth, struct cluster_site *site)
{
	static const char *const words[] = {
#define X(name, key, when) [name] = key,
	    CLUSTER_ERROR_PAGES(X)
#undef X
	};
	for (unsigned i = 0; i < ERROR_PAGE_COUNT; i++) {
		const struct wanted page = {
		    .file = site->error_page_files[i],
		    .parts = AT("sites", site->name, "errors", words[i]),
		    .what = "a page",
		    .mend = "put its pictures and styles into files of their own",
		    .place = &site->error_pages[i],
		};
		if (page.file[0] != '\0' && !want(load, named, depth, &page))
			return false;
	}
	return true;
}

static bool want_of_site(struct load *load, struct named *named, enum cluster_depth depth, struct cluster_site *site)
{
	struct place place;
	const struct wanted page = {
	    .file = site->page_file,
	    .parts = AT("sites", site->name, "page"),
	    .what = "a page",
	    .mend = "let noah send it from a directory (`static`), or a web server (`apps`)",
	    .place = &site->page,
	};
	if (page.file[0] != '\0' && !want(load, named, depth, &page))
		return false;
	place_of_site(&place, site);
	if (!want_error_pages(load, named, depth, site) || !want_users(load, named, depth, &site->access, &place))
		return false;
	for (struct cluster_route *route = site->routes; route < site->routes + site->route_count; route++) {
		place_of_route(&place, site, route);
		if (!want_users(load, named, depth, &route->access, &place))
			return false;
	}
	return true;
}

void load_pages(struct load *load, enum cluster_depth depth)
{
	struct named named = {0};
	for (uint32_t i = 0; i < load->cluster->site_count; i++)
		if (!want_of_site(load, &named, depth, &load->cluster->sites[i]))
			return;
}
