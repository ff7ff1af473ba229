// SPDX-License-Identifier: MIT
/* Carrying handover messages, and their descriptors, over a unix socket. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <gmem.h>

#include "handover/socket.h"
#include "handover/wire.h"

/* ---- Connections ---- */

/*
 * Makes the kernel say which process sent a message: SO_PEERCRED names the process that called
 * listen(2), which need not be the one that accepted. Linux before 6.5 has no SO_PASSPIDFD: there,
 * use the process number.
 */
static int ask_for_senders(int fd)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) &&
	    errno != ENOPROTOOPT)
		return -errno;
	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ? -errno : 0;
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
	int fd, ret;

	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(address->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = ask_for_senders(fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int gmem_listen(const char *path)
{
	struct sockaddr_un address;
	int fd = unix_socket(path, &address);
	int err;

	if (fd < 0)
		return fd;
	/* Linux creates the file with the socket's own mode, so that no chmod comes too late. */
	if (!fchmod(fd, 0600) &&
	    !bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		if (!listen(fd, 4))
			return fd;
		err = -errno;
		unlink(path);
	} else {
		err = -errno;
	}
	close(fd);
	return err;
}

/* A view is full authority over the guest: accept only the same user, or root. */
static int check_peer(int fd)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size))
		return -errno;
	return cred.uid == geteuid() || cred.uid == 0 ? 0 : -EPERM;
}

