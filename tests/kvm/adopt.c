// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stage-2 tables in a move: the destination takes the source's, or they stay until its end.
 * The modules' tracepoint gmem_move_tables says which, and why.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "claims.h"
#include "huge.h"
#include "mapped.h"
#include "moving.h"
#include "poison.h"
#include "private.h"
#include "sendfd.h"
#include "successor.h"
#include "tracing.h"

#define PAGES	1024
#define HALF	(PAGES / 2)

static uint64_t pages_4k(struct machine *m)
{
	return vm_get_stat(m->vm, "pages_4k");
}

/* A dead VM can't be asked for its statistics, unless it was before. */
static struct machine *with_pages(struct machine *m, uint64_t n)
{
	guest_write(m, 0, n, 1);
	pages_4k(m);
	return m;
}

static void start_tracing(void)
{
	require_move();
	trace_start("gmem_move_tables");
	trace_start("gmem_fault");
}

static unsigned int faults_of(struct machine *m)
{
	char match[32];
	struct stat st;

	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	snprintf(match, sizeof(match), "ino %lu", st.st_ino);
	return trace_count("gmem_fault", match);
}

/* Nothing is recorded afterwards but what happens then. */
static void expect_tables(const char *outcome)
{
	char match[48];

	snprintf(match, sizeof(match), "from %d: %s", getpid(), outcome);
	TEST_ASSERT(trace_count("gmem_move_tables", match) == 1, "tables are not \"%s\"", outcome);
	trace_clear();
}

static void move_and_take(struct machine *dst, struct machine *src)
{
	trace_clear();
	move(dst, src);
	expect_tables("taken");
}

/* A source with a pattern in all of its pages, and a destination that has taken its tables. */
static struct machine *moved(struct machine **src)
{
	struct machine *a, *b;

	start_tracing();
	a = with_pages(machine_create(PAGES), PAGES);
	b = destination(a);
	move_and_take(b, a);
	if (src)
		*src = a;
	return b;
}

static void taken(void)
{
	struct machine *a, *b = moved(&a);

	TEST_ASSERT_EQ(pages_4k(a), 0UL);
	TEST_ASSERT_EQ(pages_4k(b), (uint64_t)PAGES);
	guest_expect(b, 0, PAGES, 1);
	guest_write(b, 0, PAGES, 2);
	machine_release(a);
	guest_expect(b, 0, PAGES, 2);
	TEST_ASSERT_EQ(faults_of(b), 0U);
}

static void huge_pages(void)
{
	struct machine *a, *b;

	start_tracing();
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	a = machine_create(4 * HUGE_PAGES);
	TEST_ASSERT_EQ(populate(a, 0, 4 * HUGE_PAGES, pattern_pages(0, 4 * HUGE_PAGES, 1)),
		       4L * HUGE_PAGES);
	guest_expect(a, 0, 4 * HUGE_PAGES, 1);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "pages_2m"), 4UL);
	b = destination(a);
	move_and_take(b, a);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "pages_2m"), 0UL);
	TEST_ASSERT_EQ(vm_get_stat(b->vm, "pages_2m"), 4UL);
	guest_write(b, 0, 4 * HUGE_PAGES, 2);
	TEST_ASSERT_EQ(faults_of(b), 0U);

	/* One page of a huge page. */
	punch_pages(b->view, HUGE_PAGES + 5, 1);
	guest_expect(b, HUGE_PAGES + 5, 1, 0);
	guest_expect(b, HUGE_PAGES + 6, 1, 2);
	guest_expect(b, 0, HUGE_PAGES, 2);
}

/* A VM with two address spaces and no attributes, whose vCPUs go along. */
static void default_vms(void)
{
	struct machine *a, *b;

	start_tracing();
	require_move_vcpus();
	a = with_pages(mapped_create(KVM_X86_DEFAULT_VM, 16, MMAP_SHARED), 16);
	b = mapped_link(KVM_X86_DEFAULT_VM, a->view, 16);
	trace_clear();
	move_vcpus(b->vm, a->vm);
	expect_tables("taken");
	TEST_ASSERT_EQ(pages_4k(b), 16UL);
	guest_expect(b, 0, 16, 1);
	guest_write(b, 0, 16, 2);
	host_expect(b, 0, 16, 2);
	TEST_ASSERT_EQ(faults_of(b), 0U);
	punch_pages(b->view, 3, 1);
	guest_expect(b, 3, 1, 0);
	machine_release(a);
	guest_expect(b, 4, 12, 2);
}

