// SPDX-License-Identifier: MIT
/* The messages between a VMM and its page server, hostile ones among them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample.h"

#define SIZE	256	/* of a message */

static int ends[2];

static int connect_ends(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static unsigned int open_fds(void)
{
	unsigned int count = 0;
	int fd;

	for (fd = 0; fd < 400; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static struct gmem_pager_message offer(int fd)
{
	return (struct gmem_pager_message){
		.kind = GMEM_PAGER_OFFER, .flags = GMEM_PAGER_SUCCEEDS,
		.size = 1ULL << 40, .pager = fd,
	};
}

static void an_offer_arrives(void **state)
{
	struct gmem_pager_message sent = offer(ends[0]), got;
	struct stat a, b;

	(void)state;
	assert_int_equal(gmem_pager_send(ends[0], &sent, 1000), 0);
	assert_int_equal(gmem_pager_receive(ends[1], &got, 1000), 1);
	assert_int_equal(got.kind, sent.kind);
	assert_int_equal(got.flags, sent.flags);
	assert_true(got.size == sent.size);
	assert_int_equal(got.error, 0);
	assert_int_equal(fstat(ends[0], &a), 0);
	assert_int_equal(fstat(got.pager, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(fcntl(got.pager, F_GETFD), FD_CLOEXEC);
	close(got.pager);
}

static void answers_arrive(void **state)
{
	static const enum gmem_pager_message_kind bare[] = {
		GMEM_PAGER_ACCEPTED, GMEM_PAGER_DONE,
	};
	struct gmem_pager_message sent = {
		.kind = GMEM_PAGER_REFUSED, .pager = -1, .error = EBADF,
		.text = "no pager",
	};
	struct gmem_pager_message got;
	size_t i;

	(void)state;
	assert_int_equal(gmem_pager_send(ends[0], &sent, 1000), 0);
	assert_int_equal(gmem_pager_receive(ends[1], &got, 1000), 1);
	assert_int_equal(got.kind, GMEM_PAGER_REFUSED);
	assert_int_equal(got.error, EBADF);
	assert_string_equal(got.text, "no pager");
	assert_int_equal(got.pager, -1);
	for (i = 0; i < 2; i++) {
		sent = (struct gmem_pager_message){
			.kind = bare[i], .pager = -1,
		};
		assert_int_equal(gmem_pager_send(ends[0], &sent, 1000), 0);
		assert_int_equal(gmem_pager_receive(ends[1], &got, 1000), 1);
		assert_int_equal(got.kind, bare[i]);
	}
}

static void what_is_no_message_is_not_sent(void **state)
{
	struct gmem_pager_message wrong[8];
	size_t i;

	(void)state;
	for (i = 0; i < 8; i++)
		wrong[i] = offer(ends[0]);
	wrong[0].kind = 0;
	wrong[1].kind = GMEM_PAGER_KINDS;
	wrong[2].kind = 65536 + GMEM_PAGER_OFFER;
	wrong[3].flags = 2;
	wrong[4].size = 0;
	wrong[5].pager = -1;
	wrong[6].error = 1;
	wrong[7].kind = GMEM_PAGER_ACCEPTED;
	for (i = 0; i < 8; i++)
		assert_int_equal(gmem_pager_send(ends[0], &wrong[i], 1000),
				 -EINVAL);
}

/* The bytes of a good message, to be spoiled. */
static void bytes_of(const struct gmem_pager_message *message, char *bytes)
{
	struct gmem_pager_message none;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(gmem_pager_send(pair[0], message, 1000), 0);
	assert_int_equal(recv(pair[1], bytes, SIZE, MSG_WAITALL), SIZE);
	assert_int_equal(recv(pair[1], &none, 1, MSG_DONTWAIT), -1);
	close(pair[0]);
	close(pair[1]);
}

/* Bytes and descriptors as they are. */
static void send_raw(const char *bytes, size_t size, const int *fds,
		     size_t count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec content = { (void *)bytes, size };
	struct msghdr header = { .msg_iov = &content, .msg_iovlen = 1 };

	if (count) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(ends[0], &header, 0), size);
}

/* Refused so, with nothing left open and nothing said. */
static void is_refused(int error)
{
	struct gmem_pager_message got;
	unsigned int before = open_fds();

	assert_int_equal(gmem_pager_receive(ends[1], &got, 1000), error);
	assert_int_equal(open_fds(), before);
	assert_int_equal(got.pager, -1);
	assert_int_equal(got.kind, 0);
}

static void spoiled_messages(void **state)
{
	static const struct { size_t at; char value; int error; } spoil[] = {
		{ 0, 1, -EBADMSG },		/* magic */
		{ 4, 2, -EPROTONOSUPPORT },	/* version */
		{ 6, 0, -EPROTO },		/* kind */
		{ 6, GMEM_PAGER_KINDS, -EPROTO },
		{ 6, GMEM_PAGER_DONE, -EPROTO },
		{ 13, 0, -EPROTO },		/* size */
		{ 16, 3, -EPROTO },		/* flags */
		{ 20, 1, -EPROTO },		/* error */
		{ 24, 'x', -EPROTO },		/* text */
	};
	struct gmem_pager_message good = offer(ends[0]);
	char bytes[SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
		bytes_of(&good, bytes);
		bytes[spoil[i].at] = spoil[i].value;
		send_raw(bytes, SIZE, ends, 1);
		is_refused(spoil[i].error);
	}
}

static void text_without_an_end(void **state)
{
	struct gmem_pager_message refusal = {
		.kind = GMEM_PAGER_REFUSED, .pager = -1, .error = 1,
	};
	char bytes[SIZE];

	(void)state;
	bytes_of(&refusal, bytes);
	memset(bytes + 24, 'x', SIZE - 24);
	send_raw(bytes, SIZE, NULL, 0);
	is_refused(-EPROTO);
}

static void not_one_descriptor(void **state)
{
	struct gmem_pager_message good = offer(ends[0]);
	char bytes[SIZE];
	int many[253];
	size_t i;

	(void)state;
	for (i = 0; i < 253; i++)
		many[i] = ends[0];
	bytes_of(&good, bytes);
	send_raw(bytes, SIZE, NULL, 0);
	is_refused(-EPROTO);
	send_raw(bytes, SIZE, many, 2);
	is_refused(-EPROTO);
	send_raw(bytes, SIZE, many, 253);
	is_refused(-EPROTO);
	/* Some with each byte, more than there is room for. */
	for (i = 0; i < 4; i++)
		send_raw(bytes + i, 1, many, 100);
	send_raw(bytes + 4, SIZE - 4, NULL, 0);
	is_refused(-EPROTO);
	/* A descriptor where none belongs. */
	good = (struct gmem_pager_message){ GMEM_PAGER_DONE, .pager = -1 };
	bytes_of(&good, bytes);
	send_raw(bytes, SIZE, many, 1);
	is_refused(-EPROTO);
}

static void cut_short(void **state)
{
	struct gmem_pager_message good = offer(ends[0]), got;
	char bytes[SIZE];

	(void)state;
	bytes_of(&good, bytes);
	send_raw(bytes, SIZE - 1, ends, 1);
	assert_int_equal(gmem_pager_receive(ends[1], &got, 100), -ETIMEDOUT);
	send_raw(bytes, SIZE - 1, ends, 1);
	shutdown(ends[0], SHUT_WR);
	is_refused(-EBADMSG);
	assert_int_equal(gmem_pager_receive(ends[1], &got, 100), 0);
}

/* A peer that sends a byte now and then does not make us wait for ever. */
static void a_silent_peer(void **state)
{
	struct gmem_pager_message got;

	(void)state;
	assert_int_equal(gmem_pager_receive(ends[1], &got, 0), -ETIMEDOUT);
	assert_int_equal(gmem_pager_receive(ends[1], &got, 50), -ETIMEDOUT);
}

/* Anything at all: an error, and no descriptor left. */
static void random_bytes(void **state)
{
	struct gmem_pager_message good = offer(ends[0]), got;
	char bytes[SIZE];
	int round, i, ret;

	(void)state;
	srand(1);
	for (round = 0; round < 4000; round++) {
		unsigned int before = open_fds();

		bytes_of(&good, bytes);
		for (i = rand() % 4; i >= 0; i--)
			bytes[rand() % (round % 2 ? 32 : SIZE)] = rand();
		send_raw(bytes, SIZE, ends, rand() % 3);
		ret = gmem_pager_receive(ends[1], &got, 1000);
		assert_true(ret == 1 ||
			    (ret < 0 && got.pager == -1 && !got.kind));
		if (ret == 1 && got.pager >= 0)
			close(got.pager);
		assert_int_equal(open_fds(), before);
	}
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, connect_ends, close_ends)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_offer_arrives),
		TEST(answers_arrive),
		TEST(what_is_no_message_is_not_sent),
		TEST(spoiled_messages),
		TEST(text_without_an_end),
		TEST(not_one_descriptor),
		TEST(cut_short),
		TEST(a_silent_peer),
		TEST(random_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
