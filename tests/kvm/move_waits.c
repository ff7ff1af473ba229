// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves that wait for a lock: who is refused meanwhile, what is in the queue
 * behind them, and what is left when they are killed.
 */
#include <malloc.h>
#include <sys/eventfd.h>
#include <time.h>

#include "claims.h"
#include "held_lock.h"
#include "mapped.h"
#include "moving.h"
#include "kvm_access.h"
#include "paging.h"

#define PAGES		16
#define LOGGED_SLOT	20
#define LOGGED_GPA	(1ULL << 34)
#define LETS_PASS	"kvm_move_let_slots_pass"

static void hold_vcpu(struct held_lock *h, struct machine *m)
{
	held_lock_init(h);
	held_lock_take(h, m->vcpu->fd, KVM_GET_REGS, h->blocked.page);
}

static void let_go(struct held_lock *h)
{
	TEST_ASSERT_EQ(held_lock_let_go(h, NULL, 0), 0);
}

/* So that there is a dirty log to ask for. */
static struct machine *logged(struct machine *m)
{
	vm_userspace_mem_region_add(m->vm, VM_MEM_SRC_ANONYMOUS, LOGGED_GPA, LOGGED_SLOT, 1,
				    KVM_MEM_LOG_DIRTY_PAGES);
	return m;
}

/* Two machines that can be moved, the one to the other. */
static struct machine *a, *b;

static void make_couple(void)
{
	require_move();
	a = logged(machine_create(PAGES));
	guest_write(a, 0, PAGES, 1);
	b = logged(destination(a));
}

static struct kvm_enable_cap move_args(struct machine *src)
{
	return (struct kvm_enable_cap){
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { src->vm->fd },
	};
}

/* A move of A to B that waits for what is held. */
static void ask_move(struct async_ioctl *mover)
{
	static struct kvm_enable_cap cap;

	cap = move_args(a);
	async_ioctl_start(mover, b->vm->fd, KVM_ENABLE_CAP, (unsigned long)&cap);
	async_ioctl_blocked(mover);
}

/* Nothing has happened: A goes on, and B is as good a destination as before. */
static void expect_as_before(void)
{
	guest_expect(a, 0, PAGES, 1);
	guest_write(a, 0, PAGES, 2);
	move(b, a);
	guest_expect(b, 0, PAGES, 2);
}

static void kill_move(struct held_lock *h)
{
	struct async_ioctl mover;

	ask_move(&mover);
	async_ioctl_kill(&mover);
	let_go(h);
	expect_as_before();
}

static void killed_at_vcpu_of_destination(void)
{
	struct held_lock h;

	make_couple();
	hold_vcpu(&h, b);
	kill_move(&h);
}

static void killed_at_vcpu_of_source(void)
{
	struct held_lock h;

	make_couple();
	hold_vcpu(&h, a);
	kill_move(&h);
}

static void killed_at_slots_of_destination(void)
{
	struct held_lock h;

	make_couple();
	held_lock_take_slots(&h, b->vm->fd, LOGGED_SLOT);
	kill_move(&h);
}

static void killed_at_slots_of_source(void)
{
	struct held_lock h;

	make_couple();
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	kill_move(&h);
}

static void busy(void)
{
	struct machine *c;
	struct async_ioctl mover;
	struct held_lock h;

	make_couple();
	c = logged(destination(a));
	hold_vcpu(&h, a);
	ask_move(&mover);
	TEST_ERRNO(__move(b->vm, a->vm->fd), EBUSY);
	TEST_ERRNO(__move(a->vm, b->vm->fd), EBUSY);
	TEST_ERRNO(__move(c->vm, a->vm->fd), EBUSY);
	TEST_ERRNO(__move(c->vm, b->vm->fd), EBUSY);
	TEST_ERRNO(__move(a->vm, c->vm->fd), EBUSY);
	TEST_ERRNO(__move(b->vm, c->vm->fd), EBUSY);
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);

	/* The VM that was refused can be moved to later. */
	guest_expect(b, 0, PAGES, 1);
	move(c, b);
	guest_expect(c, 0, PAGES, 1);
}

