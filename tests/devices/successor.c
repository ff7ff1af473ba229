// SPDX-License-Identifier: MIT
/*
 * The helper starts the next VMM for any client that asks, without any message from the VMM, and
 * goes on with that one. The program that it starts is this test: as "successor incoming --handover
 * 3" it says that it is there, and then does what it is told: end, or say on a channel that it has
 * the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "control/names.h"
#include "fast-timers.h"
#include "helper/helper.h"
#include "helper/wire.h"
#include "unit.h"
#include "upgrade/wire.h"

#define LATE	20000	/* ms */

static char dir[32];
static char path[64];
static struct vm_claim claim;
static struct helper helper;

/* A name in a folder of the test's, for any user who runs it. */
static int make_claim(void)
{
	claim = (struct vm_claim)VM_CLAIM_NONE;
	claim.base = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	strcpy(claim.name, "vm");
	mkdirat(claim.base, "vm", 0700);
	claim.dir = openat(claim.base, "vm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	claim.lock = openat(claim.dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return claim.lock < 0;
}

static int listen_here(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(path, sizeof(path), "%s/upgrade", dir);
	unlink(path);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int set_up(void **state)
{
	struct helper_plan plan = { .claim = &claim };
	int ret;

	(void)state;
	strcpy(dir, "/tmp/gmem-successor-XXXXXX");
	if (!mkdtemp(dir) || make_claim())
		return -1;
	plan.upgrade = listen_here();
	ret = helper_start(&helper, &plan);
	close(plan.upgrade);
	return ret;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	helper_release(&helper);
	helper_stop(&helper);
	vm_leave(&claim);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int ask_by(const char *words, int program)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fd_message_send(fd, words, strlen(words), &program, program >= 0), 0);
	return fd;
}

static int ask(void)
{
	int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int client = ask_by(UPGRADE_REQUEST, program);

	close(program);
	return client;
}

static bool comes(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, LATE) > 0;
}

static bool is_refused(int client, const char *why)
{
	char answer[512] = "";
	bool is = comes(client) && recv(client, answer, sizeof(answer) - 1, 0) > 0 &&
		  strstr(answer, "\"ok\":false") && strstr(answer, why);

	close(client);
	return is;
}

/* @fds: its end of the handover, its pidfd, and the client's connection */
static pid_t started(int *fds)
{
	struct helper_message message;
	char word[8] = "";

	assert_true(comes(helper.upgrade));
	assert_int_equal(helper_receive(helper.upgrade, &message, fds), 1);
	assert_int_equal(message.kind, HELPER_UPGRADE);
	assert_true(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0);
	assert_true(comes(fds[0]));
	assert_int_equal(recv(fds[0], word, sizeof(word), 0), 4);
	assert_string_equal(word, "here");
	return message.number;
}

static void close_fds(int *fds)
{
	int i;

	for (i = 0; i < 3; i++)
		close(fds[i]);
}

static bool is_gone(int pidfd)
{
	return comes(pidfd);
}

static bool lives(int pidfd)
{
	return !syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0);
}

static void a_program_is_started_and_ended(void **state)
{
	int client = ask(), fds[3];

	(void)state;
	assert_true(started(fds) > 0);
	assert_true(lives(fds[1]));
	/* The VMM answers the client itself. */
	assert_int_equal(send(fds[2], "word", 4, 0), 4);
	assert_true(comes(client));
	assert_int_equal(helper_upgrade_failed(&helper), 0);
	assert_true(is_gone(fds[1]));
	close_fds(fds);
	close(client);
	client = ask();
	started(fds);
	assert_int_equal(helper_upgrade_failed(&helper), 0);
	close_fds(fds);
	close(client);
}

static void what_is_no_request_is_refused(void **state)
{
	int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(is_refused(ask_by("gmem upgrade 2", program), "no request"));
	assert_true(is_refused(ask_by(UPGRADE_REQUEST, -1), "no request"));
	assert_true(is_refused(ask_by("", program), "no request"));
	close(program);
}

/* One, which comes to nothing. */
static void another_is_started(void)
{
	int client = ask(), fds[3];

	started(fds);
	helper_upgrade_failed(&helper);
	close_fds(fds);
	close(client);
}

