// SPDX-License-Identifier: GPL-2.0-only
/*
 * LAPIC, IOAPIC, PIC and PIT in the kernel, and silence before they are read.
 *
 * These can raise an interrupt in the source while its vCPUs are locked: irqfds;
 * KVM_IRQ_LINE and KVM_SIGNAL_MSI; the PIT's timer and the LAPICs'; an IOAPIC's
 * delayed EOI. Each is made to stop, and waited for, before anything is read,
 * so that an interrupt was either delivered and moves, or comes to the
 * destination: an eventfd's count is still there when the destination's VMM
 * makes an irqfd of it, a timer goes on there.
 */
#include <linux/kvm_host.h>
#include <linux/wait_bit.h>

#include "cpuid.h"
#include "i8254.h"
#include "ioapic.h"
#include "irq.h"
#include "lapic.h"
#include "x86.h"

#include "move.h"
#include "vcpus.h"

static bool kvm_move_stop_pit(struct kvm_pit *pit)
{
	bool armed;

	armed = hrtimer_cancel(&pit->pit_state.timer);
	kthread_flush_work(&pit->expired);
	return armed;
}

/* How long a move waits for an ioctl that is raising an interrupt. */
#define KVM_MOVE_IRQ_PATIENCE	msecs_to_jiffies(50)

/* Added to kvm->irq_ioctls while a move holds them up: the count is negative then. */
#define KVM_MOVE_IRQS_HELD	INT_MIN

/**
 * kvm_move_begin_irq() - an ioctl is about to raise an interrupt
 * @kvm: the VM
 *
 * It may sleep: an event channel's page may have to come first. So this holds nothing that
 * others wait for (irq_srcu, say, on which every VM's teardown depends by way of irqfds);
 * a move that finds it gives up. It is held up only while a move has all vCPUs' mutexes:
 * before that, the interrupt may be what a vCPU in HLT needs to leave.
 *
 * Context: Process context, no lock held. Followed by kvm_move_end_irq() where it succeeds.
 * Return: 0: no move begins to read interrupt controllers meanwhile; -EIO for a dead VM;
 * -EINTR by a fatal signal.
 */
int kvm_move_begin_irq(struct kvm *kvm)
{
	while (atomic_inc_return(&kvm->irq_ioctls) < 0) {
		kvm_move_end_irq(kvm);
		if (wait_var_event_killable(&kvm->irq_ioctls, atomic_read(&kvm->irq_ioctls) >= 0))
			return -EINTR;
	}
	if (likely(!READ_ONCE(kvm->vm_dead)))
		return 0;

	kvm_move_end_irq(kvm);
	return -EIO;
}

/**
 * kvm_move_end_irq() - an ioctl has raised its interrupt
 * @kvm: the VM
 *
 * Context: after kvm_move_begin_irq().
 */
void kvm_move_end_irq(struct kvm *kvm)
{
	if (atomic_dec_return(&kvm->irq_ioctls) == KVM_MOVE_IRQS_HELD)
		wake_up_var(&kvm->irq_ioctls);
}

/**
 * kvm_move_hold_irqs() - hold up ioctls that raise interrupts
 * @src: the source, whose vCPUs are locked
 *
 * Context: Process context; all locks of a move are held. Followed by
 * kvm_move_release_irqs() where it succeeds.
 * Return: 0: none is raising one; -EBUSY where one of them takes long.
 */
int kvm_move_hold_irqs(struct kvm *src)
{
	atomic_add(KVM_MOVE_IRQS_HELD, &src->irq_ioctls);
	if (wait_var_event_timeout(&src->irq_ioctls,
				   atomic_read(&src->irq_ioctls) == KVM_MOVE_IRQS_HELD,
				   KVM_MOVE_IRQ_PATIENCE))
		return 0;

	kvm_move_release_irqs(src);
	return -EBUSY;
}

/**
 * kvm_move_release_irqs() - let them go on, to find the VM dead or alive
 * @src: the source
 *
 * Context: after kvm_move_hold_irqs().
 */
void kvm_move_release_irqs(struct kvm *src)
{
	/* A full barrier, and so before the look at who sleeps. */
	atomic_sub_return(KVM_MOVE_IRQS_HELD, &src->irq_ioctls);
	wake_up_var(&src->irq_ioctls);
}
EXPORT_SYMBOL_GPL(kvm_move_release_irqs);