/* What may be asked of a VM; each waits for a lock that a move holds. */
static struct kvm_regs regs;
static struct kvm_sregs sregs;
static struct kvm_pre_fault_memory pre_fault = { .gpa = MACHINE_GPA, .size = PAGE_SIZE };
static struct kvm_memory_attributes to_shared = { .address = MACHINE_GPA, .size = PAGE_SIZE };
static struct kvm_userspace_memory_region2 new_slot = {
	.slot = LOGGED_SLOT + 1, .guest_phys_addr = 2 * LOGGED_GPA, .memory_size = PAGE_SIZE,
};

static struct kvm_userspace_memory_region2 no_slot = {
	.slot = MACHINE_SLOT, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = MACHINE_GPA,
};

static struct kvm_pit_config pit_config;
/* 100 interrupts a second. */
static struct kvm_pit_state2 pit = { .channels[0] = { .count = 11932, .mode = 2, .gate = 1 } };

static struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };
static struct kvm_pmu_event_filter filter = { .action = KVM_PMU_EVENT_ALLOW };
static struct kvm_enable_cap ring = {
	.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = { 65536 },
};

static const struct queued {
	const char *name;
	bool of_vcpu;
	unsigned long request;
	void *arg;
} queue[] = {
	{ "KVM_RUN", true, KVM_RUN, NULL },
	{ "KVM_GET_REGS", true, KVM_GET_REGS, &regs },
	{ "KVM_SET_REGS", true, KVM_SET_REGS, &regs },
	{ "KVM_GET_SREGS", true, KVM_GET_SREGS, &sregs },
	{ "KVM_PRE_FAULT_MEMORY", true, KVM_PRE_FAULT_MEMORY, &pre_fault },
	{ "KVM_SET_MEMORY_ATTRIBUTES", false, KVM_SET_MEMORY_ATTRIBUTES, &to_shared },
	{ "KVM_SET_USER_MEMORY_REGION2", false, KVM_SET_USER_MEMORY_REGION2, &new_slot },
	{ "KVM_SET_USER_MEMORY_REGION", false, KVM_SET_USER_MEMORY_REGION, &new_slot },
	{ "deletion of a slot", false, KVM_SET_USER_MEMORY_REGION2, &no_slot },
	{ "KVM_CREATE_VCPU", false, KVM_CREATE_VCPU, (void *)7UL },
	{ "KVM_CREATE_IRQCHIP", false, KVM_CREATE_IRQCHIP, NULL },
	{ "KVM_CREATE_PIT2", false, KVM_CREATE_PIT2, &pit_config },
	{ "KVM_SET_PIT", false, KVM_SET_PIT, &pit },
	{ "KVM_SET_PIT2", false, KVM_SET_PIT2, &pit },
	{ "KVM_CREATE_DEVICE", false, KVM_CREATE_DEVICE, &device },
	{ "KVM_SET_PMU_EVENT_FILTER", false, KVM_SET_PMU_EVENT_FILTER, &filter },
	{ "the size of dirty rings", false, KVM_ENABLE_CAP, &ring },
};

static void queued_at_source(void)
{
	struct async_ioctl mover, ioctls[ARRAY_SIZE(queue)];
	struct held_lock h;

	make_couple();
	vm_ioctl(a->vm, KVM_CREATE_PIT2, &pit_config);
	new_slot.userspace_addr = (unsigned long)addr_gpa2hva(a->vm, LOGGED_GPA);
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	ask_move(&mover);
	for (size_t i = 0; i < ARRAY_SIZE(queue); i++) {
		async_ioctl_start(&ioctls[i], queue[i].of_vcpu ? a->vcpu->fd : a->vm->fd,
				  queue[i].request, (unsigned long)queue[i].arg);
		async_ioctl_blocked(&ioctls[i]);
	}
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	for (size_t i = 0; i < ARRAY_SIZE(queue); i++) {
		long answer = async_ioctl_result(&ioctls[i]);

		TEST_ASSERT(answer == -EIO, "%s of the source: %ld", queue[i].name, answer);
	}
	guest_expect(b, 0, PAGES, 1);
}

static void guest_write_first(void)
{
	*(volatile uint64_t *)MACHINE_GVA = 4711;
	GUEST_RETURN(0);
}

