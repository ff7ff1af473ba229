// SPDX-License-Identifier: MIT
/* The helper's work for a VMM, honest or hostile. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "control/names.h"
#include "helper/helper.h"
#include "helper/wire.h"
#include "unit.h"

static char dir[32];
static char path[64];		/* of a snapshot */
static char pager[64];
static struct helper helper;

static int set_up(void **state)
{
	const struct helper_plan plan = { .pager = pager, .snapshot = path };

	(void)state;
	return helper_start(&helper, &plan);
}

static int tear_down(void **state)
{
	(void)state;
	helper_stop(&helper);
	return 0;
}

static bool is_there(const char *name)
{
	char whole[128];

	snprintf(whole, sizeof(whole), "%s/%s", path, name);
	return !access(whole, F_OK);
}

static void make(struct snapshot_fds *files)
{
	assert_int_equal(helper_make(&helper, files), 0);
	assert_int_equal(write(files->memory, "m", 1), 1);
	assert_int_equal(write(files->state, "s", 1), 1);
}

static void close_files(struct snapshot_fds *files)
{
	close(files->memory);
	close(files->state);
}

static void remove_kept(void)
{
	char whole[128];

	snprintf(whole, sizeof(whole), "%s/memory", path);
	assert_int_equal(unlink(whole), 0);
	snprintf(whole, sizeof(whole), "%s/state", path);
	assert_int_equal(unlink(whole), 0);
	assert_int_equal(rmdir(path), 0);
}

static void a_snapshot_is_one_once_it_is_kept(void **state)
{
	struct snapshot_fds files;

	(void)state;
	make(&files);
	assert_int_equal(helper_keep(&helper), 0);
	assert_int_equal(helper_drop(&helper), -EBADF);
	assert_true(is_there("memory"));
	assert_true(is_there("state"));
	close_files(&files);
	/* It is there, so it is not made again. */
	assert_int_equal(helper_make(&helper, &files), -EEXIST);
	remove_kept();
}

static void one_that_is_dropped_is_gone(void **state)
{
	struct snapshot_fds files, more;

	(void)state;
	make(&files);
	assert_int_equal(helper_make(&helper, &more), -EBUSY);
	assert_int_equal(helper_drop(&helper), 0);
	assert_false(is_there(""));
	assert_int_equal(helper_keep(&helper), -EBADF);
	assert_int_equal(helper_drop(&helper), -EBADF);
	close_files(&files);
}

static void what_a_vmm_leaves_half_done_is_gone(void **state)
{
	struct snapshot_fds files;

	(void)state;
	make(&files);
	helper_stop(&helper);
	assert_false(is_there(""));
	close_files(&files);
}

static void makes_at(const char *place, int error)
{
	const struct helper_plan plan = { .snapshot = place };
	struct snapshot_fds files;

	helper_stop(&helper);
	assert_int_equal(helper_start(&helper, &plan), 0);
	assert_int_equal(helper_make(&helper, &files), error);
	if (!error) {
		helper_drop(&helper);
		close_files(&files);
	}
}

static void wrong_places_are_errors(void **state)
{
	char *longest = calloc(1, 5000);

	(void)state;
	memset(longest, 'x', 4999);
	makes_at("", -ENOENT);
	makes_at("/nonexistent/one", -ENOENT);
	makes_at(longest, -ENAMETOOLONG);
	longest[4090] = '\0';
	makes_at(longest, -ENAMETOOLONG);
	free(longest);
	makes_at("/dev/null", -EEXIST);
	makes_at(NULL, -EPERM);
	makes_at(path, 0);
}

/* Where files are is not for the VMM to say: a word of it ends the channel. */
static void no_word_of_the_vmm_is_taken(void **state)
{
	struct helper_message message = { .kind = HELPER_MAKE, .text = "/tmp/gmem-never-made" };
	char byte;

	(void)state;
	assert_int_equal(helper_send(helper.files, &message, NULL, 0), 0);
	assert_int_equal(recv(helper.files, &byte, 1, 0), 0);
	assert_int_equal(access(message.text, F_OK), -1);
	assert_false(is_there(""));
	message.kind = HELPER_CONNECT;
	assert_int_equal(helper_send(helper.pager, &message, NULL, 0), 0);
	assert_int_equal(recv(helper.pager, &byte, 1, 0), 0);
}

