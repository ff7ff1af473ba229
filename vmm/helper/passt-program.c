// SPDX-License-Identifier: MIT
/*
 * The program passt, which opens sockets for the connections of a guest, and serves one
 * connection itself, an end of a socket pair that it is started with: no path leads to it.
 * It is started again whenever it has ended. The other end is the VMM's, and so are all
 * words on it but the first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/fd-message.h"
#include "common/say.h"
#include "helper/parts.h"
#include "helper/wire.h"

#define NOBODY		65534		/* whom passt becomes where root starts it */
#define TICK		20		/* ms between two looks whether it is ready */
#define PATIENCE	250		/* looks until passt is given up */
#define PAUSE		1000		/* ms until it is started again after it has failed */
#define LOG		"/proc/self/fd/0"	/* what it finds open in any version */

/*
 * struct passt_program - passt
 * @channel: to the VMM
 * @child: a pidfd, or none (-1)
 * @timer: for the next step of starting it
 * @log: what it writes into its log, or none (-1)
 * @line: of that, @used bytes
 * @pid: of the child, or 0
 * @socket: the VMM's end of its connection, until it is ready, or -1
 * @tries: to see it ready
 * @number: of the last connection that the VMM was given, from 1 on
 * @served: that is one of the program that runs now
 * @asked: the VMM has asked for its first start, which it does once
 * @told: the VMM knows that it cannot be started
 * @left: one less where this has ended
 */
struct passt_program {
	struct events *events;
	struct event channel;
	struct event child;
	struct event timer;
	struct event log;
	char line[512];
	size_t used;
	pid_t pid;
	int socket;
	unsigned int tries;
	uint32_t number;
	bool served;
	bool asked;
	bool told;
	uint16_t mtu;
	unsigned int *left;
};

/* ---- What the VMM is told ---- */

__attribute__((format(printf, 3, 4)))
static void tell(struct passt_program *passt, enum helper_kind kind, const char *format, ...)
{
	struct helper_message message = { .kind = kind, .number = passt->number };
	va_list args;

	va_start(args, format);
	vsnprintf(message.text, sizeof(message.text), format, args);
	va_end(args);
	/* A VMM that is gone hears nothing, and its channel tells; one that does not read is. */
	if (helper_send(passt->channel.fd, &message, NULL, 0))
		shutdown(passt->channel.fd, SHUT_RDWR);
}

/* Once, until it has been connected again. */
static void tell_failed(struct passt_program *passt, const char *what, int error)
{
	if (!passt->told)
		tell(passt, HELPER_PASST_FAILED, "%s: %s", what, strerror(error));
	passt->told = true;
}

static void set_timer(struct passt_program *passt, unsigned int ms)
{
	const struct itimerspec when = {
		.it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L },
	};

	timerfd_settime(passt->timer.fd, 0, &when, NULL);
}

/* ---- Its log ---- */

/*
 * Until it is ready, passt writes errors to stderr as well. Later it writes them to its log
 * alone, or to a system logger, which may not be there.
 */
static void tell_logged(struct passt_program *passt)
{
	char *text = strstr(passt->line, "ERROR:");

	if (!text)
		text = strstr(passt->line, "WARNING:");
	if (!text || !passt->served)
		return;
	make_printable(text);
	text += strcspn(text, ":") + 1;
	say("passt: %s", text + strspn(text, " "));
}

/* False: there is no more of it now. */
static bool read_log(struct passt_program *passt)
{
	char bytes[256];
	ssize_t got = read(passt->log.fd, bytes, sizeof(bytes)), i;

	for (i = 0; i < got; i++) {
		if (bytes[i] != '\n') {
			if (passt->used < sizeof(passt->line) - 1)
				passt->line[passt->used++] = bytes[i];
			continue;
		}
		passt->line[passt->used] = '\0';
		passt->used = 0;
		tell_logged(passt);
	}
	return got > 0;
}

static void close_log(struct passt_program *passt)
{
	if (passt->log.fd < 0)
		return;
	events_remove(passt->events, &passt->log);
	close(passt->log.fd);
	passt->log.fd = -1;
	passt->used = 0;
}

static void logged(struct event *event, uint32_t ready)
{
	if (!read_log(event->data) && ready & EPOLLHUP)
		close_log(event->data);
}

/* ---- The program ---- */

/* passt says so much of a root who does not choose: what it does then is chosen. */
static bool nobody_exists(void)
{
	unsigned long from = 1, to, size = 0;
	FILE *map = fopen("/proc/self/uid_map", "re");

	if (!map)
		return false;
	while (fscanf(map, "%lu %lu %lu", &from, &to, &size) == 3)
		if (from <= NOBODY && NOBODY - from < size)
			break;
	fclose(map);
	return from <= NOBODY && NOBODY - from < size;
}

