// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations that lock two VMs, one of which is encrypted: while one of them is
 * in progress, all others of either VM are refused. And a vCPU that waits for a
 * pager makes way.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "../kvm/lib/asleep.h"
#include "../kvm/lib/claims.h"
#include "../kvm/lib/held_lock.h"
#include "expect.h"
#include "firmware.h"
#include "pair.h"

#define OWED_GPA	(16 * VM_PAGE)

static const struct operation {
	const char *name;
	uint32_t cap;
	uint64_t flags;
	int result;	/* of A's to B, which has no vCPU */
} operations[] = {
	{ "mirror", KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, 0, 0 },
	{ "move with vCPUs", KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, KVM_MOVE_VCPUS, -EINVAL },
	{ "move", KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, 0, 0 },
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static struct kvm_enable_cap args_of(const struct operation *op, struct vm *src)
{
	return (struct kvm_enable_cap){ .cap = op->cap, .args = { src->fd, op->flags } };
}

static int operate(const struct operation *op, struct vm *dst, struct vm *src)
{
	struct kvm_enable_cap cap = args_of(op, src);

	return ioctl(dst->fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

/* A default VM: one that KVM_SEV_INIT has not made an encrypted one yet. */
static void create_default(struct vm *vm)
{
	memset(vm, 0, sizeof(*vm));
	vm->view = -1;
	vm->sev = open_sev();
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
	EXPECT(vm->fd >= 0);
}

/*
 * An operation that waits for a lock instead of being refused waits until the
 * claim's time is over.
 */
static void others_are_refused(struct vm *a, struct vm *b, struct vm *c)
{
	for (size_t i = 0; i < OPERATIONS; i++) {
		EXPECT_EQ(operate(&operations[i], a, b), -EBUSY);
		EXPECT_EQ(operate(&operations[i], b, a), -EBUSY);
		EXPECT_EQ(operate(&operations[i], a, c), -EBUSY);
		EXPECT_EQ(operate(&operations[i], c, a), -EBUSY);
		EXPECT_EQ(operate(&operations[i], b, c), -EBUSY);
		EXPECT_EQ(operate(&operations[i], c, b), -EBUSY);
	}
}

static void create_launched(struct vm *vm)
{
	create_default(vm);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_INIT, NULL), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_start(vm, NULL, 0), SEV_RET_SUCCESS);
}

/* Uses a command that stands still while it answers. */
static void lock(struct held_lock *h, struct vm *vm)
{
	static struct kvm_sev_cmd status = { .id = KVM_SEV_GUEST_STATUS };

	held_lock_init(h);
	status.data = (uintptr_t)h->blocked.page;
	status.sev_fd = vm->sev;
	held_lock_take(h, vm->fd, KVM_MEMORY_ENCRYPT_OP, &status);
}

static void refused_while(const struct operation *op)
{
	struct kvm_enable_cap cap;
	struct async_ioctl mover;
	struct vm a, b, c;
	struct held_lock h;

	printf("%s\n", op->name);
	create_launched(&a);
	create_default(&b);
	create_default(&c);
	lock(&h, &a);
	cap = args_of(op, &a);
	async_ioctl_start(&mover, b.fd, KVM_ENABLE_CAP, (unsigned long)&cap);
	async_ioctl_blocked(&mover);
	others_are_refused(&a, &b, &c);
	EXPECT_EQ(held_lock_let_go(&h, NULL, 0), 0);
	EXPECT_EQ(async_ioctl_result(&mover), op->result);
}

static void refused_meanwhile(void)
{
	for (size_t i = 0; i < OPERATIONS; i++)
		refused_while(&operations[i]);
}

/* It waits behind the move: the VM is dead then, and is not made an encrypted one again. */
static void queued_command(void)
{
	struct kvm_sev_cmd init = { .id = KVM_SEV_INIT };
	struct async_ioctl mover, command;
	struct kvm_enable_cap cap;
	struct held_lock h;
	struct vm a, b;

	create_launched(&a);
	create_default(&b);
	lock(&h, &a);
	cap = args_of(&operations[2], &a);
	async_ioctl_start(&mover, b.fd, KVM_ENABLE_CAP, (unsigned long)&cap);
	async_ioctl_blocked(&mover);
	init.sev_fd = a.sev;
	async_ioctl_start(&command, a.fd, KVM_MEMORY_ENCRYPT_OP, (unsigned long)&init);
	async_ioctl_blocked(&command);
	EXPECT_EQ(held_lock_let_go(&h, NULL, 0), 0);
	EXPECT_EQ(async_ioctl_result(&mover), 0);
	EXPECT_EQ(async_ioctl_result(&command), -EIO);
}

static void bind_owed(struct vm *vm, int view)
{
	struct kvm_userspace_memory_region2 slot = {
		.slot = LOGGED_SLOT + 1,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = OWED_GPA,
		.memory_size = VM_PAGE,
		.guest_memfd = view,
	};

	slot.userspace_addr = (uintptr_t)mmap(NULL, VM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
					      view, 0);
	EXPECT_EQ(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &slot), 0);
}

