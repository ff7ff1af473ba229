// SPDX-License-Identifier: MIT
/*
 * The handover's state machines, over a real socket, with a file in place of the VM's state in the
 * kernel: how each side handles any message of the other one, and its death at each step.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <gmem.h>

#include "protocol/bytes.h"
#include "protocol/wire.h"

#define LONG	30000000000ULL	/* ns */

static uint64_t after(uint64_t ns)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec + ns;
}

/* ---- A pair, and what stands for a VM ---- */

/* @source, @destination: ends of the socket; @info: stands for the view's fdinfo; @vm: any fd */
static struct {
	int source, destination;
	struct gmem_page page;
	int info;
	int vm;
} pair;

static const struct gmem_slot slots[2] = {
	{ .slot = 0, .size = 4096, .private_fd = 0, .shared_fd = 0 },
	{ .slot = 1, .gpa = 1 << 20, .size = 8192, .private_offset = 4096,
	  .shared_offset = 4096, .private_fd = 0, .shared_fd = -1 },
};

static void kernel_says(const char *state)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "gmem-ino:\t5\ngmem-vm-state:\t%s\n", state);

	assert_int_equal(ftruncate(pair.info, 0), 0);
	assert_int_equal(pwrite(pair.info, text, length, 0), length);
}

static int make_pair(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pair.source = ends[0];
	pair.destination = ends[1];
	assert_int_equal(gmem_page_create(&pair.page, 8192, 0), 0);
	pair.info = memfd_create("info", MFD_CLOEXEC);
	pair.vm = memfd_create("vm", MFD_CLOEXEC);
	kernel_says("alive");
	return 0;
}

static void close_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

static int close_pair(void **state)
{
	(void)state;
	close_end(&pair.source);
	close_end(&pair.destination);
	close_end(&pair.info);
	close_end(&pair.vm);
	gmem_page_close(&pair.page);
	return 0;
}

static struct gmem_handover *open_source(const struct gmem_handover_options *more)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	struct gmem_handover *handover;

	if (more)
		options = *more;
	options.role = GMEM_SOURCE;
	options.socket = pair.source;
	options.peer = -1;
	options.page = &pair.page;
	options.info = pair.info;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), 0);
	pair.source = -1;
	gmem_handover_deadline(handover, after(LONG));
	return handover;
}

static struct gmem_handover *open_destination(const struct gmem_handover_options *more)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	struct gmem_handover *handover;

	if (more)
		options = *more;
	options.role = GMEM_DESTINATION;
	options.socket = pair.destination;
	options.peer = -1;
	options.info = -1;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), 0);
	pair.destination = -1;
	gmem_handover_deadline(handover, after(LONG));
	return handover;
}

static int offer(struct gmem_handover *source)
{
	const struct gmem_named_fd fds[2] = { { "disk0", pair.vm }, { "tap0", pair.info } };
	const struct gmem_offer offered = {
		.vm_type = 1, .nr_vcpus = 3, .nr_slots = 2, .slots = slots, .vm = pair.vm,
		.view = pair.vm, .nr_fds = 2, .fds = fds,
	};

	return gmem_handover_offer(source, &offered);
}

static void store_state(void)
{
	const struct gmem_section section = {
		.name = "serial", .version = 3, .length = 5, .content = "state",
	};
	char bytes[256];
	size_t used = 0;

	assert_int_equal(gmem_section_put(bytes, sizeof(bytes), &used, &section), 0);
	assert_int_equal(gmem_page_store(&pair.page, bytes, used), 0);
}

static int paused(struct gmem_handover *source)
{
	const struct gmem_named_fd fds[1] = { { "late", pair.vm } };

	store_state();
	return gmem_handover_paused(source, 1000, fds, 1);
}

static bool is_same_file(int a, int b)
{
	struct stat first, second;

	return !fstat(a, &first) && !fstat(b, &second) && first.st_ino == second.st_ino;
}

static void expect_epoch(uint64_t number, enum gmem_epoch_state state)
{
	struct gmem_epoch epoch;

	assert_int_equal(gmem_page_epoch(&pair.page, &epoch), 0);
	assert_int_equal(epoch.number, number);
	assert_int_equal(epoch.state, state);
}

/* ---- All of it ---- */

static void take_offer(struct gmem_handover *destination)
{
	const struct gmem_offer *offered = gmem_handover_offered(destination);
	int fd;

	assert_int_equal(offered->vm_type, 1);
	assert_int_equal(offered->nr_vcpus, 3);
	assert_int_equal(offered->nr_slots, 2);
	assert_memory_equal(offered->slots, slots, sizeof(slots));
	assert_true(is_same_file(offered->vm, pair.vm));
	assert_int_equal(offered->nr_fds, 2);
	fd = gmem_handover_take(destination, "tap0");
	assert_true(is_same_file(fd, pair.info));
	close(fd);
	assert_int_equal(gmem_handover_take(destination, "tap0"), -ENOENT);
	assert_int_equal(gmem_handover_take(destination, "vm"), -ENOENT);
}

