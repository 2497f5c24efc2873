/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upgrade: another program takes the place of this one, in the same process and with nothing dropped.
 *
 *   CHECKS  the new program, executed aside, reads what it would be handed and the cluster file, and says whether it can go on
 *   READY   once every answer on the control socket is sent, this process executes it: same pid, same descriptors and children
 *   STARTS  (now in the new program) its watch and traffic start, on free lanes; the former traffic goes on accepting beside it;
 *           when they do not come up, the former program is executed again and finds its traffic as it left it
 *   ENDS    the former traffic hears that it is retired (retired.c); then who asked has his answer
 *
 * So there is no moment without a process that accepts, and connections stay where they are. Runs in the supervisor; control.c
 * begins it, supervisor.c calls upgrade_advance after each turn. How a program finds its feet where another one stood is in
 * take_over.c.
 */
#include "process/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what is handed over -------------------------------------------------------------------------------------- */

static struct handover *gather(const struct supervisor *supervisor)
{
	struct handover *handover = calloc(1, sizeof *handover);
	if (handover == NULL)
		return NULL;
	snprintf(handover->version, sizeof handover->version, "%s", NOAH_VERSION);
	snprintf(handover->former_program, sizeof handover->former_program, "%s", supervisor->program);
	snprintf(handover->program, sizeof handover->program, "%s", supervisor->upgrade.program);
	handover->former_descriptor = -1;
	handover->board = supervisor->board_descriptor;
	handover->snapshot = supervisor->snapshot;
	handover->control = supervisor->control;
	handover->keyring = supervisor->keyring.descriptor;
	handover->guard = supervisor->guard != NULL ? guard_descriptor(supervisor->guard) : -1;
	handover->generation = supervisor->cluster != NULL ? supervisor->cluster->generation : 0;
	handover->threads = supervisor->threads;
	handover->first_lane = supervisor->first_lane;
	handover->next_listener_id = supervisor->next_listener_id;
	handover->announced = supervisor->announced;
	memcpy(handover->children, supervisor->children, sizeof handover->children);
	handover->listener_count = supervisor->listener_count;
	memcpy(handover->listeners, supervisor->listeners, sizeof handover->listeners);
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		if (supervisor->retired[i].child.pid != 0)
			handover->retired[handover->retired_count++] = supervisor->retired[i];
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++)
		if (supervisor->clients[i].descriptor >= 0)
			handover->clients[handover->client_count++] = supervisor->clients[i];
	return handover;
}

/* ---- executing ------------------------------------------------------------------------------------------------ */

/* The new program gets this one's arguments: "noah run ...", so that it reads the options by its own rules. */
#define ARGUMENTS_MOST 64u

static bool set_arguments(const struct process_options *options, char *program, bool check, char **arguments)
{
	static char check_option[] = "--upgrade-check";
	unsigned count = 0;
	arguments[count++] = program;
	if (check)
		arguments[count++] = check_option;
	for (char *const *argument = options->arguments; *argument != NULL; argument++) {
		if (count == ARGUMENTS_MOST - 1)
			return false;
		arguments[count++] = *argument;
	}
	arguments[count] = NULL;
	return true;
}

static bool set_variable(const char *name, int descriptor)
{
	char number[16];
	snprintf(number, sizeof number, "%d", descriptor);
	return setenv(name, number, 1) == 0;
}

/* Comes back only when that is not possible, with errno. `file` (-1: none) is the program's, `path` what it is called. */
static void execute(const struct supervisor *supervisor, const struct handover *handover, int file, char *path)
{
	char *arguments[ARGUMENTS_MOST];
	int state = handover_write(handover);
	if (state < 0) {
		errno = -state;
		return;
	}
	int error = E2BIG;
	if (set_arguments(supervisor->options, path, false, arguments)) {
		bool good = set_variable(HANDOVER_VARIABLE, state) && fcntl(state, F_SETFD, 0) == 0 &&
		            (handover->guard < 0 || set_variable(HANDOVER_GUARD_VARIABLE, handover->guard)) &&
		            handover_keep_descriptors(handover, true);
		if (good && file >= 0)
			execveat(file, "", arguments, environ, AT_EMPTY_PATH);
		else if (good)
			execv(path, arguments);
		error = errno;
	}
	unsetenv(HANDOVER_VARIABLE);
	unsetenv(HANDOVER_GUARD_VARIABLE);
	(void)!handover_keep_descriptors(handover, false);
	close(state);
	errno = error;
}

