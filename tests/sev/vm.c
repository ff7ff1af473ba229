// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "expect.h"
#include "firmware.h"
#include "owner.h"
#include "vm.h"

static int try_sev(struct vm *vm, int id, void *data, unsigned int *said)
{
	struct kvm_sev_cmd cmd = {
		.id = id,
		.data = (uintptr_t)data,
		.sev_fd = vm->sev,
	};
	int ret = ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd) ? -errno : 0;

	*said = cmd.error;
	return ret;
}

unsigned int vm_sev(struct vm *vm, int id, void *data)
{
	unsigned int said;
	int ret = try_sev(vm, id, data, &said);

	/* KVM's own refusals are no answer of the firmware. */
	EXPECT_EQ(ret, said ? -EIO : 0);
	return said;
}

#define SIZE	(VM_PAGES * VM_PAGE)

static void map(struct vm *vm, int flags)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | flags, vm->view, 0);

	EXPECT(memory != MAP_FAILED);
	vm->memory = memory;
}

static void set_slot(struct vm *vm, uint64_t gpa, uint64_t size)
{
	struct kvm_userspace_memory_region2 slot = {
		.flags = vm->view < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)vm->memory,
		.guest_memfd = vm->view < 0 ? 0 : vm->view,
	};

	EXPECT_EQ(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &slot), 0);
}

void vm_add_slot(struct vm *vm, uint64_t gpa)
{
	set_slot(vm, gpa, SIZE);
}

void vm_delete_slot(struct vm *vm)
{
	set_slot(vm, 0, 0);
}

static void add_memory(struct vm *vm)
{
	struct kvm_enc_region region = {
		.addr = (uintptr_t)vm->memory,
		.size = SIZE,
	};

	vm_add_slot(vm, 0);
	EXPECT_EQ(ioctl(vm->fd, KVM_MEMORY_ENCRYPT_REG_REGION, &region), 0);
}

void vm_create_bare(struct vm *vm, bool es)
{
	vm->sev = open_sev();
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	EXPECT(vm->kvm >= 0);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, es ? KVM_X86_SEV_ES_VM : KVM_X86_SEV_VM);
	EXPECT(vm->fd >= 0);
	vm->view = -1;
}

/* False: KVM has no ASID left. */
static bool try_init(struct vm *vm, bool es)
{
	struct kvm_sev_init init = { 0 };
	unsigned int said;
	int ret;

	vm_create_bare(vm, es);
	ret = try_sev(vm, KVM_SEV_INIT2, &init, &said);
	if (ret == -EBUSY) {
		close(vm->fd);
		close(vm->kvm);
		close(vm->sev);
		return false;
	}
	EXPECT_EQ(ret, 0);
	return true;
}

bool vm_try_create(struct vm *vm, bool es)
{
	if (!try_init(vm, es))
		return false;
	map(vm, MAP_ANONYMOUS | MAP_POPULATE);
	add_memory(vm);
	return true;
}

void vm_create(struct vm *vm, bool es)
{
	EXPECT(vm_try_create(vm, es));
}

void vm_create_on_gmem(struct vm *vm, bool es)
{
	struct kvm_create_guest_memfd args = {
		.size = SIZE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};

	EXPECT(try_init(vm, es));
	vm->view = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &args);
	EXPECT(vm->view >= 0);
	map(vm, 0);
	add_memory(vm);
}

void vm_link(struct vm *vm, const struct vm *source)
{
	struct kvm_link_guest_memfd args = { .fd = source->view };

	if (source->view < 0) {
		vm->memory = source->memory;
		return;
	}
	vm->view = ioctl(vm->fd, KVM_LINK_GUEST_MEMFD, &args);
	EXPECT(vm->view >= 0);
	map(vm, 0);
}

void vm_create_destination(struct vm *vm, const struct vm *source, bool es)
{
	vm_create_bare(vm, es);
	vm_link(vm, source);
	vm_add_slot(vm, 0);
}

void vm_destroy(struct vm *vm)
{
	close(vm->fd);
	close(vm->kvm);
	close(vm->sev);
	munmap(vm->memory, SIZE);
}

static int try_context(struct vm *to, const struct vm *from, uint32_t id)
{
	struct kvm_enable_cap cap = { .cap = id, .args = { from->fd } };

	return ioctl(to->fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

int vm_try_move(struct vm *dst, const struct vm *src)
{
	return try_context(dst, src, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM);
}

int vm_try_mirror(struct vm *mirror, const struct vm *owner)
{
	return try_context(mirror, owner, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM);
}

unsigned int vm_start(struct vm *vm, struct owner *owner, uint32_t policy)
{
	struct kvm_sev_launch_start start = { .policy = policy };

	if (owner) {
		start.dh_uaddr = (uintptr_t)owner->certificate;
		start.dh_len = sizeof(owner->certificate);
		start.session_uaddr = (uintptr_t)&owner->session;
		start.session_len = sizeof(owner->session);
	}
	return vm_sev(vm, KVM_SEV_LAUNCH_START, &start);
}

unsigned int vm_update(struct vm *vm, void *from, uint32_t size)
{
	struct kvm_sev_launch_update_data update = {
		.uaddr = (uintptr_t)from,
		.len = size,
	};

	return vm_sev(vm, KVM_SEV_LAUNCH_UPDATE_DATA, &update);
}

unsigned int vm_measure(struct vm *vm, void *measurement, uint32_t size)
{
	struct kvm_sev_launch_measure measure = {
		.uaddr = (uintptr_t)measurement,
		.len = size,
	};

	return vm_sev(vm, KVM_SEV_LAUNCH_MEASURE, &measure);
}

struct kvm_run *vm_add_vcpu(struct vm *vm, int *vcpu)
{
	return vm_add_vcpu_id(vm, 0, vcpu);
}

struct kvm_run *vm_add_vcpu_id(struct vm *vm, int id, int *vcpu)
{
	struct kvm_run *run;
	int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	*vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	EXPECT(*vcpu >= 0);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *vcpu, 0);
	EXPECT(run != MAP_FAILED);
	return run;
}
