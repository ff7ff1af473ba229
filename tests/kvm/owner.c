// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any process that holds a view can ask it which VM owns the guest: gmem-vm-state in fdinfo
 * says alive, moved or broken.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "claims.h"
#include "fdinfo.h"
#include "moving.h"
#include "runner.h"
#include "sendfd.h"
#include "successor.h"

#define PAGES		4
#define MAPPABLE	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

static const char *state_of(int view)
{
	static __thread char text[32];

	TEST_ASSERT(fdinfo_text(view, "vm-state", text, sizeof(text)), "no gmem-vm-state");
	return text;
}

static void expect_state(int view, const char *state)
{
	TEST_ASSERT(!strcmp(state_of(view), state), "state is %s, not %s", state_of(view), state);
}

/* One that no memslot needs. */
static int view_of(struct kvm_vm *vm)
{
	return vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, MAPPABLE);
}

static void counts(void)
{
	for (uint64_t i = 1; ; i++)
		GUEST_SYNC(i);
}

static void alive_then_moved(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *src = ancestor(type, counts), *dst, *third;
		int old = view_of(src->vm), new, last;

		TEST_ASSERT_EQ(fdinfo(old, "vm"), (uint64_t)getpid());
		expect_state(old, "alive");
		run_to_sync(src, 1);
		expect_state(old, "alive");
		dst = successor(src);
		third = successor(src);
		new = view_of(dst->vm);
		last = view_of(third->vm);
		TEST_ERRNO(__move_vcpus(idle_vm(), src->vm), EINVAL);
		expect_state(old, "alive");

		move_vcpus(dst->vm, src->vm);
		expect_state(old, "moved");
		expect_state(new, "alive");
		move_vcpus(third->vm, dst->vm);
		expect_state(old, "moved");
		expect_state(new, "moved");
		expect_state(last, "alive");
		TEST_ERRNO(__move_vcpus(dst->vm, src->vm), EIO);
		run_to_sync(third, 2);
		expect_state(last, "alive");
	}
}

static void memory_alone(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	expect_state(a->view, "alive");
	move(b, a);
	expect_state(a->view, "moved");
	expect_state(b->view, "alive");
}

static void broken(void)
{
	struct kvm_vcpu *vcpu, *dst;
	int view;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, counts);
	view = view_of(vcpu->vm);
	run_to_sync(vcpu, 1);
	dst = successor(vcpu);
	expect_state(view, "alive");
	break_vm(vcpu);
	expect_state(view, "broken");
	TEST_ERRNO(__move_vcpus(dst->vm, vcpu->vm), EIO);
	expect_state(view, "broken");
}

/* One that was moved before is what it was. */
static void broken_after_a_move(void)
{
	struct kvm_vcpu *src, *dst;
	int old, new;

	require_move_vcpus();
	src = ancestor(KVM_X86_DEFAULT_VM, counts);
	dst = successor(src);
	old = view_of(src->vm);
	new = view_of(dst->vm);
	move_vcpus(dst->vm, src->vm);
	break_vm(dst);
	expect_state(old, "moved");
	expect_state(new, "broken");
}

/* ---- other processes */

/* What a VMM gives away of itself: its VM and its view. */
static void send_vmm(int socket, int vm, int view)
{
	send_fds(socket, (int []){ vm, view }, 2, 0);
}

static void receive_vmm(int socket, int *fds)
{
	TEST_ASSERT(receive_fds(socket, fds, 2, NULL), "the VMM is gone");
}

/* A VMM with a VM of its own: fds are the VM and its view. It waits to be killed. */
static pid_t start_vmm(int *fds)
{
	int pair[2];
	pid_t pid;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		struct machine *m = machine_create(PAGES);

		guest_write(m, 0, PAGES, 1);
		send_vmm(pair[1], m->vm->fd, m->view);
		for (;;)
			pause();
	}
	receive_vmm(pair[0], fds);
	close(pair[0]);
	close(pair[1]);
	return pid;
}

/* The same, asked by a process that has nothing but the view. */
static void expect_state_elsewhere(int view, const char *state)
{
	int status;
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		for (int fd = 3; fd < 1024; fd++) {
			if (fd != view)
				close(fd);
		}
		expect_state(view, state);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "status %#x", status);
}

static void after_its_vmm(void)
{
	struct kvm_vm *dst;
	int fds[2], view;
	pid_t pid;

	require_move();
	pid = start_vmm(fds);
	expect_state(fds[1], "alive");
	expect_state_elsewhere(fds[1], "alive");
	TEST_ASSERT_EQ(fdinfo(fds[1], "vm"), (uint64_t)pid);
	kill(pid, SIGKILL);
	TEST_ASSERT(waitpid(pid, NULL, 0) == pid, "waitpid");
	expect_state(fds[1], "alive");
	expect_state_elsewhere(fds[1], "alive");

	/* The memslots of machine_create() are not needed without those of the view. */
	dst = idle_vm();
	view = link_view(dst, fds[1]);
	TEST_ERRNO(__move(dst, fds[0]), EINVAL);
	expect_state(fds[1], "alive");
	close(view);
}

