/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The access log: one record for each request; docs/operations.md describes it. Records are gathered and sent 32 KB at a time or
 * after 100 ms; that of a failure at once. To a file they go with append, whole lines in each write, so that the threads' lines
 * do not mix; to syslog or the journal as datagrams, many with one system call.
 *
 * Nobody waits for the log. What is not taken at once is kept while there is room and tried again; what finds no room, or what a
 * file refuses (a full disk), is lost and counted (log_lines_lost on the board).
 *
 * Runs in traffic, one http_log for each thread; they share the sink that process/traffic.c makes.
 */
#include "http/access_log.h"
#include "http/compress.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SEND_AT      32768u  /* bytes gathered before they are sent */
#define HOLD_MOST    524288u /* bytes kept while they are not taken */
#define RECORDS_MOST 4096u   /* the same for datagrams */
#define BATCH        64u     /* datagrams in one system call */
#define DELAY_MS     100
#define RETRY_MS     20  /* a reader who takes nothing; one who has taken something is asked again at once: his queue is short */
#define RECONNECT_MS 200 /* a reader who has gone */
#define ASK_EVERY_US 1000000u

/* ---- where records go ------------------------------------------------------------------------------------------------ */

#define SINK_MAGIC 0x6c736e6bu
struct http_log_sink {
	uint32_t magic;
	int descriptor;
	uint8_t to, format; /* enum cluster_log_to, cluster_log_format */
	atomic_uint users;
	_Atomic uint64_t asked_us;
	void (*gone)(void);
};

struct http_log_sink *http_log_sink_new(int descriptor, enum cluster_log_to to, enum cluster_log_format format,
                                        void (*gone)(void))
{
	struct http_log_sink *sink = calloc(1, sizeof *sink);
	if (sink == NULL)
		return NULL;
	*sink = (struct http_log_sink){
	    .magic = SINK_MAGIC, .descriptor = descriptor, .to = (uint8_t)to, .format = (uint8_t)format, .users = 1, .gone = gone};
	tzset(); /* reads the time zone's file now, not in the middle of a request */
	return sink;
}

struct http_log_sink *http_log_sink_ref(struct http_log_sink *sink)
{
	CHECK_MAGIC(sink, SINK_MAGIC);
	atomic_fetch_add(&sink->users, 1);
	return sink;
}

void http_log_sink_unref(struct http_log_sink *sink)
{
	if (sink == NULL || atomic_fetch_sub(&sink->users, 1) > 1)
		return;
	CHECK_MAGIC(sink, SINK_MAGIC);
	close(sink->descriptor);
	sink->magic = 0;
	free(sink);
}

/* Asks the supervisor for a new connection, at most once a second over all threads. */
static void sink_is_gone(struct http_log_sink *sink)
{
	uint64_t now = clock_monotonic_us(), asked = atomic_load(&sink->asked_us);
	if (now >= asked + ASK_EVERY_US && atomic_compare_exchange_strong(&sink->asked_us, &asked, now))
		sink->gone();
}

/* ---- gathering --------------------------------------------------------------------------------------------------------- */

struct http_log {
	struct http_log_sink *sink; /* NULL: none */
	struct board_lane *lane;
	bool held; /* not taken last time: tried again when the timer says so */
	bool torn; /* the file ends in the middle of a line that was lost */
	struct timer timer;
	struct log_clock clock;
	uint32_t sent, used; /* bytes [sent, used) are to go out */
	uint32_t first_record, record_count;
	uint32_t record_ends[RECORDS_MOST]; /* of datagrams: records [first_record, record_count) are to go out */
	char bytes[HOLD_MOST + LOG_RECORD_MOST];
};

static void forget_sent(struct http_log *log)
{
	memmove(log->bytes, log->bytes + log->sent, log->used - log->sent);
	for (uint32_t i = log->first_record; i < log->record_count; i++)
		log->record_ends[i - log->first_record] = log->record_ends[i] - log->sent;
	log->record_count -= log->first_record;
	log->first_record = 0;
	log->used -= log->sent;
	log->sent = 0;
}

static unsigned unsent_records(const struct http_log *log)
{
	unsigned lines = log->record_count - log->first_record;
	if (log->sink == NULL || log->sink->to != LOG_TO_FILE)
		return lines;
	for (uint32_t i = log->sent; i < log->used; i++)
		lines += i > 0 && log->bytes[i] == '\n'; /* one at the front ends a torn line: it was counted */
	return lines;
}

static void lose(struct http_log *log, unsigned count)
{
	BOARD_COUNT(log->lane, log_lines_lost, count);
	log->sent = log->used = log->first_record = log->record_count = 0;
	log->held = false;
}

/* ---- sending ------------------------------------------------------------------------------------------------------------ */

