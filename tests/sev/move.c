// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves of SEV and SEV-ES guests that fail on their way: SEV's own part takes
 * locks, charges a cgroup and checks, then the memory context's part takes
 * locks and checks. Whichever of these fails, both VMs are as they were.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm_gmem.h>

#include "../kvm/lib/claims.h"
#include "../kvm/lib/held_lock.h"
#include "expect.h"
#include "firmware.h"
#include "pair.h"

static void succeeds(void)
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		struct pair p;

		pair_create(&p, kind, 1);
		pair_move(&p);
	}
}

static void capability(void)
{
	struct pair p;

	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		pair_create(&p, kind, 1);
		EXPECT_EQ(ioctl(p.src.fd, KVM_CHECK_EXTENSION,
				KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM), 1);
		EXPECT_EQ(ioctl(p.dst.fd, KVM_CHECK_EXTENSION,
				KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM), 1);
	}
}

static void ask_move(struct async_ioctl *mover, struct pair *p, struct kvm_enable_cap *cap)
{
	*cap = (struct kvm_enable_cap){
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { p->src.fd },
	};
	async_ioctl_start(mover, p->dst.fd, KVM_ENABLE_CAP, (unsigned long)cap);
	async_ioctl_blocked(mover);
}

/* The locks that a move takes, in their order. */
enum lock { DST_VM, SRC_VM, DST_VCPU, SRC_VCPU, DST_SLOTS, SRC_SLOTS };

/* Whatever it reads in the end is no argument that it could take. */
static const struct kvm_sev_init refused = { .flags = -1 };

/* Uses a command that copies its argument under the lock. */
static void hold_vm(struct held_lock *h, struct vm *vm, int id)
{
	static struct kvm_sev_cmd cmd;

	held_lock_init(h);
	cmd = (struct kvm_sev_cmd){
		.id = id,
		.data = (uintptr_t)h->blocked.page,
		.sev_fd = vm->sev,
	};
	held_lock_take(h, vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
}

static void hold_vcpu(struct held_lock *h, int vcpu)
{
	held_lock_init(h);
	held_lock_take(h, vcpu, KVM_GET_MP_STATE, h->blocked.page);
}

static void hold_lock(struct held_lock *h, struct pair *p, enum lock lock)
{
	switch (lock) {
	case DST_VM:
		return hold_vm(h, &p->dst, KVM_SEV_INIT2);
	case SRC_VM:
		return hold_vm(h, &p->src, KVM_SEV_GUEST_STATUS);
	case DST_VCPU:
		return hold_vcpu(h, p->vcpu[1]);
	case SRC_VCPU:
		return hold_vcpu(h, p->vcpu[0]);
	case DST_SLOTS:
		return held_lock_take_slots(h, p->dst.fd, LOGGED_SLOT);
	case SRC_SLOTS:
		return held_lock_take_slots(h, p->src.fd, LOGGED_SLOT);
	}
}

static void kill_move(enum lock lock)
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		struct kvm_enable_cap cap;
		struct async_ioctl mover;
		struct pair p;
		struct held_lock h;

		pair_create(&p, kind, 1);
		hold_lock(&h, &p, lock);
		ask_move(&mover, &p, &cap);
		async_ioctl_kill(&mover);
		held_lock_let_go(&h, &refused, sizeof(refused));
		pair_expect_as_before(&p);
	}
}

static void killed_at_destination(void)
{
	kill_move(DST_VM);
}

static void killed_at_source(void)
{
	kill_move(SRC_VM);
}

static void killed_at_vcpu_of_destination(void)
{
	kill_move(DST_VCPU);
}

static void killed_at_vcpu_of_source(void)
{
	kill_move(SRC_VCPU);
}

static void killed_at_slots_of_destination(void)
{
	kill_move(DST_SLOTS);
}

static void killed_at_slots_of_source(void)
{
	kill_move(SRC_SLOTS);
}

static void busy(void)
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		struct kvm_enable_cap cap;
		struct async_ioctl mover;
		struct vm other;
		struct pair p;
		struct held_lock h;

		pair_create(&p, kind, 1);
		vm_create_destination(&other, &p.src, p.es);
		hold_lock(&h, &p, SRC_SLOTS);
		ask_move(&mover, &p, &cap);
		EXPECT_EQ(vm_try_move(&p.dst, &p.src), -EBUSY);
		EXPECT_EQ(vm_try_move(&p.src, &p.dst), -EBUSY);
		EXPECT_EQ(vm_try_move(&other, &p.src), -EBUSY);
		EXPECT_EQ(vm_try_move(&p.dst, &other), -EBUSY);
		EXPECT_EQ(vm_try_mirror(&other, &p.src), -EBUSY);
		EXPECT_EQ(vm_try_mirror(&other, &p.dst), -EBUSY);
		async_ioctl_kill(&mover);
		EXPECT_EQ(held_lock_let_go(&h, NULL, 0), 0);
		pair_expect_as_before(&p);
	}
}

