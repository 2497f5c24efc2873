/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The pages of noah's own answers: what they say, in which form (HTML for people, JSON or plain text for programs that prefer
 * it), and whether the site has its own instead. In the traffic threads; answer.c calls it.
 *
 * A page says nothing about servers: which one is down and why stands in the access log, in the line with the same reference.
 */
#include "http/pages.h"
#include "http/route.h"

#include <stdio.h>

static const struct words {
	int status;
	const char *heading, *text;
} all_words[] = {
    {400, "This request cannot be understood", "It is not valid HTTP, so it was not passed on."},
    {401, "Please sign in", "This page is for those who know its password."},
    {403, "You are not let in here", "This site, or this part of it, is not open to you or to the network that you come from."},
    {404, "There is no such page", "The address may be misspelt, or the page has moved or is gone."},
    {405, "That cannot be done here", "This method is not allowed here."},
    {408, "Your request did not arrive", "It did not arrive completely in time. Please try again."},
    {413, "That is too large", "What you sent is larger than this site accepts."},
    {414, "That address is too long", "The address you asked for is too long."},
    {416, "There is no such part", "The part that was asked for lies outside of the file."},
    {417, "That cannot be promised", "Your request expects something that this site cannot promise."},
    {421, "There is no such site here", "There is no site of this name here, or not on this connection."},
    {429, "That was a little too fast", "Too many requests came from your address. Please wait a moment and try again."},
    {431, "Your request's header is too large",
     "Its header fields are too large. If you use a browser, deleting this site's cookies may help."},
    {501, "That is not known here", "Your request uses a method or a transfer coding that is not known here."},
    {502, "Something went wrong",
     "The server behind this site gave no usable answer. Your request may or may not have been carried out."},
    {503, "This site cannot answer right now",
     "At the moment none of its servers is available. Your request was not carried out. Please try again in a moment."},
    {504, "This takes too long",
     "The server behind this site did not answer in time. Your request may or may not have been carried out."},
    {505, "That is not spoken here", "This version of HTTP is not spoken here."},
    {508, "This goes in a circle", "This request goes in a circle between proxies."},
};

#define MAINTENANCE_HEADING "We will be right back"
#define MAINTENANCE_TEXT    "This site is being worked on. Your request was not carried out. Please try again "

/* ---- which form: Accept (RFC 9110 12.5.1) ------------------------------------------------------------------------- */

/* In the order in which they are preferred when a visitor has no preference. */
enum form { FORM_HTML, FORM_JSON, FORM_PROBLEM, FORM_TEXT, FORM_COUNT };

static const struct {
	struct span name, wider, content_type;
} forms[FORM_COUNT] = {
    [FORM_HTML] = {SPAN("text/html"), SPAN("text/*"), SPAN("text/html; charset=utf-8")},
    [FORM_JSON] = {SPAN("application/json"), SPAN("application/*"), SPAN("application/json")},
    [FORM_PROBLEM] = {SPAN("application/problem+json"), SPAN("application/*"), SPAN("application/problem+json")}, /* RFC 9457 */
    [FORM_TEXT] = {SPAN("text/plain"), SPAN("text/*"), SPAN("text/plain; charset=utf-8")},
};

/* Of "q=0.25": thousandths. What is malformed counts as 1, as if it were not there. */
static int weight_of(struct span parameters)
{
	while (parameters.start != NULL) {
		struct span value = span_trim(span_cut(&parameters, ';')), name = span_trim(span_cut(&value, '='));
		unsigned weight;
		if (span_equal_nocase(name, SPAN("q")))
			return http_quality_parse(span_trim(value), &weight) ? (int)weight : HTTP_QUALITY_MOST;
	}
	return HTTP_QUALITY_MOST;
}

/* How closely an element of Accept means a form: the closest one counts. */
enum closeness { ANYTHING, WIDER, BY_NAME, NOT_AT_ALL };

static enum closeness closeness_of(struct span name, enum form form)
{
	if (span_equal_nocase(name, forms[form].name))
		return BY_NAME;
	if (span_equal_nocase(name, forms[form].wider))
		return WIDER;
	return span_equal(name, SPAN("*/*")) ? ANYTHING : NOT_AT_ALL;
}

/* What was named outright is before what is only included. 0: not wanted. */
static int score_of(const int weights[NOT_AT_ALL])
{
	if (weights[BY_NAME] >= 0)
		return weights[BY_NAME] > 0 ? 2 * weights[BY_NAME] + 1 : 0;
	return 2 * (weights[WIDER] >= 0 ? weights[WIDER] : weights[ANYTHING] >= 0 ? weights[ANYTHING] : 0);
}

