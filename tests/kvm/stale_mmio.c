// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that touched an address where there was no memory, as it touches a device's;
 * later there is memory, private or shared. KVM remembers the device in its tables.
 */
#include <pthread.h>

#include "claims.h"
#include "stress.h"
#include "mapped.h"
#include "private.h"
#include "svm_util.h"

#define PAGES	16
#define PAGE	5
#define VALUE	0x1122334455667788

static void guest_store(uint64_t page, uint64_t value)
{
	*(volatile uint64_t *)page_gva(page) = value;
	GUEST_RETURN(0);
}

static void guest_load(uint64_t page)
{
	GUEST_RETURN(*(volatile uint64_t *)page_gva(page));
}

static void guest_kvm_load(uint64_t page)
{
	volatile uint64_t *at = page_gva(page);
	uint64_t value;

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(value) : "m"(*at));
	GUEST_RETURN(value);
}

/* A read of a device at the page; the answer is VALUE. */
static void touch_device(struct machine *m, void *fn)
{
	uint64_t value = VALUE;

	TEST_ASSERT_EQ(machine_try(m, fn, PAGE, 0, 0), 0);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(m->vcpu->run->mmio.phys_addr, page_gpa(PAGE));
	memcpy(m->vcpu->run->mmio.data, &value, sizeof(value));
	TEST_ASSERT(!_vcpu_run(m->vcpu), "errno %d", errno);
	TEST_ASSERT_EQ(*(uint64_t *)addr_gva2hva(m->vm, (vm_vaddr_t)&guest_result), VALUE);
}

/* A machine with no memory at its pages yet, all shared; touched there. */
static struct machine *touched(void *fn)
{
	struct machine *m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);

	touch_device(m, fn);
	return m;
}

static void set_private(struct machine *m, bool private)
{
	vm_set_memory_attributes(m->vm, MACHINE_GPA, PAGES * PAGE_SIZE,
				 private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
}

static void add_memory(struct machine *m, uint64_t flags)
{
	m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, flags);
	m->host = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(m->host != MAP_FAILED, "mmap");
	machine_bind(m, 0);
}

static void expect_memory(struct machine *m)
{
	machine_call(m, guest_store, PAGE, VALUE + 1, 0);
	TEST_ASSERT_EQ(machine_call(m, guest_load, PAGE, 0, 0), VALUE + 1);
	TEST_ASSERT_EQ(machine_call(m, guest_load, PAGE + 1, 0, 0), 0UL);
}

static void slot_then_private(void)
{
	struct machine *m = touched(guest_load);

	add_memory(m, 0);
	set_private(m, true);
	expect_memory(m);
}

static void private_then_slot(void)
{
	struct machine *m = touched(guest_load);

	set_private(m, true);
	add_memory(m, 0);
	expect_memory(m);
}

static void in_place(void)
{
	struct machine *m = touched(guest_load);

	add_memory(m, MMAP_PRIVATE);
	expect_memory(m);
}

static void in_place_shared(void)
{
	struct machine *m = touched(guest_load);

	add_memory(m, MMAP_SHARED);
	expect_memory(m);
}

static void emulated(void)
{
	struct machine *m;

	allow_forced_emulation();
	m = touched(guest_kvm_load);
	add_memory(m, 0);
	set_private(m, true);
	TEST_ASSERT_EQ(machine_call(m, guest_kvm_load, PAGE, 0, 0), 0UL);
	expect_memory(m);
}

/* A private address without memory is no device's, whether or not it was one before. */
static void private_without_memory(void)
{
	struct machine *m = touched(guest_load);

	for (int i = 0; i < 3; i++) {
		set_private(m, true);
		TEST_ASSERT_EQ(machine_try(m, guest_load, PAGE, 0, 0), EFAULT);
		TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_MEMORY_FAULT);
		TEST_ASSERT_EQ(m->vcpu->run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
		TEST_ASSERT_EQ(m->vcpu->run->memory_fault.gpa, page_gpa(PAGE));
		set_private(m, false);
		touch_device(m, guest_load);
	}
	set_private(m, true);
	add_memory(m, 0);
	expect_memory(m);
}

/* ---- under a guest that goes on touching it, with a VMM that answers what comes */

struct device {
	struct machine *m;
	volatile uint64_t rounds, accesses, faults;
	volatile bool stop;
};

static void guest_loads_all(void)
{
	for (uint64_t page = 0; page < PAGES; page++)
		*(volatile uint64_t *)page_gva(page);
	GUEST_RETURN(0);
}

static void *device_thread(void *arg)
{
	struct device *d = arg;
	struct kvm_run *run = d->m->vcpu->run;

	while (!d->stop) {
		int err;

		machine_prepare(d->m, guest_loads_all, 0, 0, 0);
		do {
			err = _vcpu_run(d->m->vcpu) ? errno : 0;
			if (!err && run->exit_reason == KVM_EXIT_MMIO) {
				memset(run->mmio.data, 0, sizeof(run->mmio.data));
				d->accesses++;
			} else if (err == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
				d->faults++;
			}
		} while (!d->stop && run->exit_reason != KVM_EXIT_IO);
		if (run->exit_reason == KVM_EXIT_IO)
			d->rounds++;
	}
	return NULL;
}

static void expect_rounds(struct device *d, int times)
{
	uint64_t before = d->rounds;
	double until = 0;

	while (d->rounds < before + 2)
		TEST_ASSERT(claim_is_patient(&until),
			    "no progress after %d times; %lu accesses, %lu faults", times,
			    d->accesses, d->faults);
}

static void made_again(uint64_t flags)
{
	struct device d = { };
	pthread_t thread;

	d.m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);
	if (!flags)
		set_private(d.m, true);
	add_memory(d.m, flags);
	pthread_create(&thread, NULL, device_thread, &d);
	for (int i = 0; i < 20; i++) {
		expect_rounds(&d, i);
		machine_unbind(d.m);
		usleep(1000 * (i % 10));
		machine_bind(d.m, 0);
	}
	expect_rounds(&d, 20);
	d.stop = true;
	pthread_join(thread, NULL);
	pr_info("%lu rounds, %lu accesses to a device, %lu memory faults\n", d.rounds, d.accesses,
		d.faults);
}

static void made_again_in_place(void)
{
	made_again(MMAP_PRIVATE);
}

static void made_again_in_place_shared(void)
{
	made_again(MMAP_SHARED);
}

static void made_again_private(void)
{
	made_again(0);
}

static const struct claim claims[] = {
	CLAIM(slot_then_private, "it gets memory, which becomes private: the guest has it"),
	CLAIM(private_then_slot, "it becomes private, and gets memory"),
	CLAIM(in_place, "it gets memory that is private in place"),
	CLAIM(in_place_shared, "it gets memory that is shared in place"),
	CLAIM(emulated, "likewise for instructions that KVM emulates"),
	CLAIM(private_without_memory, "private and with no memory it is no device, and again one"),
	CLAIM(made_again_in_place, "a private slot is made again under a guest, in place"),
	CLAIM(made_again_in_place_shared, "a shared one"),
	CLAIM(made_again_private, "one of private memory"),
};

CLAIMS_MAIN(claims);
