// SPDX-License-Identifier: GPL-2.0-only
/* KVM's own accesses to pages that a pager owes: see kvm_access.h. */
#include <pthread.h>
#include <sys/mman.h>

#include "kvm_access.h"
#include "svm_util.h"

#define OTHER_SLOT	20
#define TABLES_SLOT	21
#define OTHER_GPA	(1ULL << 36)

static void guest_counts(void)
{
	for (uint64_t n = 1; ; n++)
		GUEST_SYNC(n);
}

void kvm_access_create(struct kvm_access *o)
{
	require_pager();
	allow_forced_emulation();
	*o = (struct kvm_access){ .p = private_create(PAGING_PAGES) };
	o->m = o->p.m;
	o->pager = pager_of(o->m);
	o->other = vm_vcpu_add(o->m->vm, 1, guest_counts);
	virt_map(o->m->vm, ACCESS_DEVICE, ACCESS_DEVICE, 1);
}

static void *run_thread(void *arg)
{
	struct kvm_access *o = arg;

	o->err = ioctl(o->m->vcpu->fd, KVM_RUN, NULL) ? errno : 0;
	o->done = true;
	return NULL;
}

void kvm_access_resume(struct kvm_access *o)
{
	o->done = false;
	TEST_ASSERT(!pthread_create(&o->thread, NULL, run_thread, o), "thread");
}

void kvm_access_start(struct kvm_access *o, void *fn, uint64_t a, uint64_t b)
{
	machine_prepare(o->m, fn, a, b, 0);
	kvm_access_resume(o);
}