static void a_guest_is_handed_over(void **state)
{
	struct gmem_handover *source = open_source(NULL);
	struct gmem_handover *destination = open_destination(NULL);
	uint64_t last, first;
	void *sections;
	size_t size;
	int fd, vm, view;

	(void)state;
	assert_int_equal(gmem_handover_step(source), 0);
	assert_int_equal(gmem_handover_step(destination), 0);
	assert_int_equal(gmem_handover_step(source), 1);
	assert_int_equal(gmem_handover_phase(source), GMEM_PHASE_HELLO);
	assert_int_equal(gmem_handover_version(source), GMEM_HANDOVER_MOST);
	assert_true(gmem_handover_peer(source) >= 0);
	assert_int_equal(gmem_handover_step(source), 0);
	assert_int_equal(offer(source), 0);
	assert_int_equal(gmem_handover_wait(destination), 1);
	take_offer(destination);
	assert_int_equal(gmem_handover_link(destination, pair.info, pair.vm), 0);
	assert_int_equal(gmem_handover_wait(source), 1);
	gmem_handover_linked_fds(source, &vm, &view);
	assert_true(is_same_file(vm, pair.info) && is_same_file(view, pair.vm));
	expect_epoch(1, GMEM_EPOCH_RUNNING);
	assert_int_equal(paused(source), 0);
	expect_epoch(3, GMEM_EPOCH_PAUSED);
	assert_int_equal(gmem_handover_wait(destination), 1);
	fd = gmem_handover_take(destination, "late");
	assert_true(is_same_file(fd, pair.vm));
	close(fd);
	assert_int_equal(gmem_page_load(gmem_handover_page(destination), &sections, &size), 0);
	assert_int_equal(size, 40);
	free(sections);
	assert_int_equal(gmem_handover_begin_move(destination), 0);
	expect_epoch(4, GMEM_EPOCH_MOVING);
	kernel_says("moved");
	assert_int_equal(gmem_handover_moved(destination, 0), 0);
	expect_epoch(4, GMEM_EPOCH_MOVED);
	assert_int_equal(gmem_handover_wait(source), 1);
	assert_int_equal(gmem_handover_phase(source), GMEM_PHASE_MOVED);
	assert_int_equal(gmem_handover_running(destination, 2500), 0);
	assert_int_equal(gmem_handover_wait(source), 1);
	assert_int_equal(gmem_handover_phase(source), GMEM_PHASE_DONE);
	gmem_handover_times(source, &last, &first);
	assert_int_equal(first - last, 1500);
	assert_int_equal(gmem_handover_wait(destination), 1);
	assert_int_equal(gmem_handover_phase(destination), GMEM_PHASE_DONE);
	assert_int_equal(gmem_handover_end(source, 0, NULL), GMEM_THEIRS);
	assert_int_equal(gmem_handover_end(destination, 0, NULL), GMEM_OURS);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

/* ---- Options, and turns ---- */

static void wrong_options_are_refused(void **state)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS, good;
	struct gmem_handover *handover;
	int stream[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	options.role = GMEM_SOURCE;
	options.socket = pair.source;
	options.page = &pair.page;
	options.info = pair.info;
	good = options;
	assert_int_equal(gmem_handover_open(&handover, &options, 1), -EINVAL);
	options.socket = stream[0];
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EINVAL);
	options.socket = -1;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EINVAL);
	options = good;
	options.page = NULL;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EINVAL);
	options = good;
	options.info = -1;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EINVAL);
	options = good;
	options.required = 1;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EINVAL);
	options = good;
	options.least = 3;
	options.most = 2;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EINVAL);
	options = good;
	options.role = GMEM_DESTINATION;
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EINVAL);
	options = good;
	close_end(&pair.destination);
	assert_int_equal(gmem_handover_open(&handover, &options, 0), -EPIPE);
	assert_true(fcntl(pair.source, F_GETFD) >= 0);
	close(stream[0]);
	close(stream[1]);
}