static void execute(const struct passt_program *passt, int socket)
{
	char mtu[8], number[12], user[16];
	char *arguments[16] = { "passt", "--foreground", "--quiet", "--fd", number };
	unsigned int nr = 5;

	snprintf(number, sizeof(number), "%d", socket);
	snprintf(mtu, sizeof(mtu), "%u", passt->mtu);
	snprintf(user, sizeof(user), "%u:%u", NOBODY, NOBODY);
	if (passt->mtu) {
		arguments[nr++] = "--mtu";
		arguments[nr++] = mtu;
	}
	if (!geteuid() && nobody_exists()) {
		arguments[nr++] = "--runas";
		arguments[nr++] = user;
	}
	if (!access(LOG, F_OK)) {
		arguments[nr++] = "--log-file";
		arguments[nr++] = LOG;
	}
	fcntl(socket, F_SETFD, 0);
	execvp(arguments[0], arguments);
}

static void run_program(const struct passt_program *passt, int parent, int failed, int socket,
			int log)
{
	sigset_t none;
	int err;

	signal(SIGXFSZ, SIG_DFL);
	/* Signals by keys of the terminal are not for passt. */
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* SIGPIPE stays ignored: the helper, which reads the log, may be gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(log, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execute(passt, socket);
	err = errno;
	if (write(failed, &err, sizeof(err)) != sizeof(err))
		_exit(2);
	_exit(1);
}

/* It has ended, or was killed and does so as soon as it can. */
static void reap(struct passt_program *passt, siginfo_t *how)
{
	int pidfd = passt->child.fd;

	if (pidfd >= 0)
		events_remove(passt->events, &passt->child);
	else
		pidfd = syscall(SYS_pidfd_open, passt->pid, 0);
	passt->child.fd = -1;
	*how = (siginfo_t){ .si_pid = 0 };
	if (!waitid(P_PID, passt->pid, how, WEXITED | WNOHANG) && how->si_pid) {
		close_fd(&pidfd);
	} else {
		how->si_code = CLD_KILLED;
		how->si_status = SIGKILL;
		if (pidfd >= 0)
			departing_add(passt->events, pidfd, 0, NULL, passt->left);
	}
	passt->pid = 0;
}

static void close_socket(struct passt_program *passt)
{
	if (passt->socket >= 0)
		close(passt->socket);
	passt->socket = -1;
}

static void end_program(struct passt_program *passt)
{
	siginfo_t how;

	close_socket(passt);
	close_log(passt);
	if (!passt->pid)
		return;
	kill(passt->pid, SIGKILL);
	reap(passt, &how);
}

/* 0 or -errno, of passt's own start as well. */
static int start_child(struct passt_program *passt, int socket, int log)
{
	pid_t parent = getpid();
	int failed[2], err = 0;

	if (pipe2(failed, O_CLOEXEC))
		return -errno;
	passt->pid = fork();
	if (!passt->pid)
		run_program(passt, parent, failed[1], socket, log);
	if (passt->pid < 0)
		err = errno;
	close(failed[1]);
	/* Ends when the program begins. */
	while (passt->pid > 0 && read(failed[0], &err, sizeof(err)) < 0 && errno == EINTR)
		;
	close(failed[0]);
	if (passt->pid < 0)
		passt->pid = 0;
	return -err;
}

/*
 * When passt has taken this, it serves the connection: nothing else tells. It is a frame from
 * nobody to all, of a kind that is for experiments, and means nothing to it.
 */
static int send_probe(int socket)
{
	const struct {
		uint32_t size;
		uint8_t to[6], from[6];
		uint16_t kind;
	} __attribute__((packed)) probe = {
		.size = htonl(14), .to = { 255, 255, 255, 255, 255, 255 },
		.from = { 255, 255, 255, 255, 255, 255 }, .kind = htons(0x88b5),
	};

	return send(socket, &probe, sizeof(probe), MSG_NOSIGNAL) == sizeof(probe) ? 0 : -EIO;
}

/* The pair, of which passt has the second, and which is full of what it sends when it waits. */
static int open_connection(struct passt_program *passt, int *theirs)
{
	int ends[2], most = INT_MAX / 2;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
	passt->socket = ends[0];
	*theirs = ends[1];
	return send_probe(ends[0]);
}

static int open_log(struct passt_program *passt, int *theirs)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	passt->log.fd = ends[0];
	*theirs = ends[1];
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK))
		return -errno;
	return events_add(passt->events, &passt->log, EPOLLIN);
}

static int start_program(struct passt_program *passt)
{
	int socket = -1, log = -1;
	int ret = open_connection(passt, &socket);

	if (!ret)
		ret = open_log(passt, &log);
	if (!ret)
		ret = start_child(passt, socket, log);
	if (!ret) {
		passt->child.fd = syscall(SYS_pidfd_open, passt->pid, 0);
		ret = passt->child.fd < 0 ? -errno :
		      events_add(passt->events, &passt->child, EPOLLIN);
	}
	if (socket >= 0)
		close(socket);
	if (log >= 0)
		close(log);
	if (ret)
		end_program(passt);
	passt->tries = 0;
	passt->served = false;
	return ret;
}

