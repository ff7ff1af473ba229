// SPDX-License-Identifier: GPL-2.0-only
/*
 * A view's release while its VMM keeps a lock that the release needs: nobody waits for that,
 * neither who closes the view, in any of the ways that there are, nor the host.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "claims.h"
#include "fdinfo.h"
#include "held_lock.h"
#include "paging.h"
#include "populate.h"
#include "sendfd.h"
#include "tracing.h"

#define PAGES		PAGING_PAGES
#define LOGGED_GPA	(1ULL << 36)
#define LOGGED_SLOT	20
#define IO_URING_REGISTER_FILES 2	/* upstream's copy of its header does not compile here */
#define NX		"/sys/module/kvm/parameters/nx_huge_pages"
#define KERNEL_FAULTS	"/sys/module/kvm/parameters/gmem_kernel_faults"
#define MANY		64	/* views in one process */
#define MANY_SLOT	100
#define MANY_MS		3000	/* half of what they took, were each waited for */
#define OWN_MS		90	/* at least, for the first of one's own */
#define LOOK_SECONDS	2

static struct machine *a;
static struct held_lock slots;

/* Until the lock is let go, slots_lock of @a's VM is held. */
static void hold_slots(void)
{
	vm_userspace_mem_region_add(a->vm, VM_MEM_SRC_ANONYMOUS, LOGGED_GPA, LOGGED_SLOT, 1,
				    KVM_MEM_LOG_DIRTY_PAGES);
	held_lock_take_slots(&slots, a->vm->fd, LOGGED_SLOT);
}

static unsigned int unbound(uint64_t ino)
{
	char match[32];

	snprintf(match, sizeof(match), "ino %lu", ino);
	return trace_count("gmem_unbind", match);
}

static uint64_t ino_of(int view)
{
	struct stat st;

	TEST_ASSERT(!fstat(view, &st), "fstat");
	return st.st_ino;
}

/* The rest of the release was left to the time when the lock is free. */
static void let_go_slots(uint64_t ino, unsigned int views)
{
	double until = 0;

	TEST_ASSERT_EQ(unbound(ino), 0U);
	TEST_ASSERT_EQ(held_lock_let_go(&slots, NULL, 0), 0);
	while (unbound(ino) != views)
		TEST_ASSERT(claim_is_patient(&until), "the slot is not unbound");
}

/* In time, though the lock is held. */
static void wait_for_end(pid_t pid)
{
	double until = 0;
	int status;
	pid_t ended;

	while (!(ended = waitpid(pid, &status, WNOHANG)))
		TEST_ASSERT(claim_is_patient(&until), "the process does not end");
	TEST_ASSERT(ended == pid && (!status || WIFSIGNALED(status)), "status %#x", status);
}

/*
 * The ways to let the last reference go. Each is done by a process of its own, which was given
 * the view, and ends.
 */
static void by_close(int view)
{
	close(view);
}

static void by_exit(int view)
{
	(void)view;
}

static void by_kill(int view)
{
	(void)view;
	kill(getpid(), SIGKILL);
}

static void by_exec(int view)
{
	TEST_ASSERT(!fcntl(view, F_SETFD, FD_CLOEXEC), "cloexec");
	execl("/bin/true", "true", NULL);
	_exit(1);
}

static void make_sockets(int *s)
{
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, s), "socketpair");
}

/* In a message in flight, which is dropped with its socket. */
static void by_message(int view)
{
	int s[2];

	make_sockets(s);
	send_fds(s[0], &view, 1, 0);
	close(view);
	close(s[0]);
	close(s[1]);
}

static void by_garbage(int view)
{
	close_as_garbage(view);
}

/* In a ring's table of files: the ring's end is a kworker's. */
static void by_ring(int view)
{
	uint64_t params[15] = {};
	int ring = syscall(SYS_io_uring_setup, 1, params);

	TEST_ASSERT(ring >= 0, "io_uring: errno %d", errno);
	TEST_ASSERT(!syscall(SYS_io_uring_register, ring, IO_URING_REGISTER_FILES, &view, 1),
		    "register: errno %d", errno);
	close(view);
	close(ring);
}

