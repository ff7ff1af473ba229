// SPDX-License-Identifier: MIT
/* Handover messages over a unix socket, from honest and hostile peers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "handover/wire.h"
#include "sample.h"
#include "view.h"

#define SOON	200	/* ms: a peer that has nothing more to say */
#define LATE	20000	/* ms: something is wrong */

/*
 * There is no guest memory on the host: a memfd that is called "view" stands
 * for one where the library asks.
 */
int __wrap_gmem_memfd_facts(pid_t pid, int fd, struct gmem_facts *facts)
{
	char link[64], name[64] = "";
	struct stat stat;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, name, sizeof(name) - 1) < 0 ||
	    strncmp(name, "/memfd:view ", 12) || fstat(fd, &stat))
		return __real_gmem_memfd_facts(pid, fd, facts);
	*facts = (struct gmem_facts){ .size = stat.st_size };
	return 0;
}

static int memory(const char *name, off_t size, int seals)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static long milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* A connection, and how many descriptors were open before it. */
struct pair {
	int ours;
	int theirs;
	int before;
};

static struct pair connection(void)
{
	struct pair pair = { .before = open_descriptors() };
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    ends), 0);
	pair.ours = ends[0];
	pair.theirs = ends[1];
	return pair;
}

static void disconnect(struct pair *pair)
{
	close(pair->ours);
	if (pair->theirs >= 0)
		close(pair->theirs);
	assert_int_equal(open_descriptors(), pair->before);
}

/* MEMORY with these two descriptors, closed by the caller. */
static void memory_message(struct sample *sample, int view, int shared)
{
	sample_make(sample, GMEM_MESSAGE_MEMORY);
	sample->message.fds[0] = view;
	sample->message.fds[1] = shared;
}

/* As long as the sample's slots need. */
#define VIEW_SIZE	0x10001000
#define SHARED_SIZE	0x200000

static void a_message_arrives_with_its_descriptors(void **state)
{
	int view = memory("view", VIEW_SIZE, 0);
	int shared = memory("shared", SHARED_SIZE, F_SEAL_SHRINK);
	struct pair pair = connection();
	struct gmem_message got;
	struct sample sample;
	struct stat sent, came;
	ssize_t size;
	int i;

	(void)state;
	memory_message(&sample, view, shared);
	size = gmem_send(pair.theirs, &sample.message, LATE);
	assert_true(size > 0);
	assert_int_equal(gmem_receive(pair.ours, &got, LATE), size);
	assert_messages_equal(&got, &sample.message);
	for (i = 0; i < 2; i++) {
		assert_int_equal(fstat(sample.message.fds[i], &sent), 0);
		assert_int_equal(fstat(got.fds[i], &came), 0);
		assert_int_equal(sent.st_ino, came.st_ino);
		assert_int_equal(fcntl(got.fds[i], F_GETFD), FD_CLOEXEC);
	}
	gmem_message_free(&got);
	disconnect(&pair);
	close(view);
	close(shared);
}

static void messages_follow_each_other(void **state)
{
	struct pair pair = connection();
	int kind;

	(void)state;
	for (kind = GMEM_MESSAGE_REQUEST; kind <= GMEM_MESSAGE_ABORT; kind++) {
		struct sample sample;

		sample_make(&sample, kind);
		if (kind != GMEM_MESSAGE_MEMORY)
			assert_true(gmem_send(pair.theirs, &sample.message,
					      LATE) > 0);
	}
	for (kind = GMEM_MESSAGE_REQUEST; kind <= GMEM_MESSAGE_ABORT; kind++) {
		struct gmem_message got;
		struct sample sample;

		if (kind == GMEM_MESSAGE_MEMORY)
			continue;
		sample_make(&sample, kind);
		assert_true(gmem_receive(pair.ours, &got, LATE) > 0);
		assert_messages_equal(&got, &sample.message);
		gmem_message_free(&got);
	}
	disconnect(&pair);
}

