// SPDX-License-Identifier: MIT
/* gmem takeover runs a guest only if it owns all of it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "boot/counting.h"
#include "common/status.h"
#include "handover/transfer.h"
#include "machine/machine.h"
#include "machine/vcpus.h"
#include "other.h"
#include "program.h"

static struct program *takeover(void)
{
	return program_start("B", "takeover", "--socket", socket_path("a"),
			     NULL);
}

/* The source ends like this: B does not run the guest, says why, and fails. */
static void source_ends_after(enum gmem_message_kind last, enum other_end end,
			      const char *why)
{
	pid_t other = other_source(socket_path("a"), last, end);
	struct program *taker = takeover();

	wait_for_exit(taker, EXIT_FAILED);
	must_have_said(taker, "gmem: ");
	must_have_said(taker, why);
	assert_null(child_event(&taker->child, "running"));
	assert_false(has_said(taker, "guest: "));
	other_gone(other);
}

static void source_dies_at_once(void **state)
{
	(void)state;
	source_ends_after(0, DIES, "Broken pipe");
}

static void source_dies_after_request(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_REQUEST, DIES,
			  "receiving the guest's memory");
}

static void source_dies_after_memory(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_MEMORY, DIES, "Broken pipe");
}

static void source_dies_before_state(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_LINKED, DIES,
			  "receiving the vCPU's state");
}

static void source_aborts(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_LINKED, SAYS_ABORT,
			  "the other side gave up");
}

static void source_says_nothing(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_LINKED, SAYS_NOTHING, "timed out");
}

static void source_says_nonsense(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_LINKED, SAYS_NONSENSE,
			  "speaks something else");
}

/* It may go on running the guest: nobody said that it would not. */
static void source_lives_and_does_not_give(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_COMMIT, CLOSES_AND_LIVES, "committing");
}

static void source_takes_it_back_after_state(void **state)
{
	(void)state;
	source_ends_after(GMEM_MESSAGE_STATE, SAYS_ABORT,
			  "the other side gave up");
}

/* The process that listened is gone; the one that has the guest lives, and may run it. */
static void another_process_has_listened(void **state)
{
	pid_t other = supervised_source(socket_path("a"), GMEM_MESSAGE_COMMIT,
					CLOSES_AND_LIVES);
	struct program *taker = takeover();

	(void)state;
	wait_for_exit(taker, EXIT_FAILED);
	must_have_said(taker, "committing");
	assert_null(child_event(&taker->child, "running"));
	other_gone(other);
}

/* From STATE on, a dead source leaves its guest to the destination. */
static void dead_source_leaves_the_guest(enum gmem_message_kind last)
{
	pid_t other = other_source(socket_path("a"), last, DIES);
	struct program *taker = takeover();

	wait_for_words(taker, "it goes on here");
	wait_for_words(taker, "guest: filled, counting");
	wait_for_counting(taker);
	other_gone(other);
}

static void source_dies_after_state(void **state)
{
	(void)state;
	dead_source_leaves_the_guest(GMEM_MESSAGE_STATE);
}

static void source_dies_after_commit(void **state)
{
	(void)state;
	dead_source_leaves_the_guest(GMEM_MESSAGE_COMMIT);
}

/* ---- A guest whose memory is not what it was says so ---- */

enum damage { OTHER_MEMORY, A_HOLE };

/*
 * A destination of our own that takes a guest over and damages it; it ends as
 * gmem does, with the guest's status.
 */
