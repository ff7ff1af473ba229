// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving a machine's context: see moving.h.
 */
#include <sys/mman.h>

#include "moving.h"

void require_move(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_MOVE,
		       "these modules don't move software-protected VMs");
}

int __move(struct kvm_vm *dst, int source_fd)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { (__u32)source_fd },
	};

	return __vm_ioctl(dst, KVM_ENABLE_CAP, &cap);
}

void move(struct machine *dst, struct machine *src)
{
	int ret = __move(dst->vm, src->vm->fd);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_ENABLE_CAP, ret));
}

struct machine *destination(struct machine *src)
{
	struct machine *m = machine_link(src->view, src->npages);

	vm_mem_set_shared(m->vm, MACHINE_GPA, m->npages * PAGE_SIZE);
	return m;
}

/*
 * Not by the library, which deletes memslots first. All that refers to the VM
 * goes, mappings too, so that it is destroyed.
 */
void machine_release(struct machine *m)
{
	struct userspace_mem_region *region;
	struct kvm_vcpu *vcpu;
	int bucket, run_size = ioctl(m->vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);

	machine_close_view(m);
	if (m->host)
		munmap(m->host, m->npages * PAGE_SIZE);
	list_for_each_entry(vcpu, &m->vm->vcpus, list) {
		munmap(vcpu->run, run_size);
		close(vcpu->fd);
	}
	close(m->vm->fd);
	close(m->vm->kvm_fd);
	hash_for_each(m->vm->regions.slot_hash, bucket, region, slot_node)
		munmap(region->mmap_start, region->mmap_size);
}
