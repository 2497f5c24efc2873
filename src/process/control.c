/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control: the socket on which `noah status`, `noah reload` and the other commands talk to the running supervisor, and the asking
 * side.
 *
 * A client sends one line (a word, what it is about, and a line feed), gets "ok" or "failed" on the first line and text until the
 * end of the connection. At most CONTROL_CLIENTS_MOST at once; further ones wait in the socket's queue. Only root (and the group
 * of the socket's file) may connect.
 */
#include "process/supervisor_private.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_REST_MS     1000
#define START_LOCK_TRIES    200
#define START_LOCK_PAUSE_MS 10

static bool fill_address(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof out->sun_path)
		return false;
	memcpy(out->sun_path, path, strlen(path));
	return true;
}

/* A connected socket, or -errno. */
static int connect_to(const char *path)
{
	struct sockaddr_un address;
	if (!fill_address(path, &address))
		return -ENAMETOOLONG;
	int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return -errno;
	if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
		int error = errno;
		close(descriptor);
		return -error;
	}
	return descriptor;
}

/* ---- the supervisor's side ------------------------------------------------------------------------------------ */

static bool make_directory_of(const char *path)
{
	char copy[sizeof(struct sockaddr_un)];
	snprintf(copy, sizeof copy, "%s", path);
	const char *directory = dirname(copy);
	/* Others may pass: sockets for applications stand there too. Who may use which socket is told by the sockets' own modes. */
	return mkdir(directory, 0755) == 0 || errno == EEXIST;
}

/* Removes the socket that a killed noah left behind. A file of another kind is somebody's by mistake in --control: it stays. */
static bool remove_left_over(const char *path)
{
	struct stat status;
	if (lstat(path, &status) != 0)
		return errno == ENOENT;
	if (!S_ISSOCK(status.st_mode)) {
		errno = EEXIST;
		log_write(LOG_ERROR, "%s is there already and is not a socket", path);
		return false;
	}
	return unlink(path) == 0;
}

/* Two that start at once must not both find that nobody answers. A descriptor that is to be closed once the socket listens, or
 * -errno; the file stays, because one who waits for it may have it open. */
static int lock_start(const char *path)
{
	char name[sizeof(struct sockaddr_un) + 8];
	snprintf(name, sizeof name, "%s.lock", path);
	int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return -errno;
	for (unsigned tries = 1; flock(file, LOCK_EX | LOCK_NB) != 0; tries++) {
		int error = errno;
		if (error != EINTR && (error != EWOULDBLOCK || tries == START_LOCK_TRIES)) {
			close(file);
			return -error;
		}
		nanosleep(&(struct timespec){.tv_nsec = START_LOCK_PAUSE_MS * 1000000L}, NULL);
	}
	return file;
}

/* With the lock. */
static bool listen_alone(struct supervisor *supervisor, const struct sockaddr_un *address)
{
	const char *path = supervisor->options->control;
	int other = connect_to(path);
	if (other >= 0) {
		close(other);
		log_write(LOG_ERROR, "another noah runs already and answers at %s: stop it with \"noah stop --control %s\"", path, path);
		return false;
	}
	int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0117); /* from its first moment: rw-rw---- */
	bool bound =
	    descriptor >= 0 && remove_left_over(path) && bind(descriptor, (const struct sockaddr *)address, sizeof *address) == 0;
	if (bound) /* from now on the file is ours, and control_close removes it */
		supervisor->control = descriptor;
	bool good = bound && listen(descriptor, 16) == 0;
	int error = errno;
	umask(mask);
	errno = error;
	if (!good)
		log_write(LOG_ERROR, "cannot open the control socket %s: %m; choose another with --control", path);
	if (!bound && descriptor >= 0)
		close(descriptor);
	return good;
}