/* Longer than what a socket holds: both sides have to be at work. */
static void a_message_longer_than_the_socket_holds(void **state)
{
	struct gmem_vcpu_state *vcpus = calloc(200, sizeof(*vcpus));
	struct gmem_message message = {
		.kind = GMEM_MESSAGE_STATE, .nr_vcpus = 200, .vcpus = vcpus,
	};
	struct pair pair = connection();
	void *blob = calloc(1, 20000);
	struct gmem_message got;
	int i, status;
	pid_t child;

	(void)state;
	for (i = 0; i < 200; i++) {
		vcpus[i].id = i;
		vcpus[i].blobs[GMEM_STATE_XSAVE].data = blob;
		vcpus[i].blobs[GMEM_STATE_XSAVE].size = 20000;
	}
	child = fork();
	if (!child)
		_exit(gmem_send(pair.theirs, &message, LATE) > 4000000 ? 0 : 1);
	assert_true(gmem_receive(pair.ours, &got, LATE) > 4000000);
	assert_messages_equal(&got, &message);
	gmem_message_free(&got);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	disconnect(&pair);
	free(blob);
	free(vcpus);
}

/* ---- Peers that do not mean well ---- */

/* Bytes with descriptors, as they are. */
static void send_raw(int socket, const void *bytes, size_t size,
		     const int *fds, size_t nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct iovec content = { (void *)bytes, size };
	struct msghdr header = { .msg_iov = &content, .msg_iovlen = 1 };

	if (nr_fds) {
		struct cmsghdr *rights;

		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, nr_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(socket, &header, MSG_NOSIGNAL), size);
}

/* Send these bytes, close, and see the receiver refuse them and keep nothing. */
static void refuse_raw(const void *bytes, size_t size, const int *fds,
		       size_t nr_fds, int error)
{
	struct pair pair = connection();
	struct gmem_message got;

	send_raw(pair.theirs, bytes, size, fds, nr_fds);
	close(pair.theirs);
	pair.theirs = -1;
	assert_int_equal(gmem_receive(pair.ours, &got, LATE), error);
	assert_int_equal(got.nr_fds, 0);
	disconnect(&pair);
}

static void refuse_memory(int view, int shared, int error)
{
	struct pair pair = connection();
	struct gmem_message got;
	struct sample sample;

	memory_message(&sample, view, shared);
	assert_true(gmem_send(pair.theirs, &sample.message, LATE) > 0);
	assert_int_equal(gmem_receive(pair.ours, &got, LATE), error);
	assert_int_equal(got.nr_fds, 0);
	disconnect(&pair);
}

static void descriptors_of_the_wrong_kind(void **state)
{
	int view = memory("view", VIEW_SIZE, 0);
	int shared = memory("shared", SHARED_SIZE, F_SEAL_SHRINK);
	int short_view = memory("view", VIEW_SIZE - 0x1000, 0);
	int short_shared = memory("shared", SHARED_SIZE - 0x1000, F_SEAL_SHRINK);
	int unsealed = memory("shared", SHARED_SIZE, F_SEAL_GROW);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	refuse_memory(ends[0], shared, -EBADF);
	refuse_memory(null, shared, -EBADF);
	refuse_memory(shared, shared, -EBADF);
	refuse_memory(short_view, shared, -EBADF);
	refuse_memory(view, ends[1], -EBADF);
	refuse_memory(view, null, -EBADF);
	refuse_memory(view, unsealed, -EBADF);
	refuse_memory(view, short_shared, -EBADF);
	close(ends[0]);
	close(ends[1]);
	close(null);
	close(unsealed);
	close(short_shared);
	close(short_view);
	close(shared);
	close(view);
}

