// SPDX-License-Identifier: MIT
/*
 * Fake and hostile VMMs: gmem pager says why it rejects them, and goes on listening. And page
 * servers that do the same to gmem run.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmem.h>

#include "common/say.h"
#include "common/status.h"
#include "other.h"
#include "paging.h"

#define SIZE	(1UL << 20)	/* of images here, as of a VMM's memory */

/* ---- A VMM ---- */

static struct vmm {
	int kvm, vm, view;
	char *memory;
} vmm;

static void vmm_make(uint64_t size)
{
	vmm.kvm = gmem_kvm_open();
	vmm.vm = gmem_vm_create(vmm.kvm, KVM_X86_DEFAULT_VM);
	vmm.view = gmem_memfd_create(vmm.vm, size, GUEST_MEMFD_FLAG_MMAP |
						   GUEST_MEMFD_FLAG_INIT_SHARED);
	assert_true(vmm.view >= 0);
	assert_int_equal(fcntl(vmm.view, F_SETFD, FD_CLOEXEC), 0);
	vmm.memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  vmm.view, 0);
	assert_true(vmm.memory != MAP_FAILED);
}

static void vmm_close(uint64_t size)
{
	munmap(vmm.memory, size);
	close(vmm.view);
	close(vmm.vm);
	close(vmm.kvm);
}

static int vmm_connect(void)
{
	int socket = gmem_connect(socket_path("a"));

	assert_true(socket >= 0);
	return socket;
}

/* Send what it takes for an offer, and return what the page server says. */
static struct gmem_pager_message offer(int socket, int fd, uint64_t size)
{
	struct gmem_pager_message message = {
		.kind = GMEM_PAGER_OFFER, .size = size, .pager = fd,
	};

	assert_int_equal(gmem_pager_send(socket, &message, 1000), 0);
	assert_int_equal(gmem_pager_receive(socket, &message, 60000), 1);
	return message;
}

static void is_refused(int fd, uint64_t size, const char *why)
{
	int socket = vmm_connect();
	struct gmem_pager_message message = offer(socket, fd, size);

	assert_int_equal(message.kind, GMEM_PAGER_REFUSED);
	if (!strstr(message.text, why))
		fail_msg("refused for another reason: %s", message.text);
	close(socket);
}

/* A good VMM still gets what it wants. */
static void serves_still(struct program *pager)
{
	struct gmem_pager_message message;
	int socket, fd;

	vmm_make(SIZE);
	fd = gmem_pager_create(vmm.view, 0, SIZE, 0);
	assert_true(fd >= 0);
	socket = vmm_connect();
	assert_int_equal(offer(socket, fd, SIZE).kind, GMEM_PAGER_ACCEPTED);
	close(fd);
	assert_int_equal(gmem_pager_receive(socket, &message, 60000), 1);
	assert_int_equal(message.kind, GMEM_PAGER_DONE);
	close(socket);
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: done");
	vmm_close(SIZE);
}

static struct program *listening(void)
{
	image_make(1);
	return pager_start("pager", NULL);
}

/* ---- Turned away ---- */

static void descriptors_that_are_no_pager(void **state)
{
	struct program *pager = listening();
	int pipes[2], zero = open("/dev/zero", O_RDWR), filler;
	int file = open(file_path("image"), O_RDWR);

	(void)state;
	vmm_make(SIZE);
	filler = gmem_create_filler(vmm.view);
	assert_true(zero >= 0 && file >= 0 && filler >= 0 && !pipe(pipes));
	is_refused(zero, SIZE, "not a pager");
	is_refused(file, SIZE, "not a pager");
	is_refused(pipes[0], SIZE, "not a pager");
	is_refused(vmm.vm, SIZE, "not a pager");
	is_refused(vmm.view, SIZE, "not a pager");
	is_refused(filler, SIZE, "not a pager");
	close(filler);
	close(file);
	close(zero);
	close(pipes[0]);
	close(pipes[1]);
	vmm_close(SIZE);
	serves_still(pager);
}

static void pagers_of_another_size(void **state)
{
	static const struct { uint64_t memory, says; const char *why; } sizes[] = {
		{ SIZE, 2 * SIZE, "not of the same size" },
		{ 2 * SIZE, 2 * SIZE, "not of the same size" },
		{ 2 * SIZE, SIZE, "larger than it says" },
		{ SIZE / 2, SIZE, "smaller than it says" },
		{ SIZE, 1ULL << 63, "not of the same size" },
	};
	struct program *pager = listening();
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		vmm_make(sizes[i].memory);
		fd = gmem_pager_create(vmm.view, 0, sizes[i].memory, 0);
		is_refused(fd, sizes[i].says, sizes[i].why);
		close(fd);
		vmm_close(sizes[i].memory);
	}
	serves_still(pager);
}

