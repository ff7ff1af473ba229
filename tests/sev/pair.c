// SPDX-License-Identifier: GPL-2.0-only
/*
 * An encrypted guest, and the VM that it can be moved to: see pair.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "expect.h"
#include "firmware.h"
#include "pair.h"

#define PORT	0x80

/*
 * In real mode at 0: counts, and tells it. Only for port I/O does the emulated
 * CPU tell KVM where the next instruction is.
 */
static const uint8_t program[] = {
	0xfe, 0xc0,		/* again: inc %al */
	0xe6, PORT,		/* out %al,$PORT */
	0xeb, 0xfa,		/* jmp again */
};

struct charges charges_of(const char *path)
{
	struct charges charges = { 0 };
	char file[128], name[16];
	long value;
	FILE *f;

	snprintf(file, sizeof(file), "/sys/fs/cgroup%s/misc.current", path);
	f = fopen(file, "r");
	EXPECT(f);
	while (fscanf(f, "%15s %ld", name, &value) == 2) {
		if (!strcmp(name, "sev"))
			charges.sev = value;
		if (!strcmp(name, "sev_es"))
			charges.sev_es = value;
	}
	fclose(f);
	return charges;
}

static void set_transform(char value)
{
	int fd = open("/sys/module/softpsp/parameters/transform", O_WRONLY | O_CLOEXEC);

	EXPECT(fd >= 0);
	EXPECT_EQ(write(fd, &value, 1), 1);
	close(fd);
}

void pair_add_logged_slot(struct vm *vm)
{
	struct kvm_userspace_memory_region slot = {
		.slot = LOGGED_SLOT,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.guest_phys_addr = 1ULL << 32,
		.memory_size = VM_PAGE,
		.userspace_addr = (uintptr_t)vm->memory,
	};

	EXPECT_EQ(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot), 0);
}

/* Where the guest goes on after its @count-th exit. */
static void set_vcpu(struct pair *p, int which)
{
	struct kvm_regs regs = { .rflags = 2, .rax = p->count, .rip = p->count ? 4 : 0 };
	struct kvm_sregs sregs;

	EXPECT_EQ(ioctl(p->vcpu[which], KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	EXPECT_EQ(ioctl(p->vcpu[which], KVM_SET_SREGS, &sregs), 0);
	EXPECT_EQ(ioctl(p->vcpu[which], KVM_SET_REGS, &regs), 0);
}

/* One time round: an SEV guest runs, the state of an SEV-ES guest must be protected. */
void pair_run(struct pair *p, int which)
{
	struct kvm_run *run = p->run[which];
	struct kvm_regs regs;

	if (p->es) {
		EXPECT_EQ(ioctl(p->vcpu[which], KVM_GET_REGS, &regs), -1);
		EXPECT_EQ(errno, EINVAL);
		return;
	}
	p->count++;
	EXPECT_EQ(ioctl(p->vcpu[which], KVM_RUN, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(run->io.port, PORT);
	EXPECT_EQ(*((uint8_t *)run + run->io.data_offset), p->count);
}

static void expect_guest(struct pair *p, struct vm *vm)
{
	struct kvm_sev_guest_status status;
	uint8_t text[VM_PAGE];
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (uintptr_t)vm->memory,
		.dst_uaddr = (uintptr_t)text,
		.len = VM_PAGE,
	};

	EXPECT_EQ(vm_sev(vm, KVM_SEV_GUEST_STATUS, &status), SEV_RET_SUCCESS);
	EXPECT_EQ(status.handle, p->handle);
	EXPECT_EQ(status.state, GSTATE_RUNNING);
	EXPECT_EQ(status.policy, p->es ? ES : 0);
	EXPECT_EQ(fw_status(p->handle).asid, p->asid);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_DBG_DECRYPT, &dbg), SEV_RET_SUCCESS);
	EXPECT(!memcmp(text, program, sizeof(program)));
}

static void expect_charges(const struct pair *p)
{
	struct charges now = charges_of("");

	EXPECT_EQ(now.sev, p->charges.sev);
	EXPECT_EQ(now.sev_es, p->charges.sev_es);
}

static void launch(struct pair *p)
{
	struct measurement { uint8_t bytes[48]; } measurement;
	struct kvm_sev_guest_status status;
	struct vm *vm = &p->src;

	memcpy(vm->memory, program, sizeof(program));
	/* The code of an SEV guest must not be transformed. */
	set_transform(p->es ? 'Y' : 'N');
	EXPECT_EQ(vm_start(vm, NULL, p->es ? ES : 0), SEV_RET_SUCCESS);
	set_transform('Y');
	EXPECT_EQ(vm_update(vm, vm->memory, VM_PAGE), SEV_RET_SUCCESS);
	if (p->es)
		EXPECT_EQ(vm_sev(vm, KVM_SEV_LAUNCH_UPDATE_VMSA, NULL), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_measure(vm, &measurement, sizeof(measurement)), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_LAUNCH_FINISH, NULL), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_GUEST_STATUS, &status), SEV_RET_SUCCESS);
	p->handle = status.handle;
	p->asid = fw_status(p->handle).asid;
}

