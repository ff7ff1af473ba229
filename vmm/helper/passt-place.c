// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "helper/passt-place.h"

/* Debian's AppArmor profile of passt lets it make its socket there. */
#define TEMPLATE	"/tmp/gmem-passt-XXXXXX"
#define FOLDER		"/own"		/* passt's, which may be another user's */
#define LONGEST		64

static const char *folder_of(const struct passt_place *place, char *path)
{
	snprintf(path, LONGEST, "%s" FOLDER, place->dir);
	return path;
}

static const char *path_of(const struct passt_place *place, char *path)
{
	snprintf(path, LONGEST, "%s" FOLDER "/" PASST_NAME, place->dir);
	return path;
}

static void remove_paths(struct passt_place *place)
{
	char path[LONGEST];

	if (!*place->dir)
		return;
	unlink(path_of(place, path));
	rmdir(folder_of(place, path));
	rmdir(place->dir);
	*place->dir = '\0';
}

int passt_place_make(struct passt_place *place)
{
	char path[LONGEST];
	int ret;

	snprintf(place->dir, sizeof(place->dir), TEMPLATE);
	if (!mkdtemp(place->dir)) {
		ret = -errno;
		*place->dir = '\0';
		return ret;
	}
	if (!mkdir(folder_of(place, path), 0700)) {
		/* -EINVAL: there is no such user here. passt stays what we are. */
		if (geteuid() || !chown(path, PASST_NOBODY, PASST_NOBODY) || errno == EINVAL)
			return 0;
	}
	ret = -errno;
	remove_paths(place);
	return ret;
}

int passt_place_enter(const struct passt_place *place)
{
	char path[LONGEST];

	return chdir(folder_of(place, path)) ? -errno : 0;
}

/* passt may be another user, and must not have us connect elsewhere by a link in its folder. */
static int find(struct passt_place *place)
{
	char path[LONGEST];
	struct stat st;
	int ret = 0;

	if (place->socket >= 0)
		return 0;
	if (!*place->dir)
		return -ENOENT;
	place->socket = open(path_of(place, path), O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place->socket < 0)
		return -errno;
	if (fstat(place->socket, &st))
		ret = -errno;
	else if (!S_ISSOCK(st.st_mode))
		ret = -ENOTSOCK;
	if (ret)
		close_fd(&place->socket);
	return ret;
}

/* Without /proc nothing but its path leads to it, which stays then until passt ends. */
static int connect_to(struct passt_place *place, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place->socket);
	if (access(address.sun_path, F_OK) && *place->dir)
		path_of(place, address.sun_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	if (!strncmp(address.sun_path, "/proc/", 6))
		remove_paths(place);
	return fcntl(fd, F_SETFL, 0) ? -errno : 0;
}

int passt_place_connect(struct passt_place *place)
{
	int ret = find(place), fd;

	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = connect_to(place, fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

void passt_place_drop(struct passt_place *place)
{
	remove_paths(place);
	close_fd(&place->socket);
}