static void one_at_a_time(void **state)
{
	int client = ask(), fds[3];

	(void)state;
	started(fds);
	assert_true(is_refused(ask(), "under way"));
	/* Also where it has ended, until the VMM has seen that. */
	assert_int_equal(send(fds[0], "end", 3, 0), 3);
	assert_true(is_gone(fds[1]));
	assert_true(is_refused(ask(), "under way"));
	assert_int_equal(helper_upgraded(&helper), -ESRCH);
	close_fds(fds);
	close(client);
	another_is_started();
}

/* The program that announces a wanted end kills the VMM itself. */
static void a_wanted_end_is_the_next_ones_too(void **state)
{
	int client = ask(), end, fds[3];
	char answer[64] = "";

	(void)state;
	started(fds);
	end = ask_by(UPGRADE_END, -1);
	assert_true(comes(end));
	assert_true(recv(end, answer, sizeof(answer) - 1, 0) > 0);
	assert_string_equal(answer, "{\"ok\":true}");
	assert_true(is_gone(fds[1]));
	assert_int_equal(helper_upgraded(&helper), -ESRCH);
	close(end);
	close_fds(fds);
	close(client);
	/* If that came to nothing, there may be another. */
	another_is_started();
}

static void a_vmm_alone_starts_nothing(void **state)
{
	struct helper_message message;
	int fds[FD_MESSAGE_FDS];
	uint32_t kind;

	(void)state;
	for (kind = 0; kind < 40; kind++) {
		if (kind == HELPER_UPGRADED || kind == HELPER_UPGRADE_FAILED)
			continue;
		message = (struct helper_message){ .kind = kind };
		assert_int_equal(helper_send(helper.upgrade, &message, NULL, 0), 0);
		assert_int_equal(helper_receive(helper.upgrade, &message, fds), 1);
		assert_int_equal(message.kind, HELPER_ANSWER);
		assert_int_equal(message.error, -EPROTO);
	}
	assert_int_equal(helper_upgraded(&helper), -ESRCH);
	assert_int_equal(helper_upgrade_failed(&helper), 0);
	message = (struct helper_message){ .kind = HELPER_UPGRADED, .text = "/bin/true" };
	assert_int_equal(helper_send(helper.upgrade, &message, NULL, 0), 0);
	assert_int_equal(helper_receive(helper.upgrade, &message, fds), 0);
}

static pid_t pid_of_name(void)
{
	int fd = openat(claim.dir, "pid", O_RDONLY);
	char text[16] = "";

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		*text = '\0';
	close(fd);
	return atoi(text);
}

/* A VMM with a helper of its own, whose guest the next one is about to have: it ends, or not. */
static void be_vmm(int told, const char *word, bool ends)
{
	struct helper_plan plan = { .claim = &claim };
	int client, fds[3];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	plan.upgrade = listen_here();
	if (helper_start(&helper, &plan))
		_exit(1);
	close(plan.upgrade);
	client = ask();
	started(fds);
	fds[2] = syscall(SYS_pidfd_open, helper.pid, 0);
	if (fd_message_send(told, "", 1, fds, 3) || client < 0)
		_exit(1);
	fds[0] = helper.upgrade;
	if (fd_message_send(told, word, strlen(word), fds, 1))
		_exit(1);
	while (!ends)
		pause();
	_exit(0);
}

