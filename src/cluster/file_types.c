/* SPDX-License-Identifier: BSD-2-Clause
 *
 * file_types: types of files that are never shown to visitors. Asked by the validation of a file and by whoever sends files; any
 * thread.
 */
#include "cluster/cluster.h"

#include <stdlib.h>

/* A web server that runs programs leaves their sources, settings, dumps and an editor's copies among the files that it shows;
 * noah runs none of them, so it would show them as they are. Sorted, for bsearch. */
static const char *const private_types[] = {
    "ascx",  "ashx",     "asp",      "aspx",       "awk",   "backup", "bak",    "bash",    "bat",  "c",      "cc",
    "cfg",   "cfm",      "cgi",      "class",      "conf",  "config", "cpp",    "crt",     "cs",   "cshtml", "csr",
    "db",    "dist",     "dump",     "env",        "ex",    "exs",    "fcgi",   "frm",     "go",   "h",      "hh",
    "hs",    "htaccess", "htpasswd", "inc",        "ini",   "java",   "jsp",    "jspx",    "kdbx", "key",    "ldf",
    "lock",  "log",      "lua",      "mdb",        "mdf",   "module", "myd",    "myi",     "old",  "orig",   "p12",
    "pem",   "pfx",      "phar",     "php",        "php3",  "php4",   "php5",   "php7",    "php8", "phps",   "pht",
    "phtml", "pl",       "pm",       "properties", "ps1",   "py",     "pyc",    "pyo",     "rb",   "rej",    "rhtml",
    "rs",    "sav",      "save",     "sh",         "shtml", "sql",    "sqlite", "sqlite3", "swo",  "swp",    "t",
    "tmp",   "toml",     "tpl",      "twig",       "users", "vb",     "vbs",    "wsgi",    "yaml", "yml",
};

static int compare(const void *type, const void *item)
{
	return strcmp(type, *(const char *const *)item);
}

bool cluster_is_private_type(struct span type)
{
	char text[CLUSTER_TYPE_SIZE];
	if (type.size == 0 || type.size >= sizeof(text))
		return false;
	for (size_t i = 0; i < type.size; i++)
		text[i] = (char)(type.start[i] >= 'A' && type.start[i] <= 'Z' ? type.start[i] + ('a' - 'A') : type.start[i]);
	text[type.size] = '\0';
	return bsearch(text, private_types, COUNT_OF(private_types), sizeof(private_types[0]), compare) != NULL;
}

bool cluster_match_has(const struct cluster_static *files, struct span type)
{
	for (uint32_t i = 0; i < files->match_count; i++)
		if (span_equal_nocase(type, span_of_text(files->match[i])))
			return true;
	return files->match_count == 0;
}