bool control_open(struct supervisor *supervisor)
{
	const char *path = supervisor->options->control;
	struct sockaddr_un address;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++)
		supervisor->clients[i].descriptor = -1;
	if (path[0] != '/' || !fill_address(path, &address)) {
		log_write(LOG_ERROR, "the control socket's path must be absolute and shorter than %zu bytes: %s", sizeof address.sun_path,
		          path);
		return false;
	}
	if (!make_directory_of(path)) {
		log_write(LOG_ERROR, "cannot make the directory of the control socket %s: %m; choose another with --control", path);
		return false;
	}
	int lock = lock_start(path);
	if (lock < 0) {
		log_write(LOG_ERROR, "cannot lock %s.lock: %s; %s", path, strerror(-lock),
		          lock == -EWOULDBLOCK ? "another noah has been starting there for a long time"
		                               : "choose another with --control");
		return false;
	}
	bool good = listen_alone(supervisor, &address);
	close(lock);
	return good;
}

static void drop(struct control_client *client)
{
	close(client->descriptor);
	free(client->answer);
	*client = (struct control_client){.descriptor = -1};
}

void control_close(struct supervisor *supervisor)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++)
		if (supervisor->clients[i].descriptor >= 0)
			drop(&supervisor->clients[i]);
	if (supervisor->control < 0)
		return;
	/* In this order: while it still answers no other noah begins here, so the file is ours. */
	unlink(supervisor->options->control);
	close(supervisor->control);
	supervisor->control = -1;
}

void control_accept(struct supervisor *supervisor)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++) {
		struct control_client *client = &supervisor->clients[i];
		if (client->descriptor >= 0)
			continue;
		int descriptor = accept4(supervisor->control, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (descriptor < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			/* He stays in the socket's queue, and poll would report him again and again. */
			log_write(LOG_WARNING, "a command waits: it cannot be taken now: %m");
			supervisor->control_rests_until_us = clock_monotonic_us() + CONTROL_REST_MS * 1000;
		}
		if (descriptor < 0)
			return;
		*client = (struct control_client){.descriptor = descriptor};
		client->deadline_us = clock_monotonic_us() + CONTROL_CLIENT_MS * 1000;
	}
}

void control_answer(struct control_client *client, bool done, const char *text)
{
	ASSERT(client->answer == NULL);
	client->waits = CLIENT_WAITS_NOT;
	client->deadline_us = clock_monotonic_us() + CONTROL_CLIENT_MS * 1000;
	if (asprintf(&client->answer, "%s\n%s", done ? "ok" : "failed", text) < 0) {
		client->answer = NULL;
		drop(client);
		return;
	}
	client->answer_size = strlen(client->answer);
}

void control_answer_waiting(struct supervisor *supervisor, enum client_waits waits, bool done, const char *text)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++) {
		struct control_client *client = &supervisor->clients[i];
		if (client->descriptor < 0 || client->waits != waits)
			continue;
		control_answer(client, done, text);
		control_handle(supervisor, client);
	}
}

/* "upgrade" or "upgrade PATH" */
static void serve_upgrade(struct supervisor *supervisor, struct control_client *client, struct span path)
{
	char program[PROGRAM_PATH_SIZE], *why = NULL;
	if (!span_copy(path, program, sizeof program))
		control_answer(client, false, "the program's path is too long\n");
	else if (upgrade_begin(supervisor, path.size > 0 ? program : NULL, &why))
		client->waits = CLIENT_WAITS_UPGRADE;
	else
		control_answer(client, false, why != NULL ? why : "out of memory\n");
	free(why);
}

/* "drain NAME", "undrain NAME", "server NAME", "weight NAME PERCENT" */
static bool serve_servers(struct supervisor *supervisor, struct control_client *client, struct span request, struct span argument)
{
	static const struct {
		struct span word;
		enum servers_verb verb;
	} words[] = {{SPAN("drain"), SERVERS_DRAIN},
	             {SPAN("undrain"), SERVERS_UNDRAIN},
	             {SPAN("server"), SERVERS_LOOK},
	             {SPAN("weight"), SERVERS_WEIGH}};
	for (unsigned i = 0; i < COUNT_OF(words); i++) {
		char name[CONTROL_REQUEST_MOST];
		uint64_t percent = 0;
		bool done = false;
		if (!span_equal(request, words[i].word))
			continue;
		struct span server = span_cut(&argument, ' ');
		bool good = span_copy(server, name, sizeof name) && server.size > 0;
		if (words[i].verb == SERVERS_WEIGH)
			good = good && span_to_number(argument, BOARD_WEIGHT_MOST, &percent);
		char *text =
		    good ? servers_say(supervisor, words[i].verb, name, (unsigned)percent, &done) : strdup("that is no request\n");
		control_answer(client, done, text != NULL ? text : "out of memory\n");
		free(text);
		return true;
	}
	return false;
}