static int ask(int socket, uint32_t kind)
{
	struct helper_message message = { .kind = kind };
	int fds[FD_MESSAGE_FDS];

	assert_int_equal(helper_send(socket, &message, NULL, 0), 0);
	assert_int_equal(helper_receive(socket, &message, fds), 1);
	assert_int_equal(message.kind, HELPER_ANSWER);
	assert_int_equal(fds[0], -1);
	return message.error;
}

/* Each channel is for one thing; what makes no sense ends it, and with it what is asked. */
static void a_hostile_vmm_gets_nothing_else(void **state)
{
	uint32_t kind;
	char byte;

	(void)state;
	for (kind = HELPER_CONNECT; kind < 32; kind++)
		assert_int_equal(ask(helper.files, kind), -EPROTO);
	for (kind = 0; kind < 32; kind++)
		if (kind != HELPER_CONNECT)
			assert_int_equal(ask(helper.pager, kind), -EPROTO);
	/* Nothing was listened at, and there is no name. */
	assert_int_equal(ask(helper.files, HELPER_UNLISTEN), -ENOENT);
	assert_int_equal(ask(helper.files, HELPER_LISTENS), -EPROTO);
	assert_int_equal(send(helper.files, "x", 1, 0), 1);
	assert_int_equal(recv(helper.files, &byte, 1, 0), 0);
	assert_int_equal(helper_drop(&helper), -EPIPE);
	assert_int_equal(ask(helper.pager, HELPER_MAKE), -EPROTO);
}

static void a_path_without_an_end_is_no_message(void **state)
{
	struct helper_message message = { .kind = HELPER_MAKE };
	char byte;

	(void)state;
	memset(message.text, '/', sizeof(message.text));
	assert_int_equal(fd_message_send(helper.files, &message, sizeof(message), NULL, 0), 0);
	assert_int_equal(recv(helper.files, &byte, 1, 0), 0);
}

static void descriptors_that_come_are_closed(void **state)
{
	struct helper_message message = { .kind = HELPER_DROP };
	int ends[2], fds[FD_MESSAGE_FDS];
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(helper_send(helper.files, &message, &ends[1], 1), 0);
	close(ends[1]);
	assert_int_equal(helper_receive(helper.files, &message, fds), 1);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

static void it_connects_where_it_was_told_at_its_start(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd, other;
	char byte;

	(void)state;
	assert_int_equal(helper_connect(helper.pager), -ENOENT);
	strcpy(address.sun_path, pager);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	fd = helper_connect(helper.pager);
	assert_true(fd >= 0);
	other = accept(listener, NULL, NULL);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(read(other, &byte, 1), 1);
	/* The helper keeps none of it. */
	close(fd);
	assert_int_equal(read(other, &byte, 1), 0);
	close(other);
	close(listener);
	unlink(pager);
}

static void a_page_server_that_does_not_accept_keeps_nobody_waiting(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fds[8], i;

	(void)state;
	strcpy(address.sun_path, pager);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	/* Where it waited, an alarm would end this program. */
	alarm(20);
	for (i = 0; i < 8; i++) {
		fds[i] = helper_connect(helper.pager);
		if (fds[i] < 0)
			break;
		/* The sockets that it gives are blocking, as the VMM wants them. */
		assert_int_equal(fcntl(fds[i], F_GETFL) & O_NONBLOCK, 0);
	}
	alarm(0);
	assert_in_range(i, 1, 7);
	assert_int_equal(fds[i], -EAGAIN);
	while (i)
		close(fds[--i]);
	close(listener);
	unlink(pager);
}

static void after_the_name_nothing_is_done(void **state)
{
	struct snapshot_fds files;
	char byte;

	(void)state;
	assert_int_equal(helper_release(&helper), 0);
	assert_int_not_equal(helper_make(&helper, &files), 0);
	assert_int_equal(recv(helper.pager, &byte, 1, 0), 0);
	assert_false(is_there(""));
}

static int listen_at(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, where);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	return listener;
}

