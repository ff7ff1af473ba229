// SPDX-License-Identifier: MIT
/*
 * A guest goes on after its VMM has died: how the helper handles VMMs that end, hang, refuse, or
 * are asked to end. The VMM is a process of this test, and the next one is this program: as
 * "bring-back incoming --handover 3" it connects to the test's socket, and does what it is told
 * there. The file that stands for the view says which VM has the guest, in place of the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmem.h>

#include "common/fd-message.h"
#include "common/raw-mode.h"
#include "common/say.h"
#include "control/names.h"
#include "fast-timers.h"
#include "helper/helper.h"
#include "helper/keeper.h"
#include "helper/wire.h"
#include "live/live.h"
#include "machine/machine.h"
#include "unit.h"
#include "upgrade/config.h"
#include "upgrade/wire.h"

#define LATE	20000	/* ms */
#define SOON	300	/* ms in which nothing is to come */
#define WHERE	"GMEM_BRING_BACK"
#define CRASHES	3
#define HANG	6	/* s, divided by FAST as all of the helper's times */
#define BEAT	10	/* ms */

static char dir[32];
static char path[64];
static struct vm_claim claim;
static int listener;	/* where the next VMM tells that it is there */
static int vmm, helper;	/* pidfds */
static pid_t vmm_pid;	/* or of the one that has started it */
static int terminal;	/* its master, or -1 */
static unsigned int hang;
static unsigned int nets;	/* cards that have a passt, which this program is as well */
static pid_t passt;
static struct live page;

/* ---- The kernel's word, and the rest of what a guest is ---- */

int __wrap_gmem_memfd_facts_open(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int __wrap_gmem_vm_fate(int info)
{
	int fate;

	return pread(info, &fate, sizeof(fate), 0) == sizeof(fate) ? fate : -EBADF;
}

int __wrap_upgrade_config_offer(int fd, struct gmem_offer *offer, struct gmem_slot *slots)
{
	(void)fd;
	slots[0] = (struct gmem_slot){ .size = 4096, .private_fd = 0, .shared_fd = -1 };
	offer->nr_vcpus = 1;
	offer->slots = slots;
	offer->nr_slots = 1;
	return 0;
}

static int make_view(void)
{
	const int fate = GMEM_VM_ALIVE;
	int fd = memfd_create("view", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, &fate, sizeof(fate), 0), sizeof(fate));
	return fd;
}

static struct live make_page(void)
{
	static const size_t sizes[LIVE_AREAS] = { [LIVE_KEPT] = sizeof(struct live_kept) };
	struct live live;

	assert_int_equal(live_create(&live, sizes), 0);
	return live;
}

static void hold(struct helper *own, enum helper_held what, int fd)
{
	assert_int_equal(helper_hold(own, HELD_NUMBER(what, 0), fd), 0);
	close(fd);
}