/* ---- CHECKS --------------------------------------------------------------------------------------------------- */

static _Noreturn void become_checker(struct supervisor *supervisor, int output)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	char *arguments[ARGUMENTS_MOST];
	int nothing = open("/dev/null", O_RDWR);
	if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(126);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (set_arguments(supervisor->options, upgrade->program, true, arguments) &&
	    set_variable(HANDOVER_VARIABLE, upgrade->state) && fcntl(upgrade->state, F_SETFD, 0) == 0 &&
	    fcntl(supervisor->board_descriptor, F_SETFD, 0) == 0)
		execv(upgrade->program, arguments);
	dprintf(1, "it cannot be executed: %s\n", strerror(errno));
	_exit(127);
}

static bool start_checker(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	struct handover *handover = gather(supervisor);
	int pipe_ends[2];
	upgrade->state = handover != NULL ? handover_write(handover) : -ENOMEM;
	free(handover);
	if (upgrade->state < 0) {
		errno = -upgrade->state;
		return false;
	}
	if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		close(upgrade->state);
		return false;
	}
	upgrade->checker = fork();
	if (upgrade->checker == 0)
		become_checker(supervisor, pipe_ends[1]);
	int error = errno;
	close(pipe_ends[1]);
	close(upgrade->state);
	upgrade->output = pipe_ends[0];
	if (upgrade->checker < 0) {
		close(pipe_ends[0]);
		errno = error;
		return false;
	}
	return true;
}

static void no_room(struct supervisor *supervisor, char **why)
{
	char when[CLOCK_TEXT_SIZE];
	const struct retired *oldest = retired_oldest(supervisor);
	if (oldest == NULL || asprintf(why,
	                               "connections of %u earlier generations still go on, more are not kept; the oldest (noah %s, "
	                               "process %d, retired at %s) "
	                               "has %ju: wait for them, or cut them with \"noah upgrade --end-oldest\"\n",
	                               RETIRED_MOST, oldest->version, (int)oldest->child.pid,
	                               clock_format(oldest->retired_wall_us, when), (uintmax_t)retired_open(supervisor, oldest)) < 0)
		*why = NULL;
}

bool upgrade_begin(struct supervisor *supervisor, const char *path, char **why)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	*why = NULL;
	if (supervisor->stopping || upgrade->stage != UPGRADE_NONE || supervisor->reload_deadline_us != 0 ||
	    !children_are_ready(supervisor)) {
		*why = strdup(supervisor->stopping                  ? "noah is stopping\n"
		              : upgrade->stage != UPGRADE_NONE      ? "another upgrade is under way\n"
		              : supervisor->reload_deadline_us != 0 ? "a reload is under way: try again in a moment\n"
		                                                    : "noah is still starting: try again in a moment\n");
		return false;
	}
	if (retired_count(supervisor) == RETIRED_MOST) {
		no_room(supervisor, why);
		return false;
	}
	*upgrade = (struct upgrade){.output = -1, .former_descriptor = -1};
	snprintf(upgrade->program, sizeof upgrade->program, "%s", path != NULL ? path : supervisor->program);
	if (upgrade->program[0] != '/') {
		*why = strdup("the program's path must be absolute\n");
		return false;
	}
	if (!start_checker(supervisor)) {
		if (asprintf(why, "the new program cannot be asked: %s\n", strerror(errno)) < 0)
			*why = NULL;
		return false;
	}
	upgrade->stage = UPGRADE_CHECKS;
	upgrade->deadline_us = clock_monotonic_us() + UPGRADE_CHECK_MS * UINT64_C(1000);
	log_write(LOG_NOTICE, "upgrade: asking %s whether it can take over", upgrade->program);
	return true;
}

void upgrade_read(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	char rest[512];
	size_t room = sizeof upgrade->words - 1 - upgrade->words_size;
	/* What is more than fits is read all the same, and forgotten. */
	ssize_t size =
	    room > 0 ? read(upgrade->output, upgrade->words + upgrade->words_size, room) : read(upgrade->output, rest, sizeof rest);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		close(upgrade->output);
		upgrade->output = -1;
	} else if (room > 0) {
		upgrade->words_size += (size_t)size;
	}
}