/* Both want to enter the guest the moment that they can. */
static void queued_runs(void)
{
	struct async_ioctl mover, run_a, run_b;
	struct held_lock h;

	make_couple();
	machine_prepare(a, guest_write_first, 0, 0, 0);
	machine_prepare(b, guest_write_first, 0, 0, 0);
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	ask_move(&mover);
	async_ioctl_start(&run_a, a->vcpu->fd, KVM_RUN, 0);
	async_ioctl_blocked(&run_a);
	async_ioctl_start(&run_b, b->vcpu->fd, KVM_RUN, 0);
	async_ioctl_blocked(&run_b);
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	TEST_ASSERT_EQ(async_ioctl_result(&run_a), -EIO);
	TEST_ASSERT_EQ(async_ioctl_result(&run_b), 0);
	TEST_ASSERT_KVM_EXIT_REASON(b->vcpu, KVM_EXIT_IO);
	vcpu_run_complete_io(b->vcpu);
	guest_expect(b, 1, PAGES - 1, 1);
}

/* What waits at the destination goes on with what has arrived. */
static void queued_at_destination(void)
{
	struct async_ioctl mover, convert, create;
	struct held_lock h;

	make_couple();
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	ask_move(&mover);
	async_ioctl_start(&convert, b->vm->fd, KVM_SET_MEMORY_ATTRIBUTES,
			  (unsigned long)&to_shared);
	async_ioctl_blocked(&convert);
	async_ioctl_start(&create, b->vm->fd, KVM_CREATE_VCPU, 7);
	async_ioctl_blocked(&create);
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	TEST_ASSERT_EQ(async_ioctl_result(&convert), 0);
	TEST_ASSERT(async_ioctl_result(&create) >= 0, "KVM_CREATE_VCPU of the destination");
	TEST_ASSERT_EQ(guest_try_touch(b, 0), EFAULT);
	guest_expect(b, 1, PAGES - 1, 1);
}

/* Else threads that make one ioctl after another would keep a move out for ever. */
static void later_ones_let_it_pass(struct machine *m)
{
	struct held_lock h, later;
	struct async_ioctl mover;

	hold_vcpu(&h, m);
	ask_move(&mover);
	held_lock_init(&later);
	async_ioctl_start(&later.ioctl, m->vcpu->fd, KVM_GET_REGS,
			  (unsigned long)later.blocked.page);
	async_ioctl_blocked(&later.ioctl);
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	blocked_page_let_go(&later.blocked, NULL, 0);
	TEST_ASSERT_EQ(async_ioctl_result(&later.ioctl), m == a ? -EIO : 0);
	guest_expect(b, 0, PAGES, 1);
}

static void passes_at_source(void)
{
	make_couple();
	later_ones_let_it_pass(a);
}

static void passes_at_destination(void)
{
	make_couple();
	later_ones_let_it_pass(b);
}

/* What takes slots_lock, each in a process that can be killed while it lets a move pass. */
static struct kvm_clear_dirty_log clear_log = { .slot = LOGGED_SLOT };
static struct kvm_dirty_log get_log = { .slot = LOGGED_SLOT };
static struct kvm_ioeventfd no_ioeventfd = { .flags = KVM_IOEVENTFD_FLAG_DEASSIGN, .len = 4 };
static struct kvm_coalesced_mmio_zone zone = { .addr = 1ULL << 40, .size = PAGE_SIZE };

static const struct queued takers[] = {
	{ "KVM_SET_MEMORY_ATTRIBUTES", false, KVM_SET_MEMORY_ATTRIBUTES, &to_shared },
	{ "KVM_SET_USER_MEMORY_REGION2", false, KVM_SET_USER_MEMORY_REGION2, &no_slot },
	{ "KVM_GET_DIRTY_LOG", false, KVM_GET_DIRTY_LOG, &get_log },
	{ "KVM_CLEAR_DIRTY_LOG", false, KVM_CLEAR_DIRTY_LOG, &clear_log },
	{ "KVM_IOEVENTFD", false, KVM_IOEVENTFD, &no_ioeventfd },
	{ "KVM_REGISTER_COALESCED_MMIO", false, KVM_REGISTER_COALESCED_MMIO, &zone },
	{ "KVM_UNREGISTER_COALESCED_MMIO", false, KVM_UNREGISTER_COALESCED_MMIO, &zone },
	{ "KVM_SET_NR_MMU_PAGES", false, KVM_SET_NR_MMU_PAGES, (void *)1000UL },
};