/* "maintenance", "maintenance off NAME", "maintenance on NAME MILLISECONDS", "maintenance on NAME ever" */
static void serve_maintenance(struct supervisor *supervisor, struct control_client *client, struct span argument)
{
	char name[CONTROL_REQUEST_MOST], *text;
	bool done = true;
	uint64_t for_ms = 0;
	struct span word = span_cut(&argument, ' '), site = span_cut(&argument, ' ');
	if (word.size == 0) {
		text = maintenance_list(supervisor);
	} else {
		bool on = span_equal(word, SPAN("on")), good = span_copy(site, name, sizeof name) && site.size > 0;
		if (on && span_equal(argument, SPAN("ever")))
			for_ms = MAINTENANCE_FOR_EVER_MS;
		else if (on)
			good = good && span_to_number(argument, MAINTENANCE_MOST_MS, &for_ms) && for_ms > 0;
		else
			good = good && span_equal(word, SPAN("off"));
		done = false;
		text = good ? maintenance_say(supervisor, name, for_ms, &done) : strdup("that is no request\n");
	}
	control_answer(client, done && text != NULL, text != NULL ? text : "out of memory\n");
	free(text);
}

/* "bans"; "unban ADDRESS", "unban --all" */
static void serve_bans(struct supervisor *supervisor, struct control_client *client, bool lift, struct span argument)
{
	char address[ADDRESS_TEXT_SIZE], *text;
	bool done = !lift;
	if (!lift)
		text = bans_list(supervisor);
	else if (span_copy(argument, address, sizeof address))
		text = bans_lift(supervisor, address, &done);
	else
		text = strdup("that is no IPv4 or IPv6 address\n");
	control_answer(client, done && text != NULL, text != NULL ? text : "out of memory\n");
	free(text);
}

static void serve_end_oldest(struct supervisor *supervisor, struct control_client *client)
{
	char text[256];
	struct retired *oldest = retired_oldest(supervisor);
	if (oldest == NULL) {
		control_answer(client, false, "no earlier generation is left\n");
		return;
	}
	snprintf(text, sizeof text, "the oldest generation (noah %s, process %d) ends now; %ju connections are cut\n",
	         oldest->version, (int)oldest->child.pid, (uintmax_t)retired_open(supervisor, oldest));
	log_write(LOG_NOTICE, "upgrade: asked to end process %d", (int)oldest->child.pid);
	retired_end(oldest);
	control_answer(client, true, text);
}

static void serve(struct supervisor *supervisor, struct control_client *client, struct span line)
{
	char *text = NULL;
	struct span argument = line, request = span_cut(&argument, ' ');
	if (span_equal(request, SPAN("status"))) {
		text = status_make(supervisor);
		control_answer(client, text != NULL, text != NULL ? text : "out of memory");
	} else if (span_equal(request, SPAN("reload"))) {
		if (supervisor_reload(supervisor, &text))
			client->waits = CLIENT_WAITS_RELOAD; /* answered when the children work by it */
		else
			control_answer(client, false, text != NULL ? text : "out of memory");
	} else if (span_equal(request, SPAN("stop"))) {
		control_answer(client, true, supervisor->stopping ? "it is stopping already; what is still busy ends now\n" : "");
		supervisor_stop(supervisor, "asked by \"noah stop\"");
	} else if (span_equal(request, SPAN("upgrade"))) {
		serve_upgrade(supervisor, client, argument);
	} else if (span_equal(request, SPAN("bans")) || span_equal(request, SPAN("unban"))) {
		serve_bans(supervisor, client, span_equal(request, SPAN("unban")), argument);
	} else if (span_equal(request, SPAN("maintenance"))) {
		serve_maintenance(supervisor, client, argument);
	} else if (span_equal(request, SPAN("end-oldest"))) {
		serve_end_oldest(supervisor, client);
	} else if (!serve_servers(supervisor, client, request, argument)) {
		control_answer(client, false, "this noah does not know that request; are command and server of the same version?\n");
	}
	free(text);
}