/* An SEV-ES guest has state in each vCPU: there have to be as many. */
static void vcpus_missing(void)
{
	struct pair p;

	pair_create(&p, PAIR_ES, 0);
	EXPECT_EQ(vm_try_move(&p.dst, &p.src), -EINVAL);
	pair_expect_as_before(&p);
}

static void vcpu_not_launched(void)
{
	struct pair p;
	struct vm vm;
	int vcpu;

	/* A source that has not come as far as the pair's. */
	pair_create(&p, PAIR_ES, 1);
	vm_create(&vm, true);
	vm_add_vcpu(&vm, &vcpu);
	EXPECT_EQ(vm_start(&vm, NULL, ES), SEV_RET_SUCCESS);
	p.charges = charges_of("");
	EXPECT_EQ(vm_try_move(&p.dst, &vm), -EINVAL);
	EXPECT_EQ(vm_sev(&vm, KVM_SEV_LAUNCH_UPDATE_VMSA, NULL), SEV_RET_SUCCESS);
	pair_expect_as_before(&p);
}

static void wrong_types(void)
{
	struct pair sev, es;
	struct vm launched;

	pair_create(&sev, 0, 1);
	pair_create(&es, PAIR_ES, 1);
	vm_create(&launched, false);
	sev.charges = charges_of("");
	es.charges = sev.charges;
	EXPECT_EQ(vm_try_move(&es.dst, &sev.src), -EINVAL);
	EXPECT_EQ(vm_try_move(&sev.dst, &es.src), -EINVAL);
	EXPECT_EQ(vm_try_move(&launched, &sev.src), -EINVAL);
	EXPECT_EQ(vm_try_move(&sev.src, &sev.src), -EINVAL);
	EXPECT_EQ(vm_try_move(&sev.src, &sev.dst), -EINVAL);
	pair_expect_as_before(&sev);
	pair_expect_as_before(&es);
}

static void dead_source(void)
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		struct pair p, other;

		pair_create(&p, kind, 1);
		pair_create(&other, kind, 1);
		p.charges = charges_of("");
		other.charges = p.charges;
		pair_move(&p);
		EXPECT_EQ(vm_try_move(&other.dst, &p.src), -EIO);
		pair_move(&other);
	}
}

/* The registers of an encrypted guest are not KVM's to move. */
static void vcpus_flag(void)
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		struct kvm_enable_cap cap = { .cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM };
		struct pair p;

		pair_create(&p, kind, 1);
		cap.args[0] = p.src.fd;
		cap.args[1] = KVM_MOVE_VCPUS;
		EXPECT_EQ(ioctl(p.dst.fd, KVM_ENABLE_CAP, &cap), -1);
		EXPECT_EQ(errno, EINVAL);
		pair_expect_as_before(&p);
	}
}

static const struct claim claims[] = {
	CLAIM(succeeds, "SEV and SEV-ES guests are moved with handle, ASID and charges"),
	CLAIM(capability, "the capability is told for SEV and SEV-ES VMs"),
	CLAIM(dead_source, "EIO for a source that was moved before"),
	CLAIM(vcpus_flag, "EINVAL for KVM_MOVE_VCPUS: as before"),
	CLAIM(wrong_types, "another type, or an encrypted destination: as before"),
	CLAIM(vcpus_missing, "SEV's check of vCPU numbers fails: as before"),
	CLAIM(vcpu_not_launched, "SEV's check of vCPU state fails: as before"),
	CLAIM(killed_at_destination, "killed waiting for the destination: as before"),
	CLAIM(killed_at_source, "killed waiting for the source: as before"),
	CLAIM(killed_at_vcpu_of_destination,
	      "killed waiting for the destination's vCPU: as before"),
	CLAIM(killed_at_vcpu_of_source, "killed waiting for the source's vCPU: as before"),
	CLAIM(killed_at_slots_of_destination,
	      "the memory's part is killed at the destination, SEV's was ready: as before"),
	CLAIM(killed_at_slots_of_source,
	      "the memory's part is killed at the source, SEV's was ready: as before"),
	CLAIM(busy, "while one is in progress other moves and mirrors of either are EBUSY"),
};

CLAIMS_MAIN(claims);
