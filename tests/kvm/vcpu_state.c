// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: all state that KVM's ioctls show is in the destination what it
 * was in the source. The source is given state that no fresh vCPU has, by the
 * ioctls that a VMM has; each piece is seen to differ in the destination before
 * the move and to be the same after it.
 */
#include "apic.h"
#include "claims.h"
#include "machine.h"
#include "successor.h"

#define XSAVE_SIZE	4096

/**
 * struct piece - some state, as an ioctl gives it
 * @name: for messages
 * @size: of @data
 * @get: fills @data from a vCPU
 * @set: gives the vCPU such state that no fresh one has
 * @volatile_from, @volatile_to: bytes that change by themselves; none if equal
 */
struct piece {
	const char *name;
	size_t size;
	void (*get)(struct kvm_vcpu *vcpu, void *data);
	void (*set)(struct kvm_vcpu *vcpu);
	size_t volatile_from, volatile_to;
};

/* An ioctl on a buffer whose type only the caller's caller knows. */
static void ask(int fd, unsigned long request, void *data)
{
	TEST_ASSERT(!ioctl(fd, request, data), "ioctl %#lx: errno %d (%s)", request, errno,
		    strerror(errno));
}

static void nothing(void)
{
	GUEST_DONE();
}

/* ---- vCPU */

static void get_regs(struct kvm_vcpu *vcpu, void *data)
{
	ask(vcpu->fd, KVM_GET_REGS, data);
}

static void set_regs(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;

	for (unsigned int i = 0; i < sizeof(regs) / 8; i++)
		((uint64_t *)&regs)[i] = 0x1111111111 * (i + 1);
	regs.rflags = 0xad7;
	vcpu_ioctl(vcpu, KVM_SET_REGS, &regs);
}

static void get_sregs(struct kvm_vcpu *vcpu, void *data)
{
	ask(vcpu->fd, KVM_GET_SREGS, data);
}

static void set_sregs(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cr2 = 0x12345000;
	sregs.cr8 = 5;
	sregs.cr4 |= X86_CR4_OSXSAVE | X86_CR4_DE;
	sregs.efer |= EFER_SCE;
	sregs.fs.base = 0x5555000;
	sregs.gs.base = 0x6666000;
	sregs.gs.selector = 0x30;
	sregs.ldt.base = 0x7777000;
	sregs.tr.limit = 0x67;
	sregs.gdt.base += 8;
	sregs.idt.limit = 0x1ff;
	sregs.apic_base |= X2APIC_ENABLE;
	vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs);
}

static void get_xsave(struct kvm_vcpu *vcpu, void *data)
{
	int size = vm_check_cap(vcpu->vm, KVM_CAP_XSAVE2);

	TEST_ASSERT(size <= XSAVE_SIZE, "XSAVE area of %d bytes", size);
	memset(data, 0, XSAVE_SIZE);
	ask(vcpu->fd, size ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, data);
}

static void set_xsave(struct kvm_vcpu *vcpu)
{
	uint8_t data[XSAVE_SIZE];

	get_xsave(vcpu, data);
	for (unsigned int i = 32; i < 416; i++)		/* ST and XMM */
		data[i] = i * 3 + 1;
	*(uint16_t *)data = 0x27f;			/* FCW */
	*(uint32_t *)(data + 24) = 0x1fa0;		/* MXCSR */
	*(uint64_t *)(data + 512) |= XFEATURE_MASK_FP | XFEATURE_MASK_SSE;
	if (kvm_cpu_has(X86_FEATURE_XSAVE)) {		/* and the upper halves of YMM */
		*(uint64_t *)(data + 512) |= XFEATURE_MASK_YMM;
		for (unsigned int i = 576; i < 576 + 256; i++)
			data[i] = i * 5 + 7;
	}
	ask(vcpu->fd, KVM_SET_XSAVE, data);
}

static void get_xcrs(struct kvm_vcpu *vcpu, void *data)
{
	memset(data, 0, sizeof(struct kvm_xcrs));
	ask(vcpu->fd, KVM_GET_XCRS, data);
}