void kvm_access_owe_anew(struct kvm_access *o, int view, uint64_t page)
{
	punch_pages(view, page, 1);
	close(o->pager);
	o->pager = __pager(view, page, 1, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(o->pager >= 0, "takeover: errno %d", errno);
	expect_event(o->pager, KVM_GMEM_EVENT_REMOVE, page, 1);
}

void kvm_access_expect_event(struct kvm_access *o, uint64_t page)
{
	struct kvm_gmem_event event = next_event(o->pager);

	TEST_ASSERT(event.offset == page * PAGE_SIZE && event.flags & KVM_GMEM_FAULT_KVM,
		    "event at %#llx, flags %#x, not KVM's at page %lu", event.offset, event.flags,
		    page);
}

static void set_slot(struct kvm_access *o, uint32_t slot, uint64_t gpa, uint64_t size, void *memory)
{
	vm_set_user_memory_region2(o->m->vm, slot, 0, gpa, size, memory, -1, 0);
}

static void *some_page(void)
{
	void *memory = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	TEST_ASSERT(memory != MAP_FAILED, "mmap");
	return memory;
}

void kvm_access_expect_others_go_on(struct kvm_access *o)
{
	void *memory = some_page();
	struct ucall uc;

	/* Both wait for who has kvm->srcu: for ever, if that is who waits for an answer. */
	set_slot(o, OTHER_SLOT, OTHER_GPA, PAGE_SIZE, memory);
	set_slot(o, OTHER_SLOT, OTHER_GPA, 0, NULL);
	munmap(memory, PAGE_SIZE);

	vcpu_run(o->other);
	TEST_ASSERT(get_ucall(o->other, &uc) == UCALL_SYNC && uc.args[1] == ++o->counted,
		    "the other vCPU does not count");
	TEST_ASSERT(!o->done, "KVM_RUN has returned, errno %d, exit reason %u", o->err,
		    o->m->vcpu->run->exit_reason);
}

void kvm_access_end(struct kvm_access *o, uint32_t reason)
{
	pthread_join(o->thread, NULL);
	TEST_ASSERT(!o->err, "KVM_RUN: errno %d", o->err);
	TEST_ASSERT_KVM_EXIT_REASON(o->m->vcpu, reason);
	if (o->p.behind)
		TEST_ASSERT_EQ(written_behind(&o->p, 0, PAGING_PAGES), 0UL);
}

uint64_t kvm_access_result(struct kvm_access *o)
{
	struct kvm_vm *vm = o->m->vm;
	struct ucall uc;

	kvm_access_end(o, KVM_EXIT_IO);
	if (get_ucall(o->m->vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, (uint64_t)UCALL_NONE);
	return *(uint64_t *)addr_gva2hva(vm, (vm_vaddr_t)&guest_result);
}

void guest_kvm_read(uint64_t page)
{
	volatile uint64_t *at = page_gva(page);
	uint64_t value;

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(value) : "m"(*at));
	GUEST_RETURN(value);
}

void guest_kvm_write(uint64_t page, uint64_t value)
{
	volatile uint64_t *at = page_gva(page);

	asm volatile(KVM_FEP "mov %1, %0" : "=m"(*at) : "r"(value));
	GUEST_RETURN(0);
}

void guest_kvm_exchange(uint64_t page, uint64_t old)
{
	volatile uint64_t *at = page_gva(page);
	uint64_t new = ~old;

	asm volatile(KVM_FEP "lock; cmpxchg %2, %1" : "+a"(old), "+m"(*at) : "r"(new));
	GUEST_RETURN(old);
}

void guest_kvm_read_tree(void)
{
	uint64_t value = 0;
	uint8_t vector;

	asm volatile(KVM_ASM_SAFE_FEP("mov (%[at]), %[value]")
		     : KVM_ASM_SAFE_OUTPUTS(vector, (uint64_t){ 0 }), [value] "+r"(value)
		     : [at] "r"(ACCESS_TREE) : KVM_ASM_SAFE_CLOBBERS);
	GUEST_RETURN(vector ? vector : value);
}

uint64_t *kvm_access_tables(struct kvm_access *o, uint64_t entry)
{
	uint64_t *table = some_page();

	table[0] = entry;
	if (o->tables)
		set_slot(o, TABLES_SLOT, ACCESS_TABLES, 0, NULL);
	o->tables = true;
	set_slot(o, TABLES_SLOT, ACCESS_TABLES, PAGE_SIZE, table);
	return table;
}

void kvm_access_plant(struct kvm_access *o, uint64_t gpa)
{
	((uint64_t *)addr_gpa2hva(o->m->vm, o->m->vm->pgd))[ACCESS_TOP_ENTRY] = gpa | ACCESS_PTE;
}

void kvm_access_copy_table(struct kvm_access *o, uint64_t page, uint64_t entry)
{
	uint64_t *table = some_page();

	table[0] = entry;
	TEST_ASSERT_EQ(answer(o->pager, KVM_GMEM_ANSWER_COPY, page, 1, table), 0);
	munmap(table, PAGE_SIZE);
}

void kvm_access_begin(struct kvm_access *o, void *fn, uint64_t page, uint64_t b)
{
	kvm_access_create(o);
	kvm_access_start(o, fn, page, b);
	kvm_access_expect_event(o, page);
	kvm_access_expect_others_go_on(o);
}

static void guest_from_device(uint64_t page)
{
	void *from = (void *)ACCESS_DEVICE, *to = page_gva(page);

	asm volatile("movsq" : "+S"(from), "+D"(to) :: "memory");
	GUEST_RETURN(0);
}

void kvm_access_device_read(struct kvm_access *o, uint64_t page, uint64_t value)
{
	struct kvm_run *run;

	kvm_access_create(o);
	run = o->m->vcpu->run;
	kvm_access_start(o, guest_from_device, page, 0);
	kvm_access_end(o, KVM_EXIT_MMIO);
	TEST_ASSERT(!run->mmio.is_write && run->mmio.phys_addr == ACCESS_DEVICE, "another access");
	memcpy(run->mmio.data, &value, sizeof(value));
	kvm_access_resume(o);
	kvm_access_expect_event(o, page);
	kvm_access_expect_others_go_on(o);
}

uint64_t kvm_access_word(uint64_t page, uint64_t i)
{
	return pattern_word(1, page, i);
}

void guest_kvm_word(uint64_t page, uint64_t i)
{
	GUEST_RETURN(((volatile uint64_t *)page_gva(page))[i]);
}

uint64_t kvm_access_found(struct kvm_access *o, uint64_t page, uint64_t i)
{
	return machine_call(o->m, guest_kvm_word, page, i, 0);
}

void guest_kvm_map(uint64_t page)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	GUEST_RETURN(kvm_asm_safe("vmsave", "a"(page_gpa(page))));
}

void guest_kvm_share(uint64_t page, uint64_t msr)
{
	wrmsr(msr, page_gpa(page) | KVM_MSR_ENABLED);
	GUEST_RETURN(0);
}
