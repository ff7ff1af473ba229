// SPDX-License-Identifier: MIT
/*
 * The program passt, which opens sockets for the connections of a guest, and serves one
 * connection at a time itself. We connect, and give that to the VMM, whose all words on it are
 * but the first. Where the VMM dies passt goes on, and the next VMM is given a connection of its
 * own: a frame that was torn ends with the one before. passt is started again whenever it has
 * ended.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
#include "helper/passt-place.h"
#include "helper/wire.h"

#define TICK		20		/* ms between two looks whether it is ready */
#define PATIENCE	250		/* looks until passt is given up */
#define PAUSE		1000		/* ms until it is started again after it has failed */
#define LOG		"/proc/self/fd/0"	/* what it finds open in any version */

/*
 * struct passt_program - passt
 * @place: the pointer to this one, which is NULL again where it has ended
 * @channel: to the VMM, or none (-1): that has died, and the next one is to be
 * @child: a pidfd, or none (-1)
 * @timer: for the next step of starting it
 * @log: what it writes into its log, or none (-1)
 * @line: of that, @used bytes
 * @complained: something of that was said
 * @errors: what it writes to stderr before it serves a connection, or none (-1)
 * @pid: of the child, or 0
 * @listens: where it does
 * @socket: the VMM's end of its connection, until it is ready, or -1
 * @tries: to see it ready
 * @number: of the last connection that the VMM was given, from 1 on
 * @served: that is one of the program that runs now, and of the VMM that lives
 * @known: the program that runs now has served one
 * @asked: the VMM has asked for its first start, which it does once
 * @told: the VMM knows that it cannot be started
 * @stays: the end of the channel is not the end: see passt_program_reopen()
 * @left: one less where this has ended
 */