static void the_wrong_number_of_descriptors(void **state)
{
	struct sample sample;
	void *memory_bytes, *commit_bytes;
	ssize_t memory_size, commit_size;
	int fds[253];
	size_t i;

	(void)state;
	for (i = 0; i < 253; i++)
		fds[i] = STDERR_FILENO;
	sample_make(&sample, GMEM_MESSAGE_MEMORY);
	memory_size = gmem_message_encode(&sample.message, &memory_bytes);
	sample_make(&sample, GMEM_MESSAGE_COMMIT);
	commit_size = gmem_message_encode(&sample.message, &commit_bytes);

	refuse_raw(memory_bytes, memory_size, fds, 0, -EPROTO);
	refuse_raw(memory_bytes, memory_size, fds, 1, -EPROTO);
	refuse_raw(memory_bytes, memory_size, fds, 3, -EPROTO);
	refuse_raw(memory_bytes, memory_size, fds, 253, -EPROTO);
	refuse_raw(commit_bytes, commit_size, fds, 1, -EPROTO);
	/* And with bytes that are no message at all. */
	refuse_raw(memory_bytes, memory_size - 1, fds, 2, -EBADMSG);
	refuse_raw(memory_bytes, 3, fds, 2, -EBADMSG);
	refuse_raw("hello, is this the right socket?", 32, fds, 2, -EBADMSG);
	free(memory_bytes);
	free(commit_bytes);
}

/* Send as many descriptors with every byte as the kernel lets through. */
static void descriptors_without_end(void **state)
{
	struct pair pair = connection();
	struct gmem_message got;
	struct sample sample;
	int fds[100];
	void *bytes;
	ssize_t size, i;

	(void)state;
	for (i = 0; i < 100; i++)
		fds[i] = STDERR_FILENO;
	sample_make(&sample, GMEM_MESSAGE_COMMIT);
	size = gmem_message_encode(&sample.message, &bytes);
	for (i = 0; i < size; i++)
		send_raw(pair.theirs, (char *)bytes + i, 1, fds, 100);
	assert_int_equal(gmem_receive(pair.ours, &got, LATE), -EPROTO);
	free(bytes);
	disconnect(&pair);
}

static void no_room_for_descriptors(void **state)
{
	int view = memory("view", VIEW_SIZE, 0);
	int shared = memory("shared", SHARED_SIZE, F_SEAL_SHRINK);
	struct pair pair = connection();
	struct rlimit old, low;
	struct gmem_message got;
	struct sample sample;
	ssize_t ret;

	(void)state;
	memory_message(&sample, view, shared);
	assert_true(gmem_send(pair.theirs, &sample.message, LATE) > 0);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	/* Room for one more: the lowest free number. */
	low.rlim_cur = dup(view);
	close(low.rlim_cur);
	low.rlim_cur++;
	setrlimit(RLIMIT_NOFILE, &low);
	ret = gmem_receive(pair.ours, &got, LATE);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(ret, -EMFILE);
	disconnect(&pair);
	close(view);
	close(shared);
}

static void the_end_of_a_connection(void **state)
{
	struct pair pair = connection();
	struct gmem_message got;

	(void)state;
	close(pair.theirs);
	pair.theirs = -1;
	assert_int_equal(gmem_receive(pair.ours, &got, LATE), 0);
	assert_int_equal(gmem_receive(pair.ours, &got, -1), 0);
	disconnect(&pair);
}

/* SNAPSHOT is for files: over a socket its descriptors could be anything. */
static void a_snapshot(void **state)
{
	struct pair pair = connection();
	struct sample sample;
	void *bytes;
	ssize_t size;

	(void)state;
	sample_make(&sample, GMEM_MESSAGE_SNAPSHOT);
	assert_int_equal(gmem_send(pair.theirs, &sample.message, LATE), -EINVAL);
	disconnect(&pair);
	size = gmem_message_encode(&sample.message, &bytes);
	assert_true(size > 0);
	refuse_raw(bytes, size, (int[]){ 0, 1 }, 2, -EPROTO);
	free(bytes);
}