/* A linked VM sees that the view is gone, and can link the first VM again. */
static void let_go(void (*way)(int view))
{
	double until = 0;
	struct machine *b;
	uint64_t ino;
	pid_t pid;
	int again;

	require_link();
	trace_start("gmem_unbind");
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = machine_link(a->view, PAGES);
	ino = ino_of(a->view);
	hold_slots();
	pid = fork();
	if (!pid) {
		way(a->view);
		_exit(0);
	}
	TEST_ASSERT(!close(a->view), "close");
	wait_for_end(pid);
	while (fdinfo(b->view, "views") != 1)
		TEST_ASSERT(claim_is_patient(&until), "the view counts on");
	again = link_view(a->vm, b->view);
	TEST_ASSERT_EQ(fdinfo(b->view, "views"), 2UL);
	let_go_slots(ino, 1);
	TEST_ASSERT_EQ(guest_try_touch(a, 0), EFAULT);
	guest_expect(b, 0, PAGES, 1);
	punch_pages(b->view, 0, 1);
	guest_expect(b, 0, 1, 0);
	close(again);
	TEST_ASSERT_EQ(fdinfo(b->view, "views"), 1UL);
}

#define WAY(way) static void way##_ends(void) { let_go(by_##way); }
WAY(close)
WAY(exit)
WAY(kill)
WAY(exec)
WAY(message)
WAY(garbage)
WAY(ring)

/* Guest, pager and filler are told that the view is gone, before the lock is free. */
static void last_view(void)
{
	struct kvm_gmem_event unread;
	struct touch touch;
	uint64_t ino;
	int pager;

	require_pager();
	trace_start("gmem_unbind");
	a = machine_create(PAGES);
	ino = ino_of(a->view);
	pager = pager_of(a);
	touch = (struct touch){ .m = a, .page = 3 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 3, 1);
	hold_slots();
	TEST_ASSERT(!close(a->view), "close");
	touch_end(&touch, EFAULT);
	TEST_ERRNO(read(pager, &unread, sizeof(unread)), EPIPE);
	let_go_slots(ino, 1);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static int views[MANY];

/* Each has a memslot of @a's VM, whose slots_lock is held. */
static void many_begin(void)
{
	a = machine_create(PAGES);
	for (int i = 0; i < MANY; i++) {
		views[i] = vm_create_guest_memfd(a->vm, PAGE_SIZE, 0);
		vm_set_user_memory_region2(a->vm, MANY_SLOT + i, KVM_MEM_GUEST_MEMFD,
					   LOGGED_GPA + (i + 2) * PAGE_SIZE, PAGE_SIZE,
					   mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), views[i], 0);
	}
	hold_slots();
}

static void many_end(double begun)
{
	double took = now_ms() - begun;

	TEST_ASSERT(took < MANY_MS * claim_slowness(), "it takes %.0f ms", took);
	TEST_ASSERT_EQ(held_lock_let_go(&slots, NULL, 0), 0);
}

/* An exit can't be ended by a signal. */
static void many_views(void)
{
	double begun;
	pid_t pid;

	many_begin();
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	for (int i = 0; i < MANY; i++)
		close(views[i]);
	begun = now_ms();
	kill(pid, SIGKILL);
	wait_for_end(pid);
	many_end(begun);
}

/* Nor does another process wait once a view, who was sent them and can't be killed, say. */
static void many_closed(void)
{
	double begun;
	pid_t pid;
	int s[2];

	many_begin();
	make_sockets(s);
	pid = fork();
	if (!pid) {
		TEST_ASSERT(read(s[1], &begun, 1) == 1, "read");
		for (int i = 0; i < MANY; i++)
			close(views[i]);
		_exit(0);
	}
	for (int i = 0; i < MANY; i++)
		close(views[i]);
	begun = now_ms();
	TEST_ASSERT(write(s[0], "", 1) == 1, "write");
	wait_for_end(pid);
	many_end(begun);
}

/* Its own VMM waits for the first of them, and finds its memory free where the lock is. */
static void many_own(void)
{
	double begun;

	many_begin();
	begun = now_ms();
	close(views[0]);
	TEST_ASSERT(now_ms() - begun >= OWN_MS, "it takes %.0f ms", now_ms() - begun);
	for (int i = 1; i < MANY; i++)
		close(views[i]);
	many_end(begun);
}

/* However many there are, the host looks for the lock four times a second. */
static void many_left(void)
{
	unsigned long calls;

	many_begin();
	for (int i = 0; i < MANY; i++)
		close(views[i]);
	trace_calls_start("gmem_release_work");
	sleep(LOOK_SECONDS);
	calls = trace_calls();
	TEST_ASSERT(calls && calls <= 8 * LOOK_SECONDS, "%lu looks", calls);
	TEST_ASSERT_EQ(held_lock_let_go(&slots, NULL, 0), 0);
}