static void chain_of_tables(void)
{
	struct machine *a, *b;

	start_tracing();
	a = with_pages(machine_create(PAGES), PAGES);
	for (int i = 0; i < 20; i++) {
		b = destination(a);
		move_and_take(b, a);
		machine_release(a);
		a = b;
	}
	guest_expect(a, 0, PAGES, 1);
	TEST_ASSERT_EQ(faults_of(a), 0U);
	punch_pages(a->view, 0, HALF);
	guest_expect(a, 0, HALF, 0);
	guest_expect(a, HALF, HALF, 1);
}

static void hole(void)
{
	struct machine *b = moved(NULL);

	punch_pages(b->view, 3, 2);
	punch_pages(b->view, HALF, 100);
	TEST_ASSERT_EQ(pages_4k(b), PAGES - 102UL);
	guest_expect(b, 3, 2, 0);
	guest_expect(b, HALF, 100, 0);
	guest_expect(b, 5, 100, 1);
	guest_expect(b, PAGES - 1, 1, 1);
}

static void hole_of_another(void)
{
	struct machine *b = moved(NULL), *c = machine_link(b->view, PAGES);

	punch_pages(c->view, 3, 2);
	guest_expect(b, 3, 2, 0);
	guest_expect(b, 0, 3, 1);
}

static void attributes(void)
{
	struct machine *b = moved(NULL);

	vm_mem_set_shared(b->vm, MACHINE_GPA + 7 * PAGE_SIZE, PAGE_SIZE);
	TEST_ASSERT_EQ(guest_try_touch(b, 7), EFAULT);
	vm_mem_set_private(b->vm, MACHINE_GPA + 7 * PAGE_SIZE, PAGE_SIZE);
	guest_expect(b, 0, PAGES, 1);
}

static void conversion(void)
{
	struct machine *a, *b;

	start_tracing();
	require_convert();
	a = mapped_create(KVM_X86_SW_PROTECTED_VM, 16, MMAP_PRIVATE);
	guest_write(a, 0, 16, 1);
	b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, 16);
	move_and_take(b, a);
	TEST_ASSERT_EQ(pages_4k(b), 16UL);
	make_shared(b->view, 3, 2);
	TEST_ASSERT_EQ(pages_4k(b), 14UL);
	host_expect(b, 3, 2, 1);
	host_write(b, 3, 2, 2);
	guest_expect(b, 3, 2, 2);
	make_private(b->view, 3, 2);
	guest_expect(b, 0, 3, 1);
	guest_expect(b, 3, 2, 2);
	host_expect_sigbus(b, 3, 2);
}

static void memory_failure(void)
{
	struct machine *a, *b;
	struct stat st;
	uint64_t pfn;
	int fd;

	start_tracing();
	fd = poison_open();
	a = with_pages(machine_create(PAGES), PAGES);
	TEST_ASSERT(!fstat(a->view, &st), "fstat");
	pfn = trace_fault_pfn(st.st_ino, 9);
	b = destination(a);
	move_and_take(b, a);
	TEST_ASSERT_EQ(poison_report(fd, pfn), 0);
	TEST_ASSERT_EQ(guest_try_touch(b, 9), EHWPOISON);
	guest_expect(b, 8, 1, 1);
	guest_expect(b, 10, PAGES - 10, 1);
	punch_pages(b->view, 9, 1);
	guest_expect(b, 9, 1, 0);
}

/* A machine with memory of its own for what is shared: the second half. */
static struct machine *half_shared(struct machine *src)
{
	struct machine *m = machine_bare(PAGES);

	m->host = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(m->host != MAP_FAILED, "mmap");
	if (src) {
		m->view = link_view(m->vm, src->view);
		vm_mem_set_shared(m->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	} else {
		m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, 0);
		vm_mem_set_shared(m->vm, MACHINE_GPA + HALF * PAGE_SIZE, HALF * PAGE_SIZE);
	}
	machine_bind(m, 0);
	return m;
}