static void set_xcrs(struct kvm_vcpu *vcpu)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = 7 } } };

	vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs);
}

static void get_debugregs(struct kvm_vcpu *vcpu, void *data)
{
	ask(vcpu->fd, KVM_GET_DEBUGREGS, data);
}

static void set_debugregs(struct kvm_vcpu *vcpu)
{
	struct kvm_debugregs regs = {
		.db = { 0x1000, 0x2000, 0x3000, 0x4000 },
		.dr6 = 0xffff0ff1,
		.dr7 = 0x455,
	};

	vcpu_ioctl(vcpu, KVM_SET_DEBUGREGS, &regs);
}

static void get_events(struct kvm_vcpu *vcpu, void *data)
{
	ask(vcpu->fd, KVM_GET_VCPU_EVENTS, data);
}

static void set_events(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
			 KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_PAYLOAD |
			 KVM_VCPUEVENT_VALID_TRIPLE_FAULT,
		.exception = { .pending = 1, .nr = 14, .has_error_code = 1, .error_code = 6 },
		.exception_has_payload = 1,
		.exception_payload = 0x123456,
		.interrupt = { .injected = 1, .nr = 0x41, .shadow = KVM_X86_SHADOW_INT_STI },
		.nmi = { .injected = 1, .pending = 1, .masked = 1 },
		.smi = { .smm = 1, .pending = 1, .smm_inside_nmi = 1, .latched_init = 1 },
		.triple_fault = { .pending = 1 },
	};

	vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events);
}

static void get_mp_state(struct kvm_vcpu *vcpu, void *data)
{
	ask(vcpu->fd, KVM_GET_MP_STATE, data);
}

static void set_mp_state(struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_HALTED };

	vcpu_ioctl(vcpu, KVM_SET_MP_STATE, &state);
}

static void get_lapic(struct kvm_vcpu *vcpu, void *data)
{
	ask(vcpu->fd, KVM_GET_LAPIC, data);
}

static void set_lapic(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic_state state;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &state);
	*(uint32_t *)(state.regs + APIC_TASKPRI) = 0x20;
	*(uint32_t *)(state.regs + APIC_SPIV) = 0x1ff;
	*(uint32_t *)(state.regs + 0x100 + 0x40) = 0x100;	/* vector 0x48 */
	*(uint32_t *)(state.regs + APIC_IRR + 0x50) = 0x4000;	/* vector 0xae */
	*(uint32_t *)(state.regs + APIC_LVTT) = 0x10000 | APIC_LVT_TIMER_PERIODIC | 0x55;
	*(uint32_t *)(state.regs + APIC_TDCR) = 0xb;
	*(uint32_t *)(state.regs + APIC_TMICT) = 0x10000000;
	*(uint32_t *)(state.regs + APIC_TMCCT) = 0x08000000;
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &state);
}

/* ---- MSRs: all that KVM lists, and MTRRs and MCE's, which it does not; each with a value
 * that it takes.
 */

#define MSRS	1024

static unsigned int list_msrs(uint32_t *indices)
{
	static const struct { uint32_t first, last; } more[] = {
		{ 0x200, 0x20f }, { 0x250, 0x250 }, { 0x258, 0x259 }, { 0x268, 0x26f },
		{ 0x2ff, 0x2ff }, { 0x280, 0x29f }, { 0x400, 0x47f },
	};
	const struct kvm_msr_list *list = kvm_get_msr_index_list();
	unsigned int n = list->nmsrs;

	TEST_ASSERT(n <= MSRS / 2, "%u MSRs", n);
	memcpy(indices, list->indices, n * sizeof(*indices));
	for (unsigned int i = 0; i < ARRAY_SIZE(more); i++)
		for (uint32_t index = more[i].first; index <= more[i].last; index++)
			indices[n++] = index;
	return n;
}

static bool is_clock(uint32_t index)
{
	const uint32_t hv_vp_runtime = 0x40000010, hv_time_ref_count = 0x40000020;

	return index == MSR_IA32_TSC || index == hv_vp_runtime || index == hv_time_ref_count;
}