/**
 * kvm_move_silence() - let nobody raise an interrupt in a dead VM any more
 * @kvm: the source, which was declared dead
 *
 * Ioctls that send interrupts are held up, by kvm_move_hold_irqs(), and irqfds are gone, by
 * kvm_move_end_irqfds(). A LAPIC's timer, which concerns it alone, is stopped where it is
 * read.
 *
 * Context: may sleep; waits for interrupts that are on their way.
 * Return: whether the PIT's timer was armed.
 */
bool kvm_move_silence(struct kvm *kvm)
{
	bool armed = false;

	WARN_ON_ONCE(!kvm->vm_dead || atomic_read(&kvm->nr_irqfds));

	if (kvm->arch.vpit)
		armed = kvm_move_stop_pit(kvm->arch.vpit);
	if (ioapic_in_kernel(kvm))
		cancel_delayed_work_sync(&kvm->arch.vioapic->eoi_inject);
	return armed;
}

/*
 * The LAPIC was told to start its timer from the current count, rounded to a
 * count, and from zero if it had run out. Put the very timer in its place.
 */
static void kvm_move_copy_lapic_timer(struct kvm_timer *d, struct kvm_timer *s, bool armed)
{
	hrtimer_cancel(&d->timer);

	d->period = s->period;
	d->target_expiration = s->target_expiration;
	d->timer_mode = s->timer_mode;
	d->timer_mode_mask = s->timer_mode_mask;
	d->tscdeadline = s->tscdeadline;
	d->expired_tscdeadline = s->expired_tscdeadline;
	d->timer_advance_ns = s->timer_advance_ns;
	atomic_set(&d->pending, atomic_read(&s->pending));

	if (armed)
		hrtimer_start(&d->timer, hrtimer_get_expires(&s->timer), HRTIMER_MODE_ABS_HARD);
}

/**
 * kvm_move_lapic_fits() - can the destination's LAPIC become what the source's is?
 * @dst: the destination's vCPU, of the same CPUID
 * @src: the source's vCPU
 *
 * Its base may be one that CPUID has forbidden since it was set. KVM would not set
 * that again; nor is the LAPIC in the mode then that the registers are for.
 *
 * Context: vcpu->mutex of both is held.
 * Return: whether kvm_move_copy_lapic() can't fail.
 */
bool kvm_move_lapic_fits(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	u64 reserved = kvm_vcpu_reserved_gpa_bits_raw(dst) | 0x2ff;
	u64 base = src->arch.apic_base;

	if (!lapic_in_kernel(src))
		return true;

	if (!guest_cpuid_has(dst, X86_FEATURE_X2APIC))
		reserved |= X2APIC_ENABLE;
	return !(base & reserved) && kvm_apic_mode(base) != LAPIC_MODE_INVALID;
}

/**
 * kvm_move_stop_lapic_timer() - stop the timer of a vCPU's LAPIC, if it is in the kernel
 * @src: the source's vCPU, loaded
 *
 * Where the processor counts the time down while the guest runs, the timer becomes KVM's own
 * first: that has the time when it expires.
 *
 * Context: see vcpus.h. What comes of it is in the LAPIC, or was posted to it.
 * Return: whether it was armed.
 */
bool kvm_move_stop_lapic_timer(struct kvm_vcpu *src)
{
	if (!lapic_in_kernel(src))
		return false;

	kvm_lapic_switch_to_sw_timer(src);
	return hrtimer_cancel(&src->arch.apic->lapic_timer.timer);
}

/**
 * kvm_move_copy_lapic() - copy a vCPU's LAPIC, if it is in the kernel
 * @dst: the destination's vCPU, loaded, its clock set
 * @src: the source's vCPU
 * @state: room for the registers
 * @armed: what kvm_move_stop_lapic_timer() returned
 *
 * Setting the base fails only as kvm_move_lapic_fits() says. Setting registers fails only
 * for an ID that is not the vCPU's, which the source's has.
 *
 * Context: see vcpus.h.
 */
void kvm_move_copy_lapic(struct kvm_vcpu *dst, struct kvm_vcpu *src,
			 struct kvm_lapic_state *state, bool armed)
{
	struct kvm_lapic *d = dst->arch.apic, *s = src->arch.apic;
	struct msr_data base = {
		.host_initiated = true,
		.index = MSR_IA32_APICBASE,
		.data = src->arch.apic_base,
	};

