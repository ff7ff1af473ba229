// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM whose guest reads and writes private memory: see machine.h.
 */
#include <linux/falloc.h>
#include <sys/mman.h>

#include "machine.h"

#define WORDS	(PAGE_SIZE / sizeof(uint64_t))

volatile uint64_t guest_result;

struct kvm_vm *idle_vm(void)
{
	return vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
}

bool can_link(void)
{
	return kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_LINK;
}

void require_link(void)
{
	__TEST_REQUIRE(can_link(), "these modules have no KVM_LINK_GUEST_MEMFD");
}

int __link_view(struct kvm_vm *vm, uint64_t fd)
{
	struct kvm_link_guest_memfd args = { .fd = fd };

	return __vm_ioctl(vm, KVM_LINK_GUEST_MEMFD, &args);
}

int link_view(struct kvm_vm *vm, int fd)
{
	int view = __link_view(vm, fd);

	TEST_ASSERT(view >= 0, KVM_IOCTL_ERROR(KVM_LINK_GUEST_MEMFD, view));
	return view;
}

struct machine *machine_of_type(uint32_t type, uint64_t npages)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct machine *m = calloc(1, sizeof(*m));

	TEST_ASSERT(m, "out of memory");
	m->view = -1;
	m->npages = npages;
	/* It reckons with page tables for as many pages as it is told of. */
	m->vm = __vm_create_shape_with_one_vcpu(shape, &m->vcpu, npages, NULL);
	vcpu_regs_get(m->vcpu, &m->entry);

	virt_map(m->vm, MACHINE_GVA, MACHINE_GPA, npages);
	return m;
}

struct machine *machine_bare(uint64_t npages)
{
	struct machine *m = machine_of_type(KVM_X86_SW_PROTECTED_VM, npages);

	vm_mem_set_private(m->vm, MACHINE_GPA, npages * PAGE_SIZE);
	return m;
}

struct machine *machine_create(uint64_t npages)
{
	struct machine *m = machine_bare(npages);

	m->view = vm_create_guest_memfd(m->vm, npages * PAGE_SIZE, 0);
	machine_bind(m, 0);
	return m;
}

struct machine *machine_link(int view, uint64_t npages)
{
	struct machine *m = machine_bare(npages);

	m->view = link_view(m->vm, view);
	machine_bind(m, 0);
	return m;
}

void machine_free(struct machine *m)
{
	machine_close_view(m);
	kvm_vm_free(m->vm);
	free(m);
}

int __machine_bind(struct machine *m, uint64_t pgoff)
{
	/* All of it is in the file, so nothing need stand at userspace_addr. */
	return __vm_set_user_memory_region2(m->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD,
					    MACHINE_GPA, m->npages * PAGE_SIZE, m->host,
					    m->view, pgoff * PAGE_SIZE);
}

void machine_bind(struct machine *m, uint64_t pgoff)
{
	int ret = __machine_bind(m, pgoff);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_USER_MEMORY_REGION2, ret));
}

void machine_unbind(struct machine *m)
{
	vm_set_user_memory_region2(m->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA, 0,
				   NULL, -1, 0);
}

void machine_close_view(struct machine *m)
{
	if (m->view >= 0)
		close(m->view);
	m->view = -1;
}

void machine_prepare(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c)
{
	struct kvm_regs regs = m->entry;

	regs.rip = (uint64_t)fn;
	regs.rdi = a;
	regs.rsi = b;
	regs.rdx = c;
	vcpu_regs_set(m->vcpu, &regs);
}

int machine_try(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c)
{
	machine_prepare(m, fn, a, b, c);
	if (_vcpu_run(m->vcpu))
		return errno;

	/*
	 * The next call starts elsewhere, so the port access that ended this
	 * one has to be completed now; get_ucall() does it for real ucalls. The
	 * end of a call is not one of these: the guest would never get to put
	 * its ucall back, of which it has 512.
	 */
	if (get_ucall(m->vcpu, &m->said) == UCALL_NONE && m->vcpu->run->exit_reason == KVM_EXIT_IO)
		vcpu_run_complete_io(m->vcpu);
	return 0;
}

/* The guest's function has returned; a failed assertion of the guest is the claim's. */
static void machine_returned(struct machine *m)
{
	if (m->said.cmd == UCALL_ABORT)
		REPORT_GUEST_ASSERT(m->said);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(m->said.cmd, (uint64_t)UCALL_NONE);
}