static void nobody_acts_out_of_turn(void **state)
{
	struct gmem_handover *source = open_source(NULL);
	struct gmem_handover *destination = open_destination(NULL);

	(void)state;
	assert_int_equal(offer(source), -EINVAL);
	assert_int_equal(paused(source), -EINVAL);
	assert_int_equal(gmem_handover_link(source, 1, 1), -EINVAL);
	assert_int_equal(gmem_handover_link(destination, 1, 1), -EINVAL);
	assert_int_equal(gmem_handover_begin_move(destination), -EINVAL);
	assert_int_equal(gmem_handover_moved(destination, 0), -EINVAL);
	assert_int_equal(gmem_handover_running(destination, 0), -EINVAL);
	assert_int_equal(gmem_handover_step(destination), 0);
	assert_int_equal(gmem_handover_wait(source), 1);
	assert_int_equal(offer(source), 0);
	assert_int_equal(offer(source), -EINVAL);
	expect_epoch(1, GMEM_EPOCH_RUNNING);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

/* ---- What does not fit ---- */

static void other_versions_are_refused_by_both(void **state)
{
	struct gmem_handover_options later = GMEM_HANDOVER_OPTIONS;
	struct gmem_handover *source = open_source(NULL), *destination;

	(void)state;
	later.least = 3;
	later.most = 7;
	destination = open_destination(&later);
	assert_int_equal(gmem_handover_wait(destination), -EPROTONOSUPPORT);
	assert_non_null(strstr(gmem_handover_reason(destination), "3 to 7"));
	assert_int_equal(gmem_handover_end(destination, 0, NULL), GMEM_THEIRS);
	assert_int_equal(gmem_handover_wait(source), -ECANCELED);
	assert_non_null(strstr(gmem_handover_reason(source), "3 to 7"));
	assert_int_equal(gmem_handover_end(source, 0, NULL), GMEM_OURS);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

static void the_highest_common_version_is_spoken(void **state)
{
	struct gmem_handover_options more = GMEM_HANDOVER_OPTIONS;
	struct gmem_handover *source = open_source(NULL), *destination;

	(void)state;
	more.least = 1;
	more.most = 9;
	destination = open_destination(&more);
	assert_int_equal(gmem_handover_step(destination), 0);
	assert_int_equal(gmem_handover_wait(source), 1);
	assert_int_equal(gmem_handover_version(destination), 2);
	assert_int_equal(gmem_handover_version(source), 2);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

static void features_are_agreed_on(void **state)
{
	struct gmem_handover_options has = GMEM_HANDOVER_OPTIONS, needs = has;
	struct gmem_handover *source, *destination;

	(void)state;
	has.features = 5;
	needs.features = 12;
	needs.required = 4;
	source = open_source(&needs);
	destination = open_destination(&has);
	assert_int_equal(gmem_handover_step(destination), 0);
	assert_int_equal(gmem_handover_wait(source), 1);
	assert_int_equal(gmem_handover_features(source), 4);
	assert_int_equal(gmem_handover_features(destination), 4);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

static void a_feature_that_is_missing_is_refused(void **state)
{
	struct gmem_handover_options has = GMEM_HANDOVER_OPTIONS, needs = has;
	struct gmem_handover *source, *destination;

	(void)state;
	has.features = 1;
	needs.features = 3;
	needs.required = 2;
	source = open_source(&needs);
	destination = open_destination(&has);
	assert_int_equal(gmem_handover_wait(destination), -EPROTONOSUPPORT);
	assert_non_null(strstr(gmem_handover_reason(destination), "0x2"));
	gmem_handover_end(destination, 0, NULL);
	assert_int_equal(gmem_handover_wait(source), -ECANCELED);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

static void silence_has_a_deadline(void **state)
{
	struct gmem_handover *source = open_source(NULL);

	(void)state;
	gmem_handover_deadline(source, after(20000000));
	assert_int_equal(gmem_handover_wait(source), -ETIMEDOUT);
	assert_int_equal(gmem_handover_step(source), -ETIMEDOUT);
	assert_int_equal(gmem_handover_end(source, 0, NULL), GMEM_OURS);
	gmem_handover_close(source);
}

/* ---- Bytes that may be anything: sent to a destination that has had HELLO ---- */

static uint8_t bytes[GMEM_HANDOVER_MESSAGE];

/* As the source would have sent it, with its session. */
static size_t encode(struct wire_message *message, enum gmem_phase kind)
{
	message->kind = kind;
	message->version = 2;
	memset(message->session, 7, sizeof(message->session));
	return gmem_wire_encode(message, bytes);
}

static void sum(size_t size)
{
	put32(bytes + 36, 0);
	put32(bytes + 36, gmem_checksum(0, bytes, size));
}

static void send_with(const int *fds, uint32_t nr, size_t size)
{
	char control[CMSG_SPACE(253 * sizeof(int))] = "";
	struct iovec content = { bytes, size };
	struct msghdr header = { .msg_iov = &content, .msg_iovlen = 1 };

	if (nr) {
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		CMSG_FIRSTHDR(&header)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&header)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&header)->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), fds, nr * sizeof(int));
	}
	assert_int_equal(sendmsg(pair.source, &header, MSG_NOSIGNAL), size);
}

static struct wire_message hello = {
	.least = 2, .most = 2,
};

static struct gmem_handover *greeted(void)
{
	struct gmem_handover *destination = open_destination(NULL);

	hello.sequence = 0;
	hello.nr_fds = 0;
	send_with(NULL, 0, encode(&hello, GMEM_PHASE_HELLO));
	assert_int_equal(gmem_handover_step(destination), 0);
	return destination;
}

static struct wire_message *offered(void)
{
	static struct wire_message message;

	message = (struct wire_message){
		.sequence = 1, .nr_fds = 3, .vm_type = 1, .nr_vcpus = 1, .nr_slots = 2,
		.nr_names = 3, .names = { "vm", "view", "page" },
	};
	memcpy(message.slots, slots, sizeof(slots));
	return &message;
}

static int open_fds(void)
{
	int fd, nr = 0;

	for (fd = 0; fd < 512; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* The destination refuses it, and keeps no descriptor of it. */
static void refuses(size_t size, uint32_t nr_fds, int error)
{
	static uint8_t copy[GMEM_HANDOVER_MESSAGE];
	struct gmem_handover *destination;
	int fds[253], before, i;

	close_pair(NULL);
	make_pair(NULL);
	for (i = 0; i < 253; i++)
		fds[i] = i == 2 ? pair.page.fd : pair.vm;
	memcpy(copy, bytes, sizeof(bytes));
	destination = greeted();
	memcpy(bytes, copy, sizeof(bytes));
	before = open_fds();
	send_with(fds, nr_fds, size);
	assert_int_equal(gmem_handover_wait(destination), error);
	assert_true(*gmem_handover_reason(destination));
	assert_int_equal(open_fds(), before);
	assert_int_equal(gmem_handover_end(destination, 0, NULL), GMEM_THEIRS);
	gmem_handover_close(destination);
}

static void damaged_bytes_are_refused(void **state)
{
	size_t size = encode(offered(), GMEM_PHASE_OFFER), i;

	(void)state;
	for (i = 0; i < size; i += 7) {
		encode(offered(), GMEM_PHASE_OFFER);
		bytes[i] ^= 0x10;
		refuses(size, 3, -EBADMSG);
	}
	encode(offered(), GMEM_PHASE_OFFER);
	refuses(size - 1, 3, -EBADMSG);
	refuses(1, 3, -EBADMSG);
	refuses(size + 8, 3, -EBADMSG);
	memset(bytes, 'x', sizeof(bytes));
	refuses(sizeof(bytes), 0, -EBADMSG);
}

static void a_message_out_of_order_is_refused(void **state)
{
	struct wire_message *message = offered();
	size_t size;

	(void)state;
	message->sequence = 2;
	size = encode(message, GMEM_PHASE_OFFER);
	refuses(size, 3, -EPROTO);
	size = encode(offered(), GMEM_PHASE_OFFER);
	bytes[8] = 1;	/* the session */
	sum(size);
	refuses(size, 3, -EPROTO);
	message = offered();
	message->nr_fds = 0;
	message->nr_names = 0;
	size = encode(message, GMEM_PHASE_PAUSED);
	refuses(size, 0, -EPROTO);
	size = encode(message, GMEM_PHASE_DONE);
	refuses(size, 0, -EPROTO);
	size = encode(message, GMEM_PHASE_LINKED);
	refuses(size, 0, -EPROTO);
	message->least = 2;
	message->most = 2;
	size = encode(message, GMEM_PHASE_HELLO);
	refuses(size, 0, -EPROTO);
	size = encode(offered(), GMEM_PHASE_OFFER);
	put16(bytes + 4, 3);	/* the version */
	sum(size);
	refuses(size, 3, -EPROTO);
	put16(bytes + 4, 2);
	put16(bytes + 6, 77);	/* the kind */
	sum(size);
	refuses(size, 3, -EPROTO);
}

static void wrong_descriptors_are_refused(void **state)
{
	struct wire_message *message = offered();
	size_t size = encode(message, GMEM_PHASE_OFFER);

	(void)state;
	refuses(size, 0, -EPROTO);
	refuses(size, 2, -EPROTO);
	refuses(size, 4, -EPROTO);
	refuses(size, 253, -EPROTO);
	strcpy(message->names[2], "pagE");
	size = encode(message, GMEM_PHASE_OFFER);
	refuses(size, 3, -EPROTO);
	strcpy(message->names[2], "view");
	size = encode(message, GMEM_PHASE_OFFER);
	refuses(size, 3, -EPROTO);
	memset(message->names[2], 'x', sizeof(message->names[2]));
	size = encode(message, GMEM_PHASE_OFFER);
	refuses(size, 3, -EPROTO);
	message = offered();
	message->nr_fds = 4;
	message->nr_names = 4;
	strcpy(message->names[0], "view");
	strcpy(message->names[1], "vm");
	strcpy(message->names[3], "more");
	size = encode(message, GMEM_PHASE_OFFER);
	refuses(size, 4, -EPROTO);
}

static void wrong_slots_are_refused(void **state)
{
	static const struct gmem_slot wrong[] = {
		{ .size = 0 },
		{ .size = 4097 },
		{ .size = 4096, .gpa = 1 },
		{ .size = 4096, .gpa = UINT64_MAX - 4095 },
		{ .size = 8192, .private_offset = INT64_MAX - 4095 },
		{ .size = 4096, .private_fd = 1 },
		{ .size = 4096, .shared_fd = -2 },
	};
	struct wire_message *message;
	size_t size, i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		message = offered();
		message->slots[1] = wrong[i];
		size = encode(message, GMEM_PHASE_OFFER);
		refuses(size, 3, -EPROTO);
	}
	message = offered();
	message->nr_slots = 0;
	size = encode(message, GMEM_PHASE_OFFER);
	refuses(size, 3, -EPROTO);
	message = offered();
	message->nr_vcpus = 0;
	size = encode(message, GMEM_PHASE_OFFER);
	refuses(size, 3, -EPROTO);
}

static size_t add_field(size_t size, uint16_t type, uint16_t flags)
{
	memset(bytes + size, 0, 16);
	put16(bytes + size, type);
	put16(bytes + size + 2, flags);
	put32(bytes + size + 4, 3);
	put32(bytes + 28, size + 16 - 48);
	sum(size + 16);
	return size + 16;
}

static void unknown_fields_count_where_they_must(void **state)
{
	const int fds[3] = { pair.vm, pair.vm, pair.page.fd };
	struct gmem_handover *destination;
	size_t size;

	(void)state;
	destination = greeted();
	size = add_field(encode(offered(), GMEM_PHASE_OFFER), 500, 0);
	send_with(fds, 3, size);
	assert_int_equal(gmem_handover_wait(destination), 1);
	gmem_handover_close(destination);
	size = add_field(encode(offered(), GMEM_PHASE_OFFER), 500, 1);
	refuses(size, 3, -EPROTONOSUPPORT);
	/* Twice, and one that is cut short. */
	size = add_field(encode(offered(), GMEM_PHASE_OFFER), 3, 1);
	refuses(size, 3, -EPROTO);
	size = add_field(encode(offered(), GMEM_PHASE_OFFER), 500, 0);
	put32(bytes + size - 12, 9);
	sum(size);
	refuses(size, 3, -EBADMSG);
	put32(bytes + size - 12, UINT32_MAX);
	sum(size);
	refuses(size, 3, -EBADMSG);
}

static void a_page_that_is_none_is_refused(void **state)
{
	struct gmem_handover *destination;
	int fds[3], other = memfd_create("other", MFD_CLOEXEC);

	(void)state;
	destination = greeted();
	fds[0] = pair.vm;
	fds[1] = pair.vm;
	fds[2] = other;
	send_with(fds, 3, encode(offered(), GMEM_PHASE_OFFER));
	assert_int_equal(gmem_handover_wait(destination), -EBADF);
	gmem_handover_close(destination);
	close(other);
}

static void a_reason_is_shown_to_people(void **state)
{
	static struct wire_message message;
	struct gmem_handover *destination = greeted();

	(void)state;
	message = (struct wire_message){ .sequence = 1, .error = ENOSPC };
	strcpy(message.text, "it is \033[31mfull");
	send_with(NULL, 0, encode(&message, GMEM_PHASE_ABORT));
	assert_int_equal(gmem_handover_wait(destination), -ECANCELED);
	assert_non_null(strstr(gmem_handover_reason(destination), "it is ?[31mfull"));
	assert_non_null(strstr(gmem_handover_reason(destination), strerror(ENOSPC)));
	gmem_handover_close(destination);
}

/* MOVED is believed only where the epoch says so. */
static void a_false_word_moves_nothing(void **state)
{
	struct gmem_handover *source = open_source(NULL);
	static struct wire_message message;
	uint8_t session[16];

	(void)state;
	assert_true(recv(pair.destination, bytes, sizeof(bytes), 0) > 48);
	memcpy(session, bytes + 8, 16);
	pair.source = pair.destination;	/* what send_with() sends by */
	hello.sequence = 0;
	encode(&hello, GMEM_PHASE_HELLO);
	memcpy(bytes + 8, session, 16);
	sum(48 + 16 + 24);
	send_with(NULL, 0, 48 + 16 + 24);
	assert_int_equal(gmem_handover_wait(source), 1);
	assert_int_equal(offer(source), 0);
	message = (struct wire_message){ .sequence = 1, .nr_fds = 2 };
	encode(&message, GMEM_PHASE_LINKED);
	memcpy(bytes + 8, session, 16);
	sum(48);
	send_with((int[]){ pair.vm, pair.vm }, 2, 48);
	assert_int_equal(gmem_handover_wait(source), 1);
	assert_int_equal(paused(source), 0);
	message = (struct wire_message){ .sequence = 2, .epoch = 4 };
	encode(&message, GMEM_PHASE_MOVED);
	memcpy(bytes + 8, session, 16);
	sum(48 + 16);
	send_with(NULL, 0, 48 + 16);
	assert_int_equal(gmem_handover_wait(source), -EPROTO);
	assert_int_equal(gmem_handover_end(source, 0, NULL), GMEM_OURS);
	expect_epoch(3, GMEM_EPOCH_RUNNING);
	pair.source = -1;
	gmem_handover_close(source);
}

/* ---- The page ---- */

static void pages_are_checked(void **state)
{
	struct gmem_page page;
	int fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING), copy;

	(void)state;
	assert_int_equal(gmem_page_create(&page, 1, 1), -EINVAL);
	assert_int_equal(gmem_page_create(&page, 17 << 20, 0), -EINVAL);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(gmem_page_map(&page, fd, 0), -EBADF);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(gmem_page_map(&page, fd, 0), -EBADMSG);
	assert_int_equal(gmem_page_map(&page, -1, 0), -EBADF);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	copy = dup(pair.page.fd);
	assert_int_equal(gmem_page_map(&page, copy, 1), -EINVAL);
	((uint8_t *)pair.page.base)[8] = 2;
	assert_int_equal(gmem_page_map(&page, copy, 0), -EPROTONOSUPPORT);
	((uint8_t *)pair.page.base)[8] = 1;
	((uint8_t *)pair.page.base)[25] ^= 64;
	assert_int_equal(gmem_page_map(&page, copy, 0), -EBADMSG);
	((uint8_t *)pair.page.base)[25] ^= 64;
	assert_int_equal(gmem_page_map(&page, copy, 0), 0);
	gmem_page_close(&page);
	gmem_page_close(&page);
}

static void what_is_stored_is_checked(void **state)
{
	uint8_t *raw = pair.page.base;
	void *sections;
	char much[16384] = "";
	size_t size;

	(void)state;
	store_state();
	assert_int_equal(gmem_page_load(&pair.page, &sections, &size), 0);
	free(sections);
	raw[64 + 32] ^= 1;
	assert_int_equal(gmem_page_load(&pair.page, &sections, &size), -EBADMSG);
	raw[64 + 32] ^= 1;
	put64(raw + 32, UINT64_MAX);
	assert_int_equal(gmem_page_load(&pair.page, &sections, &size), -EBADMSG);
	assert_int_equal(gmem_page_store(&pair.page, much, 40), -EINVAL);
	assert_int_equal(gmem_page_store(&pair.page, "", 0), 0);
	assert_int_equal(gmem_page_load(&pair.page, &sections, &size), 0);
	assert_int_equal(size, 0);
	free(sections);
}

static void sections_are_read_as_they_were_put(void **state)
{
	struct gmem_section section = { .name = "virtio", .version = 2, .number = 1,
					.flags = GMEM_SECTION_OPTIONAL, .length = 9,
					.content = "something" }, found;
	char room[160];
	size_t used = 0, at = 0;

	(void)state;
	assert_int_equal(gmem_section_put(room, sizeof(room), &used, &section), 0);
	assert_int_equal(used, 48);
	section.length = 0;
	assert_int_equal(gmem_section_put(room, sizeof(room), &used, &section), 0);
	section.length = 200;
	assert_int_equal(gmem_section_put(room, sizeof(room), &used, &section), -ENOSPC);
	section.length = GMEM_SECTION_MOST + 1;
	assert_int_equal(gmem_section_put(room, sizeof(room), &used, &section), -EINVAL);
	section.length = 1;
	section.flags = 2;
	assert_int_equal(gmem_section_put(room, sizeof(room), &used, &section), -EINVAL);
	section.flags = 0;
	strcpy(section.name, "a b");
	assert_int_equal(gmem_section_put(room, sizeof(room), &used, &section), -EINVAL);
	assert_int_equal(gmem_section_next(room, used, &at, &found), 1);
	assert_string_equal(found.name, "virtio");
	assert_int_equal(found.version, 2);
	assert_int_equal(found.number, 1);
	assert_int_equal(found.flags, GMEM_SECTION_OPTIONAL);
	assert_int_equal(found.length, 9);
	assert_memory_equal(found.content, "something", 9);
	assert_int_equal(gmem_section_next(room, used, &at, &found), 1);
	assert_int_equal(found.length, 0);
	assert_int_equal(gmem_section_next(room, used, &at, &found), 0);
	for (at = 0; gmem_section_next(room, 47, &at, &found) != -EBADMSG; at = 0)
		fail();
	at = 0;
	assert_int_equal(gmem_section_next(room, 31, &at, &found), -EBADMSG);
	room[24] = 4;
	at = 0;
	assert_int_equal(gmem_section_next(room, used, &at, &found), -EPROTO);
}

/* Both swap at the same time, over and over: one wins each time, and it is told to one alone. */
#define ROUNDS	20000

static pthread_barrier_t begin;
static uint64_t won[2];

static void *swap_all(void *data)
{
	const uintptr_t us = (uintptr_t)data;
	uint64_t n;

	for (n = 1; n <= ROUNDS; n++) {
		const struct gmem_epoch from = { n, GMEM_EPOCH_PAUSED };
		const struct gmem_epoch to[2] = { { n, GMEM_EPOCH_RUNNING },
						  { n + 1, GMEM_EPOCH_MOVING } };
		struct gmem_epoch now;

		pthread_barrier_wait(&begin);
		won[us] += !gmem_page_swap(&pair.page, from, to[us]);
		pthread_barrier_wait(&begin);
		if (us) {
			gmem_page_epoch(&pair.page, &now);
			gmem_page_swap(&pair.page, now,
				       (struct gmem_epoch){ n + 1, GMEM_EPOCH_PAUSED });
		}
	}
	return NULL;
}

static void one_side_wins(void **state)
{
	const struct gmem_epoch first = { 1, GMEM_EPOCH_RUNNING };
	pthread_t thread;

	(void)state;
	won[0] = 0;
	won[1] = 0;
	assert_int_equal(gmem_page_swap(&pair.page, first, (struct gmem_epoch){ 1, 9 }), -EINVAL);
	assert_int_equal(gmem_page_swap(&pair.page, first,
					(struct gmem_epoch){ 1, GMEM_EPOCH_PAUSED }), 0);
	pthread_barrier_init(&begin, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, swap_all, (void *)1), 0);
	swap_all(NULL);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&begin);
	assert_int_equal(won[0] + won[1], ROUNDS);
}