/* The upgrade does not take place; nothing has changed. */
static void refuse(struct supervisor *supervisor, const char *why)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	char text[UPGRADE_WORDS_SIZE + PROGRAM_PATH_SIZE + 64];
	struct span first = span_of_text(why), line = span_cut(&first, '\n');
	log_write(LOG_ERROR, "upgrade to %s refused, nothing has changed: %.*s", upgrade->program, (int)line.size, line.start);
	snprintf(text, sizeof text, "%s cannot take over, nothing has changed:\n%s%s", upgrade->program, why,
	         why[0] != '\0' && why[strlen(why) - 1] == '\n' ? "" : "\n");
	if (upgrade->output >= 0)
		close(upgrade->output);
	*upgrade = (struct upgrade){.output = -1, .former_descriptor = -1};
	control_answer_waiting(supervisor, CLIENT_WAITS_UPGRADE, false, text);
}

static void checked(struct supervisor *supervisor, int status)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	char why[UPGRADE_WORDS_SIZE + 160];
	upgrade->checker = 0;
	while (upgrade->output >= 0) { /* until its end, or until nothing more is there: a process of its own may hold it open */
		size_t before = upgrade->words_size;
		upgrade_read(supervisor);
		if (upgrade->output >= 0 && upgrade->words_size == before)
			break;
	}
	upgrade->words[upgrade->words_size] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && strncmp(upgrade->words, "noah ", 5) == 0) {
		if (upgrade->output >= 0)
			close(upgrade->output);
		upgrade->output = -1;
		upgrade->stage = UPGRADE_READY;
		upgrade->deadline_us = UINT64_MAX; /* who does not take his answer is dropped by control_expire */
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(why, sizeof why, "%s\nit died: signal %d (%s)", upgrade->words, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 0)
		snprintf(why, sizeof why, "it is no noah, or one that cannot take over from a running one");
	else if (upgrade->words_size == 0)
		snprintf(why, sizeof why, "it ended with exit code %d and said nothing", WEXITSTATUS(status));
	else
		snprintf(why, sizeof why, "%s", upgrade->words);
	refuse(supervisor, why);
}

static void look_at_checker(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	int status;
	if (waitpid(upgrade->checker, &status, WNOHANG) == upgrade->checker) {
		checked(supervisor, status);
	} else if (clock_monotonic_us() >= upgrade->deadline_us) {
		char why[128];
		kill(upgrade->checker, SIGKILL);
		while (waitpid(upgrade->checker, &status, 0) < 0 && errno == EINTR)
			;
		snprintf(why, sizeof why, "it has not said within %d s whether it can", UPGRADE_CHECK_MS / 1000);
		refuse(supervisor, why);
	}
}

/* ---- READY ---------------------------------------------------------------------------------------------------- */

static bool answers_are_sent(const struct supervisor *supervisor)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MOST; i++)
		if (supervisor->clients[i].descriptor >= 0 && supervisor->clients[i].answer != NULL)
			return false;
	return true;
}

static void hand_over(struct supervisor *supervisor)
{
	char *program = supervisor->upgrade.program;
	char why[160];
	struct handover *handover = gather(supervisor);
	errno = ENOMEM;
	if (handover != NULL) {
		handover->former_descriptor = open("/proc/self/exe", O_PATH | O_CLOEXEC);
		log_write(LOG_NOTICE, "upgrade: %s takes over", program);
		notify_send("RELOADING=1");
		execute(supervisor, handover, -1, program);
		int error = errno;
		if (handover->former_descriptor >= 0)
			close(handover->former_descriptor);
		errno = error;
	}
	free(handover);
	snprintf(why, sizeof why, "it cannot be executed: %s", strerror(errno));
	notify_send("READY=1");
	refuse(supervisor, why);
}

/* ---- STARTS: in the new program ------------------------------------------------------------------------------- */

/* No child of this program is left behind: the former one knows nothing of them. */
static void kill_own_children(struct supervisor *supervisor)
{
	for (unsigned row = 0; row < PROCESS_ROWS; row++) {
		struct child *child = &supervisor->children[row];
		if (child->pid == 0)
			continue;
		kill(child->pid, SIGKILL);
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			; /* it is dead in a moment */
		if (child->channel >= 0)
			close(child->channel);
		child->pid = 0;
		child->channel = -1;
		child->taken_generation = 0;
	}
	/* Before a snapshot was in force there were none, and the lanes are still those of the former traffic, which uses them. */
	if (supervisor->cluster != NULL)
		lanes_ended(supervisor, supervisor->first_lane, supervisor->threads);
}