struct passt_program {
	struct passt_program **place;
	struct events *events;
	struct event channel;
	struct event child;
	struct event timer;
	struct event log;
	char line[512];
	size_t used;
	bool complained;
	int errors;
	pid_t pid;
	struct passt_place listens;
	int socket;
	unsigned int tries;
	uint32_t number;
	bool served;
	bool known;
	bool asked;
	bool told;
	const bool *stays;
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

/* Until it is ready, passt writes to stderr as well, and more than its errors. */
static void tell_logged(struct passt_program *passt)
{
	char *text = strstr(passt->line, "ERROR:");

	if (!text)
		text = strstr(passt->line, "WARNING:");
	if (!text)
		return;
	passt->complained = true;
	make_printable(text);
	text += strcspn(text, ":") + 1;
	say("passt: %s", text + strspn(text, " "));
}

static void end_line(struct passt_program *passt)
{
	passt->line[passt->used] = '\0';
	passt->used = 0;
	tell_logged(passt);
}

/* False: there is no more of it now. */
static bool read_log(struct passt_program *passt)
{
	char bytes[256];
	ssize_t got = read(passt->log.fd, bytes, sizeof(bytes)), i;

	for (i = 0; i < got; i++) {
		if (bytes[i] == '\n')
			end_line(passt);
		else if (passt->used < sizeof(passt->line) - 1)
			passt->line[passt->used++] = bytes[i];
	}
	return got > 0;
}

/* Where it has said nothing in its log: it may not have come so far. */
static void repeat_errors(struct passt_program *passt)
{
	char bytes[512];
	ssize_t got = 1;

	while (!passt->complained && got > 0) {
		got = read(passt->errors, bytes, sizeof(bytes));
		if (got > 0 && write(STDERR_FILENO, bytes, got) != got)
			break;
	}
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

/* The last line of one that fails has no end. */
static void finish_log(struct passt_program *passt)
{
	while (read_log(passt))
		;
	end_line(passt);
	close_log(passt);
}

static void logged(struct event *event, uint32_t ready)
{
	if (!read_log(event->data) && ready & EPOLLHUP)
		finish_log(event->data);
}

/* ---- The program ---- */

/*
 * What passt would do itself; but a process whose user changes does not end with its parent any
 * more, unless it says so behind that. Where there is no such user it stays what it is.
 */
static void become_nobody(int log)
{
	if (geteuid())
		return;
	/* It is opened by its path. */
	if (fchown(log, PASST_NOBODY, PASST_NOBODY) && errno != EINVAL)
		_exit(1);
	if (setgroups(0, NULL) && errno != EPERM)
		_exit(1);
	if ((setresgid(PASST_NOBODY, PASST_NOBODY, PASST_NOBODY) ||
	     setresuid(PASST_NOBODY, PASST_NOBODY, PASST_NOBODY)) && errno != EINVAL)
		_exit(1);
}

static void execute(const struct passt_program *passt)
{
	char mtu[8];
	char *arguments[16] = { "passt", "--foreground", "--quiet", "--socket", PASST_NAME };
	unsigned int nr = 5;

	snprintf(mtu, sizeof(mtu), "%u", passt->mtu);
	if (passt->mtu) {
		arguments[nr++] = "--mtu";
		arguments[nr++] = mtu;
	}
	if (!access(LOG, F_OK)) {
		arguments[nr++] = "--log-file";
		arguments[nr++] = LOG;
	}
	execvp(arguments[0], arguments);
}

static void run_program(const struct passt_program *passt, int parent, int failed, int log,
			int errors)
{
	sigset_t none;
	int err;

	signal(SIGXFSZ, SIG_DFL);
	/* Signals by keys of the terminal are not for passt. */
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	err = -passt_place_enter(&passt->listens);
	become_nobody(log);
	/* SIGPIPE stays ignored: the helper, which reads the log, may be gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(log, STDIN_FILENO);
	dup2(errors, STDERR_FILENO);
	dup2(errors, STDOUT_FILENO);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	if (!err) {
		execute(passt);
		err = errno;
	}
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

/* All of it but the process. */
static void close_program(struct passt_program *passt)
{
	close_socket(passt);
	close_log(passt);
	close_fd(&passt->errors);
	passt_place_drop(&passt->listens);
	passt->served = false;
	passt->known = false;
}

static void end_program(struct passt_program *passt)
{
	siginfo_t how;

	close_program(passt);
	if (!passt->pid)
		return;
	kill(passt->pid, SIGKILL);
	reap(passt, &how);
}

/* 0 or -errno, of passt's own start as well. */
static int start_child(struct passt_program *passt, int log, int errors)
{
	pid_t parent = getpid();
	int failed[2], err = 0;

	if (pipe2(failed, O_CLOEXEC))
		return -errno;
	passt->pid = fork();
	if (!passt->pid)
		run_program(passt, parent, failed[1], log, errors);
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

/* It waits for nobody to read it, as little as we for more of it. */
static int open_errors(struct passt_program *passt, int *theirs)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	passt->errors = ends[0];
	*theirs = ends[1];
	return 0;
}

static int start_program(struct passt_program *passt)
{
	int log = -1, errors = -1;
	int ret = passt_place_make(&passt->listens);

	if (!ret)
		ret = open_log(passt, &log);
	if (!ret)
		ret = open_errors(passt, &errors);
	if (!ret)
		ret = start_child(passt, log, errors);
	if (!ret) {
		passt->child.fd = syscall(SYS_pidfd_open, passt->pid, 0);
		ret = passt->child.fd < 0 ? -errno :
		      events_add(passt->events, &passt->child, EPOLLIN);
	}
	close_fd(&log);
	close_fd(&errors);
	if (ret)
		end_program(passt);
	passt->tries = 0;
	passt->complained = false;
	return ret;
}

/* ---- The connection ---- */

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

static void attach(struct passt_program *passt)
{
	passt->socket = passt_place_connect(&passt->listens);
	if (passt->socket < 0)
		passt->socket = -1;
	else if (send_probe(passt->socket))
		close_socket(passt);
}

/*
 * It has taken the probe. A socket whose other end died is empty, too: it tells by poll(2). passt
 * ends one at once that comes while it has another: it has not seen yet that the VMM before is
 * dead, or that still is about to end. Then the next one is tried.
 */
static bool is_ready(struct passt_program *passt)
{
	struct pollfd ended = { .fd = passt->socket };
	int left;

	if (passt->socket < 0) {
		attach(passt);
		return false;
	}
	if (ioctl(passt->socket, SIOCOUTQ, &left))
		left = 1;
	if (!poll(&ended, 1, 0))
		return !left;
	close_socket(passt);
	return false;
}

static void hand_over(struct passt_program *passt)
{
	struct helper_message message = {
		.kind = HELPER_PASST_UP, .number = passt->number + 1,
	};

	if (passt->known)
		snprintf(message.text, sizeof(message.text), "it was there before");
	/* A VMM that does not read is not one that goes on. */
	if (helper_send(passt->channel.fd, &message, &passt->socket, 1))
		shutdown(passt->channel.fd, SHUT_RDWR);
	/* It is the VMM's: passt is to see its end. */
	close_socket(passt);
	passt->number++;
	passt->served = true;
	passt->known = true;
	passt->told = false;
	close_fd(&passt->errors);
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
	if (read(event->fd, &times, sizeof(times)) != sizeof(times) || passt->served ||
	    passt->channel.fd < 0)
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
	bool known = passt->known;
	const char *word;
	siginfo_t how;

	kill(passt->pid, SIGKILL);
	reap(passt, &how);
	finish_log(passt);
	if (!known)
		repeat_errors(passt);
	close_program(passt);
	/* Else it is started when the next VMM asks. */
	if (passt->channel.fd < 0)
		return;
	word = how.si_code == CLD_EXITED ? "status" : "signal";
	if (known)
		tell(passt, HELPER_PASST_ENDED, "%s %d", word, how.si_status);
	else if (!passt->told)
		tell(passt, HELPER_PASST_FAILED, "it has ended at once (%s %d)\n"
		     "      what it says stands above; the host needs an address and a default route",
		     word, how.si_status);
	passt->told = !known;
	set_timer(passt, known ? TICK : PAUSE);
}

static void child_ended(struct event *event, uint32_t ready)
{
	(void)ready;
	begin_again(event->data);
}

/* ---- Beginning and end ---- */

static void close_channel(struct passt_program *passt)
{
	if (passt->channel.fd < 0)
		return;
	events_remove(passt->events, &passt->channel);
	close_fd(&passt->channel.fd);
}

static void close_all(struct passt_program *passt)
{
	end_program(passt);
	events_remove(passt->events, &passt->timer);
	close(passt->timer.fd);
	close_channel(passt);
	--*passt->left;
	*passt->place = NULL;
	free(passt);
}

/* The first time of each VMM. Later it is started when the timer says so, however often it asks. */
static void asked_for(struct passt_program *passt)
{
	if (passt->asked)
		return;
	passt->asked = true;
	if (passt->pid)
		set_timer(passt, 1);
	else
		start(passt);
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
		if (*passt->stays)
			close_channel(passt);
		else
			close_all(passt);
		return;
	}
	if (message.kind == HELPER_PASST_START) {
		asked_for(passt);
		return;
	}
	/* Else it is one that has ended already, and was told of. */
	if (message.kind == HELPER_PASST_LOST && message.number == passt->number &&
	    passt->served)
		begin_again(passt);
}

int passt_program_open(struct passt_program **place, struct events *events, int channel,
		       uint16_t mtu, const bool *stays, unsigned int *left)
{
	struct passt_program *passt = calloc(1, sizeof(*passt));
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int ret = passt && timer >= 0 ? 0 : -ENOMEM;

	if (!ret) {
		*passt = (struct passt_program){
			.place = place, .events = events, .mtu = mtu, .stays = stays, .left = left,
			.channel = { .fd = channel, .ready = heard, .data = passt },
			.child = { .fd = -1, .ready = child_ended, .data = passt },
			.timer = { .fd = timer, .ready = timed, .data = passt },
			.log = { .fd = -1, .ready = logged, .data = passt },
			.errors = -1, .socket = -1, .listens = PASST_PLACE_NONE,
		};
		ret = events_add(events, &passt->channel, EPOLLIN);
	}
	if (!ret)
		ret = events_add(events, &passt->timer, EPOLLIN);
	if (ret) {
		close_fd(&timer);
		free(passt);
		return ret;
	}
	++*left;
	*place = passt;
	return 0;
}

int passt_program_reopen(struct passt_program *passt, int channel)
{
	close_channel(passt);
	passt->channel.fd = channel;
	passt->served = false;
	passt->asked = false;
	passt->told = false;
	passt->tries = 0;
	return events_add(passt->events, &passt->channel, EPOLLIN);
}

void passt_program_let_go(struct passt_program *passt)
{
	if (passt->channel.fd < 0)
		close_all(passt);
	else
		shutdown(passt->channel.fd, SHUT_RDWR);
}