int gmem_accept(int listener)
{
	int fd, ret;

	do {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	ret = check_peer(fd);
	/* Another program may have made the listener. */
	if (!ret)
		ret = ask_for_senders(fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int gmem_connect(const char *path)
{
	struct sockaddr_un address;
	int fd = unix_socket(path, &address);
	int ret;

	if (fd < 0)
		return fd;
	ret = connect(fd, (struct sockaddr *)&address, sizeof(address)) ?
	      -errno : check_peer(fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* ---- Time ---- */

#define NEVER	INT64_MAX

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

int64_t gmem_deadline_after(int timeout)
{
	return timeout < 0 ? NEVER : now() + timeout;
}

int gmem_wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd wait = { .fd = fd, .events = events };
	int64_t left;
	int ret;

	do {
		left = -1;
		if (deadline != NEVER) {
			left = deadline - now();
			if (left < 0)
				left = 0;
		}
		ret = poll(&wait, 1, left);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return ret ? 0 : -ETIMEDOUT;
}

static bool again(ssize_t result)
{
	return result < 0 && (errno == EINTR || errno == EAGAIN);
}

/* ---- Sending ---- */

static ssize_t send_some(int socket, const char *bytes, size_t size,
			 const int *fds, uint32_t nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(GMEM_MAX_FDS * sizeof(int))];
	} control;
	struct iovec content = { (void *)bytes, size };
	struct msghdr header = { .msg_iov = &content, .msg_iovlen = 1 };

	if (nr_fds) {
		size_t length = nr_fds * sizeof(int);
		struct cmsghdr *rights;

		memset(&control, 0, sizeof(control));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(length);
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(length);
		memcpy(CMSG_DATA(rights), fds, length);
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t gmem_send_bytes(int socket, const void *bytes, size_t size,
			const int *fds, uint32_t nr_fds, int timeout)
{
	int64_t deadline = gmem_deadline_after(timeout);
	size_t sent = 0;
	ssize_t ret;

	while (sent < size) {
		ret = gmem_wait_for(socket, POLLOUT, deadline);
		if (ret)
			return ret;
		/* The descriptors go with the first byte, once. */
		ret = send_some(socket, (const char *)bytes + sent, size - sent,
				fds, sent ? 0 : nr_fds);
		if (again(ret))
			continue;
		if (ret < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		sent += ret;
	}
	return size;
}

ssize_t gmem_send(int socket, const struct gmem_message *message, int timeout)
{
	void *bytes;
	ssize_t ret, size;

	if (message->kind == GMEM_MESSAGE_SNAPSHOT)
		return -EINVAL;
	size = gmem_message_encode(message, &bytes);
	if (size < 0)
		return size;
	ret = gmem_send_bytes(socket, bytes, size, message->fds, message->nr_fds,
			      timeout);
	free(bytes);
	return ret;
}

/* ---- Receiving ---- */

void gmem_close_arrived(struct gmem_arrived *arrived)
{
	while (arrived->count)
		close(arrived->fds[--arrived->count]);
}

/* The sender is known since the peer was opened. */
static void drop_pidfd(struct cmsghdr *part)
{
	int pidfd;

	memcpy(&pidfd, CMSG_DATA(part), sizeof(pidfd));
	if (pidfd >= 0)
		close(pidfd);
}

static void collect(struct gmem_arrived *arrived, struct msghdr *header)
{
	struct cmsghdr *part;

	for (part = CMSG_FIRSTHDR(header); part;
	     part = CMSG_NXTHDR(header, part)) {
		size_t i, count;

		if (part->cmsg_level != SOL_SOCKET)
			continue;
		if (part->cmsg_type == SCM_PIDFD)
			drop_pidfd(part);
		if (part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd),
			       sizeof(fd));
			if (arrived->count < GMEM_MAX_ARRIVED) {
				arrived->fds[arrived->count++] = fd;
			} else {
				close(fd);
				arrived->cut = true;
			}
		}
	}
	if (header->msg_flags & MSG_CTRUNC)
		arrived->cut = true;
}

static ssize_t receive_some(int socket, char *bytes, size_t size,
			    struct gmem_arrived *arrived)
{
	union {
		struct cmsghdr align;
		char space[GMEM_CONTROL_SPACE];
	} control;
	struct iovec content = { bytes, size };
	struct msghdr header = {
		.msg_iov = &content, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(socket, &header,
			      MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (got >= 0)
		collect(arrived, &header);
	return got;
}

ssize_t gmem_receive_bytes(int socket, void *bytes, size_t size,
			   struct gmem_arrived *arrived, int64_t deadline)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = gmem_wait_for(socket, POLLIN, deadline);

		if (got)
			return got;
		got = receive_some(socket, (char *)bytes + done, size - done, arrived);
		if (again(got))
			continue;
		/* The peer has closed without reading everything: that is an end, too. */
		if (got == 0 || (got < 0 && errno == ECONNRESET))
			break;
		if (got < 0)
			return -errno;
		done += got;
	}
	return done;
}

/* Shared memory that can shrink causes a SIGBUS in the process that runs the guest. */
static bool good_shared(int fd, const struct gmem_slot *slot)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat stat;

	return seals >= 0 && (seals & F_SEAL_SHRINK) && !fstat(fd, &stat) &&
	       slot->shared_offset + slot->size <= (uint64_t)stat.st_size;
}

static bool good_private(int fd, const struct gmem_slot *slot)
{
	struct gmem_facts facts;

	return !gmem_memfd_facts(0, fd, &facts) &&
	       slot->private_offset + slot->size <= facts.size;
}

static int check_fds(const struct gmem_message *message,
		     const struct gmem_arrived *arrived)
{
	uint32_t i;

	if (arrived->cut)
		return arrived->count < message->nr_fds ? -EMFILE : -EPROTO;
	if (arrived->count != message->nr_fds)
		return -EPROTO;
	for (i = 0; i < message->nr_slots; i++) {
		const struct gmem_slot *slot = &message->slots[i];

		if (slot->private_fd >= 0 &&
		    !good_private(arrived->fds[slot->private_fd], slot))
			return -EBADF;
		if (slot->shared_fd >= 0 &&
		    !good_shared(arrived->fds[slot->shared_fd], slot))
			return -EBADF;
	}
	return 0;
}

/* Is the header valid enough to allocate memory for the message? */
static int check_header(const struct wire_header *header)
{
	if (header->magic != GMEM_WIRE_MAGIC ||
	    header->length > GMEM_MAX_MESSAGE - sizeof(*header))
		return -EBADMSG;
	return header->version == GMEM_WIRE_VERSION ? 0 : -EPROTONOSUPPORT;
}

/* Header and sections, in one buffer that the caller frees. 0: the end. */
static ssize_t receive_bytes(int socket, char **bytes,
			     struct gmem_arrived *arrived, int64_t deadline)
{
	struct wire_header header;
	ssize_t got;
	int ret;

	got = gmem_receive_bytes(socket, &header, sizeof(header), arrived,
				 deadline);
	if (got <= 0)
		return got;
	if (got < (ssize_t)sizeof(header))
		return -EBADMSG;
	ret = check_header(&header);
	if (ret)
		return ret;
	*bytes = malloc(sizeof(header) + header.length);
	if (!*bytes)
		return -ENOMEM;
	memcpy(*bytes, &header, sizeof(header));
	got = gmem_receive_bytes(socket, *bytes + sizeof(header), header.length,
				 arrived, deadline);
	if (got < 0)
		return got;
	return got == header.length ? (ssize_t)sizeof(header) + got : -EBADMSG;
}

ssize_t gmem_receive(int socket, struct gmem_message *message, int timeout)
{
	struct gmem_arrived arrived = { .count = 0 };
	char *bytes = NULL;
	ssize_t size;
	int ret;

	*message = (struct gmem_message){ 0 };
	size = receive_bytes(socket, &bytes, &arrived,
			     gmem_deadline_after(timeout));
	ret = size > 0 ? gmem_message_decode(message, bytes, size) : (int)size;
	free(bytes);
	if (!ret && size > 0) {
		ret = message->kind == GMEM_MESSAGE_SNAPSHOT ? -EPROTO :
			check_fds(message, &arrived);
		if (ret)
			gmem_message_free(message);
	}
	if (ret || !size) {
		gmem_close_arrived(&arrived);
		return ret;
	}
	memcpy(message->fds, arrived.fds, message->nr_fds * sizeof(int));
	return size;
}
