// SPDX-License-Identifier: MIT
/*
 * The program passt, which opens sockets for the connections of a guest, and serves one
 * connection itself: started, connected to, and started again whenever that has ended.
 * The connection is the VMM's, and so are all words on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
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

#include "common/fd-message.h"
#include "helper/parts.h"
#include "helper/wire.h"

#define NOBODY		65534		/* whom passt becomes where root starts it */
#define TICK		20		/* ms between two tries to connect */
#define PATIENCE	250		/* tries until passt is given up */
#define PAUSE		1000		/* ms until it is started again after it has failed */

/*
 * struct passt_program - passt
 * @channel: to the VMM
 * @child: a pidfd, or none (-1)
 * @timer: for the next step of starting it
 * @pid: of the child, or 0
 * @tries: to connect
 * @number: of the last connection that the VMM was given, from 1 on
 * @served: that is one of the program that runs now
 * @told: the VMM knows that it cannot be started
 * @left: one less where this has ended
 */
struct passt_program {
	struct events *events;
	struct event channel;
	struct event child;
	struct event timer;
	pid_t pid;
	unsigned int tries;
	uint32_t number;
	bool served;
	bool told;
	uint16_t mtu;
	unsigned int *left;
	struct sockaddr_un address;
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

/* ---- The program ---- */

static void run_program(struct passt_program *passt, int parent, int failed)
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

static void reap(struct passt_program *passt, siginfo_t *how)
{
	*how = (siginfo_t){ 0 };
	if (passt->child.fd >= 0) {
		events_remove(passt->events, &passt->child);
		close(passt->child.fd);
		passt->child.fd = -1;
	}
	while (waitid(P_PID, passt->pid, how, WEXITED) && errno == EINTR)
		;
	passt->pid = 0;
}

static void end_program(struct passt_program *passt)
{
	siginfo_t how;

	if (!passt->pid)
		return;
	kill(passt->pid, SIGKILL);
	reap(passt, &how);
	unlink(passt->address.sun_path);
}

/* 0 or -errno, of passt's own start as well. */
static int start_child(struct passt_program *passt)
{
	pid_t parent = getpid();
	int failed[2], err = 0;

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
	if (passt->pid < 0)
		passt->pid = 0;
	return -err;
}

static int start_program(struct passt_program *passt)
{
	int ret;

	unlink(passt->address.sun_path);
	ret = start_child(passt);
	if (!ret) {
		passt->child.fd = syscall(SYS_pidfd_open, passt->pid, 0);
		ret = passt->child.fd < 0 ? -errno :
		      events_add(passt->events, &passt->child, EPOLLIN);
	}
	if (ret)
		end_program(passt);
	passt->tries = 0;
	passt->served = false;
	return ret;
}

/* ---- The connection ---- */

/* 0 or -errno: passt may not be there yet. */
static int try_to_connect(struct passt_program *passt)
{
	struct helper_message message = {
		.kind = HELPER_PASST_UP, .number = passt->number + 1,
	};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&passt->address, sizeof(passt->address)))
		ret = -errno;
	if (!ret)
		ret = helper_send(passt->channel.fd, &message, &fd, 1);
	/* It is the VMM's: passt is to see its end. */
	close(fd);
	if (ret)
		return ret;
	passt->number++;
	passt->served = true;
	passt->told = false;
	return 0;
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
	int ret;

	(void)ready;
	if (read(event->fd, &times, sizeof(times)) != sizeof(times) || passt->served)
		return;
	if (!passt->pid) {
		start(passt);
		return;
	}
	ret = try_to_connect(passt);
	if (!ret)
		return;
	if (++passt->tries < PATIENCE) {
		set_timer(passt, TICK);
		return;
	}
	tell_failed(passt, "it does not answer at its socket", -ret);
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
	unlink(passt->address.sun_path);
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

/* A directory of our own, for the socket; of root's it becomes that of passt's user. */
static int make_directory(struct passt_program *passt)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char *path = passt->address.sun_path;
	const size_t room = sizeof(passt->address.sun_path) - sizeof("/socket");
	int ret = 0;

	passt->address.sun_family = AF_UNIX;
	if (!run || *run != '/' ||
	    snprintf(path, room, "%s/gmem-passt-XXXXXX", run) >= (int)room)
		strcpy(path, "/tmp/gmem-passt-XXXXXX");
	if (!mkdtemp(path))
		ret = -errno;
	else if (!geteuid() && chown(path, NOBODY, NOBODY))
		ret = -errno;
	if (!ret) {
		strcat(path, "/socket");
		return 0;
	}
	rmdir(path);
	*path = '\0';
	return ret;
}

static void begin(struct passt_program *passt)
{
	int ret = *passt->address.sun_path ? 0 : make_directory(passt);

	if (ret)
		tell_failed(passt, "making a directory for its socket", -ret);
	else if (!passt->pid)
		start(passt);
}

static void close_all(struct passt_program *passt)
{
	end_program(passt);
	events_remove(passt->events, &passt->timer);
	close(passt->timer.fd);
	events_remove(passt->events, &passt->channel);
	close(passt->channel.fd);
	if (*passt->address.sun_path) {
		*strrchr(passt->address.sun_path, '/') = '\0';
		rmdir(passt->address.sun_path);
	}
	--*passt->left;
	free(passt);
}

static void heard(struct event *event, uint32_t ready)
{
	struct passt_program *passt = event->data;
	struct helper_message message;
	int fds[FD_MESSAGE_FDS], i;

	(void)ready;
	if (helper_receive(event->fd, &message, fds) <= 0) {
		close_all(passt);
		return;
	}
	for (i = 0; i < FD_MESSAGE_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (message.kind == HELPER_PASST_START)
		begin(passt);
	/* Else it is one that has ended already, and was told of. */
	else if (message.kind == HELPER_PASST_LOST && message.number == passt->number &&
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
	if (!events_add(events, &passt->channel, EPOLLIN) &&
	    !events_add(events, &passt->timer, EPOLLIN))
		return passt;
	close(timer);
	free(passt);
	return NULL;
}