/* All that a VMM gives to its helper. */
static void give(struct helper *own, int view, int live)
{
	int ends[2];

	/* It hangs up with the process. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	hold(own, HELD_VM, eventfd(0, EFD_CLOEXEC));
	hold(own, HELD_VIEW, view);
	assert_int_equal(helper_hold(own, HELD_NUMBER(HELD_LIVE, 0), live), 0);
	hold(own, HELD_LIFE, ends[0]);
	hold(own, HELD_CONFIG, eventfd(0, EFD_CLOEXEC));
	hold(own, HELD_CONTROL, eventfd(0, EFD_CLOEXEC));
	assert_int_equal(helper_held(own, 6), 0);
}

/* ---- The VMM ---- */

static int listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* It is named only as far as its helper needs it. */
static void make_claim(void)
{
	claim = (struct vm_claim)VM_CLAIM_NONE;
	claim.base = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	strcpy(claim.name, "vm");
	mkdirat(claim.base, "vm", 0700);
	claim.dir = openat(claim.base, "vm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	claim.lock = openat(claim.dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(claim.lock >= 0);
}

/* The first that is asked for by this channel: which process it is. */
static pid_t connect_to_passt(int channel)
{
	struct helper_message message = { .kind = HELPER_PASST_START };
	socklen_t size = sizeof(struct ucred);
	int fds[FD_MESSAGE_FDS];
	struct ucred peer;

	assert_int_equal(helper_send(channel, &message, NULL, 0), 0);
	assert_int_equal(helper_receive(channel, &message, fds), 1);
	assert_int_equal(message.kind, HELPER_PASST_UP);
	assert_int_equal(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
	return peer.pid;
}

/* One client at a time, of which it takes all. */
static int be_passt(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
	char bytes[64];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", where);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 0))
		return 1;
	while ((client = accept(fd, NULL, NULL)) >= 0) {
		while (read(client, bytes, sizeof(bytes)) > 0)
			;
		close(client);
	}
	return 1;
}

/* Another has the terminal's session: it is hung up when that one ends. */
static void have_terminal(const char *slave)
{
	pid_t pid;

	setsid();
	dup2(open(slave, O_RDWR | O_CLOEXEC), STDIN_FILENO);
	assert_int_equal(ioctl(STDIN_FILENO, TIOCSCTTY, 0), 0);
	pid = fork();
	if (!pid)
		return;
	waitpid(pid, NULL, 0);
	for (;;)
		pause();
}

static void be_vmm(int told)
{
	struct helper_plan plan = { .claim = &claim, .crashes = CRASHES, .hang = hang };
	struct helper own;
	int fds[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (terminal >= 0)
		have_terminal(ptsname(terminal));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	plan.nr_nets = nets;
	plan.upgrade = listen_at("upgrade");
	plan.program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(helper_start(&own, &plan), 0);
	page = make_page();
	page.header->ready = 1;
	page.header->beat = !!hang;
	give(&own, make_view(), page.fd);
	if (terminal >= 0)
		assert_int_equal(raw_mode_begin(STDIN_FILENO), 0);
	fds[0] = syscall(SYS_pidfd_open, own.pid, 0);
	fds[1] = syscall(SYS_pidfd_open, getpid(), 0);
	if (nets)
		passt = connect_to_passt(own.nets[0]);
	assert_int_equal(fd_message_send(told, &passt, sizeof(passt), fds, 2), 0);
	for (;;) {
		if (hang)
			page.header->beat++;
		poll(NULL, 0, BEAT);
	}
}

static bool comes_within(int fd, int ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, ms) > 0;
}

static bool comes(int fd)
{
	return comes_within(fd, LATE);
}

static int start(void)
{
	int ends[2], fds[FD_MESSAGE_FDS];

	passt = 0;
	strcpy(dir, "/tmp/gmem-bring-back-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	make_claim();
	listener = listen_at("next");
	setenv(WHERE, path, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	vmm_pid = fork();
	if (!vmm_pid)
		be_vmm(ends[1]);
	close(ends[1]);
	assert_int_equal(fd_message_receive(ends[0], &passt, sizeof(passt), fds), sizeof(passt));
	helper = fds[0];
	vmm = fds[1];
	close(ends[0]);
	vm_leave(&claim);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	nets = 0;
	terminal = -1;
	hang = 0;
	return start();
}

static int set_up_with_a_pulse(void **state)
{
	(void)state;
	nets = 0;
	terminal = -1;
	hang = HANG;
	return start();
}

static int set_up_at_terminal(void **state)
{
	(void)state;
	nets = 0;
	hang = 0;
	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	return grantpt(terminal) || unlockpt(terminal) || start();
}

/* Where it is looked for first. */
static char bin[40];
static char link_to_self[sizeof(bin) + 8];

static int set_up_with_passt(void **state)
{
	(void)state;
	terminal = -1;
	hang = 0;
	nets = 1;
	return start();
}

static bool is_gone(int pidfd)
{
	return comes(pidfd);
}

static void end(int pidfd, int signal)
{
	syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	end(helper, SIGKILL);
	end(vmm, SIGKILL);
	kill(vmm_pid, SIGKILL);
	waitpid(vmm_pid, NULL, 0);
	if (terminal >= 0)
		close(terminal);
	close(helper);
	close(vmm);
	close(listener);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* ---- The next one, as the test sees it ---- */

struct next {
	int socket;
	int pidfd;
	pid_t pid;
};

static struct next comes_next(void)
{
	int fds[FD_MESSAGE_FDS];
	struct next next;

	assert_true(comes(listener));
	next.socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(fd_message_receive(next.socket, &next.pid, sizeof(next.pid), fds),
			 sizeof(next.pid));
	next.pidfd = fds[0];
	return next;
}

static bool none_comes(void)
{
	return !comes_within(listener, SOON);
}

static void tell(struct next *next, const char *word)
{
	assert_int_equal(send(next->socket, word, strlen(word), MSG_NOSIGNAL), strlen(word));
}

static void forget(struct next *next)
{
	assert_true(is_gone(next->pidfd));
	close(next->socket);
	close(next->pidfd);
}

static void take(struct next *next)
{
	char word[8] = "";

	tell(next, "take");
	assert_true(comes(next->socket));
	assert_int_equal(recv(next->socket, word, sizeof(word) - 1, 0), 4);
	assert_string_equal(word, "runs");
}

static char *reason(void)
{
	static char text[NAMES_WHY];
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s/vm/ended", dir);
	fd = open(name, O_RDONLY);
	memset(text, 0, sizeof(text));
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		*text = '\0';
	close(fd);
	return text;
}

static int ask(const char *words)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/upgrade", dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, words, strlen(words), 0), strlen(words));
	return fd;
}

static bool is_answered(int client, const char *with)
{
	char answer[256] = "";
	bool is = comes(client) && recv(client, answer, sizeof(answer) - 1, 0) > 0 &&
		  strstr(answer, with);

	close(client);
	return is;
}

/* ---- It goes on ---- */

static void in_another_one(void **state)
{
	struct next next;

	(void)state;
	end(vmm, SIGKILL);
	next = comes_next();
	take(&next);
	end(next.pidfd, SIGKILL);
	forget(&next);
	next = comes_next();
	take(&next);
	tell(&next, "end");
	forget(&next);
	/* That was wanted. */
	assert_true(is_gone(helper));
	assert_true(none_comes());
}

static void and_where_that_dies(void **state)
{
	struct next next;
	int i;

	(void)state;
	end(vmm, SIGKILL);
	for (i = 0; i < CRASHES; i++) {
		next = comes_next();
		end(next.pidfd, i ? SIGKILL : SIGPIPE);
		forget(&next);
	}
	assert_true(is_gone(helper));
	assert_non_null(strstr(reason(), "--crashes"));
	assert_true(none_comes());
}

/* ---- passt goes on as well ---- */

static int watch(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

static bool has_passt(struct next *next)
{
	pid_t pid;

	take(next);
	return comes(next->socket) && recv(next->socket, &pid, sizeof(pid), 0) == sizeof(pid) &&
	       pid == passt;
}

static void so_does_passt(void **state)
{
	int pidfd = watch(passt);
	struct next next;

	(void)state;
	end(vmm, SIGKILL);
	next = comes_next();
	assert_true(has_passt(&next));
	end(next.pidfd, SIGKILL);
	forget(&next);
	/* One that dies before it has asked for a connection, too. */
	next = comes_next();
	end(next.pidfd, SIGKILL);
	forget(&next);
	next = comes_next();
	assert_true(has_passt(&next));
	assert_false(comes_within(pidfd, 0));
	tell(&next, "end");
	forget(&next);
	assert_true(is_gone(pidfd));
	assert_true(is_gone(helper));
	close(pidfd);
}

static void it_ends_where_all_are_killed(void **state)
{
	int pidfd = watch(passt);

	(void)state;
	end(helper, SIGSTOP);
	end(vmm, SIGKILL);
	assert_true(is_gone(vmm));
	assert_false(comes_within(pidfd, SOON));
	end(helper, SIGKILL);
	assert_true(is_gone(pidfd));
	assert_true(none_comes());
	close(pidfd);
}

/* ---- One that has just begun is asked to end, as the VMM that it is about to be ---- */

static void a_signal_is_an_end(int signal)
{
	struct next next;

	end(vmm, SIGKILL);
	next = comes_next();
	end(next.pidfd, signal);
	forget(&next);
	assert_true(is_gone(helper));
	assert_true(none_comes());
	assert_string_equal(reason(), "");
}

static void sigterm_is_an_end(void **state)
{
	(void)state;
	a_signal_is_an_end(SIGTERM);
}

static void so_is_sigint(void **state)
{
	(void)state;
	a_signal_is_an_end(SIGINT);
}

static void so_is_gmem_kill(void **state)
{
	struct next next;

	(void)state;
	end(vmm, SIGKILL);
	next = comes_next();
	assert_true(is_answered(ask(UPGRADE_END), "\"ok\":true"));
	forget(&next);
	assert_true(is_gone(helper));
	assert_true(none_comes());
}

/* ---- One that does not die where it is killed, as in the middle of a system call ---- */

static void hold_at_exit(pid_t pid)
{
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT), 0);
}

static void is_at_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
}

static void it_is_not_waited_for(void **state)
{
	struct next next, second;

	(void)state;
	end(vmm, SIGKILL);
	next = comes_next();
	hold_at_exit(next.pid);
	/* A handover cannot begin with this: the helper ends the process. */
	tell(&next, "nonsense");
	is_at_exit(next.pid);
	/* It may be moving the guest: another one must not begin. */
	assert_true(none_comes());
	assert_true(is_answered(ask(UPGRADE_REQUEST), "\"ok\":false"));
	assert_int_equal(ptrace(PTRACE_DETACH, next.pid, NULL, NULL), 0);
	forget(&next);
	second = comes_next();
	take(&second);
	end(second.pidfd, SIGKILL);
	forget(&second);
}

static void nor_is_its_end(void **state)
{
	struct next next;

	(void)state;
	end(vmm, SIGKILL);
	next = comes_next();
	hold_at_exit(next.pid);
	assert_true(is_answered(ask(UPGRADE_END), "\"ok\":true"));
	is_at_exit(next.pid);
	assert_true(is_answered(ask(UPGRADE_END), "\"ok\":true"));
	assert_int_equal(ptrace(PTRACE_DETACH, next.pid, NULL, NULL), 0);
	forget(&next);
	assert_true(is_gone(helper));
	assert_true(none_comes());
}

/* ---- One that hangs ---- */

static void stop(int pidfd)
{
	end(pidfd, SIGSTOP);
}

static void is_killed_and_brought_back(void)
{
	struct next next = comes_next();

	assert_true(is_gone(vmm));
	take(&next);
	tell(&next, "end");
	forget(&next);
	assert_true(is_gone(helper));
}

static void is_killed(void **state)
{
	(void)state;
	stop(vmm);
	is_killed_and_brought_back();
}

static void not_one_that_beats(void **state)
{
	(void)state;
	assert_false(comes_within(listener, 3 * HANG * 1000 / FAST));
	assert_false(comes_within(vmm, 0));
}

static void nor_in_a_debugger(void **state)
{
	(void)state;
	assert_int_equal(ptrace(PTRACE_SEIZE, vmm_pid, NULL, NULL), 0);
	stop(vmm);
	assert_int_equal(waitpid(vmm_pid, NULL, __WALL), vmm_pid);
	assert_false(comes_within(listener, 3 * HANG * 1000 / FAST));
	assert_false(comes_within(vmm, 0));
	assert_int_equal(ptrace(PTRACE_DETACH, vmm_pid, NULL, SIGSTOP), 0);
	is_killed_and_brought_back();
}

/* ---- One that refuses the guest ---- */

static void is_refused(void)
{
	struct next next = comes_next();

	tell(&next, "refuse");
	forget(&next);
}

static void not_at_once_again(void **state)
{
	uint64_t began = now_ns();
	int i;

	(void)state;
	end(vmm, SIGKILL);
	for (i = 0; i < KEEPER_REFUSALS; i++)
		is_refused();
	assert_true(is_gone(helper));
	/* 1 + 2 + 4 + 8 seconds. */
	assert_true(now_ns() - began > 15 * 1000000000ULL / FAST);
	assert_non_null(strstr(reason(), "there is no room"));
	assert_true(none_comes());
}

static void until_one_takes_it(void **state)
{
	struct next next;

	(void)state;
	end(vmm, SIGKILL);
	is_refused();
	is_refused();
	next = comes_next();
	take(&next);
	end(next.pidfd, SIGKILL);
	forget(&next);
	is_refused();
	next = comes_next();
	take(&next);
	tell(&next, "end");
	forget(&next);
	assert_true(is_gone(helper));
}

static void or_its_end_is_wanted(void **state)
{
	int i;

	(void)state;
	end(vmm, SIGKILL);
	for (i = 1; i < KEEPER_REFUSALS; i++)
		is_refused();
	assert_true(is_answered(ask(UPGRADE_END), "\"ok\":true"));
	assert_true(is_gone(helper));
	assert_string_equal(reason(), "");
	assert_true(none_comes());
}

/* ---- The terminal of the first one ---- */

static bool is_cooked(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(terminal, &now), 0);
	return now.c_lflag & ICANON && now.c_lflag & ECHO && now.c_lflag & ISIG;
}

static void it_is_as_before(void **state)
{
	struct next next;

	(void)state;
	assert_false(is_cooked());
	end(vmm, SIGKILL);
	next = comes_next();
	take(&next);
	assert_true(is_cooked());
	tell(&next, "end");
	forget(&next);
	assert_true(is_gone(helper));
}

static void also_at_the_end(void **state)
{
	(void)state;
	assert_true(is_answered(ask(UPGRADE_END), "\"ok\":true"));
	end(vmm, SIGKILL);
	assert_true(is_gone(helper));
	assert_true(is_cooked());
}

/* A shell's, which edits its lines. */
static void what_another_has_set_stays(void **state)
{
	struct termios now;

	(void)state;
	assert_int_equal(tcgetattr(terminal, &now), 0);
	now.c_lflag |= ISIG;
	assert_int_equal(tcsetattr(terminal, TCSANOW, &now), 0);
	assert_true(is_answered(ask(UPGRADE_END), "\"ok\":true"));
	end(vmm, SIGKILL);
	assert_true(is_gone(helper));
	assert_false(is_cooked());
}

/* ---- The next one ---- */

/* A handover, from OFFER to RUNNING; the page of the VMM before it says that it is moved. */
static void take_over(int told)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	const int moved = GMEM_VM_MOVED;
	struct gmem_handover *handover;
	struct helper own = HELPER_NONE;
	int view = make_view(), given = dup(view), channel;

	options.role = GMEM_DESTINATION;
	options.socket = UPGRADE_FD;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), 0);
	assert_int_equal(gmem_handover_wait(handover), 1);
	own.upgrade = gmem_handover_take(handover, "helper.upgrade");
	channel = gmem_handover_take(handover, "passt0");
	page = make_page();
	give(&own, given, page.fd);
	assert_int_equal(gmem_handover_link(handover, view, view), 0);
	assert_int_equal(gmem_handover_wait(handover), 1);
	assert_int_equal(gmem_handover_begin_move(handover), 0);
	assert_int_equal(pwrite(gmem_handover_offered(handover)->view, &moved, sizeof(moved), 0),
			 sizeof(moved));
	assert_int_equal(gmem_handover_moved(handover, 0), 0);
	page.header->ready = 1;
	assert_int_equal(helper_upgraded(&own), 0);
	assert_int_equal(gmem_handover_running(handover, 0), 0);
	assert_int_equal(gmem_handover_wait(handover), 1);
	gmem_handover_close(handover);
	assert_int_equal(send(told, "runs", 4, MSG_NOSIGNAL), 4);
	if (channel < 0)
		return;
	passt = connect_to_passt(channel);
	assert_int_equal(send(told, &passt, sizeof(passt), MSG_NOSIGNAL), sizeof(passt));
}

