// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses to private memory: emulated instructions, walks of the
 * guest's page tables, and what the guest has KVM write there.
 */
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <string.h>

#include "apic.h"
#include "claims.h"
#include "mapped.h"
#include "private.h"

#define PAGES	16
#define PORT	0x5a
#define NO_GPA	(1ULL << 34)	/* no memory: MMIO */

static struct private p;

static void begin(void)
{
	allow_forced_emulation();
	p = private_create(PAGES);
}

/* What the claims come down to: the guest's memory, and none behind it. */
static void end(void)
{
	TEST_ASSERT_EQ(written_behind(&p, 0, PAGES), 0UL);
	machine_free(p.m);
}

static uint64_t call(void *fn, uint64_t a, uint64_t b)
{
	return machine_call(p.m, fn, a, b, 0);
}

static uint64_t emulated_read(volatile uint64_t *at)
{
	uint64_t value;

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(value) : "m"(*at));
	return value;
}

static void emulated_write(volatile uint64_t *at, uint64_t value)
{
	asm volatile(KVM_FEP "mov %1, %0" : "=m"(*at) : "r"(value));
}

static void guest_code_read(uint64_t page)
{
	GUEST_RETURN(emulated_read(page_gva(page)));
}

static void reads(void)
{
	begin();
	guest_write(p.m, 3, 1, 5);
	TEST_ASSERT_EQ(call(guest_code_read, 3, 0), pattern_word(5, 3, 0));
	end();
}

static void reads_zeroes(void)
{
	begin();
	TEST_ASSERT_EQ(call(guest_code_read, 4, 0), 0UL);
	end();
}

static void guest_code_write(uint64_t page, uint64_t value)
{
	volatile uint64_t *at = page_gva(page);

	emulated_write(at, value);
	GUEST_ASSERT_EQ(*at, value);
	/* Across two pages. */
	at = page_gva(page + 1) - 4;
	emulated_write(at, ~value);
	GUEST_ASSERT_EQ(*at, ~value);
	GUEST_RETURN(0);
}

static void writes(void)
{
	begin();
	call(guest_code_write, 3, 0x1122334455667788);
	end();
}

static void guest_code_cmpxchg(uint64_t page)
{
	volatile uint64_t *at = page_gva(page);
	uint64_t old = 1;

	*at = 7;
	asm volatile(KVM_FEP "lock; cmpxchg %2, %1" : "+a"(old), "+m"(*at) : "r"(9UL));
	GUEST_ASSERT_EQ(old, 7);
	GUEST_ASSERT_EQ(*at, 7);
	asm volatile(KVM_FEP "lock; cmpxchg %2, %1" : "+a"(old), "+m"(*at) : "r"(9UL));
	GUEST_ASSERT_EQ(*at, 9);
	GUEST_RETURN(0);
}

static void exchanges(void)
{
	begin();
	call(guest_code_cmpxchg, 3, 0);
	end();
}

static void guest_code_outs(uint64_t page)
{
	void *from = page_gva(page);
	uint64_t n = 64;

	asm volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(PORT));
	GUEST_RETURN(0);
}