static enum form choose_form(const struct http_exchange *exchange)
{
	struct span accept = exchange->parsed ? http_value(&exchange->request.head, HTTP_FIELD_ACCEPT) : span_of(NULL, 0);
	int weights[FORM_COUNT][NOT_AT_ALL];
	enum form chosen = FORM_HTML;

	memset(weights, -1, sizeof(weights));
	while (accept.start != NULL) { /* as many as a head can hold */
		struct span element = span_cut(&accept, ','), name = span_trim(span_cut(&element, ';'));
		for (enum form form = FORM_HTML; form < FORM_COUNT; form++) {
			enum closeness close = closeness_of(name, form);
			if (close != NOT_AT_ALL)
				weights[form][close] = weight_of(element);
		}
	}
	for (enum form form = FORM_HTML; form < FORM_COUNT; form++)
		chosen = score_of(weights[form]) > score_of(weights[chosen]) ? form : chosen;
	return chosen;
}

/* ---- the site's own ------------------------------------------------------------------------------------------------ */

#define PLACE_OF_REFERENCE "{{reference}}"

/* ERROR_PAGE_COUNT: no page of a site's own is shown for it. */
static enum cluster_error_page page_of_status(int status, bool maintenance)
{
	switch (status) {
	case 403:
		return ERROR_PAGE_403;
	case 404:
		return ERROR_PAGE_404;
	case 429:
		return ERROR_PAGE_429;
	case 502:
	case 504:
		return ERROR_PAGE_50X;
	case 503:
		return maintenance ? ERROR_PAGE_MAINTENANCE : ERROR_PAGE_50X;
	default:
		return ERROR_PAGE_COUNT;
	}
}

static enum form form_of_file(const char *file)
{
	struct span name = span_of_text(file);
	return span_ends_with_nocase(name, SPAN(".json"))  ? FORM_JSON
	       : span_ends_with_nocase(name, SPAN(".txt")) ? FORM_TEXT
	                                                   : FORM_HTML;
}

/* The page with each PLACE_OF_REFERENCE filled in; as it is where there is none, or no memory. The reference is the shorter one.
 */
static struct span fill_in(const struct http_exchange *exchange, struct span page)
{
	struct span place = SPAN(PLACE_OF_REFERENCE), reference = span_of_text(exchange->reference);
	const char *at = memmem(page.start, page.size, place.start, place.size);
	char *filled = at != NULL ? arena_allocate(task_arena(), page.size) : NULL;
	size_t size = 0;

	if (filled == NULL)
		return page;
	for (; at != NULL; at = memmem(page.start, page.size, place.start, place.size)) {
		size_t before = (size_t)(at - page.start);
		memcpy(filled + size, page.start, before);
		memcpy(filled + size + before, reference.start, reference.size);
		size += before + reference.size;
		page = span_of(at + place.size, page.size - before - place.size);
	}
	memcpy(filled + size, page.start, page.size);
	return span_of(filled, size + page.size);
}

/* False: the site has none for this. Who asks for JSON or plain text gets the site's own only if it is that. */
static bool find_own(const struct http_exchange *exchange, int status, enum form wanted, struct http_own_page *page)
{
	enum cluster_error_page which = page_of_status(status, exchange->maintenance);
	const struct cluster_site *site = exchange->site;

	if (which == ERROR_PAGE_COUNT || site == NULL || site->error_pages[which] == 0)
		return false;
	enum form form = form_of_file(site->error_page_files[which]);
	if (wanted != FORM_HTML && wanted != form && !(wanted == FORM_PROBLEM && form == FORM_JSON))
		return false;
	const struct cluster_page *file = &exchange->routes->view->cluster->pages[site->error_pages[which] - 1];
	page->content_type = forms[form].content_type;
	page->text = fill_in(exchange, span_of(file->bytes, file->size));
	return true;
}

/* ---- noah's own ---------------------------------------------------------------------------------------------------- */

/* "in about 25 minutes." */
static void say_when(const struct http_exchange *exchange, char *out, size_t size)
{
	uint32_t minutes = (exchange->retry_after_s + 59) / 60;

	if (minutes <= 1)
		snprintf(out, size, "in a minute.");
	else if (minutes < 120)
		snprintf(out, size, "in about %u minutes.", minutes);
	else
		snprintf(out, size, "in about %u hours.", (minutes + 59) / 60);
}

