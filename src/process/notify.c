/* SPDX-License-Identifier: BSD-2-Clause
 *
 * notify: tells systemd (Type=notify) that noah is ready, reloads or stops: sd_notify(3)'s protocol, one datagram. In the
 * supervisor.
 */
#include "process/supervisor_private.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path)
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (path[0] == '@') /* an abstract address starts with a zero byte */
		to.sun_path[0] = '\0';
	int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (sendto(descriptor, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0)
		log_write(LOG_WARNING, "cannot tell systemd \"%s\": %m", text);
	close(descriptor);
}
