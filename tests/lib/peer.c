// SPDX-License-Identifier: MIT
/* Making and taking connections, and who is at the other end of one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static void both_know_each_other(void **state)
{
	int listener = listen_here();
	int there = gmem_connect(path);
	int here = gmem_accept(listener);
	struct gmem_peer peer;

	(void)state;
	assert_true(there >= 0 && here >= 0);
	assert_int_equal(gmem_peer_open(here, &peer), 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, getuid());
	gmem_peer_close(&peer);
	gmem_peer_close(&peer);
	assert_int_equal(gmem_peer_open(there, &peer), 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), -ETIMEDOUT);
	gmem_peer_close(&peer);
	assert_int_equal(gmem_peer_wait_gone(&peer, 0), -EBADF);
	assert_int_equal(gmem_peer_kill(&peer), -EBADF);
	close(here);
	close(there);
	close(listener);
	unlink(path);
}

/* A child that has connected; -1 for its user: ours. */
static pid_t connecting_child(uid_t uid)
{
	pid_t child = fork();

	if (child)
		return child;
	if (uid != (uid_t)-1 && setuid(uid))
		_exit(2);
	_exit(gmem_connect(path) < 0 ? 1 : (pause(), 0));
}

static void a_closed_socket_is_not_a_dead_process(void **state)
{
	int listener = listen_here();
	pid_t child = connecting_child(-1);
	int connection = gmem_accept(listener);
	struct gmem_peer peer;

	(void)state;
	assert_true(connection >= 0);
	assert_int_equal(gmem_peer_open(connection, &peer), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_socket_is_its_users_only),
		cmocka_unit_test(paths_that_cannot_be),
		cmocka_unit_test(both_know_each_other),
		cmocka_unit_test(a_closed_socket_is_not_a_dead_process),
		cmocka_unit_test(another_user_is_turned_away),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
