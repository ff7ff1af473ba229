// SPDX-License-Identifier: MIT
/*
 * A network without any privilege: the program passt opens sockets for the connections
 * of the guest. Frames pass over a UNIX socket, each behind its size as four bytes, the
 * most significant first. passt serves one connection, and reads no other frame while
 * one is torn: what was begun is ended before anything else is sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/events.h"
#include "common/say.h"
#include "net/port.h"

#define PREFIX		4U
#define MOST		65535U		/* bytes of a frame that passt takes or gives */
#define PIECES	258U		/* of a frame that is sent: a chain's, and the size */
#define NOBODY		65534		/* whom passt becomes where root starts it */
#define TICK		20		/* ms between two tries to connect */
#define PATIENCE	250		/* tries until passt is given up */
#define PAUSE		1000		/* ms until it is started again after it has failed */

/*
 * struct passt - passt, and what was heard and said
 * @socket: the connection, or none (-1)
 * @child: a pidfd, or none (-1)
 * @timer: for the next step of starting it
 * @pid: of the child
 * @tries: to connect
 * @served: it was connected since it was started
 * @told: that it cannot be started
 * @wanted: the card takes frames
 * @full: a send was refused
 * @in, @in_from, @in_to: what was received and not yet taken
 * @out, @out_from, @out_to: the rest of a frame that was begun
 */
struct passt {
	struct net_port port;
	struct event socket;
	struct event child;
	struct event timer;
	pid_t pid;
	unsigned int tries;
	bool served;
	bool told;
	bool wanted;
	bool full;
	uint16_t mtu;
	struct sockaddr_un address;
	size_t in_from, in_to;
	size_t out_from, out_to;
	uint8_t in[2 * (PREFIX + MOST)];
	uint8_t out[PREFIX + MOST];
};

static struct passt *passt_of(struct net_port *port)
{
	return (struct passt *)port;
}

/* ---- The program ---- */

static void run_program(struct passt *passt, int parent, int failed)
{
	char mtu[8];
	/* --one-off: it is to end with us, and drops the death signal with its rights. */
	char *const arguments[] = {
		"passt", "--foreground", "--quiet", "--one-off",
		"--socket", passt->address.sun_path, passt->mtu ? "--mtu" : NULL, mtu, NULL,
	};
	sigset_t none;
	int null, err;

	snprintf(mtu, sizeof(mtu), "%u", passt->mtu);
	/* What the terminal's keys mean for us is not for passt. */
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	null = open("/dev/null", O_RDWR);
	dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execvp(arguments[0], arguments);
	err = errno;
	if (write(failed, &err, sizeof(err)) != sizeof(err))
		_exit(2);
	_exit(1);
}

static void reap(struct passt *passt, siginfo_t *how)
{
	*how = (siginfo_t){ 0 };
	if (passt->child.fd >= 0) {
		events_remove(passt->port.events, &passt->child);
		close(passt->child.fd);
		passt->child.fd = -1;
	}
	while (waitid(P_PID, passt->pid, how, WEXITED) && errno == EINTR)
		;
	passt->pid = 0;
}

static void end_program(struct passt *passt)
{
	siginfo_t how;

	if (!passt->pid)
		return;
	kill(passt->pid, SIGKILL);
	reap(passt, &how);
	unlink(passt->address.sun_path);
}

/* 0 or -errno, of passt's own start as well. */
static int start_program(struct passt *passt)
{
	pid_t parent = getpid();
	int failed[2], err = 0;

	unlink(passt->address.sun_path);
	if (pipe2(failed, O_CLOEXEC))
		return -errno;
	passt->pid = fork();
	if (!passt->pid)
		run_program(passt, parent, failed[1]);
	if (passt->pid < 0)
		err = errno;
	close(failed[1]);
	/* Ends when the program begins. */
	while (passt->pid > 0 && read(failed[0], &err, sizeof(err)) < 0 && errno == EINTR)
		;
	close(failed[0]);
	if (passt->pid < 0) {
		passt->pid = 0;
		return -err;
	}
	if (!err) {
		passt->child.fd = syscall(SYS_pidfd_open, passt->pid, 0);
		if (passt->child.fd < 0)
			err = errno;
		else
			err = -events_add(passt->port.events, &passt->child, EPOLLIN);
	}
	if (err)
		end_program(passt);
	passt->tries = 0;
	passt->served = false;
	return -err;
}