/* What is shared is each VMM's own, and so is all that its other slots have. */
static void userspace(void)
{
	struct machine *a, *b;

	start_tracing();
	a = with_pages(half_shared(NULL), PAGES);
	host_expect(a, HALF, HALF, 1);
	b = half_shared(a);
	host_write(b, HALF, HALF, 2);
	move_and_take(b, a);
	TEST_ASSERT_EQ(pages_4k(b), (uint64_t)HALF);
	TEST_ASSERT_EQ(pages_4k(a), 0UL);
	guest_expect(b, 0, HALF, 1);
	guest_expect(b, HALF, HALF, 2);
	guest_write(b, HALF, HALF, 3);
	host_expect(a, HALF, HALF, 1);
	host_expect(b, HALF, HALF, 3);
}

/* Likewise where the inode knows what is private, but can't be mapped. */
static struct machine *starts_shared(struct machine *src)
{
	struct machine *m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);

	m->host = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(m->host != MAP_FAILED, "mmap");
	m->view = src ? link_view(m->vm, src->view) :
		  vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, GUEST_MEMFD_FLAG_INIT_SHARED);
	machine_bind(m, 0);
	return m;
}

static void userspace_by_inode(void)
{
	struct machine *a, *b;

	start_tracing();
	require_convert();
	a = starts_shared(NULL);
	make_private(a->view, 10, HALF - 10);
	with_pages(a, PAGES);
	b = starts_shared(a);
	host_write(b, 0, PAGES, 2);
	move_and_take(b, a);
	TEST_ASSERT_EQ(pages_4k(b), HALF - 10UL);
	guest_expect(b, 0, 10, 2);
	guest_expect(b, 10, HALF - 10, 1);
	guest_expect(b, HALF, HALF, 2);
}

/* Private pages alternate with shared ones. */
static void alternating(void)
{
	struct machine *a, *b;

	start_tracing();
	a = half_shared(NULL);
	for (uint64_t page = 0; page < 64; page += 2)
		vm_mem_set_shared(a->vm, MACHINE_GPA + page * PAGE_SIZE, PAGE_SIZE);
	guest_write(a, 0, 64, 1);
	b = half_shared(a);
	host_write(b, 0, 64, 2);
	move_and_take(b, a);
	TEST_ASSERT_EQ(pages_4k(b), 32UL);
	for (uint64_t page = 0; page < 64; page++)
		guest_expect(b, page, 1, page & 1 ? 1 : 2);
}

/* What the destination had mapped ahead gives way, whatever attributes it went by. */
static void mapped_ahead(void)
{
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA + HALF * PAGE_SIZE,
					      .size = HALF * PAGE_SIZE };
	struct machine *a, *b;

	start_tracing();
	a = with_pages(half_shared(NULL), PAGES);
	b = half_shared(a);
	host_write(b, 0, PAGES, 2);
	while (range.size)
		TEST_ASSERT(!__vcpu_ioctl(b->vcpu, KVM_PRE_FAULT_MEMORY, &range), "prefault");
	TEST_ASSERT(pages_4k(b) + vm_get_stat(b->vm, "pages_2m") > 0, "nothing is mapped ahead");
	move_and_take(b, a);
	TEST_ASSERT_EQ(pages_4k(b), (uint64_t)HALF);
	TEST_ASSERT_EQ(vm_get_stat(b->vm, "pages_2m"), 0UL);
	guest_expect(b, 0, HALF, 1);
	guest_expect(b, HALF, HALF, 2);
}

/* The same where there are no attributes, in place: nothing else would zap it. */
static void mapped_ahead_in_place(void)
{
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA, .size = 8 * PAGE_SIZE };
	struct machine *a, *b;

	start_tracing();
	a = mapped_create(KVM_X86_SW_PROTECTED_VM, 16, MMAP_PRIVATE);
	guest_write(a, 0, 16, 1);
	b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, 16);
	while (range.size)
		TEST_ASSERT(!__vcpu_ioctl(b->vcpu, KVM_PRE_FAULT_MEMORY, &range), "prefault");
	move_and_take(b, a);
	TEST_ASSERT_EQ(pages_4k(b), 16UL);
	guest_expect(b, 0, 16, 1);
	punch_pages(b->view, 0, 16);
	guest_expect(b, 0, 16, 0);
}

static void guest_load(uint64_t page)
{
	GUEST_RETURN(*(volatile uint64_t *)page_gva(page));
}

