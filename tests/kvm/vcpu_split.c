// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS with a split irqchip: LAPICs in the kernel, the IOAPIC in the
 * VMM, which is told of EOIs.
 */
#include "claims.h"
#include "interrupts.h"
#include "runner.h"
#include "successor.h"

#define VECTOR	0x41
#define GSI	5
#define PINS	24
#define LEVEL	(1 << 15)

/* Of the guest. Its tables are its own: the library has them with its irqchip only. */
static volatile uint64_t taken;
static uint64_t gdt[2] = { 0, 0x00af9b000000ffff };
static struct { uint64_t low, high; } idt[VECTOR + 1];

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static __attribute__((naked)) void take(void)
{
	asm volatile("incq taken(%rip); iretq");
}

static void load_tables(void)
{
	struct table gdtr = { sizeof(gdt) - 1, (uintptr_t)gdt };
	struct table idtr = { sizeof(idt) - 1, (uintptr_t)idt };
	uint64_t entry = (uintptr_t)take;

	idt[VECTOR].low = (entry & 0xffff) | 8 << 16 | 0x8eULL << 40 | (entry >> 16 & 0xffff) << 48;
	idt[VECTOR].high = entry >> 32;
	asm volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr));
}

static void guest_main(void)
{
	load_tables();
	/* The PIC stays behind LVT0: only then is there a window for its interrupts. */
	x2apic_enable();
	GUEST_SYNC(1);
	asm volatile("sti");
	while (!taken)
		asm volatile("pause");
	asm volatile("cli");
	GUEST_SYNC(2);
	/* Where the window for interrupts opens, the EOI leaves: both in one exit. */
	asm volatile("sti; wrmsr; cli" : : "c"(0x80b), "a"(0), "d"(0) : "memory");
	GUEST_SYNC(3);
}

static void split(struct kvm_vm *vm)
{
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();

	vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, PINS);
	routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
		.gsi = GSI,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi.address_lo = APIC_DEFAULT_GPA,
		.u.msi.data = VECTOR | LEVEL,
	};
	kvm_gsi_routing_write(vm, routing);
}

/* As the library makes one, but for the irqchip. */
static struct kvm_vcpu *split_ancestor(unsigned long type)
{
	struct kvm_vm *vm = ____vm_create((struct vm_shape){
		.mode = VM_MODE_DEFAULT, .type = type,
	});

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, 1024, 0);
	for (int i = 0; i < NR_MEM_REGIONS; i++)
		vm->memslots[i] = 0;
	kvm_vm_elf_load(vm, program_invocation_name);
	ucall_init(vm, 1024 * PAGE_SIZE);
	split(vm);
	sync_global_to_guest(vm, host_cpu_is_intel);
	sync_global_to_guest(vm, host_cpu_is_amd);
	return vm_vcpu_add(vm, 0, guest_main);
}

static struct kvm_vcpu *split_successor(struct kvm_vcpu *src)
{
	struct kvm_vm *dst = successor_vm(src->vm);

	split(dst);
	return successor_vcpu(dst, src, src->id);
}

/* Runs to the EOI, of which the VMM has not been told when KVM_RUN returns. */
static void run_to_pending_eoi(struct kvm_vcpu *vcpu)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = VECTOR | LEVEL };

	run_to_sync(vcpu, 1);
	TEST_ASSERT_EQ(__vm_ioctl(vcpu->vm, KVM_SIGNAL_MSI, &msi), 1);
	run_to_sync(vcpu, 2);
	vcpu->run->request_interrupt_window = 1;
	TEST_ASSERT_EQ(run_once(vcpu), 0);
	vcpu->run->request_interrupt_window = 0;
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
}

static void expect_eoi(struct kvm_vcpu *vcpu)
{
	TEST_ASSERT_EQ(run_once(vcpu), 0);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IOAPIC_EOI);
	TEST_ASSERT_EQ(vcpu->run->eoi.vector, VECTOR);
	run_to_sync(vcpu, 3);
}

/* That the EOI is pending then is shown by one that is not moved. */
static void pending_eoi(void)
{
	require_move_vcpus();
	TYPES(type) {
		for (int moves = 0; moves < 3; moves++) {
			struct kvm_vcpu *vcpu = split_ancestor(type), *dst;

			run_to_pending_eoi(vcpu);
			for (int i = 0; i < moves; i++) {
				dst = split_successor(vcpu);
				move_vcpus(dst->vm, vcpu->vm);
				close_vm(vcpu->vm);
				vcpu = dst;
			}
			expect_eoi(vcpu);
		}
	}
}

static const struct claim claims[] = {
	CLAIM(pending_eoi, "an EOI that the VMM was not told of yet is told to the destination's"),
};

CLAIMS_MAIN(claims);