static bool get_msr(struct kvm_vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msr = { .header.nmsrs = 1, .entry.index = index };

	if (ioctl(vcpu->fd, KVM_GET_MSRS, &msr) != 1)
		return false;
	*value = msr.entry.data;
	return true;
}

static void get_msrs(struct kvm_vcpu *vcpu, void *data)
{
	uint32_t indices[MSRS];
	uint64_t *values = data;
	unsigned int n = list_msrs(indices);

	memset(values, 0, MSRS * sizeof(*values));
	for (unsigned int i = 0; i < n; i++) {
		if (!is_clock(indices[i]))
			get_msr(vcpu, indices[i], &values[i]);
	}
}

/*
 * What other pieces set, what would point KVM at memory that is not there, and the
 * capabilities of VMX, which are to be equal.
 */
static bool is_set_elsewhere(uint32_t index)
{
	return is_clock(index) || index == MSR_EFER || index == MSR_IA32_APICBASE ||
	       index == MSR_IA32_TSC_ADJUST || index == MSR_IA32_TSC_DEADLINE ||
	       index == MSR_KVM_WALL_CLOCK || index == MSR_KVM_WALL_CLOCK_NEW ||
	       (index >= MSR_IA32_VMX_BASIC && index <= MSR_IA32_VMX_VMFUNC) ||
	       (index >= 0x40000000 && index <= 0x400001ff);
}

static unsigned int set_some_msrs(struct kvm_vcpu *vcpu)
{
	static const uint64_t values[] = {
		0xffff800012345000, 0x12345001, 0x12345000, 0x0606060606060606, 0xc06, 5, 1, 0,
	};
	uint32_t indices[MSRS];
	unsigned int n = list_msrs(indices), changed = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t index = indices[i];
		uint64_t before, after;

		if (is_set_elsewhere(index) || !get_msr(vcpu, index, &before))
			continue;
		for (unsigned int v = 0; v < ARRAY_SIZE(values); v++) {
			if (_vcpu_set_msr(vcpu, index, values[v]) == 1 &&
			    get_msr(vcpu, index, &after) && after != before) {
				changed++;
				break;
			}
		}
	}
	return changed;
}

static void set_msrs(struct kvm_vcpu *vcpu)
{
	unsigned int changed = set_some_msrs(vcpu);

	TEST_ASSERT(changed >= 40, "only %u MSRs took a value", changed);
}

static void get_nested(struct kvm_vcpu *vcpu, void *data)
{
	struct kvm_nested_state *state = data;

	memset(state, 0, sizeof(*state));
	state->size = sizeof(*state);
	ask(vcpu->fd, KVM_GET_NESTED_STATE, state);
}

/* GIF clear; a nested guest that runs has a program of its own. */
static void set_nested(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_state state = {
		.format = KVM_STATE_NESTED_FORMAT_SVM,
		.size = sizeof(state),
	};

	vcpu_set_msr(vcpu, MSR_EFER, vcpu_get_msr(vcpu, MSR_EFER) | EFER_SVME);
	vcpu_ioctl(vcpu, KVM_SET_NESTED_STATE, &state);
}

static void get_tsc(struct kvm_vcpu *vcpu, void *data)
{
	uint64_t *values = data;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)values,
	};

	vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr);
	values[1] = vcpu_get_msr(vcpu, MSR_IA32_TSC_ADJUST);
	values[2] = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL);
}

static void set_tsc(struct kvm_vcpu *vcpu)
{
	uint64_t offset = 0x123456789abc;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)&offset,
	};

	vcpu_set_msr(vcpu, MSR_IA32_TSC_ADJUST, 0x777);
	vcpu_ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attr);
}

/* ---- VM */

static void get_irqchip(struct kvm_vcpu *vcpu, void *data, unsigned int id)
{
	struct kvm_irqchip chip = { .chip_id = id };

	vm_ioctl(vcpu->vm, KVM_GET_IRQCHIP, &chip);
	memcpy(data, &chip.chip, sizeof(chip.chip));
}

