/* SPDX-License-Identifier: BSD-2-Clause
 *
 * secret: reads the password files that a cluster file names. Runs in the supervisor (root) and in `noah check`.
 *
 * A password that everybody on the machine can read is refused, with the mend: a warning would be overlooked for years.
 */
#include "cluster/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is wrong with the opened file; NULL when nothing is. */
static const char *find_file_fault(int descriptor)
{
	struct stat status;
	if (fstat(descriptor, &status) != 0)
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "is not a plain file";
	if ((status.st_mode & S_IROTH) != 0)
		return "can be read by everybody";
	if ((status.st_mode & S_IWOTH) != 0)
		return "can be written by everybody";
	return NULL;
}

/* The first line; one line feed at the end (and the carriage return of an editor before it) does not belong to the password. */
static const char *take_password(char *text, size_t size, char *password, size_t room)
{
	if (size > 0 && text[size - 1] == '\n')
		size--;
	if (size > 0 && text[size - 1] == '\r')
		size--;
	if (size == 0)
		return "is empty; write the password of noah's account into it";
	if (size >= room)
		return "is longer than 255 bytes; only the password stands in it";
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\0' || text[i] == '\n')
			return "has more than one line; only the password stands in it";
	memcpy(password, text, size);
	password[size] = '\0';
	return NULL;
}

static void load_secret(struct load *load, struct cluster_database *database)
{
	const char *const *parts = AT("databases", database->name, "account", "password_file");
	const char *file = database->password_file;
	/* O_NONBLOCK: a pipe under that name must not hold the supervisor */
	int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (descriptor < 0) {
		load_report_at(load, parts, "%s cannot be read: %s", file, strerror(errno));
		return;
	}
	const char *fault = find_file_fault(descriptor);
	if (fault != NULL) {
		load_report_at(load, parts, "%s %s; mend it with `chmod 640 %s`", file, fault, file);
		close(descriptor);
		return;
	}
	char text[sizeof(database->password) + 2]; /* one byte more than fits, behind a carriage return and line feed */
	ssize_t size = read(descriptor, text, sizeof(text));
	fault = size < 0 ? strerror(errno) : take_password(text, (size_t)size, database->password, sizeof(database->password));
	if (fault != NULL)
		load_report_at(load, parts, "%s %s", file, fault);
	explicit_bzero(text, sizeof(text));
	close(descriptor);
}

void load_secrets(struct load *load)
{
	for (uint32_t i = 0; i < load->cluster->database_count; i++)
		if (load->cluster->databases[i].password_file[0] != '\0')
			load_secret(load, &load->cluster->databases[i]);
}