static void slots_pass(void)
{
	struct async_ioctl mover, later;
	struct held_lock h;

	make_couple();
	no_ioeventfd.fd = eventfd(0, 0);
	get_log.dirty_bitmap = malloc(PAGE_SIZE);
	clear_log.dirty_bitmap = get_log.dirty_bitmap;
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	ask_move(&mover);
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++) {
		async_ioctl_start(&later, a->vm->fd, takers[i].request,
				  (unsigned long)takers[i].arg);
		async_ioctl_blocked(&later);
		async_ioctl_kill(&later);
	}
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	guest_expect(b, 0, PAGES, 1);
}

/* They take no slots_lock, but what a move waits for next. */
static void populate_passes(void)
{
	struct kvm_guest_memfd_populate args = {
		.gpa = MACHINE_GPA, .size = PAGE_SIZE, .from = 0,
	};
	struct async_ioctl mover, later;
	struct held_lock h;

	make_couple();
	punch_pages(a->view, 0, 1);
	args.from = (unsigned long)memalign(PAGE_SIZE, PAGE_SIZE);
	memset((void *)(unsigned long)args.from, 0, PAGE_SIZE);
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	ask_move(&mover);
	async_ioctl_start(&later, a->vm->fd, KVM_GUEST_MEMFD_POPULATE, (unsigned long)&args);
	async_ioctl_blocked(&later);
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	TEST_ASSERT_EQ(async_ioctl_result(&later), -EIO);
	guest_expect(b, 1, PAGES - 1, 1);
}

/* In place: the inode knows which of its pages are private. */
static void make_mapped_couple(void)
{
	require_move();
	require_convert();
	a = logged(mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED));
	guest_write(a, 0, PAGES, 1);
	b = logged(mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, PAGES));
}

static void conversion_passes(void)
{
	struct kvm_memory_attributes2 args = {
		.size = PAGE_SIZE, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	struct async_ioctl mover, later;
	struct held_lock h;

	make_mapped_couple();
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	ask_move(&mover);
	async_ioctl_start(&later, a->view, KVM_SET_MEMORY_ATTRIBUTES2, (unsigned long)&args);
	wait_asleep(later.pid, LETS_PASS);
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	TEST_ASSERT_EQ(async_ioctl_result(&later), -EIO);
	host_expect(b, 0, PAGES, 1);
	guest_expect(b, 0, PAGES, 1);
}

static void *close_view(void *view)
{
	close((int)(long)view);
	return NULL;
}

/* And waits for neither the move nor what that waits for. */
static void release_passes(void)
{
	struct async_ioctl mover;
	struct held_lock h;
	pthread_t thread;

	make_couple();
	held_lock_take_slots(&h, a->vm->fd, LOGGED_SLOT);
	ask_move(&mover);
	pthread_create(&thread, NULL, close_view, (void *)(long)a->view);
	pthread_join(thread, NULL);
	/* What it can't do meanwhile is left to a work, but the view is gone. */
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), -EINVAL);
}

/* Ioctls that let it pass go on when it is killed; or one is killed, and the move goes on. */
static void killed_where_others_wait(void)
{
	struct async_ioctl mover, later, victim;
	struct held_lock h;

	make_couple();
	hold_vcpu(&h, a);
	ask_move(&mover);
	async_ioctl_start(&later, a->vcpu->fd, KVM_GET_REGS, (unsigned long)&regs);
	async_ioctl_blocked(&later);
	async_ioctl_start(&victim, a->vcpu->fd, KVM_GET_REGS, (unsigned long)&regs);
	async_ioctl_blocked(&victim);
	async_ioctl_kill(&victim);
	async_ioctl_kill(&mover);
	let_go(&h);
	TEST_ASSERT_EQ(async_ioctl_result(&later), 0);
	expect_as_before();
}

/* Page 3 is owed: the pager. */
static int owe_page(void)
{
	require_pager();
	make_couple();
	punch_pages(a->view, 3, 1);
	return pager_of(a);
}

static void run_waits(struct async_ioctl *run, int pager)
{
	async_ioctl_start(run, a->vcpu->fd, KVM_RUN, 0);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 3, 1);
	wait_asleep(run->pid, IN_PAGER_WAIT);
}