static struct words words_of(const struct http_exchange *exchange, int status, char *buffer, size_t size)
{
	struct words words = {status, http_status_reason(status).start, ""}; /* a literal: it ends in a zero */

	for (size_t i = 0; i < COUNT_OF(all_words); i++) {
		if (all_words[i].status == status)
			words = all_words[i];
	}
	if (exchange->maintenance) {
		char when[48];
		say_when(exchange, when, sizeof(when));
		snprintf(buffer, size, MAINTENANCE_TEXT "%s", when);
		words.heading = MAINTENANCE_HEADING;
		words.text = buffer;
	}
	return words;
}

/* No script, no font, no picture: nothing is loaded, and it can be read on a telephone and in the dark. */
#define HTML_STYLE                                                                                               \
	":root{color-scheme:light dark}"                                                                             \
	"body{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;"                     \
	"font:1.0625rem/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;background:#f3f5f7;color:#1c2530}" \
	"main{box-sizing:border-box;width:100%;max-width:34rem;margin:1rem;padding:2rem;background:#fff;"            \
	"border-top:.25rem solid #3b6ea5;border-radius:.375rem;box-shadow:0 1px 4px rgba(0,0,0,.12)}"                \
	"h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}p{margin:0 0 1rem}"                                  \
	".small{margin:1.5rem 0 0;font-size:.875rem;color:#5a6673}code{font-size:1em;white-space:nowrap}"            \
	"@media(prefers-color-scheme:dark){body{background:#14181d;color:#e4e8ec}"                                   \
	"main{background:#1d232a;border-top-color:#6c9fd4;box-shadow:none}.small{color:#9aa6b2}}"

static int write_html(char *out, const struct words *words, const char *reference)
{
	return snprintf(out, HTTP_PAGE_MOST,
	                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	                "<meta name=\"robots\" content=\"noindex\">\n<title>%s</title>\n<style>%s</style>\n</head>\n"
	                "<body>\n<main>\n<h1>%s</h1>\n<p>%s</p>\n"
	                "<p class=\"small\">Error %d. If you tell us about it, please quote <code>%s</code>.</p>\n"
	                "</main>\n</body>\n</html>\n",
	                words->heading, HTML_STYLE, words->heading, words->text, words->status, reference);
}

/* The members of RFC 9457, and the reference. The texts are ours: nothing in them needs an escape. */
static int write_json(char *out, const struct words *words, const char *reference)
{
	struct span reason = http_status_reason(words->status);
	return snprintf(out, HTTP_PAGE_MOST, "{\"status\":%d,\"title\":\"%.*s\",\"detail\":\"%s\",\"reference\":\"%s\"}\n",
	                words->status, (int)reason.size, reason.start, words->text, reference);
}

static int write_text(char *out, const struct words *words, const char *reference)
{
	return snprintf(out, HTTP_PAGE_MOST, "%d %s\n%s\nReference: %s\n", words->status, words->heading, words->text, reference);
}

/* Eight of the 32 letters and digits that are not easily taken for one another, in two groups: people read it out on the
 * telephone. One in a million million: enough to find one line of a log. */
static void make_reference(char out[HTTP_REFERENCE_SIZE + 1])
{
	static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t number = random_quick();

	for (size_t i = 0; i < HTTP_REFERENCE_SIZE; i++) {
		out[i] = letters[number & 31];
		number >>= 5;
	}
	out[HTTP_REFERENCE_SIZE / 2] = '-';
	out[HTTP_REFERENCE_SIZE] = '\0';
}

void http_page_choose(struct http_exchange *exchange, int status, char buffer[HTTP_PAGE_MOST], struct http_own_page *page)
{
	char maintenance[sizeof(MAINTENANCE_TEXT) + 48];
	enum form form = choose_form(exchange);
	int size;

	make_reference(exchange->reference);
	if (find_own(exchange, status, form, page))
		return;
	struct words words = words_of(exchange, status, maintenance, sizeof(maintenance));
	if (form == FORM_HTML)
		size = write_html(buffer, &words, exchange->reference);
	else if (form == FORM_TEXT)
		size = write_text(buffer, &words, exchange->reference);
	else
		size = write_json(buffer, &words, exchange->reference);
	ASSERT(size > 0 && size < (int)HTTP_PAGE_MOST);
	page->content_type = forms[form].content_type;
	page->text = span_of(buffer, (size_t)size);
}