static void get_pic0(struct kvm_vcpu *vcpu, void *data)
{
	get_irqchip(vcpu, data, KVM_IRQCHIP_PIC_MASTER);
}

static void get_pic1(struct kvm_vcpu *vcpu, void *data)
{
	get_irqchip(vcpu, data, KVM_IRQCHIP_PIC_SLAVE);
}

static void get_ioapic(struct kvm_vcpu *vcpu, void *data)
{
	get_irqchip(vcpu, data, KVM_IRQCHIP_IOAPIC);
}

static void set_pic(struct kvm_vcpu *vcpu, unsigned int id)
{
	struct kvm_irqchip chip = { .chip_id = id };

	vm_ioctl(vcpu->vm, KVM_GET_IRQCHIP, &chip);
	chip.chip.pic.imr = 0xa5 + id;
	chip.chip.pic.irr = 0x05;
	chip.chip.pic.isr = 0x10;
	chip.chip.pic.irq_base = 0x40 + 8 * id;
	chip.chip.pic.elcr = 0x08;
	vm_ioctl(vcpu->vm, KVM_SET_IRQCHIP, &chip);
}

static void set_pic0(struct kvm_vcpu *vcpu)
{
	set_pic(vcpu, KVM_IRQCHIP_PIC_MASTER);
}

static void set_pic1(struct kvm_vcpu *vcpu)
{
	set_pic(vcpu, KVM_IRQCHIP_PIC_SLAVE);
}

static void set_ioapic(struct kvm_vcpu *vcpu)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_ioctl(vcpu->vm, KVM_GET_IRQCHIP, &chip);
	chip.chip.ioapic.ioregsel = 0x12;
	chip.chip.ioapic.id = 3;
	for (unsigned int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		chip.chip.ioapic.redirtbl[i].bits = 0x0700000000018000 + 0x50 + i;
	vm_ioctl(vcpu->vm, KVM_SET_IRQCHIP, &chip);
}

static void get_pit(struct kvm_vcpu *vcpu, void *data)
{
	ask(vcpu->vm->fd, KVM_GET_PIT2, data);
}

static void set_pit(struct kvm_vcpu *vcpu)
{
	struct kvm_pit_state2 state;

	vm_ioctl(vcpu->vm, KVM_GET_PIT2, &state);
	state.channels[0].count = 0x8000;
	state.channels[0].mode = 2;
	state.channels[0].gate = 1;
	state.channels[2].count = 0x1234;
	state.channels[2].mode = 3;
	state.channels[2].latched_count = 0x77;
	state.channels[2].count_latched = 3;
	vm_ioctl(vcpu->vm, KVM_SET_PIT2, &state);
}

/* Events last among those that other ioctls need the vCPU outside SMM for. */
static const struct piece pieces[] = {
	{ "registers", sizeof(struct kvm_regs), get_regs, set_regs, 0, 0 },
	{ "system registers", sizeof(struct kvm_sregs), get_sregs, set_sregs, 0, 0 },
	{ "XSAVE", XSAVE_SIZE, get_xsave, set_xsave, 0, 0 },
	{ "XCR0", sizeof(struct kvm_xcrs), get_xcrs, set_xcrs, 0, 0 },
	{ "debug registers", sizeof(struct kvm_debugregs), get_debugregs, set_debugregs, 0, 0 },
	{ "MSRs", MSRS * sizeof(uint64_t), get_msrs, set_msrs, 0, 0 },
	{ "nested state", sizeof(struct kvm_nested_state), get_nested, set_nested, 0, 0 },
	{ "TSC", 3 * sizeof(uint64_t), get_tsc, set_tsc, 0, 0 },
	{ "LAPIC", sizeof(struct kvm_lapic_state), get_lapic, set_lapic,
	  APIC_TMCCT, APIC_TMCCT + 4 },
	{ "MP state", sizeof(struct kvm_mp_state), get_mp_state, set_mp_state, 0, 0 },
	{ "events", sizeof(struct kvm_vcpu_events), get_events, set_events, 0, 0 },
	{ "master PIC", sizeof(((struct kvm_irqchip *)0)->chip), get_pic0, set_pic0, 0, 0 },
	{ "slave PIC", sizeof(((struct kvm_irqchip *)0)->chip), get_pic1, set_pic1, 0, 0 },
	{ "IOAPIC", sizeof(((struct kvm_irqchip *)0)->chip), get_ioapic, set_ioapic, 0, 0 },
	{ "PIT", sizeof(struct kvm_pit_state2), get_pit, set_pit, 0, 0 },
};