	if (!lapic_in_kernel(src)) {
		dst->arch.apic_base = src->arch.apic_base;
		kvm_update_cpuid_runtime(dst);
		return;
	}

	WARN_ON_ONCE(kvm_apic_get_state(src, state));

	WARN_ON_ONCE(kvm_apic_set_base(dst, &base));
	WARN_ON_ONCE(kvm_apic_set_state(dst, state));
	kvm_move_copy_lapic_timer(&d->lapic_timer, &s->lapic_timer, armed);

	d->pending_events = s->pending_events;
	d->sipi_vector = s->sipi_vector;
}

static void kvm_move_copy_pic(struct kvm *dst, struct kvm *src)
{
	struct kvm_pic *d = dst->arch.vpic, *s = src->arch.vpic;

	spin_lock(&d->lock);
	for (int i = 0; i < ARRAY_SIZE(d->pics); i++) {
		d->pics[i] = s->pics[i];
		d->pics[i].pics_state = d;
	}
	d->output = s->output;
	memcpy(d->irq_states, s->irq_states, sizeof(d->irq_states));
	spin_unlock(&d->lock);

	kvm_pic_update_irq(d);
}

/*
 * An edge that was delivered and whose line is still up: KVM_GET_IRQCHIP does not
 * show it, but without it the next line up would be taken for an edge.
 */
static void kvm_move_copy_delivered(struct kvm_ioapic *d, const struct kvm_ioapic *s)
{
	u32 delivered = s->irr & s->irr_delivered;

	spin_lock(&d->lock);
	d->irr |= delivered;
	d->irr_delivered |= delivered;
	spin_unlock(&d->lock);
}

/* Interrupts that the source's IOAPIC had not got rid of are delivered anew. */
static void kvm_move_copy_ioapic(struct kvm *dst, struct kvm *src)
{
	struct kvm_ioapic *d = dst->arch.vioapic, *s = src->arch.vioapic;
	struct kvm_ioapic_state state;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_get_ioapic(src, &state);

	spin_lock(&d->lock);
	memcpy(d->irq_states, s->irq_states, sizeof(d->irq_states));
	memcpy(d->irq_eoi, s->irq_eoi, sizeof(d->irq_eoi));
	spin_unlock(&d->lock);

	kvm_set_ioapic(dst, &state);
	kvm_move_copy_delivered(d, s);
	kvm_for_each_vcpu(i, vcpu, dst)
		kvm_rtc_eoi_tracking_restore_one(vcpu);
}

static void kvm_move_copy_pit(struct kvm_pit *dst, struct kvm_pit *src, bool armed)
{
	struct kvm_kpit_state *d = &dst->pit_state, *s = &src->pit_state;

	mutex_lock(&d->lock);
	kvm_move_stop_pit(dst);
	kvm_pit_set_reinject(dst, atomic_read(&s->reinject));

	memcpy(d->channels, s->channels, sizeof(d->channels));
	d->flags = s->flags;
	d->is_periodic = s->is_periodic;
	d->period = s->period;
	atomic_set(&d->pending, atomic_read(&s->pending));
	atomic_set(&d->irq_ack, atomic_read(&s->irq_ack));

	if (armed)
		hrtimer_start(&d->timer, hrtimer_get_expires(&s->timer), HRTIMER_MODE_ABS);
	mutex_unlock(&d->lock);
}

/**
 * kvm_move_copy_irqchip() - copy IOAPIC, PIC and PIT, as far as there are any
 * @dst: the destination, its LAPICs set
 * @src: the source, silent
 * @pit_armed: what kvm_move_silence() returned
 *
 * The PIT comes last: it raises interrupts in the other two.
 *
 * Context: see vcpus.h.
 */
void kvm_move_copy_irqchip(struct kvm *dst, struct kvm *src, bool pit_armed)
{
	if (pic_in_kernel(src))
		kvm_move_copy_pic(dst, src);
	if (ioapic_in_kernel(src))
		kvm_move_copy_ioapic(dst, src);
	if (src->arch.vpit)
		kvm_move_copy_pit(dst->arch.vpit, src->arch.vpit, pit_armed);
}