static void headers_that_promise_too_much(void **state)
{
	struct wire_header header = {
		.magic = GMEM_WIRE_MAGIC, .version = GMEM_WIRE_VERSION,
		.kind = GMEM_MESSAGE_STATE, .length = UINT32_MAX,
	};

	(void)state;
	refuse_raw(&header, sizeof(header), NULL, 0, -EBADMSG);
	header.length = GMEM_MAX_MESSAGE;
	refuse_raw(&header, sizeof(header), NULL, 0, -EBADMSG);
	header.length = 64;	/* which do not come */
	refuse_raw(&header, sizeof(header), NULL, 0, -EBADMSG);
	header.version = GMEM_WIRE_VERSION + 1;
	refuse_raw(&header, sizeof(header), NULL, 0, -EPROTONOSUPPORT);
}

static void a_peer_that_says_nothing(void **state)
{
	struct pair pair = connection();
	struct gmem_message got;
	long start = milliseconds();

	(void)state;
	assert_int_equal(gmem_receive(pair.ours, &got, SOON), -ETIMEDOUT);
	assert_in_range(milliseconds() - start, SOON - 1, LATE);
	assert_int_equal(gmem_receive(pair.ours, &got, 0), -ETIMEDOUT);
	disconnect(&pair);
}

/* The time is for the whole message: a byte now and then does not renew it. */
static void a_peer_that_is_slow(void **state)
{
	struct pair pair = connection();
	struct gmem_message got;
	struct sample sample;
	long start = milliseconds();
	void *bytes;
	ssize_t size, i;
	pid_t child;

	(void)state;
	sample_make(&sample, GMEM_MESSAGE_STATE);
	size = gmem_message_encode(&sample.message, &bytes);
	child = fork();
	if (!child) {
		for (i = 0; i < size; i++) {
			if (write(pair.theirs, (char *)bytes + i, 1) != 1)
				break;
			usleep(20000);
		}
		_exit(0);
	}
	assert_int_equal(gmem_receive(pair.ours, &got, SOON), -ETIMEDOUT);
	assert_in_range(milliseconds() - start, SOON - 1, LATE);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	free(bytes);
	disconnect(&pair);
}

static void a_peer_that_does_not_read(void **state)
{
	struct pair pair = connection();
	struct gmem_message message;
	struct sample sample;
	ssize_t ret;

	(void)state;
	sample_make(&sample, GMEM_MESSAGE_STATE);
	message = sample.message;
	do {
		ret = gmem_send(pair.theirs, &message, SOON);
	} while (ret > 0);
	assert_int_equal(ret, -ETIMEDOUT);
	disconnect(&pair);
}

static void a_peer_that_has_closed(void **state)
{
	struct pair pair = connection();
	struct sample sample;

	(void)state;
	close(pair.theirs);
	pair.theirs = -1;
	sample_make(&sample, GMEM_MESSAGE_GIVEN);
	/* No SIGPIPE: that would end this test. */
	assert_int_equal(gmem_send(pair.ours, &sample.message, LATE), -EPIPE);
	disconnect(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_with_its_descriptors),
		cmocka_unit_test(messages_follow_each_other),
		cmocka_unit_test(a_message_longer_than_the_socket_holds),
		cmocka_unit_test(descriptors_of_the_wrong_kind),
		cmocka_unit_test(the_wrong_number_of_descriptors),
		cmocka_unit_test(descriptors_without_end),
		cmocka_unit_test(no_room_for_descriptors),
		cmocka_unit_test(the_end_of_a_connection),
		cmocka_unit_test(a_snapshot),
		cmocka_unit_test(headers_that_promise_too_much),
		cmocka_unit_test(a_peer_that_says_nothing),
		cmocka_unit_test(a_peer_that_is_slow),
		cmocka_unit_test(a_peer_that_does_not_read),
		cmocka_unit_test(a_peer_that_has_closed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