void control_handle(struct supervisor *supervisor, struct control_client *client)
{
	if (client->answer == NULL && client->waits == CLIENT_WAITS_NOT) {
		size_t room = sizeof client->request - client->request_size;
		ssize_t size = recv(client->descriptor, client->request + client->request_size, room, 0);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0) {
			drop(client);
			return;
		}
		client->request_size += (size_t)size;
		struct span rest = span_of(client->request, client->request_size);
		struct span line = span_cut(&rest, '\n');
		if (rest.start != NULL)
			serve(supervisor, client, line);
		else if (client->request_size == sizeof client->request)
			control_answer(client, false, "the request is too long\n");
	}
	if (client->descriptor < 0 || client->answer == NULL)
		return;
	ssize_t sent = send(client->descriptor, client->answer + client->sent, client->answer_size - client->sent, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		drop(client);
	else if (sent > 0 && (client->sent += (size_t)sent) == client->answer_size)
		drop(client);
}

void control_expire(struct supervisor *supervisor)
{
	uint64_t now = clock_monotonic_us();
	if (supervisor->control_rests_until_us <= now)
		supervisor->control_rests_until_us = 0;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++) {
		struct control_client *client = &supervisor->clients[i];
		if (client->descriptor >= 0 && client->waits == CLIENT_WAITS_NOT && client->deadline_us <= now)
			drop(client);
	}
}

/* ---- the asking side ------------------------------------------------------------------------------------------ */

#define ASK_TIMEOUT_S   60
#define ASK_ANSWER_MOST (8u << 20)

/* Everything until the end of the connection; zero-terminated, to be freed. 0 or -errno (*answer is NULL then). */
static int read_answer(int descriptor, char **answer)
{
	char piece[4096];
	size_t size = 0, total = 0;
	int result = -ENOMEM;
	FILE *out = open_memstream(answer, &size);
	if (out == NULL)
		return -errno;
	while (total <= ASK_ANSWER_MOST) {
		ssize_t got = recv(descriptor, piece, sizeof piece, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			result = got == 0 ? 0 : -errno;
			break;
		}
		total += (size_t)got;
		if (fwrite(piece, 1, (size_t)got, out) != (size_t)got)
			break;
	}
	if (fclose(out) != 0 && result == 0)
		result = -ENOMEM;
	if (result != 0) {
		free(*answer);
		*answer = NULL;
	}
	return result;
}

int process_ask(const char *control, const char *request, bool *done, char **answer)
{
	*answer = NULL;
	int descriptor = connect_to(control);
	if (descriptor < 0)
		return descriptor;
	struct timeval timeout = {.tv_sec = ASK_TIMEOUT_S};
	(void)setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	char line[CONTROL_REQUEST_MOST];
	int size = snprintf(line, sizeof line, "%s\n", request);
	if (size < 0 || (size_t)size >= sizeof line) {
		close(descriptor);
		return -ENAMETOOLONG;
	}
	int result = send(descriptor, line, (size_t)size, MSG_NOSIGNAL) == size ? read_answer(descriptor, answer) : -errno;
	close(descriptor);
	if (result != 0)
		return result;
	ASSERT(*answer != NULL);
	*done = strncmp(*answer, "ok\n", 3) == 0;
	char *text = strchr(*answer, '\n');
	if (text == NULL) { /* it ended before it answered */
		free(*answer);
		*answer = NULL;
		return -ECONNRESET;
	}
	memmove(*answer, text + 1, strlen(text + 1) + 1);
	return 0;
}