/* ---- The connection ---- */

static void wait_for(struct passt *passt)
{
	bool out = passt->full || passt->out_from < passt->out_to;

	if (passt->socket.fd >= 0)
		events_change(passt->port.events, &passt->socket,
			      (passt->wanted ? EPOLLIN : 0) | (out ? EPOLLOUT : 0));
}

/* 0 or -errno: passt may not be there yet. */
static int try_to_connect(struct passt *passt)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&passt->address, sizeof(passt->address)))
		err = errno;
	if (!err) {
		passt->socket.fd = fd;
		err = -events_add(passt->port.events, &passt->socket, 0);
	}
	if (err) {
		passt->socket.fd = -1;
		close(fd);
		return -err;
	}
	passt->in_from = 0;
	passt->in_to = 0;
	passt->out_from = 0;
	passt->out_to = 0;
	passt->served = true;
	passt->port.up = true;
	wait_for(passt);
	return 0;
}

static void set_timer(struct passt *passt, unsigned int ms)
{
	const struct itimerspec when = {
		.it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L },
	};

	timerfd_settime(passt->timer.fd, 0, &when, NULL);
}

static void disconnect(struct passt *passt)
{
	if (passt->socket.fd < 0)
		return;
	events_remove(passt->port.events, &passt->socket);
	close(passt->socket.fd);
	passt->socket.fd = -1;
	passt->port.up = false;
	passt->full = false;
}

/* Frames are lost until it is there again; the queue goes on. */
static void begin_again(struct passt *passt, unsigned int pause)
{
	bool was_up = passt->port.up;

	disconnect(passt);
	end_program(passt);
	set_timer(passt, pause);
	if (was_up) {
		passt->port.card->link(passt->port.card);
		passt->port.card->ready(passt->port.card);
	}
}

static void next_step(struct passt *passt)
{
	int ret;

	if (!passt->pid) {
		ret = start_program(passt);
		if (!ret) {
			set_timer(passt, TICK);
			return;
		}
		if (!passt->told)
			say("passt: it can't be started again: %s: there is no network till then",
			    strerror(-ret));
		passt->told = true;
		set_timer(passt, PAUSE);
		return;
	}
	if (!try_to_connect(passt)) {
		passt->told = false;
		say("passt: it was started again: the guest's connections are lost");
		passt->port.card->link(passt->port.card);
	} else if (++passt->tries < PATIENCE) {
		set_timer(passt, TICK);
	} else {
		begin_again(passt, PAUSE);
	}
}

static void timed(struct event *event, uint32_t ready)
{
	struct passt *passt = event->data;
	uint64_t times;

	(void)ready;
	if (read(event->fd, &times, sizeof(times)) == sizeof(times) && passt->socket.fd < 0)
		next_step(passt);
}

/* passt has died, or does not speak to us any more. */
static void lose(struct passt *passt)
{
	unsigned int pause = passt->served ? TICK : PAUSE;
	siginfo_t how;

	kill(passt->pid, SIGKILL);
	reap(passt, &how);
	if (!passt->told)
		say("passt: it has ended (%s %d): it is started again",
		    how.si_code == CLD_EXITED ? "status" : "signal", how.si_status);
	passt->told = !passt->served;
	begin_again(passt, pause);
}

static void child_ended(struct event *event, uint32_t ready)
{
	(void)ready;
	lose(event->data);
}

/* ---- Frames ---- */

