/* SPDX-License-Identifier: BSD-2-Clause
 *
 * privileges: the one place where a process becomes unprivileged. The supervisor looks the user up; every child drops to it
 * before it reads its first message.
 */
#include "process/process_private.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* There when the program is built with a sanitizer that must trace its own process at the end. */
extern void __lsan_do_leak_check(void) __attribute__((weak));

bool privileges_find(const char *user, struct process_identity *identity)
{
	*identity = (struct process_identity){.drop = false, .uid = getuid(), .gid = getgid()};
	if (geteuid() != 0) {
		log_write(LOG_NOTICE, "not started as root: everything runs as the present user; ports below 1024 may be refused");
		return true;
	}
	errno = 0;
	const struct passwd *entry = getpwnam(user);
	if (entry == NULL) {
		if (errno != 0 && errno != ENOENT)
			log_write(LOG_ERROR, "cannot look up the user \"%s\": %m", user);
		else
			log_write(LOG_ERROR,
			          "there is no user \"%s\" for the unprivileged processes: make it with \"adduser --system --group "
			          "--no-create-home %s\", or name another with --user",
			          user, user);
		return false;
	}
	if (entry->pw_uid == 0) {
		log_write(LOG_ERROR, "the unprivileged processes cannot run as root: name another user with --user");
		return false;
	}
	identity->drop = true;
	identity->uid = entry->pw_uid;
	identity->gid = entry->pw_gid;
	return true;
}

void privileges_raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			log_write(LOG_WARNING, "cannot raise the limit of open files to %ju: %m", (uintmax_t)limit.rlim_max);
	}
}

static _Noreturn void refused(const char *what)
{
	log_write(LOG_ERROR, "cannot drop privileges, %s: %m", what);
	exit(1);
}

void privileges_drop(const struct process_identity *identity)
{
	if (chdir("/") != 0)
		refused("chdir");
	if (identity->drop) {
		if (setgroups(0, NULL) != 0)
			refused("setgroups");
		if (setresgid(identity->gid, identity->gid, identity->gid) != 0)
			refused("setresgid");
		/* From user 0 to another one: the kernel clears all capability sets but the bounding set, which no_new_privs makes
		 * useless. */
		if (setresuid(identity->uid, identity->uid, identity->uid) != 0)
			refused("setresuid");
		ASSERT(geteuid() == identity->uid && setuid(0) != 0);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		refused("no_new_privs");
	/* Users' password hashes and the account's password are in memory: no core file, no tracing by others of the same user. */
	if (prctl(PR_SET_DUMPABLE, __lsan_do_leak_check != NULL ? 1 : 0, 0, 0, 0) != 0)
		refused("dumpable");
	/* After setresuid, which clears it. A supervisor that died before this is noticed as the end of the channel. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		refused("pdeathsig");
}