uint64_t machine_call(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c)
{
	int err = machine_try(m, fn, a, b, c);

	TEST_ASSERT(!err, "KVM_RUN: errno %d (%s), exit reason %u (%s), gpa %llx", err,
		    strerror(err), m->vcpu->run->exit_reason,
		    exit_reason_str(m->vcpu->run->exit_reason),
		    m->vcpu->run->memory_fault.gpa);
	machine_returned(m);
	return *(uint64_t *)addr_gva2hva(m->vm, (vm_vaddr_t)&guest_result);
}

uint64_t machine_call_on(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c)
{
	int err;

	machine_prepare(m, fn, a, b, c);
	do {
		err = _vcpu_run(m->vcpu) ? errno : 0;
	} while (err == EFAULT && m->vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT(!err, "KVM_RUN: errno %d", err);
	if (get_ucall(m->vcpu, &m->said) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(m->said);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_IO);
	vcpu_run_complete_io(m->vcpu);
	return *(uint64_t *)addr_gva2hva(m->vm, (vm_vaddr_t)&guest_result);
}

static volatile uint64_t *guest_page(uint64_t page)
{
	return (volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);
}

static void guest_code_write(uint64_t first, uint64_t n, uint64_t pattern)
{
	for (uint64_t page = first; page < first + n; page++) {
		volatile uint64_t *p = guest_page(page);

		for (uint64_t i = 0; i < WORDS; i++)
			p[i] = pattern_word(pattern, page, i);
	}
	GUEST_RETURN(0);
}

static void guest_code_expect(uint64_t first, uint64_t n, uint64_t pattern)
{
	for (uint64_t page = first; page < first + n; page++) {
		volatile uint64_t *p = guest_page(page);

		for (uint64_t i = 0; i < WORDS; i++) {
			uint64_t got = p[i], want = pattern_word(pattern, page, i);

			__GUEST_ASSERT(got == want, "page %lu word %lu is %lx, not %lx",
				       page, i, got, want);
		}
	}
	GUEST_RETURN(0);
}

static void guest_code_touch(uint64_t first, uint64_t n)
{
	for (uint64_t page = first; page < first + n; page++)
		(void)*guest_page(page);
	GUEST_RETURN(0);
}

void guest_write(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern)
{
	machine_call(m, guest_code_write, first, n, pattern);
}

void guest_expect(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern)
{
	machine_call(m, guest_code_expect, first, n, pattern);
}

void guest_touch(struct machine *m, uint64_t first, uint64_t n)
{
	machine_call(m, guest_code_touch, first, n, 0);
}

static int guest_try(struct machine *m, void *fn, uint64_t page, uint64_t pattern)
{
	int err = machine_try(m, fn, page, 1, pattern);

	if (!err)
		machine_returned(m);
	return err;
}

int guest_try_touch(struct machine *m, uint64_t page)
{
	return guest_try(m, guest_code_touch, page, 0);
}

int guest_try_write(struct machine *m, uint64_t page, uint64_t pattern)
{
	return guest_try(m, guest_code_write, page, pattern);
}

int guest_try_expect(struct machine *m, uint64_t page, uint64_t pattern)
{
	return guest_try(m, guest_code_expect, page, pattern);
}

void expect_memory_fault(struct machine *m, uint64_t page, int err)
{
	struct kvm_run *run = m->vcpu->run;
	int got = guest_try_touch(m, page);

	TEST_ASSERT(got == err, "KVM_RUN: errno %d (%s), not %d (%s)", got, strerror(got),
		    err, strerror(err));
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	TEST_ASSERT_EQ(run->memory_fault.gpa, MACHINE_GPA + page * PAGE_SIZE);
	TEST_ASSERT_EQ(run->memory_fault.size, PAGE_SIZE);
}

static void fallocate_pages(int view, int mode, uint64_t first, uint64_t n)
{
	int ret = fallocate(view, mode | FALLOC_FL_KEEP_SIZE, first * PAGE_SIZE, n * PAGE_SIZE);

	TEST_ASSERT(!ret, __KVM_SYSCALL_ERROR("fallocate", ret));
}

void punch_pages(int view, uint64_t first, uint64_t n)
{
	fallocate_pages(view, FALLOC_FL_PUNCH_HOLE, first, n);
}

void allocate_pages(int view, uint64_t first, uint64_t n)
{
	fallocate_pages(view, 0, first, n);
}