/* A page more for both VMs, which a pager owes. Returns the pager. */
static int add_owed_page(struct pair *p)
{
	struct kvm_create_guest_memfd create = {
		.size = VM_PAGE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	struct kvm_gmem_create_pager owed = { .size = VM_PAGE };
	struct kvm_link_guest_memfd link = { };
	int pager;

	link.fd = ioctl(p->src.fd, KVM_CREATE_GUEST_MEMFD, &create);
	bind_owed(&p->src, link.fd);
	bind_owed(&p->dst, ioctl(p->dst.fd, KVM_LINK_GUEST_MEMFD, &link));
	pager = ioctl(link.fd, KVM_GMEM_CREATE_PAGER, &owed);
	EXPECT(pager >= 0);
	return pager;
}

/* The guest goes on in the owed page. */
static void run_into_owed(struct async_ioctl *runner, struct pair *p)
{
	struct pollfd pager = { .fd = add_owed_page(p), .events = POLLIN };
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;

	EXPECT_EQ(ioctl(p->vcpu[0], KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = OWED_GPA;
	EXPECT_EQ(ioctl(p->vcpu[0], KVM_SET_SREGS, &sregs), 0);
	EXPECT_EQ(ioctl(p->vcpu[0], KVM_SET_REGS, &regs), 0);
	async_ioctl_start(runner, p->vcpu[0], KVM_RUN, 0);
	EXPECT_EQ(poll(&pager, 1, claim_patience() * 1000), 1);
	wait_asleep(runner->pid, IN_PAGER_WAIT);
	EXPECT(!async_ioctl_is_done(runner));
}

static void waiting_vcpu(void)
{
	struct kvm_enable_cap cap;
	struct async_ioctl runner, mover;
	double until = 0;
	struct pair p;

	pair_create(&p, PAIR_GMEM, 1);
	run_into_owed(&runner, &p);
	cap = args_of(&operations[2], &p.src);
	async_ioctl_start(&mover, p.dst.fd, KVM_ENABLE_CAP, (unsigned long)&cap);
	while (!async_ioctl_is_done(&mover) && claim_is_patient(&until))
		;
	EXPECT(async_ioctl_is_done(&mover));
	EXPECT_EQ(async_ioctl_result(&mover), 0);
	EXPECT_EQ(async_ioctl_result(&runner), -EINTR);
}

static const struct claim claims[] = {
	CLAIM(refused_meanwhile, "while one is in progress, all that locks either VM is EBUSY"),
	CLAIM(queued_command, "a command that waited at the source while it was moved is EIO"),
	CLAIM(waiting_vcpu, "a move has a vCPU leave that waits for a pager"),
};

CLAIMS_MAIN(claims);
