// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine with other memory behind its private pages: see private.h.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private.h"

struct private private_create(uint64_t npages)
{
	return behind_create(KVM_X86_SW_PROTECTED_VM, npages, 0);
}

struct private behind_create(uint32_t type, uint64_t npages, uint64_t flags)
{
	struct private p = { .m = flags ? machine_of_type(type, npages) : machine_bare(npages) };
	size_t size = npages * PAGE_SIZE;

	p.behind = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(p.behind != MAP_FAILED, "mmap");
	memset(p.behind, BEHIND, size);

	p.m->view = vm_create_guest_memfd(p.m->vm, size, flags);
	vm_set_user_memory_region2(p.m->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA, size,
				   p.behind, p.m->view, 0);
	return p;
}

uint64_t written_behind(struct private *p, uint64_t first, uint64_t n)
{
	uint64_t written = 0;

	for (uint64_t i = first * PAGE_SIZE; i < (first + n) * PAGE_SIZE; i++)
		written += p->behind[i] != BEHIND;
	return written;
}

void allow_forced_emulation(void)
{
	int fd = open("/sys/module/kvm/parameters/force_emulation_prefix", O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, "1", 1) == 1, "force_emulation_prefix");
	close(fd);
}

void touch_clock(struct machine *m)
{
	struct kvm_clock_data data = { 0 };

	vm_ioctl(m->vm, KVM_GET_CLOCK, &data);
	data.flags = 0;
	vm_ioctl(m->vm, KVM_SET_CLOCK, &data);
}
