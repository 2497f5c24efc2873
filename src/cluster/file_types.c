/* SPDX-License-Identifier: BSD-2-Clause
 *
 * file_types: types of files that are never shown to visitors. Asked by the validation of a file and by whoever sends files; any
 * thread.
 */
#include "cluster/cluster.h"

/* A web server that runs programs leaves their sources, settings, dumps and an editor's copies among the files that it shows;
 * noah runs none of them, so it would show them as they are. Sorted by letter. */
static const char *const private_types[] = {
    "asp",    "aspx",    "ashx", "ascx", "backup", "bak", "bash", "bin",  "cer",    "cfg",  "cfm",  "cgi",   "conf",
    "config", "cs",      "db",   "dist", "dump",   "env", "exs",  "fcgi", "frm",    "go",   "inc",  "ini",   "jsp",
    "jspx",   "key",     "ldf",  "lock", "log",    "lua", "mdb",  "mdf",  "module", "myd",  "myi",  "old",   "orig",
    "p12",    "pem",     "pfx",  "ph",   "phar",   "php", "php3", "php4", "php5",   "php7", "php8", "phps",  "pht",
    "phtml",  "pl",      "pm",   "py",   "pyc",    "pyo", "rb",   "rej",  "rhtml",  "save", "sh",   "shtml", "sql",
    "sqlite", "sqlite3", "swo",  "swp",  "tmp",    "tpl", "twig", "wsgi", "yaml",   "yml",
};

bool cluster_is_private_type(struct span type)
{
	for (unsigned i = 0; i < COUNT_OF(private_types); i++)
		if (span_equal_nocase(type, span_of_text(private_types[i])))
			return true;
	return false;
}