/* A VMM, when the next one is to do as @word says: its descriptors, and the channel. */
static pid_t have_vmm(const char *word, bool over, int *ends, int *fds, int *channel)
{
	char bytes[8];
	pid_t vmm;

	helper_release(&helper);
	helper_stop(&helper);
	assert_int_equal(make_claim(), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	vmm = fork();
	if (!vmm)
		be_vmm(ends[1], word, over);
	if (over)
		assert_int_equal(waitpid(vmm, NULL, 0), vmm);
	assert_int_equal(fd_message_receive(ends[0], bytes, sizeof(bytes), fds), 1);
	assert_int_equal(fd_message_receive(ends[0], bytes, sizeof(bytes), channel),
			 strlen(word));
	return vmm;
}

/* It says so by the channel that it was given, and the helper is its own from then on. */
static void the_helper_goes_on_with_the_next(void **state)
{
	int ends[2], fds[3], channel[3], pid;
	pid_t vmm;
	char byte;

	(void)state;
	vmm = have_vmm("take", false, ends, fds, channel);
	assert_int_equal(fd_message_send(fds[0], "take", 4, channel, 1), 0);
	assert_true(comes(fds[0]));
	assert_int_equal(recv(fds[0], &byte, 1, 0), 1);
	assert_int_equal(byte, '0');
	pid = pid_of_name();
	assert_true(pid > 0 && pid != vmm);
	assert_true(lives(fds[1]) && lives(fds[2]));
	/* It ends with it, though this process has the channels of the one before. */
	kill(vmm, SIGKILL);
	assert_int_equal(waitpid(vmm, NULL, 0), vmm);
	assert_int_equal(send(fds[0], "end", 3, 0), 3);
	assert_true(is_gone(fds[1]) && is_gone(fds[2]));
	close_fds(fds);
	close(channel[0]);
	close(ends[0]);
	close(ends[1]);
}

/* The helper ends with that one only, whatever becomes of the VMM meanwhile. */
static void the_next_may_outlive_the_vmm(void **state)
{
	int ends[2], fds[3], channel[3];
	char bytes[8];

	(void)state;
	have_vmm("take", true, ends, fds, channel);
	assert_true(lives(fds[1]) && lives(fds[2]));
	assert_int_equal(fd_message_send(fds[0], "take", 4, channel, 1), 0);
	assert_true(comes(fds[0]));
	assert_int_equal(recv(fds[0], bytes, 1, 0), 1);
	assert_int_equal(*bytes, '0');
	assert_true(lives(fds[2]));
	assert_int_equal(send(fds[0], "end", 3, 0), 3);
	assert_true(is_gone(fds[1]) && is_gone(fds[2]));
	close_fds(fds);
	close(channel[0]);
	close(ends[0]);
	close(ends[1]);
}

static void or_end_as_well(void **state)
{
	int ends[2], fds[3], channel[3];

	(void)state;
	have_vmm("end", true, ends, fds, channel);
	assert_true(lives(fds[2]));
	assert_int_equal(send(fds[0], "end", 3, 0), 3);
	assert_true(is_gone(fds[1]) && is_gone(fds[2]));
	close_fds(fds);
	close(channel[0]);
	close(ends[0]);
	close(ends[1]);
}

/* It has given its guest away, and stays. */
static void one_that_lives_on_is_ended(void **state)
{
	int ends[2], fds[3], channel[3], vmm, status;
	pid_t pid;
	char byte;

	(void)state;
	pid = have_vmm("take", false, ends, fds, channel);
	vmm = syscall(SYS_pidfd_open, pid, 0);
	assert_int_equal(fd_message_send(fds[0], "take", 4, channel, 1), 0);
	assert_true(comes(fds[0]));
	assert_int_equal(recv(fds[0], &byte, 1, 0), 1);
	assert_int_equal(byte, '0');
	assert_true(is_gone(vmm));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* The next one is none of them. */
	assert_true(lives(fds[1]) && lives(fds[2]));
	assert_int_equal(send(fds[0], "end", 3, 0), 3);
	assert_true(is_gone(fds[1]) && is_gone(fds[2]));
	close(vmm);
	close_fds(fds);
	close(channel[0]);
	close(ends[0]);
	close(ends[1]);
}

/* ---- The program ---- */

static int be_successor(void)
{
	int fds[FD_MESSAGE_FDS];
	char word[16], answer;
	struct helper own = HELPER_NONE;

	if (send(UPGRADE_FD, "here", 4, MSG_NOSIGNAL) != 4)
		return 1;
	while (fd_message_receive(UPGRADE_FD, word, sizeof(word), fds) > 0) {
		if (fds[0] < 0)
			return 0;
		own.upgrade = fds[0];
		answer = helper_upgraded(&own) ? '1' : '0';
		send(UPGRADE_FD, &answer, 1, MSG_NOSIGNAL);
	}
	return 1;
}

#define HELPED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest claims[] = {
		HELPED(a_program_is_started_and_ended),
		HELPED(what_is_no_request_is_refused),
		HELPED(one_at_a_time),
		HELPED(a_wanted_end_is_the_next_ones_too),
		HELPED(a_vmm_alone_starts_nothing),
		HELPED(the_helper_goes_on_with_the_next),
		HELPED(the_next_may_outlive_the_vmm),
		HELPED(or_end_as_well),
		HELPED(one_that_lives_on_is_ended),
	};

	if (argc == 4 && !strcmp(argv[1], "incoming"))
		return be_successor();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