static void memory_that_is_gone(void **state)
{
	struct program *pager = listening();
	int fd;

	(void)state;
	vmm_make(SIZE);
	fd = gmem_pager_create(vmm.view, 0, SIZE, 0);
	vmm_close(SIZE);
	is_refused(fd, SIZE, "gone");
	close(fd);
	serves_still(pager);
}

/* Events would go where the VMM reads them, and not to the page server. */
static void a_pager_with_a_ring(void **state)
{
	struct program *pager = listening();
	struct gmem_pager_ring ring;
	int fd;

	(void)state;
	vmm_make(SIZE);
	fd = gmem_pager_create(vmm.view, 0, SIZE, 0);
	assert_int_equal(gmem_pager_ring_open(fd, 4, 4, 0, &ring), 0);
	is_refused(fd, SIZE, "has a ring already");
	gmem_pager_ring_close(&ring);
	close(fd);
	vmm_close(SIZE);
	serves_still(pager);
}

static void messages_that_are_no_offer(void **state)
{
	struct gmem_pager_message done = { .kind = GMEM_PAGER_DONE, .pager = -1 };
	struct program *pager = listening();
	int socket = vmm_connect();

	(void)state;
	assert_int_equal(gmem_pager_send(socket, &done, 1000), 0);
	assert_int_equal(gmem_pager_receive(socket, &done, 60000), 1);
	assert_int_equal(done.kind, GMEM_PAGER_REFUSED);
	close(socket);
	send_bytes(socket_path("a"), "no message of any kind", 22);
	wait_for_words(pager, "turned away: Bad message");
	close(vmm_connect());
	wait_for_words(pager, "it has gone away");
	serves_still(pager);
}

/* Another VMM does not wait for ever for one that says nothing. */
static void a_silent_vmm(void **state)
{
	struct program *pager = listening();
	int socket = vmm_connect();

	(void)state;
	assert_int_equal(send(socket, "gmpg", 4, 0), 4);
	serves_still(pager);
	must_have_said(pager, "timed out");
	close(socket);
}

/* Bytes at random, nearly right ones too, and descriptors of all kinds. */
static void send_nonsense(const char *good, const int *fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control = { .space = { 0 } };
	size_t count = rand() % 8 ? rand() % 3 : rand() % 254, i;
	int socket = vmm_connect(), many[253];
	char bytes[256];
	struct iovec content = { bytes, rand() % 4 ? 256 : rand() % 257 };
	struct msghdr header = { .msg_iov = &content, .msg_iovlen = 1 };

	memcpy(bytes, good, sizeof(bytes));
	for (i = rand() % 4; i; i--)
		bytes[rand() % (rand() % 2 ? 24 : 256)] = rand();
	for (i = 0; i < count; i++)
		many[i] = fds[rand() % 4];
	if (count) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), many, count * sizeof(int));
	}
	assert_true(sendmsg(socket, &header, MSG_NOSIGNAL) >= 0);
	close(socket);
}

static void nonsense_at_random(void **state)
{
	struct program *pager = listening();
	struct gmem_pager_message good = {
		.kind = GMEM_PAGER_OFFER, .size = SIZE,
	};
	int fds[4], pair[2], round;
	char bytes[256], path[64];
	uint64_t limit;

	(void)state;
	srand(5);
	vmm_make(SIZE);
	fds[0] = vmm.view;
	fds[1] = vmm.vm;
	fds[2] = gmem_create_filler(vmm.view);
	fds[3] = open("/dev/zero", O_RDWR);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	good.pager = pair[0];
	assert_int_equal(gmem_pager_send(pair[0], &good, 1000), 0);
	assert_int_equal(recv(pair[1], bytes, 256, MSG_WAITALL), 256);
	for (round = 0; round < 500; round++) {
		send_nonsense(bytes, fds);
		listen_for(1);
	}
	assert_false(child_gone(&pager->child));
	/* It has kept none of all those descriptors, once it has got through. */
	limit = late();
	for (round = 10; round < 64; round++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d",
			 pager->child.pid, round);
		while (!access(path, F_OK) && now_ns() < limit)
			listen_for(20);
		assert_int_equal(access(path, F_OK), -1);
	}
	close(pair[0]);
	close(pair[1]);
	close(fds[2]);
	close(fds[3]);
	vmm_close(SIZE);
	serves_still(pager);
}

/* ---- A VMM that turns hostile once it is served ---- */

static volatile bool over;