static void damaging_destination(enum damage damage)
{
	struct machine machine;
	struct gmem_message memory, state;
	struct vcpus vcpus;
	uint64_t ended;
	int socket = gmem_connect(socket_path("a"));
	struct gmem_message kind = { .kind = GMEM_MESSAGE_REQUEST };

	if (gmem_send(socket, &kind, -1) < 0 ||
	    gmem_receive(socket, &memory, -1) <= 0)
		_exit(99);
	if (damage == OTHER_MEMORY) {
		struct gmem_slot slot = memory.slots[1];

		/* As the message says, but a fresh inode in place of a link. */
		if (machine_create(&machine, memory.vm_type))
			_exit(99);
		memory.slots[0].shared_fd = memory.fds[memory.slots[0].shared_fd];
		slot.private_fd = gmem_memfd_create(machine.vm, slot.size, 0);
		if (machine_add_memory(&machine, &memory.slots[0]) ||
		    machine_add_memory(&machine, &slot) ||
		    machine_add_range(&machine, &memory.ranges[0]) ||
		    machine_add_vcpus(&machine, 1))
			_exit(99);
	} else {
		if (machine_from_memory(&machine, &memory))
			_exit(99);
	}
	kind.kind = GMEM_MESSAGE_LINKED;
	if (gmem_send(socket, &kind, -1) < 0 ||
	    gmem_receive(socket, &state, -1) <= 0 ||
	    machine_from_state(&machine, &state))
		_exit(99);
	if (damage == A_HOLE &&
	    fallocate(machine_view(&machine), FALLOC_FL_PUNCH_HOLE |
		      FALLOC_FL_KEEP_SIZE, 5 << 20, 4096))
		_exit(98);
	machine_ask_check(&machine);
	if (vcpus_init(&vcpus, &machine) || vcpus_go(&vcpus) ||
	    read(vcpus.ended_fd, &ended, sizeof(ended)) < 0)
		_exit(99);
	vcpus_stop(&vcpus);
	_exit(vcpus.status);
}

static void guest_notices(enum damage damage)
{
	int status;
	pid_t other;

	source_start();
	other = fork();
	if (!other)
		damaging_destination(damage);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_GUEST);
}

static void guest_notices_other_memory(void **state)
{
	(void)state;
	guest_notices(OTHER_MEMORY);
}

static void guest_notices_a_page_that_is_lost(void **state)
{
	(void)state;
	guest_notices(A_HOLE);
}

/* ---- Sources that send what is no guest ---- */

/*
 * A source that is no VMM: its memory is @view and @shared, as many pages as
 * the slots of a real one say.
 */
static pid_t forging_source(int view, int shared)
{
	int listener = gmem_listen(socket_path("a"));
	struct gmem_slot slots[] = {
		{ .slot = 0, .size = 0x200000, .private_fd = -1,
		  .shared_fd = 1 },
		{ .slot = 1, .gpa = 0x40000000, .size = 0x200000,
		  .flags = KVM_MEM_GUEST_MEMFD, .private_fd = 0,
		  .shared_fd = -1 },
	};
	struct gmem_message memory = {
		.kind = GMEM_MESSAGE_MEMORY, .nr_slots = 2, .slots = slots,
		.vm_type = KVM_X86_SW_PROTECTED_VM, .nr_fds = 2,
		.fds = { view, shared },
	};
	struct gmem_message request;
	int socket;
	pid_t other;

	assert_true(listener >= 0);
	other = fork();
	if (other) {
		close(listener);
		return other;
	}
	socket = gmem_accept(listener);
	gmem_receive(socket, &request, -1);
	gmem_send(socket, &memory, -1);
	pause();
	_exit(0);
}

static void sent_what_is_no_guest_memory(void **state)
{
	int shared = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int kvm = gmem_kvm_open();
	int vm = gmem_vm_create(kvm, KVM_X86_SW_PROTECTED_VM);
	int views[4];
	size_t i;

	(void)state;
	assert_int_equal(ftruncate(shared, 0x200000), 0);
	assert_int_equal(fcntl(shared, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	views[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	views[1] = shared;
	views[2] = vm;
	/* Guest memory, but shorter than its slot. */
	views[3] = gmem_memfd_create(vm, 0x1000, 0);
	for (i = 0; i < 4; i++) {
		pid_t other = forging_source(views[i], shared);
		struct program *taker = takeover();

		assert_true(views[i] >= 0);
		wait_for_exit(taker, EXIT_FAILED);
		must_have_said(taker, "receiving the guest's memory");
		must_have_said(taker, "is not guest memory");
		assert_null(child_event(&taker->child, "linked"));
		other_gone(other);
		programs_end(NULL);
	}
	close(views[0]);
	close(views[3]);
	close(shared);
	close(vm);
	close(kvm);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(source_dies_at_once),
		TEST(source_dies_after_request),
		TEST(source_dies_after_memory),
		TEST(source_dies_before_state),
		TEST(source_aborts),
		TEST(source_says_nothing),
		TEST(source_says_nonsense),
		TEST(source_lives_and_does_not_give),
		TEST(source_takes_it_back_after_state),
		TEST(another_process_has_listened),
		TEST(source_dies_after_state),
		TEST(source_dies_after_commit),
		TEST(guest_notices_other_memory),
		TEST(guest_notices_a_page_that_is_lost),
		TEST(sent_what_is_no_guest_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