static void only_the_vmms_own_socket_is_removed(void **state)
{
	const struct helper_plan plan = { .listener = pager };
	int first, second;

	(void)state;
	helper_stop(&helper);
	assert_int_equal(helper_start(&helper, &plan), 0);
	first = listen_at(pager);
	assert_int_equal(helper_unlisten(&helper), -ENOENT);
	assert_int_equal(helper_listens(&helper), 0);
	assert_int_equal(helper_unlisten(&helper), 0);
	assert_int_equal(access(pager, F_OK), -1);
	/* A later gmem's. */
	second = listen_at(pager);
	assert_int_equal(helper_unlisten(&helper), -ENOENT);
	assert_int_equal(helper_listens(&helper), -EPROTO);
	assert_int_equal(helper_unlisten(&helper), -ENOENT);
	assert_int_equal(unlink(pager), 0);
	close(first);
	close(second);
}

static void one_that_is_killed_is_told(void **state)
{
	struct snapshot_fds files;

	(void)state;
	assert_int_equal(kill(helper.pid, SIGKILL), 0);
	assert_int_equal(helper_make(&helper, &files), -EPIPE);
	assert_int_equal(helper_connect(helper.pager), -EPIPE);
	assert_int_equal(helper_release(&helper), -EPIPE);
}

/*
 * A VMM whose snapshot is half done asks the helper, reads nothing, and dies, while another process
 * has its channels.
 */
static void die_hostile(int told)
{
	struct helper_message message = { .kind = HELPER_UNLISTEN };
	struct snapshot_fds files;
	int i;

	if (set_up(NULL) || helper_make(&helper, &files) ||
	    fcntl(helper.files, F_SETFL, O_NONBLOCK) ||
	    write(told, &helper.pid, sizeof(helper.pid)) != sizeof(helper.pid))
		_exit(1);
	/* Until the helper has no room for its answers, and waits or ends the channel. */
	for (i = 0; i < 100; i++) {
		while (!helper_send(helper.files, &message, NULL, 0))
			;
		usleep(2000);
	}
	if (!fork())
		poll(NULL, 0, 60000);
	_exit(0);
}

static void it_ends_with_the_vmm_whoever_has_its_channels(void **state)
{
	struct pollfd ended = { .events = POLLIN };
	int told[2], status;
	pid_t vmm, pid;
	bool has_ended;

	(void)state;
	assert_int_equal(pipe(told), 0);
	vmm = fork();
	if (!vmm)
		die_hostile(told[1]);
	assert_int_equal(read(told[0], &pid, sizeof(pid)), sizeof(pid));
	ended.fd = syscall(SYS_pidfd_open, pid, 0);
	assert_int_equal(waitpid(vmm, &status, 0), vmm);
	assert_int_equal(status, 0);
	has_ended = poll(&ended, 1, 20000) == 1;
	kill(pid, SIGKILL);
	assert_true(has_ended);
	assert_false(is_there(""));
	close(ended.fd);
	close(told[0]);
	close(told[1]);
}

static void it_has_none_of_the_vmms_files(void **state)
{
	int ends[2];
	char byte;

	(void)state;
	helper_stop(&helper);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(set_up(NULL), 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

static int pidfd_of_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		poll(NULL, 0, 20000);
		_exit(0);
	}
	return syscall(SYS_pidfd_open, pid, 0);
}

static bool lives(int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	return !poll(&ended, 1, 200);
}

static void it_kills_once_where_that_was_asked_for(void **state)
{
	const struct helper_plan plan = { .kills = true };
	int first, second;
	siginfo_t how;

	(void)state;
	/* Children have what is open: they would have the helper go on. */
	helper_stop(&helper);
	first = pidfd_of_child();
	second = pidfd_of_child();
	assert_int_equal(set_up(NULL), 0);
	assert_int_equal(helper_kill(&helper, first), -EPROTO);
	helper_stop(&helper);
	assert_int_equal(helper_start(&helper, &plan), 0);
	assert_int_equal(helper_kill(&helper, first), 0);
	assert_false(lives(first));
	assert_int_equal(helper_kill(&helper, second), -EPROTO);
	assert_true(lives(second));
	helper_stop(&helper);
	/* A process that cannot be killed uses up the right as well. */
	assert_int_equal(helper_start(&helper, &plan), 0);
	assert_int_equal(helper_kill(&helper, -1), -EBADF);
	assert_int_equal(helper_kill(&helper, second), -EPROTO);
	assert_true(lives(second));
	syscall(SYS_pidfd_send_signal, second, SIGKILL, NULL, 0);
	assert_int_equal(waitid(P_PIDFD, first, &how, WEXITED), 0);
	assert_int_equal(waitid(P_PIDFD, second, &how, WEXITED), 0);
	close(first);
	close(second);
}