/* The move is made while the VMM lives, or when it is dead; then the VM fd is closed. */
static void moved_from_a_vmm(void)
{
	for (int dead = 0; dead < 2; dead++) {
		struct kvm_vm *vm, *dst;
		int fds[2], view, pair[2];
		pid_t pid;

		require_move();
		TEST_ASSERT(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
		pid = fork();
		if (!pid) {
			vm = idle_vm();
			view = vm_create_guest_memfd(vm, PAGE_SIZE, 0);
			send_vmm(pair[1], vm->fd, view);
			for (;;)
				pause();
		}
		receive_vmm(pair[0], fds);
		if (dead) {
			kill(pid, SIGKILL);
			TEST_ASSERT(waitpid(pid, NULL, 0) == pid, "waitpid");
		}
		dst = idle_vm();
		view = link_view(dst, fds[1]);
		TEST_ASSERT_EQ(__move(dst, fds[0]), 0);
		expect_state(fds[1], "moved");
		expect_state_elsewhere(fds[1], "moved");
		expect_state(view, "alive");
		if (!dead) {
			kill(pid, SIGKILL);
			TEST_ASSERT(waitpid(pid, NULL, 0) == pid, "waitpid");
		}
		close(fds[0]);
		expect_state(fds[1], "moved");
		expect_state_elsewhere(fds[1], "moved");
	}
}

/* ---- at every instant */

static volatile uint64_t steps;		/* of the guest */

static void marks(void)
{
	GUEST_SYNC(1);
	for (;;)
		steps++;
}

/**
 * struct watch - somebody who looks all the time while a VM is moved
 * @view: of the VM
 * @steps: of the guest, as the host sees them
 * @was: steps when it stood still in the source
 * @samples: how often it looked
 * @moved: how often it was moved
 */
struct watch {
	int view;
	const volatile uint64_t *steps;
	uint64_t was;
	unsigned int samples, moved;
	atomic_bool stop;
};

/* Once the guest has got on the source is moved; and that it is for good. */
static void *watch_main(void *arg)
{
	struct watch *w = arg;

	while (!atomic_load(&w->stop)) {
		bool runs = *w->steps > w->was, moved;
		const char *state;

		atomic_thread_fence(memory_order_seq_cst);
		state = state_of(w->view);
		moved = !strcmp(state, "moved");
		TEST_ASSERT(moved || !strcmp(state, "alive"), "state %s", state);
		TEST_ASSERT(moved || !runs, "alive, while the guest runs in the destination");
		TEST_ASSERT(moved || !w->moved, "moved, and then alive");
		w->moved += moved;
		w->samples++;
	}
	return NULL;
}

static void never_two(void)
{
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, marks);
	run_to_sync(vcpu, 1);
	for (int i = 0; i < 30; i++) {
		struct kvm_vcpu *dst = successor(vcpu);
		struct watch w = {
			.view = view_of(vcpu->vm),
			.steps = GUEST_VARIABLE(vcpu->vm, steps),
		};
		struct runner r;
		pthread_t watcher;

		w.was = *w.steps;
		pthread_create(&watcher, NULL, watch_main, &w);
		usleep(rand() % 3000);
		move_vcpus(dst->vm, vcpu->vm);
		runner_start(&r, dst);
		wait_for(w.steps, w.was + 1);
		usleep(2000);
		TEST_ASSERT(!runner_stop(&r), "exit reason %u", dst->run->exit_reason);
		atomic_store(&w.stop, true);
		pthread_join(watcher, NULL);
		expect_state(w.view, "moved");
		close(w.view);
		close_vm(vcpu->vm);
		vcpu = dst;
	}
}

static const struct claim claims[] = {
	CLAIM(alive_then_moved, "alive until the move that succeeds, then moved for good"),
	CLAIM(memory_alone, "so it is for a move without vCPUs"),
	CLAIM(broken, "a VM that KVM gave up is broken, and stays so"),
	CLAIM(broken_after_a_move, "each VM of a chain tells of itself"),
	CLAIM(after_its_vmm, "alive in other processes, and when its VMM was killed"),
	CLAIM(moved_from_a_vmm, "moved in other processes, its VMM alive or killed"),
	CLAIM(never_two, "never alive when the destination runs the guest"),
};

CLAIMS_MAIN(claims);
