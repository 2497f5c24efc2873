/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Media types by the ending of a file's name. What is not in this table is not served unless the administrator names it: a file
 * that lies in a web root by mistake is more often a secret than a page. Pure; any thread.
 */
#include "files/files.h"

#include <stdlib.h>
#include <strings.h>

#define ENDING_MOST 16u

/* Sorted by ending. Text is UTF-8, as everything written today is; a page that is not says so itself. */
static const struct files_type types[] = {
    {"3gp", "video/3gpp", false},
    {"7z", "application/x-7z-compressed", false},
    {"aac", "audio/aac", false},
    {"ai", "application/postscript", true},
    {"apk", "application/vnd.android.package-archive", false},
    {"apng", "image/apng", false},
    {"asc", "text/plain; charset=utf-8", true},
    {"atom", "application/atom+xml; charset=utf-8", true},
    {"avi", "video/x-msvideo", false},
    {"avif", "image/avif", false},
    {"bmp", "image/bmp", true},
    {"br", "application/octet-stream", false},
    {"bz2", "application/x-bzip2", false},
    {"css", "text/css; charset=utf-8", true},
    {"csv", "text/csv; charset=utf-8", true},
    {"cur", "image/x-icon", true},
    {"deb", "application/vnd.debian.binary-package", false},
    {"dmg", "application/x-apple-diskimage", false},
    {"doc", "application/msword", true},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false},
    {"dtd", "application/xml-dtd; charset=utf-8", true},
    {"eot", "application/vnd.ms-fontobject", true},
    {"eps", "application/postscript", true},
    {"epub", "application/epub+zip", false},
    {"exe", "application/octet-stream", false},
    {"flac", "audio/flac", false},
    {"flv", "video/x-flv", false},
    {"geojson", "application/geo+json", true},
    {"gif", "image/gif", false},
    {"glb", "model/gltf-binary", true},
    {"gltf", "model/gltf+json", true},
    {"gz", "application/gzip", false},
    {"heic", "image/heic", false},
    {"heif", "image/heif", false},
    {"htm", "text/html; charset=utf-8", true},
    {"html", "text/html; charset=utf-8", true},
    {"ico", "image/x-icon", true},
    {"ics", "text/calendar; charset=utf-8", true},
    {"iso", "application/octet-stream", false},
    {"jar", "application/java-archive", false},
    {"jfif", "image/jpeg", false},
    {"jp2", "image/jp2", false},
    {"jpeg", "image/jpeg", false},
    {"jpg", "image/jpeg", false},
    {"js", "text/javascript; charset=utf-8", true},
    {"json", "application/json", true},
    {"jsonld", "application/ld+json", true},
    {"jxl", "image/jxl", false},
    {"kml", "application/vnd.google-earth.kml+xml", true},
    {"kmz", "application/vnd.google-earth.kmz", false},
    {"less", "text/css; charset=utf-8", true},
    {"m3u8", "application/vnd.apple.mpegurl", true},
    {"m4a", "audio/mp4", false},
    {"m4s", "video/iso.segment", false},
    {"m4v", "video/mp4", false},
    {"map", "application/json", true},
    {"markdown", "text/markdown; charset=utf-8", true},
    {"md", "text/markdown; charset=utf-8", true},
    {"mid", "audio/midi", false},
    {"midi", "audio/midi", false},
    {"mjs", "text/javascript; charset=utf-8", true},
    {"mkv", "video/x-matroska", false},
    {"mov", "video/quicktime", false},
    {"mp3", "audio/mpeg", false},
    {"mp4", "video/mp4", false},
    {"mpd", "application/dash+xml; charset=utf-8", true},
    {"mpeg", "video/mpeg", false},
    {"mpg", "video/mpeg", false},
    {"msi", "application/octet-stream", false},
    {"odp", "application/vnd.oasis.opendocument.presentation", false},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet", false},
    {"odt", "application/vnd.oasis.opendocument.text", false},
    {"oga", "audio/ogg", false},
    {"ogg", "audio/ogg", false},
    {"ogv", "video/ogg", false},
    {"opus", "audio/ogg", false},
    {"otf", "font/otf", true},
    {"pdf", "application/pdf", false},
    {"png", "image/png", false},
    {"ppt", "application/vnd.ms-powerpoint", true},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", false},
    {"ps", "application/postscript", true},
    {"psd", "image/vnd.adobe.photoshop", true},
    {"rar", "application/vnd.rar", false},
    {"rdf", "application/rdf+xml; charset=utf-8", true},
    {"rpm", "application/x-rpm", false},
    {"rss", "application/rss+xml; charset=utf-8", true},
    {"rtf", "application/rtf", true},
    {"svg", "image/svg+xml; charset=utf-8", true},
    {"svgz", "application/gzip", false},
    {"swf", "application/x-shockwave-flash", false},
    {"tar", "application/x-tar", true},
    {"tgz", "application/gzip", false},
    {"tif", "image/tiff", false},
    {"tiff", "image/tiff", false},
    {"ts", "video/mp2t", false},
    {"ttc", "font/collection", true},
    {"ttf", "font/ttf", true},
    {"txt", "text/plain; charset=utf-8", true},
    {"vcf", "text/vcard; charset=utf-8", true},
    {"vtt", "text/vtt; charset=utf-8", true},
    {"wasm", "application/wasm", true},
    {"wav", "audio/wav", false},
    {"weba", "audio/webm", false},
    {"webm", "video/webm", false},
    {"webmanifest", "application/manifest+json", true},
    {"webp", "image/webp", false},
    {"wmv", "video/x-ms-wmv", false},
    {"woff", "font/woff", false},
    {"woff2", "font/woff2", false},
    {"xhtml", "application/xhtml+xml; charset=utf-8", true},
    {"xls", "application/vnd.ms-excel", true},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false},
    {"xml", "application/xml; charset=utf-8", true},
    {"xsd", "application/xml; charset=utf-8", true},
    {"xsl", "application/xml; charset=utf-8", true},
    {"xslt", "application/xslt+xml; charset=utf-8", true},
    {"xz", "application/x-xz", false},
    {"zip", "application/zip", false},
    {"zst", "application/zstd", false},
};