/* A pager of an image's memory, that has nothing to do but what it is asked for. */
static struct program *serve_on_demand(int flags, int *socket)
{
	struct program *pager = pager_start("pager", "--on-demand", "--prefetch", "1", NULL);
	/* All of the memory, or what is owed still. */
	int fd = gmem_pager_create(vmm.view, 0, flags ? 0 : SIZE, flags);

	assert_true(fd >= 0);
	*socket = vmm_connect();
	assert_int_equal(offer(*socket, fd, SIZE).kind, GMEM_PAGER_ACCEPTED);
	close(fd);
	return pager;
}

/* What holes took from the pager before is missing, and not the next one's to give. */
static void holes_before_a_takeover(void **state)
{
	struct gmem_pager_message message;
	struct program *pager;
	unsigned int page;
	int socket;

	(void)state;
	image_make(1);
	vmm_make(SIZE);
	pager = serve_on_demand(0, &socket);
	assert_int_equal(fallocate(vmm.view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   10 * PAGE, 100 * PAGE), 0);
	/* The pager comes to this after the hole. */
	(void)((volatile char *)vmm.memory)[0];
	close(socket);
	programs_end(NULL);

	pager = serve_on_demand(KVM_GMEM_PAGER_TAKEOVER, &socket);
	for (page = 0; page < SIZE / PAGE; page++)
		(void)((volatile char *)vmm.memory)[page * PAGE];
	assert_int_equal(gmem_pager_receive(socket, &message, 60000), 1);
	assert_int_equal(message.kind, GMEM_PAGER_DONE);
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: serves a guest: 155 of 256 pages are missing");
	must_have_said(pager, "gmem: done: 155 pages given, 155 asked for, 0 failed, 0 left");
	close(socket);
	vmm_close(SIZE);
}

static void *touch_all(void *unused)
{
	volatile char *memory = vmm.memory;

	(void)unused;
	while (!over)
		memory[rand() % SIZE];
	return NULL;
}

/*
 * It reads the pager's events itself, populates, punches holes, gives answers of
 * its own and talks nonsense, and at the end takes the memory away.
 */
static void hostile_while_it_is_served(void **state)
{
	struct program *pager;
	struct kvm_gmem_event event;
	struct gmem_pager_message message;
	int socket, fd, round;
	pthread_t thread;

	(void)state;
	image_make(1);
	pager = pager_start("pager", "--on-demand", "--prefetch", "1", NULL);
	srand(6);
	vmm_make(SIZE);
	fd = gmem_pager_create(vmm.view, 0, SIZE, 0);
	socket = vmm_connect();
	assert_int_equal(offer(socket, fd, SIZE).kind, GMEM_PAGER_ACCEPTED);
	assert_int_equal(pthread_create(&thread, NULL, touch_all, NULL), 0);
	for (round = 0; round < 2000; round++) {
		uint64_t offset = rand() % 256 * PAGE;
		struct kvm_gmem_answer answer = {
			.op = 1 + rand() % 3, .offset = offset, .size = PAGE,
			.from = rand() % 2 ? (uintptr_t)&message & ~4095UL : 0,
		};

		switch (rand() % 6) {
		case 0:
			gmem_pager_read(fd, &event, 1);
			break;
		case 1:
			gmem_populate(vmm.view, offset, NULL, PAGE);
			break;
		case 2:
			fallocate(vmm.view, FALLOC_FL_PUNCH_HOLE |
				  FALLOC_FL_KEEP_SIZE, offset, PAGE);
			break;
		case 3:
			gmem_pager_answer(fd, &answer, 1);
			break;
		case 4:
			send(socket, &answer, sizeof(answer),
			     MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		default:
			listen_for(1);
		}
	}
	/* Nobody is to wait for a page of which it took the event away. */
	over = true;
	for (round = 0; round < 256; round++)
		gmem_populate(vmm.view, round * PAGE, NULL, PAGE);
	pthread_join(thread, NULL);
	close(socket);
	vmm_close(SIZE);
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: ");
	close(fd);
}

/*
 * It maps the pager's ring, and writes into it, or into the events and answers
 * there. The page server ends and says that, or does not notice.
 */
static void nonsense_in_its_ring(void **state)
{
	unsigned int round, i, noticed = 0;
	struct program *pager;
	int socket, fd;
	uint32_t *ring;

	(void)state;
	srand(7);
	for (round = 0; round < 20; round++) {
		image_make(1);
		pager = pager_start("pager", "--on-demand", NULL);
		vmm_make(SIZE);
		fd = gmem_pager_create(vmm.view, 0, SIZE, 0);
		socket = vmm_connect();
		assert_int_equal(offer(socket, fd, SIZE).kind,
				 GMEM_PAGER_ACCEPTED);
		ring = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    fd, 0);
		assert_true(ring != MAP_FAILED);
		for (i = 0; i < 200; i++) {
			/* The counts, or anything. */
			ring[rand() % 2 ? rand() % 5 * 16 : rand() % 8192] =
				rand() % 2 ? rand() % 300 : rand();
			if (i % 20 == 0)
				listen_for(1);
		}
		munmap(ring, 8 * PAGE);
		close(socket);
		vmm_close(SIZE);
		close(fd);
		while (!child_gone(&pager->child))
			listen_for(5);
		hear_last_words(pager);
		assert_true(WIFEXITED(pager->child.status));
		noticed += WEXITSTATUS(pager->child.status) == EXIT_FAILED;
		if (WEXITSTATUS(pager->child.status) == EXIT_FAILED)
			must_have_said(pager, "serving the guest: ");
		programs_end(NULL);
	}
	print_message("# noticed %u times of 20\n", noticed);
	assert_true(noticed);
}