static void a_name_is_removed_for_its_vmm(void **state)
{
	struct vm_claim claim, again;
	struct helper_plan plan = { .claim = &claim };
	char why[NAMES_WHY];
	pid_t pid;

	(void)state;
	helper_stop(&helper);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	if (vm_claim(&claim, "gmem-test-helper", why))
		fail_msg("%s", why);
	assert_int_equal(helper_start(&helper, &plan), 0);
	assert_int_equal(vm_find("gmem-test-helper", &pid, why), 0);
	assert_int_equal(helper_release(&helper), 0);
	/* It is free, whatever this process still has of it. */
	assert_int_equal(vm_claim(&again, "gmem-test-helper", why), 0);
	vm_release(&again);
	vm_leave(&claim);
}

/* It has a name, and closes all that it has of it and of its helper. */
static void let_go_hostile(int told)
{
	static struct vm_claim claim;
	struct helper_plan plan = { .claim = &claim };
	char why[NAMES_WHY];

	if (vm_claim(&claim, "gmem-test-helper", why) || helper_start(&helper, &plan))
		_exit(1);
	close(claim.lock);
	close(helper.files);
	close(helper.pager);
	if (write(told, "", 1) == 1)
		pause();
	_exit(1);
}

static void a_name_is_the_vmms_while_it_lives(void **state)
{
	struct vm_claim claim;
	char why[NAMES_WHY], byte;
	int told[2], i, status;
	pid_t vmm, pid;

	(void)state;
	helper_stop(&helper);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	assert_int_equal(pipe(told), 0);
	vmm = fork();
	if (!vmm)
		let_go_hostile(told[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	/* Long enough for a helper that ends to have ended. */
	usleep(200000);
	i = vm_find("gmem-test-helper", &pid, why);
	kill(vmm, SIGKILL);
	assert_int_equal(waitpid(vmm, &status, 0), vmm);
	assert_int_equal(i, 0);
	assert_int_equal(pid, vmm);
	/* And no longer. */
	for (i = 0; i < 1000 && !vm_find("gmem-test-helper", &pid, why); i++)
		usleep(10000);
	assert_int_equal(vm_claim(&claim, "gmem-test-helper", why), 0);
	vm_release(&claim);
	close(told[0]);
	close(told[1]);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest claims[] = {
		CLAIM(a_snapshot_is_one_once_it_is_kept),
		CLAIM(one_that_is_dropped_is_gone),
		CLAIM(what_a_vmm_leaves_half_done_is_gone),
		CLAIM(wrong_places_are_errors),
		CLAIM(no_word_of_the_vmm_is_taken),
		CLAIM(a_hostile_vmm_gets_nothing_else),
		CLAIM(a_path_without_an_end_is_no_message),
		CLAIM(descriptors_that_come_are_closed),
		CLAIM(it_connects_where_it_was_told_at_its_start),
		CLAIM(a_page_server_that_does_not_accept_keeps_nobody_waiting),
		CLAIM(after_the_name_nothing_is_done),
		CLAIM(only_the_vmms_own_socket_is_removed),
		CLAIM(one_that_is_killed_is_told),
		CLAIM(it_ends_with_the_vmm_whoever_has_its_channels),
		CLAIM(it_has_none_of_the_vmms_files),
		CLAIM(it_kills_once_where_that_was_asked_for),
		CLAIM(a_name_is_removed_for_its_vmm),
		CLAIM(a_name_is_the_vmms_while_it_lives),
	};
	char command[64];
	int ret;

	strcpy(dir, "/tmp/gmem-helper-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	snprintf(pager, sizeof(pager), "%s/pager", dir);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	ret = cmocka_run_group_tests(claims, NULL, NULL);
	/* Nothing is left there. */
	snprintf(command, sizeof(command), "%s/gmem", dir);
	rmdir(command);
	return rmdir(dir) ? 1 : ret;
}