static void set_other_slot(struct machine *m, uint64_t size)
{
	vm_set_user_memory_region(m->vm, MACHINE_SLOT + 1, 0, MACHINE_GPA / 2, size, m->host);
}

/*
 * Where there was no memory the source remembers a device, by its generation of memslots. The
 * destination's is the same one without what is done here, or a later one; its guest finds the
 * memory that has come there since.
 */
static void stale_devices(void)
{
	for (int later = 0; later < 4; later++) {
		struct machine *a = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES), *b;
		uint64_t value = 4711;

		start_tracing();
		a->host = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		set_other_slot(a, PAGE_SIZE);
		TEST_ASSERT_EQ(machine_try(a, guest_load, 5, 0, 0), 0);
		TEST_ASSERT_KVM_EXIT_REASON(a->vcpu, KVM_EXIT_MMIO);
		memcpy(a->vcpu->run->mmio.data, &value, sizeof(value));
		TEST_ASSERT(!_vcpu_run(a->vcpu), "errno %d", errno);
		set_other_slot(a, 0);

		/* Not private: a private gfn is no device's anyway. */
		a->view = vm_create_guest_memfd(a->vm, PAGES * PAGE_SIZE, MMAP_SHARED);
		machine_bind(a, 0);
		guest_touch(a, HALF, 1);
		b = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);
		b->host = a->host;
		b->view = link_view(b->vm, a->view);
		machine_bind(b, 0);
		for (int i = 0; i < later; i++) {
			set_other_slot(b, PAGE_SIZE);
			set_other_slot(b, 0);
		}
		move_and_take(b, a);
		TEST_ASSERT_EQ(machine_call(b, guest_load, 5, 0, 0), 0UL);
	}
}

/* Holes reach what the source keeps; what it has goes with its view. */
static void expect_left(struct machine *a, struct machine *b)
{
	TEST_ASSERT(pages_4k(a) >= PAGES, "the source has %lu pages mapped", pages_4k(a));
	guest_expect(b, 0, PAGES, 1);
	TEST_ASSERT(pages_4k(a) >= PAGES, "the source has %lu pages mapped", pages_4k(a));
	punch_pages(b->view, 10, 100);
	TEST_ASSERT(pages_4k(a) < PAGES, "a hole does not reach the source's tables");
	guest_expect(b, 10, 100, 0);
	guest_expect(b, 110, PAGES - 110, 1);
	machine_close_view(a);
	TEST_ASSERT(pages_4k(a) < 100, "a view's release does not reach them");
	guest_write(b, 0, PAGES, 2);
	machine_release(a);
	guest_expect(b, 0, PAGES, 2);
}

static atomic_bool stop;

static void *keep_invalidating(void *arg)
{
	int prot = PROT_READ;

	while (!atomic_load(&stop)) {
		TEST_ASSERT(!mprotect(arg, 64 << 20, prot), "mprotect");
		prot ^= PROT_WRITE;
	}
	return NULL;
}

/*
 * The destination's process changes pages behind a memslot that it has alone. An invalidation
 * is in progress nearly all the time, hence at one of the moves at least.
 */
static void invalidation(void)
{
	void *memory = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pthread_t thread;

	start_tracing();
	TEST_ASSERT(memory != MAP_FAILED, "mmap");
	for (int i = 0; i < 200; i++) {
		struct machine *a = with_pages(machine_create(PAGES), PAGES), *b;
		unsigned int in_progress;

		vm_set_user_memory_region(a->vm, 20, 0, MACHINE_GPA / 2, 64 << 20, memory);
		b = destination(a);
		vm_set_user_memory_region(b->vm, 20, 0, MACHINE_GPA / 2, 64 << 20, memory);
		trace_clear();
		atomic_store(&stop, false);
		pthread_create(&thread, NULL, keep_invalidating, memory);
		usleep(20000 + i * 100);
		move(b, a);
		atomic_store(&stop, true);
		pthread_join(thread, NULL);
		in_progress = trace_count("gmem_move_tables", "invalidation");
		TEST_ASSERT_EQ(in_progress + trace_count("gmem_move_tables", "taken"), 1U);
		if (in_progress) {
			pr_info("at move %d\n", i);
			expect_left(a, b);
			return;
		}
		guest_expect(b, 0, PAGES, 1);
		machine_release(a);
		machine_release(b);
	}
	TEST_FAIL("no move met an invalidation");
}