/* ---- The connection ---- */

/* It has taken the probe. A socket whose other end died is empty, too: it tells by poll(2). */
static bool is_ready(const struct passt_program *passt)
{
	struct pollfd ended = { .fd = passt->socket };
	int left;

	return !ioctl(passt->socket, SIOCOUTQ, &left) && !left && !poll(&ended, 1, 0);
}

static void hand_over(struct passt_program *passt)
{
	struct helper_message message = {
		.kind = HELPER_PASST_UP, .number = passt->number + 1,
	};

	/* A VMM that does not read is not one that goes on. */
	if (helper_send(passt->channel.fd, &message, &passt->socket, 1))
		shutdown(passt->channel.fd, SHUT_RDWR);
	/* It is the VMM's: passt is to see its end. */
	close_socket(passt);
	passt->number++;
	passt->served = true;
	passt->told = false;
}

static void start(struct passt_program *passt)
{
	int ret = start_program(passt);

	if (!ret) {
		set_timer(passt, TICK);
		return;
	}
	if (ret == -ENOENT && !passt->told) {
		passt->told = true;
		tell(passt, HELPER_PASST_FAILED, "there is no such program\n"
		     "      as root: apt install passt; or use --net tap=NAME");
	}
	tell_failed(passt, "starting it", -ret);
	set_timer(passt, PAUSE);
}

static void timed(struct event *event, uint32_t ready)
{
	struct passt_program *passt = event->data;
	uint64_t times;

	(void)ready;
	if (read(event->fd, &times, sizeof(times)) != sizeof(times) || passt->served)
		return;
	if (!passt->pid) {
		start(passt);
		return;
	}
	if (is_ready(passt)) {
		hand_over(passt);
		return;
	}
	if (++passt->tries < PATIENCE) {
		set_timer(passt, TICK);
		return;
	}
	tell_failed(passt, "it does not take what is sent to it", ETIMEDOUT);
	end_program(passt);
	set_timer(passt, PAUSE);
}

/* It has died, or is to: its connection can't be used any more. */
static void begin_again(struct passt_program *passt)
{
	bool served = passt->served;
	const char *word;
	siginfo_t how;

	kill(passt->pid, SIGKILL);
	reap(passt, &how);
	while (read_log(passt))
		;
	close_log(passt);
	close_socket(passt);
	word = how.si_code == CLD_EXITED ? "status" : "signal";
	passt->served = false;
	if (served)
		tell(passt, HELPER_PASST_ENDED, "%s %d", word, how.si_status);
	else if (!passt->told)
		tell(passt, HELPER_PASST_FAILED, "it has ended at once (%s %d)\n"
		     "      what it says stands above; the host needs an address and a default route",
		     word, how.si_status);
	passt->told = !served;
	set_timer(passt, served ? TICK : PAUSE);
}

static void child_ended(struct event *event, uint32_t ready)
{
	(void)ready;
	begin_again(event->data);
}

/* ---- Beginning and end ---- */

static void close_all(struct passt_program *passt)
{
	end_program(passt);
	events_remove(passt->events, &passt->timer);
	close(passt->timer.fd);
	events_remove(passt->events, &passt->channel);
	close(passt->channel.fd);
	--*passt->left;
	free(passt);
}

static void heard(struct event *event, uint32_t ready)
{
	struct passt_program *passt = event->data;
	struct helper_message message;
	int fds[FD_MESSAGE_FDS];
	int ret = helper_receive(event->fd, &message, fds);

	(void)ready;
	fd_message_close(fds);
	if (ret <= 0 || *message.text) {
		close_all(passt);
		return;
	}
	/* Later it is started when the timer says so, however often the VMM asks. */
	if (message.kind == HELPER_PASST_START) {
		if (!passt->asked)
			start(passt);
		passt->asked = true;
		return;
	}
	/* Else it is one that has ended already, and was told of. */
	if (message.kind == HELPER_PASST_LOST && message.number == passt->number &&
	    passt->served)
		begin_again(passt);
}

struct passt_program *passt_program_open(struct events *events, int channel, uint16_t mtu,
					 unsigned int *left)
{
	struct passt_program *passt = calloc(1, sizeof(*passt));
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (!passt || timer < 0) {
		free(passt);
		return NULL;
	}
	passt->events = events;
	passt->mtu = mtu;
	passt->left = left;
	passt->channel = (struct event){ .fd = channel, .ready = heard, .data = passt };
	passt->child = (struct event){ .fd = -1, .ready = child_ended, .data = passt };
	passt->timer = (struct event){ .fd = timer, .ready = timed, .data = passt };
	passt->log = (struct event){ .fd = -1, .ready = logged, .data = passt };
	passt->socket = -1;
	if (!events_add(events, &passt->channel, EPOLLIN) &&
	    !events_add(events, &passt->timer, EPOLLIN))
		return passt;
	close(timer);
	free(passt);
	return NULL;
}
