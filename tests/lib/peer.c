// SPDX-License-Identifier: MIT
/* Making and accepting connections, and finding the process at the other end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <gmem.h>

#define LATE	20000	/* ms */
#define NOBODY	65534

static char folder[32];
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/gmem-peer-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int listen_here(void)
{
	int listener = gmem_listen(path);

	assert_true(listener >= 0);
	return listener;
}

static void the_socket_is_its_users_only(void **state)
{
	mode_t old = umask(0);
	int listener = listen_here();
	struct stat stat;

	(void)state;
	umask(old);
	assert_int_equal(lstat(path, &stat), 0);
	assert_int_equal(stat.st_mode & 0777, 0600);
	close(listener);
	unlink(path);
}

static void paths_that_cannot_be(void **state)
{
	char longer[200];
	int listener;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(gmem_listen(longer), -ENAMETOOLONG);
	assert_int_equal(gmem_connect(longer), -ENAMETOOLONG);
	assert_int_equal(gmem_listen("/nowhere/socket"), -ENOENT);
	assert_int_equal(gmem_connect(path), -ENOENT);
	listener = listen_here();
	assert_int_equal(gmem_listen(path), -EADDRINUSE);
	close(listener);
	assert_int_equal(gmem_connect(path), -ECONNREFUSED);
	unlink(path);
}

static void send_byte(int socket)
{
	assert_int_equal(send(socket, "", 1, MSG_NOSIGNAL), 1);
}

static void receive_byte(int socket)
{
	char byte;

	assert_int_equal(recv(socket, &byte, 1, 0), 1);
}

static void both_know_each_other(void **state)
{
	int listener = listen_here();
	int there = gmem_connect(path);
	int here = gmem_accept(listener);
	struct gmem_peer peer;

	(void)state;
	assert_true(there >= 0 && here >= 0);
	send_byte(here);
	send_byte(there);
	assert_int_equal(gmem_peer_open(here, &peer, LATE), 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, getuid());
	gmem_peer_close(&peer);
	gmem_peer_close(&peer);
	assert_int_equal(gmem_peer_open(there, &peer, LATE), 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), -ETIMEDOUT);
	gmem_peer_close(&peer);
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), -EBADF);
	assert_int_equal(gmem_peer_kill(&peer), -EBADF);
	receive_byte(here);
	receive_byte(there);
	close(here);
	close(there);
	close(listener);
	unlink(path);
}

/* A child that has connected; -1 for its user: ours. */
static pid_t connecting_child(uid_t uid)
{
	pid_t child = fork();
	int socket;

	if (child)
		return child;
	if (uid != (uid_t)-1 && setuid(uid))
		_exit(2);
	socket = gmem_connect(path);
	if (socket < 0 || send(socket, "", 1, MSG_NOSIGNAL) != 1)
		_exit(1);
	pause();
	_exit(0);
}

static void a_closed_socket_is_not_a_dead_process(void **state)
{
	int listener = listen_here();
	pid_t child = connecting_child(-1);
	int connection = gmem_accept(listener);
	struct gmem_peer peer;

	(void)state;
	assert_true(connection >= 0);
	assert_int_equal(gmem_peer_open(connection, &peer, LATE), 0);
	assert_int_equal(peer.pid, child);
	close(connection);
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), -ETIMEDOUT);
	assert_int_equal(gmem_peer_kill(&peer), 0);
	/* Gone, though nobody has waited for it. */
	assert_int_equal(gmem_peer_wait_gone(&peer, LATE), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), 0);
	assert_int_equal(gmem_peer_kill(&peer), -ESRCH);
	gmem_peer_close(&peer);
	close(listener);
	unlink(path);
}