void pair_create_source(struct pair *p, int kind)
{
	memset(p, 0, sizeof(*p));
	p->es = kind & PAIR_ES;
	p->gmem = kind & PAIR_GMEM;
	if (p->gmem)
		vm_create_on_gmem(&p->src, p->es);
	else
		vm_create(&p->src, p->es);
	p->run[0] = vm_add_vcpu(&p->src, &p->vcpu[0]);
	set_vcpu(p, 0);
	launch(p);
	pair_run(p, 0);
	pair_add_logged_slot(&p->src);
	p->charges = charges_of("");
}

void pair_create(struct pair *p, int kind, int vcpus)
{
	pair_create_source(p, kind);
	vm_create_destination(&p->dst, &p->src, p->es);
	if (vcpus)
		p->run[1] = vm_add_vcpu(&p->dst, &p->vcpu[1]);
	pair_add_logged_slot(&p->dst);
}

/* The state of its VM in a view's fdinfo. */
static void expect_state(int view, const char *state)
{
	char path[64], line[64], want[64];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", view);
	snprintf(want, sizeof(want), "gmem-vm-state:\t%s\n", state);
	f = fopen(path, "r");
	EXPECT(f);
	while (fgets(line, sizeof(line), f))
		found |= !strcmp(line, want);
	fclose(f);
	EXPECT(found);
}

void pair_move(struct pair *p)
{
	struct kvm_mp_state mp;

	if (p->gmem)
		expect_state(p->src.view, "alive");

	EXPECT_EQ(vm_try_move(&p->dst, &p->src), 0);
	if (p->gmem) {
		expect_state(p->src.view, "moved");
		expect_state(p->dst.view, "alive");
	}
	expect_charges(p);
	expect_guest(p, &p->dst);
	if (!p->es)
		set_vcpu(p, 1);
	pair_run(p, 1);

	EXPECT_EQ(ioctl(p->vcpu[0], KVM_RUN, 0), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(ioctl(p->vcpu[0], KVM_GET_MP_STATE, &mp), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(vm_try_move(&p->src, &p->dst), -EIO);
}

/* Each takes another of the locks that a move takes. */
static void expect_unlocked(struct vm *vm, int vcpu)
{
	uint64_t bitmap;
	struct kvm_dirty_log log = { .slot = LOGGED_SLOT, .dirty_bitmap = &bitmap };
	struct kvm_mp_state mp;

	EXPECT(ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &(struct kvm_sev_cmd){ .id = -1 }));
	EXPECT_EQ(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), 0);
	if (vcpu)
		EXPECT_EQ(ioctl(vcpu, KVM_GET_MP_STATE, &mp), 0);
}

void pair_expect_as_before(struct pair *p)
{
	struct kvm_sev_guest_status status;
	struct kvm_sev_cmd cmd = {
		.id = KVM_SEV_GUEST_STATUS,
		.data = (uintptr_t)&status,
		.sev_fd = p->dst.sev,
	};

	expect_charges(p);
	expect_unlocked(&p->src, p->vcpu[0]);
	expect_unlocked(&p->dst, p->vcpu[1]);
	expect_guest(p, &p->src);
	pair_run(p, 0);
	/* The destination is no encrypted VM. */
	EXPECT_EQ(ioctl(p->dst.fd, KVM_MEMORY_ENCRYPT_OP, &cmd), -1);
	EXPECT_EQ(errno, ENOTTY);
	if (!p->vcpu[1])
		p->run[1] = vm_add_vcpu(&p->dst, &p->vcpu[1]);
	pair_move(p);
}