static void string_output(void)
{
	struct kvm_run *run;
	uint64_t want[8], got = 0;

	begin();
	run = p.m->vcpu->run;
	guest_write(p.m, 3, 1, 5);
	for (int i = 0; i < 8; i++)
		want[i] = pattern_word(5, 3, i);
	machine_prepare(p.m, guest_code_outs, 3, 0, 0);
	while (got < sizeof(want)) {
		vcpu_run(p.m->vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(p.m->vcpu, KVM_EXIT_IO);
		TEST_ASSERT_EQ(run->io.port, PORT);
		TEST_ASSERT(!memcmp((char *)want + got, (char *)run + run->io.data_offset,
				    run->io.count), "bytes from %lu on differ", got);
		got += run->io.count;
	}
	end();
}

static void guest_code_ins(uint64_t page)
{
	uint8_t *to = page_gva(page);
	uint64_t n = 64;

	asm volatile("rep insb" : "+D"(to), "+c"(n) : "d"(PORT) : "memory");
	for (int i = 0; i < 64; i++)
		GUEST_ASSERT_EQ(to[i - 64], 0xc3);
	GUEST_RETURN(0);
}

static void string_input(void)
{
	struct kvm_run *run;

	begin();
	run = p.m->vcpu->run;
	machine_prepare(p.m, guest_code_ins, 3, 0, 0);
	vcpu_run(p.m->vcpu);
	while (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT) {
		memset((char *)run + run->io.data_offset, 0xc3, run->io.count);
		vcpu_run(p.m->vcpu);
	}
	TEST_ASSERT_EQ(get_ucall(p.m->vcpu, &p.m->said), (uint64_t)UCALL_NONE);
	end();
}

static void guest_code_mmio(uint64_t page)
{
	void *from = page_gva(page), *to = (void *)NO_GPA;

	asm volatile("movsq" : "+S"(from), "+D"(to) :: "memory");
	GUEST_RETURN(0);
}

static void string_mmio(void)
{
	struct kvm_run *run;
	uint64_t want = pattern_word(5, 3, 0);

	begin();
	run = p.m->vcpu->run;
	virt_map(p.m->vm, NO_GPA, NO_GPA, 1);
	guest_write(p.m, 3, 1, 5);
	machine_prepare(p.m, guest_code_mmio, 3, 0, 0);
	vcpu_run(p.m->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(p.m->vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT(run->mmio.is_write && run->mmio.phys_addr == NO_GPA, "another access");
	TEST_ASSERT(!memcmp(run->mmio.data, &want, sizeof(want)), "another value");
	end();
}

/* Of the guest: its top-level table, as the library built it. */
static uint64_t top_table[512];

#define TOP_ENTRY	200
#define NEW_GVA		((volatile uint64_t *)((uint64_t)TOP_ENTRY << 39))
#define PTE_BASE	7	/* present, writable, user */
#define PTE_A		(1 << 5)
#define PTE_D		(1 << 6)

static void set_cr3(uint64_t value)
{
	asm volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

/* Pages 0 to 3 become tables, page 4 is what they map at NEW_GVA. */
static void guest_code_tables(void)
{
	volatile uint64_t *last = page_gva(3);
	uint64_t cr3 = get_cr3();

	memcpy(page_gva(0), top_table, PAGE_SIZE);
	*((uint64_t *)page_gva(0) + TOP_ENTRY) = page_gpa(1) | PTE_BASE;
	*(uint64_t *)page_gva(1) = page_gpa(2) | PTE_BASE;
	*(uint64_t *)page_gva(2) = page_gpa(3) | PTE_BASE;
	*last = page_gpa(4) | PTE_BASE;
	*(uint64_t *)page_gva(4) = 0xabcd;
	set_cr3(page_gpa(0));

	GUEST_ASSERT_EQ(emulated_read(NEW_GVA), 0xabcd);
	GUEST_ASSERT_EQ(*last & (PTE_A | PTE_D), PTE_A);
	emulated_write(NEW_GVA, 0xbcde);
	GUEST_ASSERT_EQ(*last & (PTE_A | PTE_D), PTE_A | PTE_D);
	GUEST_ASSERT_EQ(*(uint64_t *)page_gva(4), 0xbcde);
	set_cr3(cr3);
	GUEST_RETURN(0);
}

static void walks_page_tables(void)
{
	begin();
	memcpy(addr_gva2hva(p.m->vm, (vm_vaddr_t)top_table), addr_gpa2hva(p.m->vm, p.m->vm->pgd),
	       sizeof(top_table));
	call(guest_code_tables, 0, 0);
	end();
}

static void guest_code_msr(uint64_t msr, uint64_t value)
{
	wrmsr(msr, value);
	GUEST_RETURN(0);
}

static void guest_code_clock_version(uint64_t page)
{
	struct pvclock_vcpu_time_info *clock = page_gva(page);

	GUEST_RETURN(clock->tsc_to_system_mul ? READ_ONCE(clock->version) : 0);
}

static uint64_t clock_version(uint64_t page)
{
	uint64_t version;

	touch_clock(p.m);
	version = call(guest_code_clock_version, page, 0);
	TEST_ASSERT(!(version & 1), "version %lu", version);
	return version;
}

static void clock_begin(uint64_t page)
{
	begin();
	call(guest_code_msr, MSR_KVM_SYSTEM_TIME_NEW, page_gpa(page) | KVM_MSR_ENABLED);
}

static void clock_goes(void)
{
	uint64_t version;

	clock_begin(5);
	version = clock_version(5);
	TEST_ASSERT(version, "no clock");
	TEST_ASSERT(clock_version(5) > version, "the clock is not updated");
	end();
}

static void clock_follows_a_hole(void)
{
	clock_begin(5);
	for (int i = 0; i < 20; i++) {
		TEST_ASSERT(clock_version(5), "no clock after %d holes", i);
		punch_pages(p.m->view, 5, 1);
	}
	end();
}

static uint32_t version_behind(uint64_t page)
{
	return ((struct pvclock_vcpu_time_info *)(p.behind + page * PAGE_SIZE))->version;
}

static void clock_follows_conversion(void)
{
	uint64_t private_version;
	uint32_t shared;

	clock_begin(5);
	for (int i = 0; i < 20; i++) {
		private_version = clock_version(5);
		TEST_ASSERT(private_version, "no clock in private memory");

		vm_mem_set_shared(p.m->vm, page_gpa(5), PAGE_SIZE);
		shared = version_behind(5);
		clock_version(5);
		TEST_ASSERT(version_behind(5) != shared, "no clock in shared memory");

		vm_mem_set_private(p.m->vm, page_gpa(5), PAGE_SIZE);
		shared = version_behind(5);
		TEST_ASSERT(clock_version(5) != private_version, "the clock stays shared");
		TEST_ASSERT_EQ(version_behind(5), shared);
	}
	TEST_ASSERT_EQ(written_behind(&p, 0, 5), 0UL);
	TEST_ASSERT_EQ(written_behind(&p, 6, PAGES - 6), 0UL);
}

/* The same address, slot and userspace_addr: only the binding is new. */
static void clock_follows_binding(void)
{
	int old;

	clock_begin(5);
	TEST_ASSERT(clock_version(5), "no clock");
	old = p.m->view;
	machine_unbind(p.m);
	p.m->view = vm_create_guest_memfd(p.m->vm, PAGES * PAGE_SIZE, 0);
	vm_set_user_memory_region2(p.m->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   PAGES * PAGE_SIZE, p.behind, p.m->view, 0);
	close(old);
	TEST_ASSERT(clock_version(5), "no clock in the new inode");
	end();
}

static void guest_code_steal_version(uint64_t page)
{
	GUEST_RETURN(READ_ONCE(((struct kvm_steal_time *)page_gva(page))->version));
}

static void steal_time(void)
{
	uint64_t version;

	begin();
	call(guest_code_msr, MSR_KVM_STEAL_TIME, page_gpa(5) | KVM_MSR_ENABLED);
	version = call(guest_code_steal_version, 5, 0);
	TEST_ASSERT(version && !(version & 1), "version %lu", version);
	TEST_ASSERT(call(guest_code_steal_version, 5, 0) > version, "not updated");
	punch_pages(p.m->view, 5, 1);
	TEST_ASSERT(call(guest_code_steal_version, 5, 0), "not updated after a hole");
	end();
}

static void guest_code_wall_clock(uint64_t page)
{
	struct pvclock_wall_clock *clock = page_gva(page);

	wrmsr(MSR_KVM_WALL_CLOCK_NEW, page_gpa(page));
	GUEST_ASSERT(clock->version && clock->sec);
	GUEST_RETURN(0);
}

static void wall_clock(void)
{
	begin();
	call(guest_code_wall_clock, 5, 0);
	end();
}

#define VECTOR	0x50

static volatile uint32_t eoi_word, eoi_interrupts;

static void guest_irq(struct ex_regs *regs __attribute__((unused)))
{
	volatile uint32_t *pv = page_gva(5);

	eoi_interrupts++;
	eoi_word = *pv;
	*pv = 0;
	x2apic_write_reg(APIC_EOI, 0);
}

static void guest_code_eoi(void)
{
	x2apic_enable();
	wrmsr(MSR_KVM_PV_EOI_EN, page_gpa(5) | KVM_MSR_ENABLED);
	asm volatile("sti");
	for (int i = 0; i < 3; i++)
		x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | VECTOR);
	asm volatile("nop; cli");
	GUEST_ASSERT_EQ(eoi_interrupts, 3);
	GUEST_ASSERT_EQ(eoi_word, 1);
	GUEST_RETURN(0);
}

static void end_of_interrupt(void)
{
	begin();
	vm_install_exception_handler(p.m->vm, VECTOR, guest_irq);
	call(guest_code_eoi, 0, 0);
	end();
}

/* Not with what is behind: the emulator takes what it can't read for MMIO. */
static void nothing_without_a_view(void)
{
	struct kvm_run *run;

	begin();
	run = p.m->vcpu->run;
	machine_close_view(p.m);
	TEST_ASSERT(!machine_try(p.m, guest_code_read, 3, 0, 0), "errno %d", errno);
	TEST_ASSERT_KVM_EXIT_REASON(p.m->vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.phys_addr, page_gpa(3));
	end();
}

static void shared_is_behind(void)
{
	begin();
	guest_write(p.m, 3, 1, 5);
	vm_mem_set_shared(p.m->vm, page_gpa(3), PAGE_SIZE);
	TEST_ASSERT_EQ(call(guest_code_read, 3, 0), 0x0101010101010101UL * BEHIND);
	vm_mem_set_private(p.m->vm, page_gpa(3), PAGE_SIZE);
	TEST_ASSERT_EQ(call(guest_code_read, 3, 0), pattern_word(5, 3, 0));
	end();
}

/* All of the slot is in the file, and nothing at userspace_addr. */
static void all_in_the_file(void)
{
	const uint32_t types[] = { KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM };

	allow_forced_emulation();
	for (int i = 0; i < 2; i++) {
		p = behind_create(types[i], PAGES, MMAP_SHARED);
		guest_write(p.m, 3, 1, 5);
		TEST_ASSERT_EQ(call(guest_code_read, 3, 0), pattern_word(5, 3, 0));
		call(guest_code_cmpxchg, 4, 0);
		call(guest_code_msr, MSR_KVM_SYSTEM_TIME_NEW, page_gpa(5) | KVM_MSR_ENABLED);
		TEST_ASSERT(clock_version(5), "no clock");
		end();
	}
}

static const struct claim claims[] = {
	CLAIM(reads, "an emulated read finds what the guest wrote to its private page"),
	CLAIM(reads_zeroes, "an emulated read of a missing private page finds zeroes"),
	CLAIM(writes, "an emulated write, inside a page and across two, is seen by the guest"),
	CLAIM(exchanges, "an emulated lock cmpxchg compares and exchanges in private memory"),
	CLAIM(string_output, "rep outsb sends bytes of private memory"),
	CLAIM(string_input, "rep insb puts bytes into private memory"),
	CLAIM(string_mmio, "movs to a device takes its data from private memory"),
	CLAIM(walks_page_tables,
	      "page tables in private memory are walked, their A and D bits set there"),
	CLAIM(clock_goes, "kvmclock is kept in private memory"),
	CLAIM(clock_follows_a_hole, "kvmclock goes to the new page after its page was punched"),
	CLAIM(clock_follows_conversion, "kvmclock follows its page to shared and back"),
	CLAIM(clock_follows_binding, "kvmclock goes to the new inode when its slot is bound anew"),
	CLAIM(steal_time, "steal time is kept in private memory, after a hole too"),
	CLAIM(wall_clock, "the wall clock is written to private memory"),
	CLAIM(end_of_interrupt, "an interrupt can be ended by a bit in private memory"),
	CLAIM(nothing_without_a_view,
	      "when the view is closed, private accesses do not go to userspace_addr"),
	CLAIM(all_in_the_file, "what is shared in a mappable inode is found there, in any VM"),
	CLAIM(shared_is_behind, "a shared gfn of the same slot is at userspace_addr"),
};

CLAIMS_MAIN(claims);