static void hold(struct http_log *log, int64_t retry_ms)
{
	log->held = true;
	timer_set(&log->timer, retry_ms);
}

/* He has taken what stood before log->sent, since `before`; his queue may hold but ten. */
static void hold_for_slow(struct http_log *log, uint32_t before)
{
	hold(log, log->sent > before ? 1 : RETRY_MS);
}

static void send_to_file(struct http_log *log)
{
	uint32_t before = log->sent;

	while (log->sent < log->used) {
		ssize_t written = write(log->sink->descriptor, log->bytes + log->sent, log->used - log->sent);
		if (written >= 0) {
			log->sent += (uint32_t)written;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN) { /* a pipe */
			hold_for_slow(log, before);
			return;
		}
		LOG_LIMITED(LOG_ERROR, 10000, "the access log cannot be written, lines are lost: %m");
		bool torn = log->sent > 0 ? log->bytes[log->sent - 1] != '\n' : log->bytes[0] == '\n';
		lose(log, unsent_records(log));
		log->torn = torn;
		return;
	}
}

/* How many of the records were taken, or -errno. */
static int send_batch(const struct http_log *log)
{
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	uint32_t start = log->sent;
	unsigned count = 0;

	memset(messages, 0, sizeof messages);
	for (; count < BATCH && log->first_record + count < log->record_count; count++) {
		uint32_t end = log->record_ends[log->first_record + count];
		parts[count] = (struct iovec){.iov_base = (void *)(uintptr_t)(log->bytes + start), .iov_len = end - start};
		messages[count].msg_hdr.msg_iov = &parts[count];
		messages[count].msg_hdr.msg_iovlen = 1;
		start = end;
	}
	int sent = sendmmsg(log->sink->descriptor, messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}

static void records_are_sent(struct http_log *log, unsigned count)
{
	log->first_record += count;
	log->sent = log->record_ends[log->first_record - 1];
}

static void send_datagrams(struct http_log *log)
{
	uint32_t before = log->sent;

	while (log->first_record < log->record_count) {
		int result = send_batch(log);
		if (result > 0) {
			records_are_sent(log, (unsigned)result);
		} else if (result == -EAGAIN || result == -ENOBUFS || result == -ENOMEM) {
			hold_for_slow(log, before);
			return;
		} else if (result == -ECONNREFUSED || result == -ENOTCONN || result == -ECONNRESET || result == -EPIPE) {
			sink_is_gone(log->sink);
			hold(log, RECONNECT_MS);
			return;
		} else if (result != -EINTR) { /* this one is not to its taste: too long */
			BOARD_COUNT(log->lane, log_lines_lost, 1);
			records_are_sent(log, 1);
		}
	}
}

static void flush(struct http_log *log)
{
	timer_clear(&log->timer);
	log->held = false;
	if (log->sink == NULL || log->sent == log->used)
		return;
	if (log->sink->to == LOG_TO_FILE)
		send_to_file(log);
	else
		send_datagrams(log);
	if (log->sent == log->used)
		log->sent = log->used = log->first_record = log->record_count = 0;
}

static void on_timer(struct timer *timer)
{
	flush(OWNER_OF(timer, struct http_log, timer));
}

/* ---- from outside -------------------------------------------------------------------------------------------------------- */

struct http_log *http_log_new(struct board_lane *lane, struct http_log_sink *sink)
{
	struct http_log *log = malloc(sizeof(*log));

	if (log == NULL)
		return NULL;
	memset(log, 0, offsetof(struct http_log, record_ends)); /* what is never used costs no memory */
	log->lane = lane;
	log->sink = sink != NULL ? http_log_sink_ref(sink) : NULL;
	timer_init(&log->timer, on_timer);
	return log;
}

void http_log_free(struct http_log *log)
{
	flush(log);
	timer_clear(&log->timer);
	lose(log, unsent_records(log));
	http_log_sink_unref(log->sink);
	free(log);
}

void http_log_use(struct http_log *log, struct http_log_sink *sink)
{
	struct http_log_sink *before = log->sink;

	flush(log);
	/* What syslog did not take before its restart goes to the new one. */
	if (before != NULL && (sink == NULL || sink->to != before->to || sink->format != before->format || sink->to == LOG_TO_FILE))
		lose(log, unsent_records(log));
	log->torn = false;
	log->sink = sink != NULL ? http_log_sink_ref(sink) : NULL;
	http_log_sink_unref(before);
	flush(log);
}

/* ---- one record ---------------------------------------------------------------------------------------------------------- */

/* From one moment to another. */
static uint64_t phase(uint64_t from_us, uint64_t to_us)
{
	return from_us == 0 || to_us < from_us ? LOG_NO_PHASE : to_us - from_us;
}

static struct span text_or_none(const char *text)
{
	return text != NULL && text[0] != '\0' ? span_of_text(text) : span_of(NULL, 0);
}

/* The method and target of a request that could not be parsed are not known for sure: as much as came, up to its first line's
 * end. */
static struct span raw_first_line(const struct http_exchange *exchange)
{
	struct span rest = exchange->raw;
	return rest.size == 0 ? span_of(NULL, 0) : span_cut(&rest, '\r');
}

static void fill_request(struct log_entry *entry, const struct http_exchange *exchange)
{
	const struct http_head *head = &exchange->request.head;

	if (!exchange->parsed) {
		entry->line = raw_first_line(exchange);
		return;
	}
	entry->method = http_text(head, exchange->request.method_text);
	entry->target = http_text(head, exchange->request.target);
	entry->version = exchange_version(exchange);
	entry->host = exchange->request.host.size > 0 ? http_text(head, exchange->request.host) : span_of(NULL, 0);
	entry->referrer = http_value(head, HTTP_FIELD_REFERER);
	entry->agent = http_value(head, HTTP_FIELD_USER_AGENT);
}

void http_log_fill(struct log_entry *entry, const struct http_exchange *exchange, enum http_outcome outcome, bool failure)
{
	uint64_t now_us = exchange_now_us(exchange);

	*entry = (struct log_entry){.wall_us = http_core_wall_us(exchange->core), .failure = failure};
	entry->client = exchange->from;
	entry->user = exchange->user.size > 0 ? exchange->user : span_of(NULL, 0);
	fill_request(entry, exchange);
	entry->site = text_or_none(exchange->site != NULL ? exchange->site->name : NULL);
	entry->server = text_or_none(exchange->target != NULL ? exchange->target->text : NULL);
	entry->tls = text_or_none(stream_tls_version(&exchange->client->stream));
	entry->reference = text_or_none(exchange->reference);
	entry->end = span_of_text(http_outcome_text(outcome));
	entry->cause = text_or_none(exchange->detail);
	entry->status = (unsigned)exchange->status;
	entry->retries = exchange->tries > 1 ? exchange->tries - 1 : 0;
	entry->bytes = exchange->coded != NULL ? exchange->coded->bytes : exchange->download.content_bytes;
	exchange->visitor->count_bytes(exchange, &entry->in, &entry->out);
	entry->read_us = phase(exchange->started_us, exchange->read_us);
	entry->queue_us = exchange->tries > 0 || exchange->queued_us > 0 ? exchange->queued_us : LOG_NO_PHASE;
	entry->connect_us = phase(exchange->read_us, exchange->connect_us);
	entry->first_us = phase(exchange->sent_us, exchange->first_byte_us);
	entry->total_us = phase(exchange->started_us, now_us);
}

static char *put_record(struct http_log *log, char *out, const struct log_entry *entry)
{
	bool json = log->sink->format == LOG_FORMAT_JSON;

	log_clock_set(&log->clock, entry->wall_us);
	if (log->sink->to == LOG_TO_JOURNAL)
		return log_put_journal(out, entry, &log->clock, json);
	if (log->sink->to == LOG_TO_SYSLOG)
		out = log_put_syslog_prefix(out, entry, &log->clock);
	out = json ? log_put_json(out, entry, &log->clock) : log_put_combined(out, entry, &log->clock);
	if (log->sink->to == LOG_TO_FILE)
		*out++ = '\n';
	return out;
}

static bool has_room(struct http_log *log)
{
	bool full = log->used > HOLD_MOST || log->record_count == RECORDS_MOST;
	if (full && log->sent > 0) {
		forget_sent(log);
		full = log->used > HOLD_MOST || log->record_count == RECORDS_MOST;
	}
	return !full;
}

void http_log_exchange(struct http_log *log, const struct http_exchange *exchange, enum http_outcome outcome, bool failure)
{
	struct log_entry entry;

	if (log->sink == NULL)
		return;
	http_log_fill(&entry, exchange, outcome, failure);
	http_log_put(log, &entry);
}

void http_log_put(struct http_log *log, const struct log_entry *entry)
{
	if (log->sink == NULL)
		return;
	if (!has_room(log)) {
		BOARD_COUNT(log->lane, log_lines_lost, 1);
		return;
	}
	if (log->used == 0)
		timer_set(&log->timer, DELAY_MS);
	if (log->torn)
		log->bytes[log->used++] = '\n';
	log->torn = false;
	char *end = put_record(log, log->bytes + log->used, entry);
	log->used = (uint32_t)(end - log->bytes);
	ASSERT(log->used <= sizeof log->bytes);
	if (log->sink->to != LOG_TO_FILE)
		log->record_ends[log->record_count++] = log->used;
	if (!log->held && (entry->failure || log->used - log->sent >= SEND_AT))
		flush(log);
}