/* That huge pages may be executed has to be as it was when they were mapped. */
static void nx_huge_pages(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES };
	struct machine *a, *c;
	struct kvm_vm *b;

	start_tracing();
	a = with_pages(machine_create(PAGES), PAGES);
	c = machine_link(a->view, PAGES);
	b = successor_vm(a->vm);
	if (__vm_ioctl(b, KVM_ENABLE_CAP, &cap))
		claim_skip("KVM_CAP_VM_DISABLE_NX_HUGE_PAGES: errno %d", errno);
	vm_set_user_memory_region2(b, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   PAGES * PAGE_SIZE, NULL, link_view(b, a->view), 0);
	trace_clear();
	TEST_ASSERT_EQ(__move(b, a->vm->fd), 0);
	expect_tables("nx_huge_pages");
	TEST_ASSERT(pages_4k(a) >= PAGES, "the source's tables are empty");
	punch_pages(c->view, 0, PAGES);
	TEST_ASSERT(pages_4k(a) < 100, "a hole does not reach the source's tables");
}

static void set_parameter(const char *name, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	fd = open(path, O_WRONLY);
	TEST_ASSERT(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value),
		    "%s to %s: errno %d", value, path, errno);
	close(fd);
}

static void guest_execute(uint64_t page)
{
	*(volatile uint8_t *)page_gva(page) = 0xc3;	/* RET */
	((void (*)(void))page_gva(page))();
	GUEST_RETURN(0);
}

/*
 * Where huge pages must not be executable, one of which a page is executed becomes single ones,
 * until KVM makes it one again. It knows these by a list, which goes along.
 */
static void recovery(void)
{
	struct machine *a, *b;

	start_tracing();
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	set_parameter("nx_huge_pages", "force");
	a = machine_create(2 * HUGE_PAGES);
	TEST_ASSERT_EQ(populate(a, 0, 2 * HUGE_PAGES, pattern_pages(0, 2 * HUGE_PAGES, 1)),
		       2L * HUGE_PAGES);
	machine_call(a, guest_execute, 5, 0, 0);
	guest_expect(a, HUGE_PAGES, HUGE_PAGES, 1);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "nx_lpage_splits"), 1UL);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "pages_2m"), 1UL);
	b = destination(a);
	/* KVM begins to look for such pages with a VM's first KVM_RUN. */
	move_and_take(b, a);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "nx_lpage_splits"), 0UL);
	TEST_ASSERT_EQ(vm_get_stat(b->vm, "nx_lpage_splits"), 1UL);
	machine_call(b, guest_execute, 5, 0, 0);
	TEST_ASSERT_EQ(faults_of(b), 0U);
	set_parameter("nx_huge_pages_recovery_ratio", "1");
	set_parameter("nx_huge_pages_recovery_period_ms", "100");
	for (int ms = 0; vm_get_stat(b->vm, "nx_lpage_splits"); ms += 10) {
		TEST_ASSERT(ms < 20000, "the page is not recovered");
		usleep(10000);
	}
	guest_expect(b, 6, HUGE_PAGES - 6, 1);
	TEST_ASSERT_EQ(vm_get_stat(b->vm, "pages_2m"), 2UL);
	set_parameter("nx_huge_pages", "off");
	guest_expect(b, 6, 2 * HUGE_PAGES - 6, 1);
}

/* Of memory that is none of an inode there is nothing to take. */
static uint64_t counter;

static void counts(void)
{
	for (;;)
		GUEST_SYNC(counter++);
}

static void no_inode(void)
{
	struct kvm_vcpu *a, *b;

	start_tracing();
	require_move_vcpus();
	a = ancestor(KVM_X86_DEFAULT_VM, counts);
	TEST_ASSERT_EQ(run_once(a), 0);
	TEST_ASSERT(vm_get_stat(a->vm, "pages_4k") > 0, "the guest has nothing mapped");
	b = successor(a);
	trace_clear();
	move_vcpus(b->vm, a->vm);
	expect_tables("none");
	TEST_ASSERT(vm_get_stat(a->vm, "pages_4k") > 0, "the source's tables are empty");
	TEST_ASSERT_EQ(run_once(b), 0);
	close_vm(a->vm);
	TEST_ASSERT_EQ(run_once(b), 0);
	TEST_ASSERT_EQ(*(uint64_t *)addr_gva2hva(b->vm, (vm_vaddr_t)&counter), 3UL);
}

