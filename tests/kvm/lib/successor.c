// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM on the memory of another: see successor.h.
 */
#include "machine.h"
#include "successor.h"

void require_move_vcpus(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_MOVE_VCPUS,
		       "these modules don't move vCPUs");
}

struct kvm_vcpu *ancestor(unsigned long type, void *guest)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct kvm_vcpu *vcpu;

	vm_create_shape_with_one_vcpu(shape, &vcpu, guest);
	return vcpu;
}

static void bind_like(struct kvm_vm *dst, const struct userspace_mem_region *like)
{
	struct kvm_userspace_memory_region2 region = like->region;

	if (region.flags & KVM_MEM_GUEST_MEMFD)
		region.guest_memfd = link_view(dst, region.guest_memfd);
	vm_ioctl(dst, KVM_SET_USER_MEMORY_REGION2, &region);
}

struct kvm_vm *successor_vm(struct kvm_vm *src)
{
	struct vm_shape shape = { .mode = src->mode, .type = src->type };
	struct userspace_mem_region *region;
	struct kvm_vm *dst = ____vm_create(shape);
	int bkt;

	hash_for_each(src->regions.slot_hash, bkt, region, slot_node)
		bind_like(dst, region);

	/* What the library knows of the memory is as true of it, and only read. */
	dst->regions = src->regions;
	dst->pgd = src->pgd;
	dst->pgd_created = src->pgd_created;
	if (src->has_irqchip)
		vm_create_irqchip(dst);
	return dst;
}

struct kvm_vcpu *successor_vcpu(struct kvm_vm *dst, struct kvm_vcpu *src, uint32_t id)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(dst, id);

	vcpu_init_cpuid(vcpu, src->cpuid);
	return vcpu;
}

struct kvm_vcpu *successor(struct kvm_vcpu *src)
{
	struct kvm_vm *dst = successor_vm(src->vm);
	struct kvm_vcpu *vcpu, *heir = NULL;

	list_for_each_entry(vcpu, &src->vm->vcpus, list) {
		struct kvm_vcpu *new = successor_vcpu(dst, vcpu, vcpu->id);

		if (vcpu == src)
			heir = new;
	}
	return heir;
}

int __move_vcpus(struct kvm_vm *dst, struct kvm_vm *src)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { src->fd, KVM_MOVE_VCPUS },
	};

	return __vm_ioctl(dst, KVM_ENABLE_CAP, &cap);
}

void move_vcpus(struct kvm_vm *dst, struct kvm_vm *src)
{
	int ret = __move_vcpus(dst, src);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_ENABLE_CAP, ret));
}

void close_vm(struct kvm_vm *vm)
{
	struct kvm_vcpu *vcpu;

	list_for_each_entry(vcpu, &vm->vcpus, list) {
		munmap(vcpu->run, ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL));
		close(vcpu->fd);
	}
	close(vm->fd);
	close(vm->kvm_fd);
}

struct kvm_vcpu *succeed(struct kvm_vcpu *src)
{
	struct kvm_vcpu *dst = successor(src);

	move_vcpus(dst->vm, src->vm);
	close_vm(src->vm);
	return dst;
}

int run_once(struct kvm_vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_RUN, NULL) ? errno : 0;
}

/* It does so where a vCPU's state can't be saved for SMM. */
void break_vm(struct kvm_vcpu *vcpu)
{
	vcpu_set_msr(vcpu, MSR_IA32_SMBASE, 0xd0000000);
	vcpu_ioctl(vcpu, KVM_SMI, NULL);
	run_once(vcpu);
	TEST_ASSERT_EQ(run_once(vcpu), EIO);
}

void expect_done(struct kvm_vcpu *vcpu)
{
	struct ucall uc;
	uint64_t cmd = get_ucall(vcpu, &uc);

	if (cmd == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(cmd == UCALL_DONE, "guest is not done: exit reason %u",
		    vcpu->run->exit_reason);
}