/* 0: nothing is left of the frame that was begun; or -EAGAIN, or another error. */
static int flush(struct passt *passt)
{
	while (passt->out_from < passt->out_to) {
		ssize_t sent = send(passt->socket.fd, passt->out + passt->out_from,
				    passt->out_to - passt->out_from,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		passt->out_from += sent;
	}
	return 0;
}

static int refuse(struct passt *passt)
{
	passt->full = true;
	wait_for(passt);
	return -EAGAIN;
}

/* Keep what was not sent of these pieces. */
static void keep_rest(struct passt *passt, const struct iovec *iov, unsigned int nr,
		      size_t sent)
{
	passt->out_from = 0;
	passt->out_to = 0;
	for (; nr; nr--, iov++) {
		size_t skip = sent < iov->iov_len ? sent : iov->iov_len;

		memcpy(passt->out + passt->out_to, (char *)iov->iov_base + skip,
		       iov->iov_len - skip);
		passt->out_to += iov->iov_len - skip;
		sent -= skip;
	}
	if (passt->out_to)
		wait_for(passt);
}

static int send_frame(struct net_port *port, const struct iovec *iov, unsigned int nr,
		      size_t size)
{
	struct passt *passt = passt_of(port);
	uint32_t prefix = htonl(size - NET_HEADER);
	struct iovec pieces[PIECES] = { { .iov_base = &prefix, .iov_len = PREFIX } };
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 1 };
	size_t skip = NET_HEADER;
	ssize_t sent;

	if (passt->socket.fd < 0 || size - NET_HEADER > MOST || nr >= PIECES)
		return 0;
	if (flush(passt) == -EAGAIN)
		return refuse(passt);
	for (; nr; nr--, iov++) {
		size_t part = skip < iov->iov_len ? skip : iov->iov_len;

		pieces[message.msg_iovlen++] = (struct iovec){
			.iov_base = (char *)iov->iov_base + part,
			.iov_len = iov->iov_len - part,
		};
		skip -= part;
	}
	sent = sendmsg(passt->socket.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)	/* another error is the connection's end, which is told apart */
		return errno == EAGAIN ? refuse(passt) : 0;
	keep_rest(passt, pieces, message.msg_iovlen, sent);
	return 0;
}

/* The size of the frame at the front of what was received; false: its beginning is torn. */
static bool front(const struct passt *passt, uint32_t *size)
{
	if (passt->in_to - passt->in_from < PREFIX)
		return false;
	memcpy(size, passt->in + passt->in_from, PREFIX);
	*size = ntohl(*size);
	return true;
}

static bool makes_sense(const struct passt *passt)
{
	uint32_t size;

	return !front(passt, &size) || (size >= NET_FRAME_LEAST && size <= MOST);
}

static size_t receive(struct net_port *port, void *buffer)
{
	struct passt *passt = passt_of(port);
	uint32_t size;

	if (!front(passt, &size) || !makes_sense(passt) ||
	    passt->in_to - passt->in_from < PREFIX + size)
		return 0;
	memset(buffer, 0, NET_HEADER);
	memcpy((uint8_t *)buffer + NET_HEADER, passt->in + passt->in_from + PREFIX, size);
	passt->in_from += PREFIX + size;
	return NET_HEADER + size;
}

/*
 * There is always room for more: the card takes all whole frames, or wants none. Returns
 * false where the connection has ended, or makes no sense.
 */
static bool hear(struct passt *passt)
{
	ssize_t got;

	memmove(passt->in, passt->in + passt->in_from, passt->in_to - passt->in_from);
	passt->in_to -= passt->in_from;
	passt->in_from = 0;
	got = recv(passt->socket.fd, passt->in + passt->in_to,
		   sizeof(passt->in) - passt->in_to, MSG_DONTWAIT);
	if (got <= 0)
		return got && (errno == EAGAIN || errno == EINTR);
	passt->in_to += got;
	passt->port.card->frames(passt->port.card);
	return makes_sense(passt);
}

static void talk(struct event *event, uint32_t ready)
{
	struct passt *passt = event->data;

	if (ready & EPOLLIN && passt->wanted ? !hear(passt) :
	    ready & (EPOLLHUP | EPOLLERR)) {
		lose(passt);
		return;
	}
	if (!(ready & EPOLLOUT) || flush(passt) == -EAGAIN)
		return;
	if (passt->full) {
		passt->full = false;
		passt->port.card->ready(passt->port.card);
	}
	wait_for(passt);
}