/* ---- Page servers that are none ---- */

static int server_socket;

/* A guest, and the pager that it offers to any listener. */
static struct gmem_pager_message guest_offers(struct program **guest)
{
	struct gmem_pager_message message;
	int listener = gmem_listen(socket_path("a"));

	assert_true(listener >= 0);
	*guest = guest_start();
	server_socket = gmem_accept(listener);
	close(listener);
	assert_true(server_socket >= 0);
	assert_int_equal(gmem_pager_receive(server_socket, &message, 60000), 1);
	assert_int_equal(message.kind, GMEM_PAGER_OFFER);
	assert_int_equal(message.size, (uint64_t)IMAGE_MIB << 20);
	return message;
}

static void a_refusal_with_control_characters(void **state)
{
	struct gmem_pager_message refusal = {
		.kind = GMEM_PAGER_REFUSED, .pager = -1, .error = EBUSY,
		.text = "not \033[2J now",
	};
	struct program *guest;

	(void)state;
	close(guest_offers(&guest).pager);
	assert_int_equal(gmem_pager_send(server_socket, &refusal, 1000), 0);
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "does not take the pager: not ?[2J now");
	close(server_socket);
}

static void answers_that_are_none(void **state)
{
	struct gmem_pager_message done = { .kind = GMEM_PAGER_DONE, .pager = -1 };
	char bytes[256] = "no answer";
	struct program *guest;

	(void)state;
	close(guest_offers(&guest).pager);
	close(server_socket);
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "giving the pager to the page server");
	programs_end(NULL);

	close(guest_offers(&guest).pager);
	assert_int_equal(send(server_socket, bytes, 256, 0), 256);
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "speaks something else");
	close(server_socket);
	programs_end(NULL);

	close(guest_offers(&guest).pager);
	assert_int_equal(gmem_pager_send(server_socket, &done, 1000), 0);
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "breaks the protocol");
	assert_false(has_said(guest, "guest: "));
	close(server_socket);
}

/* Accepted by one that serves nothing: the next does. */
static void a_page_server_that_goes_away(const char *last_words)
{
	struct gmem_pager_message accepted = {
		.kind = GMEM_PAGER_ACCEPTED, .pager = -1,
	};
	struct program *guest, *pager;
	int fd;

	image_make(IMAGE_MIB);
	fd = guest_offers(&guest).pager;
	assert_int_equal(gmem_pager_send(server_socket, &accepted, 1000), 0);
	while (!child_event(&guest->child, "running"))
		listen_for(5);
	if (last_words)
		send(server_socket, last_words, 256, 0);
	close(server_socket);
	/* Its pager is still there: no other can take over. */
	pager = pager_start("pager", NULL);
	wait_for_words(guest, "Device or resource busy");
	assert_false(has_said(guest, "words whole"));
	close(fd);
	wait_for_words(guest, "goes on");
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
}

static void serves_nothing_and_goes(void **state)
{
	(void)state;
	a_page_server_that_goes_away(NULL);
}

static void serves_nothing_and_talks_nonsense(void **state)
{
	static const char nonsense[256] = "nonsense";

	(void)state;
	a_page_server_that_goes_away(nonsense);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptors_that_are_no_pager),
		TEST(pagers_of_another_size),
		TEST(memory_that_is_gone),
		TEST(a_pager_with_a_ring),
		TEST(messages_that_are_no_offer),
		TEST(a_silent_vmm),
		TEST(nonsense_at_random),
		TEST(holes_before_a_takeover),
		TEST(hostile_while_it_is_served),
		TEST(nonsense_in_its_ring),
		TEST(a_refusal_with_control_characters),
		TEST(answers_that_are_none),
		TEST(serves_nothing_and_goes),
		TEST(serves_nothing_and_talks_nonsense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