static void refuse(void)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	struct gmem_handover *handover;

	options.role = GMEM_DESTINATION;
	options.socket = UPGRADE_FD;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), 0);
	assert_int_equal(gmem_handover_wait(handover), 1);
	gmem_handover_end(handover, -ENOSPC, "there is no room");
}

static int be_next(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int told = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int self = syscall(SYS_pidfd_open, getpid(), 0);
	pid_t pid = getpid();
	char word[16];
	ssize_t got;

	strcpy(address.sun_path, getenv(WHERE));
	if (connect(told, (struct sockaddr *)&address, sizeof(address)) ||
	    fd_message_send(told, &pid, sizeof(pid), &self, 1))
		return 1;
	while ((got = recv(told, word, sizeof(word) - 1, 0)) > 0) {
		word[got] = '\0';
		if (!strcmp(word, "take"))
			take_over(told);
		if (!strcmp(word, "refuse"))
			refuse();
		if (!strcmp(word, "nonsense"))
			send(UPGRADE_FD, "nonsense", 8, MSG_NOSIGNAL);
		if (!strcmp(word, "end")) {
			page.header->ending = 1;
			return 0;
		}
	}
	return 1;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define WITH_A_PULSE(function) \
	cmocka_unit_test_setup_teardown(function, set_up_with_a_pulse, tear_down)
#define WITH_PASST(function) \
	cmocka_unit_test_setup_teardown(function, set_up_with_passt, tear_down)
#define AT_TERMINAL(function) \
	cmocka_unit_test_setup_teardown(function, set_up_at_terminal, tear_down)

static void find_passt(void)
{
	char self[256] = "", all_paths[128];

	strcpy(bin, "/tmp/gmem-bring-back-bin-XXXXXX");
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && mkdtemp(bin));
	/* As root, passt is somebody else. */
	chmod(bin, 0755);
	snprintf(link_to_self, sizeof(link_to_self), "%s/passt", bin);
	assert_int_equal(symlink(self, link_to_self), 0);
	snprintf(all_paths, sizeof(all_paths), "%s:/usr/sbin:/sbin:/usr/bin:/bin", bin);
	setenv("PATH", all_paths, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(in_another_one),
		TEST(and_where_that_dies),
		WITH_PASST(so_does_passt),
		WITH_PASST(it_ends_where_all_are_killed),
		TEST(sigterm_is_an_end),
		TEST(so_is_sigint),
		TEST(so_is_gmem_kill),
		TEST(it_is_not_waited_for),
		TEST(nor_is_its_end),
		WITH_A_PULSE(is_killed),
		WITH_A_PULSE(not_one_that_beats),
		WITH_A_PULSE(nor_in_a_debugger),
		TEST(not_at_once_again),
		TEST(until_one_takes_it),
		TEST(or_its_end_is_wanted),
		AT_TERMINAL(it_is_as_before),
		AT_TERMINAL(also_at_the_end),
		AT_TERMINAL(what_another_has_set_stays),
	};
	int ret;

	/* A shell has what it runs in the background ignore it. */
	signal(SIGINT, SIG_DFL);
	if (argc == 4 && !strcmp(argv[1], "incoming"))
		return be_next();
	if (argc > 4 && !strcmp(argv[0], "passt"))
		return be_passt(argv[4]);
	find_passt();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(link_to_self);
	rmdir(bin);
	return ret;
}