/* The VMM ends with its own views: with the lock that it held all of them go. */
static void vmm_killed(void)
{
	double until = 0;
	struct machine *b;
	int s[2], view;
	uint64_t ino, holder;
	pid_t pid;

	require_link();
	trace_start("gmem_unbind");
	make_sockets(s);
	pid = fork();
	if (!pid) {
		a = machine_create(PAGES);
		guest_write(a, 0, PAGES, 1);
		hold_slots();
		send_fds(s[1], &a->view, 1, slots.ioctl.pid);
		close(a->view);
		pause();
		_exit(1);
	}
	TEST_ASSERT(receive_fds(s[0], &view, 1, &holder), "the VMM is gone");
	b = machine_link(view, PAGES);
	ino = ino_of(view);
	close(view);
	TEST_ASSERT_EQ(fdinfo(b->view, "views"), 1UL);
	/* In the midst of an ioctl, by a task of its own. */
	kill(pid, SIGKILL);
	kill(holder, SIGKILL);
	wait_for_end(pid);
	while (unbound(ino) != 1)
		TEST_ASSERT(claim_is_patient(&until), "the slot is not unbound");
	guest_expect(b, 0, PAGES, 1);
}

static void write_nx(const char *value)
{
	int fd = open(NX, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, value, strlen(value)) == strlen(value),
		    "%s: errno %d", value, errno);
	close(fd);
}

static pid_t change_nx(const char *value)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	write_nx(value);
	_exit(0);
}

static uint64_t pages_of(struct machine *m)
{
	return vm_get_stat(m->vm, "pages_4k");
}

/* Parameters of the module can be read and set, that one again, too. */
static pid_t change_parameters(void)
{
	char value[4] = "";
	pid_t pid = fork();
	int fd;

	if (!pid) {
		fd = open(NX, O_RDONLY);
		_exit(fd < 0 || read(fd, value, 2) != 2 || value[0] != 'Y' ||
		      write(open(KERNEL_FAULTS, O_WRONLY), "Y", 1) != 1);
	}
	wait_for_end(pid);
	pid = change_nx("off");
	wait_asleep(pid, "kvm_move_zap_vms");
	return pid;
}

/*
 * A change of nx_huge_pages zaps all VMs but the one whose lock is held. It can be killed, VMs can
 * be made meanwhile, and the next one makes it good.
 */
static void nx_huge_pages(void)
{
	double until = 0;
	struct machine *b;
	pid_t pid, other, vm;

	write_nx("off");
	a = machine_create(PAGES);
	b = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	guest_write(b, 0, PAGES, 1);
	TEST_ASSERT(pages_of(a) >= PAGES && pages_of(b) >= PAGES, "nothing is mapped");
	hold_slots();
	pid = change_nx("force");
	wait_asleep(pid, "kvm_move_zap_vms");
	/* Those that are not in the way are done, though the list has it first. */
	while (pages_of(b))
		TEST_ASSERT(claim_is_patient(&until), "a VM keeps its tables");
	TEST_ASSERT(pages_of(a) >= PAGES, "the lock is not held");

	vm = fork();
	if (!vm)
		_exit(ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, 0) < 0);
	wait_for_end(vm);
	other = change_parameters();
	kill(pid, SIGKILL);
	wait_for_end(pid);
	kill(other, SIGKILL);
	wait_for_end(other);

	TEST_ASSERT_EQ(held_lock_let_go(&slots, NULL, 0), 0);
	write_nx("force");
	TEST_ASSERT_EQ(pages_of(a), 0UL);
	write_nx("off");
	guest_expect(a, 0, PAGES, 1);
	guest_expect(b, 0, PAGES, 1);
}

static const struct claim claims[] = {
	CLAIM(close_ends, "close does not wait for the VMM of the view"),
	CLAIM(exit_ends, "nor does an exit"),
	CLAIM(kill_ends, "nor a process that is killed"),
	CLAIM(exec_ends, "nor execve"),
	CLAIM(message_ends, "nor the end of a socket that has the view in a message"),
	CLAIM(garbage_ends, "nor the kworker that releases sockets' garbage"),
	CLAIM(ring_ends, "nor the one that releases the files of an io_uring"),
	CLAIM(last_view, "guest and pager are told of the last view's end at once"),
	CLAIM(many_views, "a process with many such views ends soon"),
	CLAIM(many_closed, "so does one that closes them one by one"),
	CLAIM(many_own, "the VMM itself waits a moment, once"),
	CLAIM(many_left, "all views of a VM are looked after together"),
	CLAIM(vmm_killed, "when the VMM is killed all is released"),
	CLAIM(nx_huge_pages, "a change of nx_huge_pages waits for a VMM alone, and can be killed"),
};

CLAIMS_MAIN(claims);