/* The piece after @piece, or the first; NULL after the last. No vCPU in VMX operation moves. */
static const struct piece *next(const struct piece *piece)
{
	piece = piece ? piece + 1 : pieces;
	if (piece < pieces + ARRAY_SIZE(pieces) && piece->set == set_nested && host_cpu_is_intel)
		piece++;
	return piece < pieces + ARRAY_SIZE(pieces) ? piece : NULL;
}

static void *get(const struct piece *piece, struct kvm_vcpu *vcpu)
{
	uint8_t *data = calloc(1, piece->size);

	TEST_ASSERT(data, "out of memory");
	piece->get(vcpu, data);
	memset(data + piece->volatile_from, 0, piece->volatile_to - piece->volatile_from);
	return data;
}

static void expect_same(const struct piece *piece, const uint8_t *a, const uint8_t *b)
{
	for (size_t i = 0; i < piece->size; i++)
		TEST_ASSERT(a[i] == b[i], "%s: byte %#zx is %#x in the source, %#x after the move",
			    piece->name, i, a[i], b[i]);
}

static void enable(struct kvm_vm *vm)
{
	struct kvm_pit_config pit = { };

	vm_enable_cap(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1);
	vm_enable_cap(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
	vm_ioctl(vm, KVM_CREATE_PIT2, &pit);
}

static void all_of_it(void)
{
	void *before[ARRAY_SIZE(pieces)];
	const struct piece *piece;
	struct kvm_vcpu *src, *dst;

	require_move_vcpus();
	TYPES(type) {
		src = ancestor(type, nothing);
		dst = successor(src);
		enable(src->vm);
		enable(dst->vm);

		for (piece = next(NULL); piece; piece = next(piece))
			piece->set(src);
		for (piece = next(NULL); piece; piece = next(piece)) {
			before[piece - pieces] = get(piece, src);
			TEST_ASSERT(memcmp(before[piece - pieces], get(piece, dst), piece->size),
				    "%s: nothing to be seen in a move", piece->name);
		}

		move_vcpus(dst->vm, src->vm);
		for (piece = next(NULL); piece; piece = next(piece))
			expect_same(piece, before[piece - pieces], get(piece, dst));
	}
}

/* A refused move has not touched the destination, whatever its VMM had set there. */
static void none_of_it(void)
{
	void *before[ARRAY_SIZE(pieces)];
	const struct piece *piece;
	struct kvm_vcpu *src, *dst;

	require_move_vcpus();
	TYPES(type) {
		src = ancestor(type, nothing);
		dst = successor(src);
		enable(src->vm);
		enable(dst->vm);
		vm_enable_cap(src->vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));

		for (piece = next(NULL); piece; piece = next(piece))
			piece->set(dst);
		for (piece = next(NULL); piece; piece = next(piece))
			before[piece - pieces] = get(piece, dst);
		TEST_ERRNO(__move_vcpus(dst->vm, src->vm), EINVAL);
		for (piece = next(NULL); piece; piece = next(piece))
			expect_same(piece, before[piece - pieces], get(piece, dst));
	}
}

static const struct claim claims[] = {
	CLAIM(all_of_it, "what KVM shows of vCPU, irqchip and PIT is the same after the move"),
	CLAIM(none_of_it, "a move that is refused leaves all of it as it was"),
};

CLAIMS_MAIN(claims);