/* Gives the place back to the former program. */
void upgrade_give_up(struct supervisor *supervisor, const char *why)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	log_write(LOG_ERROR, "upgrade: noah %s does not come up (%.*s): noah %s takes over again", NOAH_VERSION,
	          (int)strcspn(why, "\n"), why, upgrade->former_version);
	kill_own_children(supervisor);
	struct handover *handover = gather(supervisor);
	if (handover != NULL) {
		snprintf(handover->failure, sizeof handover->failure, "%s", why);
		snprintf(handover->version, sizeof handover->version, "%s", upgrade->former_version);
		snprintf(handover->program, sizeof handover->program, "%s", upgrade->former_program);
		handover->former_program[0] = '\0';
		handover->snapshot = upgrade->former_snapshot;
		handover->guard = upgrade->former_guard;
		handover->generation = upgrade->former_generation;
		handover->threads = upgrade->former_threads;
		handover->first_lane = upgrade->former_first_lane;
		handover->retired_count = 0;
		for (unsigned i = 0; i < RETIRED_MOST; i++) {
			const struct retired *retired = &supervisor->retired[i];
			if (retired->child.pid != 0 && retired->retired_wall_us == 0)
				handover->children[PROCESS_TRAFFIC] = retired->child;
			else if (retired->child.pid != 0)
				handover->retired[handover->retired_count++] = *retired;
		}
		execute(supervisor, handover, upgrade->former_descriptor, upgrade->former_program);
	}
	/* Then at least this one tries on: the former traffic still serves. */
	log_write(LOG_ERROR, "upgrade: the former program cannot be executed: %m");
	free(handover);
	upgrade->deadline_us = UINT64_MAX;
	upgrade->crashes = 0;
}

/* The new program's processes work: the former traffic has done its part. */
static void begin_to_end(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	retired_begin(supervisor);
	listeners_close_unwanted(supervisor);
	if (upgrade->former_descriptor >= 0)
		close(upgrade->former_descriptor);
	close(upgrade->former_snapshot);
	if (upgrade->former_guard >= 0 && (supervisor->guard == NULL || upgrade->former_guard != guard_descriptor(supervisor->guard)))
		close(upgrade->former_guard); /* of another layout */
	upgrade->stage = UPGRADE_ENDS;
	upgrade->deadline_us = clock_monotonic_us() + UPGRADE_ENDS_MS * UINT64_C(1000);
}

static void finish(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	char text[512];
	uint64_t open = 0;
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		if (supervisor->retired[i].child.pid != 0)
			open += retired_open(supervisor, &supervisor->retired[i]);
	snprintf(text, sizeof text, "noah %s serves now; %ju connections of noah %s go on until they end\n", NOAH_VERSION,
	         (uintmax_t)open, upgrade->former_version);
	log_write(LOG_NOTICE, "upgrade: %.*s", (int)strlen(text) - 1, text);
	*upgrade = (struct upgrade){.output = -1, .former_descriptor = -1};
	notify_send("READY=1");
	control_answer_waiting(supervisor, CLIENT_WAITS_UPGRADE, true, text);
}

static void look_at_start(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	if (children_are_ready(supervisor))
		begin_to_end(supervisor);
	else if (upgrade->crashes >= UPGRADE_CRASHES_MOST)
		upgrade_give_up(supervisor, "its processes die");
	else if (clock_monotonic_us() >= upgrade->deadline_us)
		upgrade_give_up(supervisor, "its processes do not begin to work");
}

void upgrade_advance(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	if (upgrade->stage == UPGRADE_CHECKS)
		look_at_checker(supervisor);
	if (upgrade->stage == UPGRADE_READY && answers_are_sent(supervisor))
		hand_over(supervisor);
	if (upgrade->stage == UPGRADE_STARTS)
		look_at_start(supervisor);
	if (upgrade->stage == UPGRADE_ENDS && (retired_accept_no_more(supervisor) || clock_monotonic_us() >= upgrade->deadline_us))
		finish(supervisor);
}

void upgrade_stop(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	if (upgrade->stage == UPGRADE_NONE)
		return;
	if (upgrade->stage == UPGRADE_CHECKS) {
		kill(upgrade->checker, SIGKILL);
		while (waitpid(upgrade->checker, NULL, 0) < 0 && errno == EINTR)
			; /* it is dead in a moment */
		if (upgrade->output >= 0)
			close(upgrade->output);
	}
	log_write(LOG_NOTICE, "upgrade: given up, noah %s is stopping", NOAH_VERSION);
	*upgrade = (struct upgrade){.output = -1, .former_descriptor = -1};
	control_answer_waiting(supervisor, CLIENT_WAITS_UPGRADE, false, "noah is stopping\n");
}