/* A VMM that has sent its VM, its view and its statistics, and was killed. */
enum { VM, VIEW, STATS, FDS };

static void vmm(int socket)
{
	struct machine *m = with_pages(machine_create(PAGES), PAGES);

	send_fds(socket, (int[]){ m->vm->fd, m->view, m->vm->stats_fd }, FDS, 0);
	pause();
}

static pid_t killed_vmm(int *fds)
{
	int sockets[2], status;
	pid_t pid;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	pid = fork();
	if (!pid) {
		vmm(sockets[1]);
		_exit(1);
	}
	TEST_ASSERT(receive_fds(sockets[0], fds, FDS, NULL), "the VMM is gone");
	TEST_ASSERT(!kill(pid, SIGKILL), "kill");
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "status %#x", status);
	return pid;
}

static void dead_vmm(void)
{
	struct machine *b;
	char match[48];
	int fds[FDS];
	pid_t pid;

	start_tracing();
	pid = killed_vmm(fds);
	b = machine_link(fds[VIEW], PAGES);
	vm_mem_set_shared(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	trace_clear();
	TEST_ASSERT_EQ(__move(b->vm, fds[VM]), 0);
	snprintf(match, sizeof(match), "from %d: taken", pid);
	TEST_ASSERT_EQ(trace_count("gmem_move_tables", match), 1U);
	TEST_ASSERT_EQ(pages_4k(b), (uint64_t)PAGES);
	trace_clear();
	guest_expect(b, 0, PAGES, 1);
	TEST_ASSERT_EQ(faults_of(b), 0U);
	for (int i = 0; i < FDS; i++)
		close(fds[i]);
	guest_write(b, 0, PAGES, 2);
	punch_pages(b->view, 0, 1);
	guest_expect(b, 0, 1, 0);
	guest_expect(b, 1, PAGES - 1, 2);
}

/* Its code and its stack, too, were mapped. */
static void dead_address_space(void)
{
	struct kvm_vm vm = {};
	int fds[FDS];

	start_tracing();
	killed_vmm(fds);
	vm.stats_fd = fds[STATS];
	read_stats_header(vm.stats_fd, &vm.stats_header);
	vm.stats_desc = read_stats_descriptors(vm.stats_fd, &vm.stats_header);
	TEST_ASSERT_EQ(vm_get_stat(&vm, "pages_4k"), (uint64_t)PAGES);
	close(fds[VIEW]);
	TEST_ASSERT_EQ(vm_get_stat(&vm, "pages_4k"), 0UL);
	close(fds[VM]);
}

static const struct claim claims[] = {
	CLAIM(taken, "the destination's guest faults on none of the pages that were mapped"),
	CLAIM(huge_pages, "nor where huge pages are; a hole in one of them reaches it"),
	CLAIM(default_vms, "nor in VMs of the default type"),
	CLAIM(chain_of_tables, "nor after 20 moves"),
	CLAIM(hole, "a hole after the move reaches what was taken"),
	CLAIM(hole_of_another, "so does one by a third VM's view"),
	CLAIM(attributes, "so do attributes"),
	CLAIM(conversion, "so does a conversion in place"),
	CLAIM(memory_failure, "so does a memory failure"),
	CLAIM(userspace, "memory at userspace_addr is not taken along: each VMM has its own"),
	CLAIM(userspace_by_inode, "likewise where the inode says what is shared"),
	CLAIM(alternating, "likewise page by page"),
	CLAIM(mapped_ahead, "what the destination mapped ahead gives way"),
	CLAIM(mapped_ahead_in_place, "also without attributes"),
	CLAIM(stale_devices, "a device that the source remembers hides no memory"),
	SLOW_CLAIM(invalidation, 120, "nothing is taken while an invalidation is in progress"),
	CLAIM(nx_huge_pages, "nor where executable huge pages differ"),
	CLAIM(recovery, "KVM knows of pages to be made huge again after the move"),
	CLAIM(no_inode, "nor where no page is an inode's"),
	CLAIM(dead_vmm, "the tables of a VM whose VMM was killed are taken"),
	CLAIM(dead_address_space, "of a killed VMM's own memory nothing stays mapped"),
};

CLAIMS_MAIN(claims);
