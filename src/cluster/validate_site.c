/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_site: what must hold between the keys of one site: names, TLS, apps, files or a page. Called by validate.c; its routes
 * have their own file.
 */
#include "cluster/load.h"

static void validate_names(struct load *load, const struct cluster_site *site)
{
	for (uint32_t i = 1; i < site->name_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(site->names[i], site->names[j]) == 0)
				load_report_element(load, AT("sites", site->name, "names"), i - 1, "`%s` %s", site->names[i],
				                    j == 0 ? "is the site's own name; it need not be said again" : "stands here twice");
}

static void validate_canonical(struct load *load, const struct cluster_site *site)
{
	const char *const *parts = AT("sites", site->name, "canonical");
	uint32_t exact = 0;
	bool is_own = false;
	if (site->canonical[0] == '\0')
		return;
	for (uint32_t i = 0; i < site->name_count; i++) {
		exact += site->names[i][0] != '*';
		is_own |= strcmp(site->names[i], site->canonical) == 0;
	}
	if (!is_own)
		load_report_at(load, parts, "`%s` is none of the site's names; add it under `names`", site->canonical);
	else if (exact == 1)
		load_report_at(load, parts,
		               "the site has no other name that could lead to it; add it under `names`, or take `canonical` out");
}

/* ---- TLS ------------------------------------------------------------------------------------------------------ */

/* The number of its first listener with TLS; listen_count when it has none. */
static uint32_t find_tls(const struct cluster_site *site)
{
	uint32_t i = 0;
	while (i < site->listen_count && !site->listen[i].tls)
		i++;
	return i;
}

static void validate_certificates(struct load *load, const struct cluster_site *site)
{
	const char *const *parts = AT("sites", site->name, "certificate");
	for (uint32_t i = 0; i < site->certificate_count; i++) {
		const struct cluster_certificate *certificate = &site->certificates[i];
		if (certificate->self_signed && site->certificate_count > 1) {
			load_report_element(load, parts, i, "`self-signed` stands alone; take it out, or the files beside it");
			return;
		}
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(certificate->chain, site->certificates[j].chain) == 0)
				load_report_element(load, parts, i, "%s stands here twice", certificate->chain);
	}
}

static void validate_tls(struct load *load, const struct cluster_site *site)
{
	uint32_t tls = find_tls(site);
	bool has_tls = tls < site->listen_count;
	bool has_certificate = load_has(load, AT("sites", site->name, "certificate"));
	if (has_tls && !has_certificate)
		load_report_element(
		    load, AT("sites", site->name, "listen"), tls,
		    "TLS needs a certificate; add for example `certificate: /etc/noah/%.60s.pem`, or `certificate: self-signed` "
		    "for trying out",
		    site->names[0]);
	if (has_certificate && !has_tls)
		load_report_at(load, AT("sites", site->name, "certificate"),
		               "the site does not listen with TLS; add `https` under `listen`, or take `listen` out");
	if (!has_tls && !has_certificate && load_has(load, AT("sites", site->name, "https")))
		load_report_at(load, AT("sites", site->name, "https"),
		               "the site does not listen with TLS; give it a `certificate`, or take `https` out");
	validate_certificates(load, site);
}

/* ---- apps, files or a page ------------------------------------------------------------------------------------ */

static void validate_work(struct load *load, const struct cluster_site *site)
{
	bool has_page = load_has(load, AT("sites", site->name, "page")), has_apps = load_has(load, AT("sites", site->name, "apps"));
	bool has_files = load_has(load, AT("sites", site->name, "static"));
	if (has_page && has_apps)
		load_report_at(load, AT("sites", site->name, "apps"), "a site has `apps` or a `page`; take one of them out");
	if (has_page && has_files)
		load_report_at(load, AT("sites", site->name, "static"),
		               "a site has `static` or a `page`; put the page among the files as index.html, or take one of them out");
	if (has_apps || !load_has_map(load, AT("sites", site->name)))
		return;
	if (has_page || has_files)
		load_validate_no_apps(load, site, has_page ? "page" : "static");
	else
		load_report_at(
		    load, AT("sites", site->name, "apps"),
		    "is missing; for example `apps: [web1:8080, web2:8080]`, or without any `static: { root: /var/www/%.60s }` or "
		    "`page: /etc/noah/welcome.html`",
		    site->name);
}

static void validate_errors(struct load *load, const struct cluster_site *site)
{
	if (load_has(load, AT("sites", site->name, "errors", "404")) && !load_looks_for_files(site))
		load_report_at(
		    load, AT("sites", site->name, "errors", "404"),
		    "noah itself says 404 only where it looks for files (`static`); an app's own page goes to the visitor as it is");
}

void load_validate_site(struct load *load, const struct cluster_site *site)
{
	struct place place;
	place_of_site(&place, site);
	validate_names(load, site);
	validate_canonical(load, site);
	validate_tls(load, site);
	validate_work(load, site);
	validate_errors(load, site);
	load_validate_files(load, &site->files, load_has(load, AT("sites", site->name, "apps")), &place);
	load_validate_access(load, &site->access, NULL, &place);
	load_validate_group(load, &site->group, &place);
	load_validate_routes(load, site);
}