struct span files_ending(struct span path)
{
	for (size_t i = path.size; i > 0 && path.start[i - 1] != '/'; i--) {
		if (path.start[i - 1] == '.')
			return i > 1 && path.start[i - 2] != '/' ? span_of(path.start + i, path.size - i) : span_of(NULL, 0);
	}
	return span_of(NULL, 0);
}

bool files_is_hidden(struct span name)
{
	const struct span well_known = SPAN(".well-known/");

	if (span_starts_with(name, well_known))
		name = span_of(name.start + well_known.size, name.size - well_known.size);
	for (size_t i = 0; i < name.size; i++) {
		if (name.start[i] == '.' && (i == 0 || name.start[i - 1] == '/'))
			return true;
	}
	return false;
}

/* False: too long, or no letters. */
static bool lower(struct span ending, char out[ENDING_MOST])
{
	if (ending.size == 0 || ending.size >= ENDING_MOST)
		return false;
	for (size_t i = 0; i < ending.size; i++) {
		char c = ending.start[i];
		out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
	}
	out[ending.size] = '\0';
	return memchr(out, '\0', ending.size) == NULL;
}

static int compare_type(const void *key, const void *item)
{
	return strcmp(key, ((const struct files_type *)item)->ending);
}

const struct files_type *files_type_find(struct span ending)
{
	char text[ENDING_MOST];

	return lower(ending, text) ? bsearch(text, types, COUNT_OF(types), sizeof(types[0]), compare_type) : NULL;
}

const struct files_type *files_types(size_t *count)
{
	*count = COUNT_OF(types);
	return types;
}