static void the_kernels_word_is_read(void **state)
{
	int none = memfd_create("none", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(gmem_vm_fate(pair.info), GMEM_VM_ALIVE);
	kernel_says("moved");
	assert_int_equal(gmem_vm_fate(pair.info), GMEM_VM_MOVED);
	kernel_says("broken");
	assert_int_equal(gmem_vm_fate(pair.info), GMEM_VM_BROKEN);
	kernel_says("moved on");
	assert_int_equal(gmem_vm_fate(pair.info), -EBADF);
	assert_int_equal(gmem_vm_fate(none), -EBADF);
	assert_int_equal(gmem_vm_fate(-1), -EBADF);
	close(none);
}

/* ---- Deaths: a side is a process that ends, or hangs, at a step ---- */

enum step { AT_ONCE, GREETED, OFFERED, LINKED, PAUSED, MOVING, MOVED_IN_KERNEL, MOVED, RUNNING,
	STEPS };

static void stop_at(enum step wanted, enum step now, bool hangs)
{
	if (wanted != now)
		return;
	if (hangs)
		pause();
	_exit(0);
}

static void be_destination(enum step last, bool hangs)
{
	struct gmem_handover *destination = open_destination(NULL);

	stop_at(last, AT_ONCE, hangs);
	while (!gmem_handover_version(destination))
		gmem_handover_step(destination);
	stop_at(last, GREETED, hangs);
	gmem_handover_wait(destination);
	stop_at(last, OFFERED, hangs);
	gmem_handover_link(destination, pair.vm, pair.vm);
	stop_at(last, LINKED, hangs);
	gmem_handover_wait(destination);
	stop_at(last, PAUSED, hangs);
	gmem_handover_begin_move(destination);
	stop_at(last, MOVING, hangs);
	kernel_says("moved");
	stop_at(last, MOVED_IN_KERNEL, hangs);
	gmem_handover_moved(destination, 0);
	stop_at(last, MOVED, hangs);
	gmem_handover_running(destination, 1);
	stop_at(last, RUNNING, hangs);
}

static void be_source(enum step last, bool hangs)
{
	struct gmem_handover *source = open_source(NULL);

	stop_at(last, AT_ONCE, hangs);
	gmem_handover_wait(source);
	stop_at(last, GREETED, hangs);
	offer(source);
	stop_at(last, OFFERED, hangs);
	gmem_handover_wait(source);
	stop_at(last, LINKED, hangs);
	paused(source);
	stop_at(last, PAUSED, hangs);
	gmem_handover_wait(source);
	stop_at(last, MOVED, hangs);
}

static pid_t start(void (*be)(enum step last, bool hangs), int *end, enum step last, bool hangs)
{
	pid_t pid = fork();

	if (!pid) {
		/* A claim that fails must not leave a hanging process behind. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_end(be == be_source ? &pair.destination : &pair.source);
		be(last, hangs);
		_exit(1);
	}
	assert_true(pid > 0);
	close_end(end);
	return pid;
}

/* Go on as far as one gets. 0, or what went wrong. */
static int drive_source(struct gmem_handover *source)
{
	int ret = gmem_handover_wait(source);

	if (ret > 0)
		ret = offer(source);
	if (!ret)
		ret = gmem_handover_wait(source);
	if (ret > 0)
		ret = paused(source);
	if (!ret)
		ret = gmem_handover_wait(source);
	if (ret > 0)
		ret = gmem_handover_wait(source);
	return ret > 0 ? 0 : ret;
}

static void a_destination_dies_at_each_step(void **state)
{
	enum step last;

	(void)state;
	for (last = AT_ONCE; last < STEPS; last++) {
		struct gmem_handover *source;
		struct gmem_epoch epoch;
		pid_t pid;
		int ret;

		close_pair(NULL);
		make_pair(NULL);
		/*
		 * Keep this order: a side that dies at once hears the first message, or does not.
		 */
		source = open_source(NULL);
		pid = start(be_destination, &pair.destination, last, false);
		ret = drive_source(source);
		assert_int_equal(ret, last == RUNNING ? 0 : -EPIPE);
		waitpid(pid, NULL, 0);
		assert_int_equal(gmem_handover_end(source, 0, NULL),
				 last >= MOVED_IN_KERNEL ? GMEM_THEIRS : GMEM_OURS);
		assert_int_equal(gmem_page_epoch(&pair.page, &epoch), 0);
		if (last < MOVED_IN_KERNEL)
			assert_int_equal(epoch.state, GMEM_EPOCH_RUNNING);
		gmem_handover_close(source);
	}
}

/* A destination that hangs is given up or, once it has begun the move, killed. */
static void a_destination_hangs_at_each_step(void **state)
{
	enum step last;

	(void)state;
	for (last = AT_ONCE; last < RUNNING; last++) {
		struct gmem_handover *source;
		pid_t pid;
		int ret, owner;

		close_pair(NULL);
		make_pair(NULL);
		pid = start(be_destination, &pair.destination, last, true);
		source = open_source(NULL);
		gmem_handover_deadline(source, after(300000000));
		ret = drive_source(source);
		assert_int_equal(ret, -ETIMEDOUT);
		owner = gmem_handover_end(source, 0, NULL);
		if (last == MOVING) {
			assert_int_equal(owner, -EBUSY);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			owner = gmem_handover_end(source, 0, NULL);
		}
		assert_int_equal(owner, last >= MOVED_IN_KERNEL ? GMEM_THEIRS : GMEM_OURS);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		gmem_handover_close(source);
	}
}

static void a_source_dies_at_each_step(void **state)
{
	static const enum step all[] = { AT_ONCE, GREETED, OFFERED, LINKED, PAUSED, MOVED };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct gmem_handover *destination;
		pid_t pid;
		int ret;

		close_pair(NULL);
		make_pair(NULL);
		pid = start(be_source, &pair.source, all[i], false);
		destination = open_destination(NULL);
		ret = gmem_handover_wait(destination);
		if (ret > 0)
			ret = gmem_handover_link(destination, pair.vm, pair.vm);
		if (!ret)
			ret = gmem_handover_wait(destination);
		if (all[i] < PAUSED) {
			assert_true(ret < 0);
			assert_int_equal(gmem_handover_end(destination, 0, NULL), GMEM_THEIRS);
		} else {
			assert_int_equal(ret, 1);
			assert_int_equal(gmem_handover_begin_move(destination), 0);
			assert_int_equal(gmem_handover_moved(destination, 0), 0);
			assert_int_equal(gmem_handover_running(destination, 1), 0);
			assert_int_equal(gmem_handover_wait(destination), 1);
			assert_int_equal(gmem_handover_end(destination, 0, NULL), GMEM_OURS);
		}
		waitpid(pid, NULL, 0);
		gmem_handover_close(destination);
	}
}

/* The destination gives up and goes, while the source's offer is on its way, or yet to be sent. */
static void go_with_a_last_word(bool offered)
{
	struct gmem_handover *source = open_source(NULL);
	struct gmem_handover *destination = open_destination(NULL);

	gmem_handover_step(destination);
	gmem_handover_wait(source);
	if (offered)
		assert_int_equal(offer(source), 0);
	assert_int_equal(gmem_handover_end(destination, -ENOMEM, "out of memory"), GMEM_THEIRS);
	gmem_handover_close(destination);
	assert_int_equal(offered ? gmem_handover_wait(source) : offer(source), -ECANCELED);
	assert_non_null(strstr(gmem_handover_reason(source), "out of memory"));
	assert_int_equal(gmem_handover_end(source, 0, NULL), GMEM_OURS);
	gmem_handover_close(source);
}

/* A socket tells that what one sent was not read, before it gives what the other sent. */
static void a_last_word_is_heard_though_the_offer_was_not_read(void **state)
{
	(void)state;
	go_with_a_last_word(true);
}

static void so_it_is_where_the_offer_can_t_be_sent(void **state)
{
	(void)state;
	go_with_a_last_word(false);
}

/* The side that gives up says so, and the guest is the source's. */
static void a_move_that_fails_gives_the_guest_back(void **state)
{
	struct gmem_handover *source = open_source(NULL);
	struct gmem_handover *destination = open_destination(NULL);

	(void)state;
	gmem_handover_step(destination);
	gmem_handover_wait(source);
	offer(source);
	gmem_handover_wait(destination);
	gmem_handover_link(destination, pair.vm, pair.vm);
	gmem_handover_wait(source);
	paused(source);
	gmem_handover_wait(destination);
	assert_int_equal(gmem_handover_begin_move(destination), 0);
	assert_int_equal(gmem_handover_end(source, -ETIMEDOUT, "too late"), -EBUSY);
	assert_int_equal(gmem_handover_moved(destination, -EINVAL), 0);
	expect_epoch(4, GMEM_EPOCH_PAUSED);
	assert_int_equal(gmem_handover_end(destination, -EINVAL, "moving the VM"), GMEM_THEIRS);
	assert_int_equal(gmem_handover_wait(source), -ECANCELED);
	assert_non_null(strstr(gmem_handover_reason(source), "moving the VM"));
	assert_int_equal(gmem_handover_end(source, 0, NULL), GMEM_OURS);
	expect_epoch(4, GMEM_EPOCH_RUNNING);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

static void a_source_that_was_first_keeps_the_guest(void **state)
{
	struct gmem_handover *source = open_source(NULL);
	struct gmem_handover *destination = open_destination(NULL);

	(void)state;
	gmem_handover_step(destination);
	gmem_handover_wait(source);
	offer(source);
	gmem_handover_wait(destination);
	gmem_handover_link(destination, pair.vm, pair.vm);
	gmem_handover_wait(source);
	paused(source);
	gmem_handover_wait(destination);
	assert_int_equal(gmem_handover_end(source, -ECANCELED, "a person has ended it"),
			 GMEM_OURS);
	assert_int_equal(gmem_handover_begin_move(destination), -ECANCELED);
	assert_int_equal(gmem_handover_end(destination, 0, NULL), GMEM_THEIRS);
	/* A late destination can't win an epoch that is over: the next one has another number. */
	expect_epoch(3, GMEM_EPOCH_RUNNING);
	gmem_handover_close(source);
	gmem_handover_close(destination);
}

static void a_vm_that_kvm_has_given_up_is_nobodys(void **state)
{
	struct gmem_handover *source;
	pid_t pid;

	(void)state;
	pid = start(be_destination, &pair.destination, MOVING, false);
	source = open_source(NULL);
	assert_int_equal(drive_source(source), -EPIPE);
	waitpid(pid, NULL, 0);
	kernel_says("broken");
	assert_int_equal(gmem_handover_end(source, 0, NULL), GMEM_NOBODYS);
	gmem_handover_close(source);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, make_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR(a_guest_is_handed_over),
		PAIR(wrong_options_are_refused),
		PAIR(nobody_acts_out_of_turn),
		PAIR(other_versions_are_refused_by_both),
		PAIR(the_highest_common_version_is_spoken),
		PAIR(features_are_agreed_on),
		PAIR(a_feature_that_is_missing_is_refused),
		PAIR(silence_has_a_deadline),
		PAIR(damaged_bytes_are_refused),
		PAIR(a_message_out_of_order_is_refused),
		PAIR(wrong_descriptors_are_refused),
		PAIR(wrong_slots_are_refused),
		PAIR(unknown_fields_count_where_they_must),
		PAIR(a_page_that_is_none_is_refused),
		PAIR(a_reason_is_shown_to_people),
		PAIR(a_false_word_moves_nothing),
		PAIR(pages_are_checked),
		PAIR(what_is_stored_is_checked),
		PAIR(sections_are_read_as_they_were_put),
		PAIR(one_side_wins),
		PAIR(the_kernels_word_is_read),
		PAIR(a_destination_dies_at_each_step),
		PAIR(a_destination_hangs_at_each_step),
		PAIR(a_source_dies_at_each_step),
		PAIR(a_last_word_is_heard_though_the_offer_was_not_read),
		PAIR(so_it_is_where_the_offer_can_t_be_sent),
		PAIR(a_move_that_fails_gives_the_guest_back),
		PAIR(a_source_that_was_first_keeps_the_guest),
		PAIR(a_vm_that_kvm_has_given_up_is_nobodys),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