/* Under a supervisor, one process listens and another accepts. */
static void the_peer_is_the_process_that_sends(void **state)
{
	int listener = listen_here();
	int there = gmem_connect(path);
	struct gmem_peer peer;
	pid_t child = fork();

	(void)state;
	if (!child) {
		int here = gmem_accept(listener);

		if (here < 0 || send(here, "", 1, MSG_NOSIGNAL) != 1)
			_exit(1);
		alarm(30);
		pause();
		_exit(0);
	}
	close(listener);
	assert_int_equal(gmem_peer_open(there, &peer, LATE), 0);
	assert_int_equal(peer.pid, child);
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), -ETIMEDOUT);
	assert_int_equal(gmem_peer_kill(&peer), 0);
	assert_int_equal(gmem_peer_wait_gone(&peer, LATE), 0);
	gmem_peer_close(&peer);
	assert_int_equal(waitpid(child, NULL, 0), child);
	/* Its data is still there, and it is known to be gone. */
	assert_int_equal(gmem_peer_open(there, &peer, 0), 0);
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), 0);
	gmem_peer_close(&peer);
	receive_byte(there);
	assert_int_equal(gmem_peer_open(there, &peer, 0), -EPIPE);
	close(there);
	unlink(path);
}

static void no_peer_is_told_where_none_can_be(void **state)
{
	int listener = listen_here();
	int there = gmem_connect(path);
	int here = gmem_accept(listener);
	struct rlimit few, limit;
	struct gmem_peer peer;
	int last;

	(void)state;
	assert_int_equal(gmem_peer_open(here, &peer, 0), -ETIMEDOUT);
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), -EBADF);
	send_byte(there);
	/* Without a descriptor to be had, nobody is taken for dead. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	last = dup(0);
	close(last);
	few = (struct rlimit){ last, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(gmem_peer_open(here, &peer, 0), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(gmem_peer_open(here, &peer, 0), 0);
	gmem_peer_close(&peer);
	close(here);
	close(there);
	close(listener);
	unlink(path);
}

#define STORM	250	/* signals, 20 ms apart: 5 s */

/* A wait that is begun anew each time ends with the storm all the same. */
static void count_down(int signal)
{
	static int left = STORM;
	struct itimerval never = { 0 };

	(void)signal;
	if (!--left)
		setitimer(ITIMER_REAL, &never, NULL);
}

/* Signals that keep coming do not begin a wait anew. */
static void a_signal_does_not_prolong_a_wait(void **state)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = { 0 };
	struct sigaction action = { .sa_handler = count_down };
	struct gmem_peer peer = { .pidfd = pidfd_open(getpid(), 0) };
	struct timespec begin, end;

	(void)state;
	assert_true(peer.pidfd >= 0);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(gmem_peer_wait_gone(&peer, 200), -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_true(end.tv_sec - begin.tv_sec < 4);
	gmem_peer_close(&peer);
}

static void another_user_is_turned_away(void **state)
{
	int listener;
	pid_t child;

	(void)state;
	if (geteuid())
		skip();
	listener = listen_here();
	/* Even where someone has opened the door. */
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(chmod(path, 0666), 0);
	child = connecting_child(NOBODY);
	assert_int_equal(gmem_accept(listener), -EPERM);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(listener);
	unlink(path);
}

/* One process of ours listens, and a process of another user answers. */
static void another_users_sender_is_turned_away(void **state)
{
	struct gmem_peer peer;
	int there, listener;
	pid_t child;

	(void)state;
	if (geteuid())
		skip();
	listener = listen_here();
	there = gmem_connect(path);
	child = fork();
	if (!child) {
		int here = gmem_accept(listener);

		if (here < 0 || setuid(NOBODY) || send(here, "", 1, MSG_NOSIGNAL) != 1)
			_exit(1);
		alarm(30);
		pause();
		_exit(0);
	}
	close(listener);
	assert_int_equal(gmem_peer_open(there, &peer, LATE), -EPERM);
	assert_int_equal(peer.pidfd, -1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(there);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_socket_is_its_users_only),
		cmocka_unit_test(paths_that_cannot_be),
		cmocka_unit_test(both_know_each_other),
		cmocka_unit_test(a_closed_socket_is_not_a_dead_process),
		cmocka_unit_test(the_peer_is_the_process_that_sends),
		cmocka_unit_test(no_peer_is_told_where_none_can_be),
		cmocka_unit_test(a_signal_does_not_prolong_a_wait),
		cmocka_unit_test(another_user_is_turned_away),
		cmocka_unit_test(another_users_sender_is_turned_away),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