static void expect_all_in_b(void)
{
	guest_expect(b, 0, 3, 1);
	guest_expect(b, 3, 1, 0);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * An instruction that KVM emulates: no move can end that, and none waits for it. The vCPUs of both
 * VMs stand still for so long: 50 ms.
 */
static void vcpu_in_an_access(void)
{
	int pager = owe_page();
	struct async_ioctl run;
	uint64_t least = ~0UL;

	allow_forced_emulation();
	machine_prepare(a, guest_kvm_read, 3, 0, 0);
	run_waits(&run, pager);
	for (int i = 0; i < 3; i++) {
		uint64_t begun = now_ms();

		TEST_ERRNO(__move(b->vm, a->vm->fd), EBUSY);
		least = min(least, now_ms() - begun);
	}
	TEST_ASSERT(least < 500, "EBUSY after %lu ms", least);
	TEST_ASSERT(!async_ioctl_is_done(&run), "it has ended");
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	TEST_ASSERT_EQ(async_ioctl_result(&run), 0);
	move(b, a);
	expect_all_in_b();
}

/* KVM_RUN that is to set registers first, and waits for the page at CR3: it has set nothing yet. */
static void vcpu_before_it_sets_registers(void)
{
	int pager = owe_page();
	struct kvm_sregs *set = &a->vcpu->run->s.regs.sregs;
	struct async_ioctl run;

	vcpu_sregs_get(a->vcpu, set);
	set->efer &= ~(EFER_LME | EFER_LMA);
	set->cs.l = 0;
	set->cr3 = MACHINE_GPA + 3 * PAGE_SIZE;
	a->vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	run_waits(&run, pager);
	move(b, a);
	TEST_ASSERT_EQ(async_ioctl_result(&run), -EINTR);
	TEST_ASSERT_EQ(a->vcpu->run->kvm_dirty_regs, (uint64_t)KVM_SYNC_X86_SREGS);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	expect_all_in_b();
}

/* Whatever it is that an ioctl of a vCPU waits for. */
static void vcpu_in_an_ioctl(void)
{
	struct async_ioctl mover;
	struct held_lock h;

	make_couple();
	hold_vcpu(&h, a);
	ask_move(&mover);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), -EBUSY);
	let_go(&h);
	expect_as_before();
}

/* Seven seconds for a vCPU leave three for the memslots, in which all vCPUs stand still. */
static void one_deadline(void)
{
	struct async_ioctl mover;
	struct held_lock vcpu, slots;
	time_t begun;

	make_couple();
	hold_vcpu(&vcpu, b);
	held_lock_take_slots(&slots, a->vm->fd, LOGGED_SLOT);
	begun = time(NULL);
	ask_move(&mover);
	sleep(7);
	let_go(&vcpu);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), -EBUSY);
	TEST_ASSERT(time(NULL) - begun < 15, "it took %ld s", time(NULL) - begun);
	let_go(&slots);
	expect_as_before();
}

static const struct claim claims[] = {
	CLAIM(busy, "while a move is in progress others of either VM are EBUSY"),
	CLAIM(killed_at_vcpu_of_destination,
	      "killed waiting for the destination's vCPU: as before"),
	CLAIM(killed_at_vcpu_of_source, "killed waiting for the source's vCPU: as before"),
	CLAIM(killed_at_slots_of_destination,
	      "killed waiting for the destination's memslots: as before"),
	CLAIM(killed_at_slots_of_source, "killed waiting for the source's memslots: as before"),
	CLAIM(queued_at_source, "what waited at the source while it was moved is EIO"),
	CLAIM(queued_runs, "of both vCPUs that waited the destination's runs, the source's not"),
	CLAIM(queued_at_destination, "what waited at the destination sees what has arrived"),
	CLAIM(passes_at_source, "ioctls of the source's vCPUs that come later let a move pass"),
	CLAIM(passes_at_destination, "so do those of the destination's"),
	CLAIM(slots_pass, "whatever takes slots_lock later lets a move pass, and can be killed"),
	CLAIM(populate_passes, "so does who populates"),
	CLAIM(conversion_passes, "so does a conversion in place"),
	CLAIM(release_passes, "and a view that is closed"),
	CLAIM(killed_where_others_wait, "they go on where it is killed"),
	CLAIM(vcpu_in_an_access, "a vCPU in an access that waits for a pager is EBUSY"),
	CLAIM(vcpu_before_it_sets_registers, "one that has yet to set its registers leaves"),
	CLAIM(vcpu_in_an_ioctl, "after ten seconds, so is one in an ioctl that does not return"),
	CLAIM(one_deadline, "ten seconds are for all that a move waits for, together"),
};

CLAIMS_MAIN(claims);