static void want(struct net_port *port, bool frames)
{
	struct passt *passt = passt_of(port);

	if (passt->wanted == frames)
		return;
	passt->wanted = frames;
	wait_for(passt);
}

static int offload(struct net_port *port, uint64_t features)
{
	(void)port;
	(void)features;
	return 0;
}

/* ---- Its beginning and end ---- */

static void close_passt(struct net_port *port)
{
	struct passt *passt = passt_of(port);

	disconnect(passt);
	end_program(passt);
	if (passt->timer.fd >= 0) {
		events_remove(port->events, &passt->timer);
		close(passt->timer.fd);
	}
	if (*passt->address.sun_path) {
		*strrchr(passt->address.sun_path, '/') = '\0';
		rmdir(passt->address.sun_path);
	}
	free(passt);
}

static const struct net_port_ops ops = {
	.send = send_frame, .receive = receive, .want = want, .offload = offload,
	.close = close_passt,
};

static int fail(char *why, int err, const char *what)
{
	snprintf(why, NET_WHY, "passt: %s: %s", what, strerror(err));
	return -1;
}

/* A directory of our own, for the socket; of root's it becomes that of passt's user. */
static int make_directory(struct passt *passt, char *why)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char *path = passt->address.sun_path;
	const size_t room = sizeof(passt->address.sun_path) - sizeof("/socket");

	passt->address.sun_family = AF_UNIX;
	if (!run || *run != '/' ||
	    snprintf(path, room, "%s/gmem-passt-XXXXXX", run) >= (int)room)
		strcpy(path, "/tmp/gmem-passt-XXXXXX");
	if (!mkdtemp(path)) {
		*path = '\0';
		return fail(why, errno, "making a directory for its socket");
	}
	if (!geteuid() && chown(path, NOBODY, NOBODY)) {
		int err = errno;

		rmdir(path);
		*path = '\0';
		return fail(why, err, "giving its directory to the user nobody");
	}
	strcat(path, "/socket");
	return 0;
}

static int wait_until_connected(struct passt *passt, char *why)
{
	struct pollfd ended = { .fd = passt->child.fd, .events = POLLIN };
	unsigned int tries;
	siginfo_t how;
	int ret = 0;

	for (tries = 0; tries < PATIENCE; tries++) {
		ret = try_to_connect(passt);
		if (!ret)
			return 0;
		if (poll(&ended, 1, TICK) > 0) {
			reap(passt, &how);
			snprintf(why, NET_WHY, "passt: it has ended at once (%s %d)\n"
				 "      what it says stands above; the host needs an address "
				 "and a default route", how.si_code == CLD_EXITED ?
				 "status" : "signal", how.si_status);
			return -1;
		}
	}
	return fail(why, -ret, "it does not answer at its socket");
}

static int open_timer(struct passt *passt)
{
	passt->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (passt->timer.fd < 0)
		return -errno;
	return events_add(passt->port.events, &passt->timer, EPOLLIN);
}

static int begin(struct passt *passt, char *why)
{
	int ret = open_timer(passt);

	if (ret)
		return fail(why, -ret, "making a timer");
	if (make_directory(passt, why))
		return -1;
	ret = start_program(passt);
	if (ret == -ENOENT) {
		snprintf(why, NET_WHY, "passt: there is no such program\n"
			 "      as root: apt install passt; or use --net tap=NAME");
		return -1;
	}
	if (ret)
		return fail(why, -ret, "starting it");
	return wait_until_connected(passt, why);
}

struct net_port *passt_open(struct events *events, uint16_t mtu, char *why)
{
	struct passt *passt = calloc(1, sizeof(*passt));

	if (!passt) {
		fail(why, ENOMEM, "starting it");
		return NULL;
	}
	passt->port = (struct net_port){ .ops = &ops, .events = events };
	passt->mtu = mtu;
	passt->socket = (struct event){ .fd = -1, .ready = talk, .data = passt };
	passt->child = (struct event){ .fd = -1, .ready = child_ended, .data = passt };
	passt->timer = (struct event){ .fd = -1, .ready = timed, .data = passt };
	if (!begin(passt, why))
		return &passt->port;
	close_passt(&passt->port);
	return NULL;
}
