// SPDX-License-Identifier: GPL-2.0-only
/* A guest that runs a guest of its own: see nested.h. */
#include <errno.h>
#include <string.h>

#include "mapped.h"
#include "nested.h"
#include "private.h"

uint64_t *l2_table(uint64_t page)
{
	return page_gva(page);
}

void l2_tables_build(const struct l2_tables *t)
{
	uint64_t pml4 = t->first, pdpt = pml4 + 1, pd = pml4 + 2, pt = pml4 + 3;

	for (uint64_t page = pml4; page <= pt; page++)
		memset(page_gva(page), 0, PAGE_SIZE);
	l2_table(pml4)[0] = page_gpa(pdpt) | t->table;
	l2_table(pdpt)[0] = t->leaf | t->large;
	l2_table(pdpt)[MACHINE_GPA >> 30] = page_gpa(pd) | t->table;
	l2_table(pd)[0] = page_gpa(pt) | t->table;
	for (uint64_t page = 0; page < t->pages; page++)
		l2_table(pt)[page] = page_gpa(page) | t->leaf;
}

struct machine *l2_in_place(uint64_t npages)
{
	struct machine *m;

	require_convert();
	m = machine_of_type(KVM_X86_SW_PROTECTED_VM, npages);
	m->view = vm_create_guest_memfd(m->vm, npages * PAGE_SIZE, MMAP_PRIVATE);
	/* First: mapped_create() would have it at userspace_addr, too. */
	machine_bind(m, 0);
	m->host = map_view(m->view, npages);
	return m;
}

void l2_runs_in_place(void *l1, uint64_t npages, uint64_t data, int rounds)
{
	struct machine *m = l2_in_place(npages);

	for (int i = 0; i < rounds; i++) {
		TEST_ASSERT_EQ(machine_call(m, l1, 20, 0, 0), 120UL);
		if (i & 1) {
			make_private(m->view, 0, npages);
			host_expect_sigbus(m, 0, npages);
		} else {
			make_shared(m->view, 0, npages);
			TEST_ASSERT_EQ(*host_page(m, data), 120UL);
		}
	}
}

void l2_run_to_port(struct machine *m, void *l1)
{
	TEST_ASSERT(!machine_try(m, l1, 0, 0, 0), "errno %d", errno);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(m->vcpu->run->io.port, L2_PORT);
}

void l2_run_to_end(struct machine *m, uint64_t expected)
{
	vcpu_run(m->vcpu);
	if (get_ucall(m->vcpu, &m->said) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(m->said);
	TEST_ASSERT_EQ(*(uint64_t *)addr_gva2hva(m->vm, (vm_vaddr_t)&guest_result), expected);
	vcpu_run_complete_io(m->vcpu);
}
