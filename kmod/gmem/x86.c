// SPDX-License-Identifier: GPL-2.0-only
/*
 * What depends on the type of an x86 VM, and on x86.
 */
#include "access.h"
#include "arch.h"
#include "gmem.h"

#include "kvm_cache_regs.h"
#include "x86.h"

/**
 * gmem_arch_capabilities() - what a VM's type can do, moving its vCPUs apart
 * @kvm: the VM, or NULL: what some type can do
 *
 * Context: Any.
 * Return: a mask of KVM_GMEM_CAP_*.
 */
u32 gmem_arch_capabilities(struct kvm *kvm)
{
	/* Hardware assigns each page to one VM where not these, in SNP. */
	u32 shown = KVM_GMEM_CAP_LINK | KVM_GMEM_CAP_POPULATE | KVM_GMEM_CAP_PAGER |
		    KVM_GMEM_CAP_PAGER_RING | KVM_GMEM_CAP_PAGER_EXIT |
		    KVM_GMEM_CAP_PAGER_ASYNC | KVM_GMEM_CAP_WRITE | KVM_GMEM_CAP_HUGE;
	u32 private = KVM_GMEM_CAP_MOVE | KVM_GMEM_CAP_CONVERT;
	u32 all = KVM_GMEM_CAP_SEAL;

	if (!kvm)
		return all | shown | private;

	switch (kvm->arch.vm_type) {
	case KVM_X86_SW_PROTECTED_VM:
		return all | shown | private;
	case KVM_X86_DEFAULT_VM:
		return all | shown;
	case KVM_X86_SEV_VM:
	case KVM_X86_SEV_ES_VM:
		return all | shown;
	default:
		return all;
	}
}

/**
 * gmem_arch_flags() - the flags that a VM's inodes can have
 * @kvm: the VM, or NULL: those that some VM's can have
 *
 * None where pages belong to one VM by hardware: a page that is to be shared
 * would have to be taken back from the guest first.
 *
 * Context: Any.
 * Return: a mask of GUEST_MEMFD_FLAG_*.
 */
u64 gmem_arch_flags(struct kvm *kvm)
{
	if (kvm && !(gmem_arch_capabilities(kvm) & KVM_GMEM_CAP_LINK))
		return 0;

	return GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED | GUEST_MEMFD_FLAG_WRITE |
	       GMEM_HUGE_FLAGS;
}

/**
 * gmem_arch_had_machine_check() - has an access of this task's met a memory error?
 *
 * One for which it is to be recovered, when it returns to userspace: the page is taken away
 * then. Another one before that may be the kernel's end, see fill/read.c.
 *
 * Context: Process context.
 * Return: whether it has, since it was last in userspace.
 */
bool gmem_arch_had_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	return current->mce_count;
#else
	return false;
#endif
}

/**
 * gmem_arch_kvm_accesses() - may KVM itself read and write a VM's private memory?
 * @kvm: the VM
 *
 * What hardware protects it can't; there KVM's own accesses to private gfns go
 * to the memory at userspace_addr, as in Linux.
 *
 * Context: Any.
 * Return: true if it may.
 */
bool gmem_arch_kvm_accesses(struct kvm *kvm)
{
	return kvm->arch.vm_type == KVM_X86_SW_PROTECTED_VM;
}
EXPORT_SYMBOL_GPL(gmem_arch_kvm_accesses);

/**
 * gmem_arch_needs_flush() - may a VM leave dirty lines of its pages in caches?
 * @kvm: the VM
 *
 * Context: Any.
 * Return: whether kvm_arch_guest_memory_reclaimed() would flush.
 */
bool gmem_arch_needs_flush(struct kvm *kvm)
{
	return kvm_x86_call(needs_cache_flush)(kvm);
}

/**
 * kvm_gmem_await_sregs() - wait for what KVM_SET_SREGS reads
 * @vcpu: the vCPU
 * @sregs: what it is to be
 *
 * With PAE paging, what CR3 points to is read when it is set. That of a nested guest with nested
 * paging is an address of its own, which the guest that runs it translates: not a page to be had
 * here. Of a guest whose state hardware protects, registers are not set.
 *
 * Context: as kvm_gmem_await_ioctl().
 * Return: likewise.
 */
int kvm_gmem_await_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (vcpu->arch.guest_state_protected || mmu_is_nested(vcpu))
		return 0;

	if (!(sregs->cr0 & X86_CR0_PG) || !(sregs->cr4 & X86_CR4_PAE) || sregs->efer & EFER_LMA)
		return 0;

	return kvm_gmem_await_ioctl(vcpu->kvm, sregs->cr3);
}

/**
 * kvm_gmem_await_pdptrs() - wait for what KVM_GET_SREGS2 may read
 * @vcpu: the vCPU, loaded
 *
 * With PAE and nested paging on SVM, it is the hardware that has the PDPTRs: KVM reads them again.
 * Those of a nested guest are left out, as in kvm_gmem_await_sregs().
 *
 * Context: as kvm_gmem_await_ioctl().
 * Return: likewise.
 */
int kvm_gmem_await_pdptrs(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.guest_state_protected || mmu_is_nested(vcpu) || !is_pae_paging(vcpu) ||
	    kvm_register_is_available(vcpu, VCPU_EXREG_PDPTR))
		return 0;

	return kvm_gmem_await_ioctl(vcpu->kvm, kvm_read_cr3(vcpu));
}

/* By which a guest asks for Xen's hypercall page: any number, as the VMM has it. */
static bool gmem_msr_is_xen(struct kvm *kvm, const struct kvm_msr_entry *msr)
{
	return msr->index && msr->index == READ_ONCE(kvm->arch.xen_hvm_config.msr);
}

/* The page that KVM accesses when a Hyper-V MSR is set. */
static gpa_t gmem_hv_msr_page(u32 msr, u64 data)
{
	switch (msr) {
	case HV_X64_MSR_HYPERCALL:
		return data & HV_X64_MSR_HYPERCALL_ENABLE ?
		       data & HV_X64_MSR_HYPERCALL_PAGE_ADDRESS_MASK : INVALID_GPA;
	case HV_X64_MSR_VP_ASSIST_PAGE:
		return data & HV_X64_MSR_VP_ASSIST_PAGE_ENABLE ?
		       data & HV_X64_MSR_VP_ASSIST_PAGE_ADDRESS_MASK : INVALID_GPA;
	default:
		return INVALID_GPA;
	}
}

/*
 * The page that KVM reads, writes or maps when a process sets the MSR. @apf is what
 * MSR_KVM_ASYNC_PF_EN is by then.
 *
 * Of the others in Linux 6.12 that name a page: steal time, MSR_KVM_ASYNC_PF_EN, PV EOI and
 * Hyper-V's reference TSC are noted, and accessed in KVM_RUN; SIEFP and SIMP are cleared
 * where the guest sets them, not a process; of VM_HSAVE_PA, the GHCB's and VMX's, nothing is
 * accessed when they are set.
 */
static gpa_t gmem_msr_page(struct kvm *kvm, const struct kvm_msr_entry *msr, u64 apf)
{
	if (gmem_msr_is_xen(kvm, msr))
		return msr->data & PAGE_MASK;

	switch (msr->index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		return msr->data ? : INVALID_GPA;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return msr->data & KVM_MSR_ENABLED ? msr->data & ~KVM_MSR_ENABLED : INVALID_GPA;
	case MSR_KVM_ASYNC_PF_ACK:
		/* The guest may be told of the next page at once. */
		return msr->data & 1 && apf & KVM_ASYNC_PF_ENABLED ? apf & ~0x3fULL : INVALID_GPA;
	default:
		return gmem_hv_msr_page(msr->index, msr->data);
	}
}

/* Of those at any address, the last byte: it may be in the next page. */
static gpa_t gmem_msr_last(const struct kvm_msr_entry *msr, gpa_t gpa)
{
	bool clock = msr->index == MSR_KVM_WALL_CLOCK || msr->index == MSR_KVM_WALL_CLOCK_NEW;

	return clock && gpa != INVALID_GPA ? gpa + sizeof(struct pvclock_wall_clock) - 1 : gpa;
}

static int gmem_await_msr(struct kvm *kvm, const struct kvm_msr_entry *msr, u64 apf)
{
	gpa_t gpa = gmem_msr_page(kvm, msr, apf);
	int r;

	r = kvm_gmem_await_ioctl(kvm, gpa) ? :
	    kvm_gmem_await_ioctl(kvm, gmem_msr_last(msr, gpa));
	/* Xen's shared page may be laid out anew, too: by the mode that the vCPU is in. */
	if (!r && gmem_msr_is_xen(kvm, msr))
		r = kvm_gmem_await_shinfo(kvm);
	return r;
}

/**
 * kvm_gmem_await_msrs() - have the pages come that KVM_SET_MSRS needs
 * @vcpu: the vCPU, loaded
 * @msrs: what is to be set
 * @nr: how many
 *
 * Context: An ioctl of @vcpu that has changed nothing yet, with kvm->srcu by the vCPU,
 * which is given up meanwhile.
 * Return: as kvm_gmem_await_ioctl().
 */
int kvm_gmem_await_msrs(struct kvm_vcpu *vcpu, const struct kvm_msr_entry *msrs, unsigned int nr)
{
	u64 apf = vcpu->arch.apf.msr_en_val;
	int r = 0;

	kvm_vcpu_srcu_read_unlock(vcpu);
	for (unsigned int i = 0; !r && i < nr; i++) {
		if (msrs[i].index == MSR_KVM_ASYNC_PF_EN)
			apf = msrs[i].data;
		r = gmem_await_msr(vcpu->kvm, &msrs[i], apf);
	}
	kvm_vcpu_srcu_read_lock(vcpu);
	return r;
}

/**
 * kvm_gmem_await_run_sregs() - have the page come that KVM_RUN needs for registers it is to set
 * @vcpu: the vCPU
 * @sregs: what userspace has left in the run page
 *
 * It does not sleep where userspace wants KVM_RUN to return at once (immediate_exit), which a
 * signal may have asked for that is gone by now.
 *
 * Context: KVM_RUN of @vcpu, which has not set them yet; nothing is held but vcpu->mutex.
 * Return: as kvm_gmem_await_ioctl(); -EINTR is to be told to userspace.
 */
int kvm_gmem_await_run_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	int r;

	vcpu->gmem_nowait = !vcpu->wants_to_run;
	r = kvm_gmem_await_sregs(vcpu, sregs);
	vcpu->gmem_nowait = false;
	if (r)
		vcpu->run->exit_reason = KVM_EXIT_INTR;
	return r;
}

#ifdef CONFIG_KVM_HYPERV
/**
 * kvm_gmem_await_hv_tsc_page() - have Hyper-V's reference TSC page come before it is written
 * @kvm: the VM
 *
 * Context: as kvm_gmem_await(), without kvm->arch.hyperv.hv_lock, under which it is written.
 */
void kvm_gmem_await_hv_tsc_page(struct kvm *kvm)
{
	enum hv_tsc_page_status status = READ_ONCE(kvm->arch.hyperv.hv_tsc_page_status);
	u64 page = READ_ONCE(kvm->arch.hyperv.hv_tsc_page);

	if (page & HV_X64_MSR_TSC_REFERENCE_ENABLE &&
	    (status == HV_TSC_PAGE_GUEST_CHANGED || status == HV_TSC_PAGE_HOST_CHANGED))
		kvm_gmem_await(kvm, gfn_to_gpa(page >> HV_X64_MSR_TSC_REFERENCE_ADDRESS_SHIFT));
}

/**
 * kvm_gmem_await_hv_msr() - have the hypercall page come before it is written
 * @vcpu: the vCPU
 * @index: a MSR of Hyper-V's, which is being set
 * @data: to this
 *
 * Context: as kvm_gmem_await(), without kvm->arch.hyperv.hv_lock, under which it is written.
 */
void kvm_gmem_await_hv_msr(struct kvm_vcpu *vcpu, u32 index, u64 data)
{
	/* A guest that has not said what it is can't enable the page. */
	if (index == HV_X64_MSR_HYPERCALL && READ_ONCE(vcpu->kvm->arch.hyperv.hv_guest_os_id))
		kvm_gmem_await(vcpu->kvm, gmem_hv_msr_page(index, data));
}
#endif

/**
 * gmem_arch_gfn_is_private() - is an access to a gfn one to private memory?
 * @kvm: the VM
 * @gfn: the guest frame
 *
 * Where hardware protects a VM each access says itself what it is.
 *
 * Context: as kvm_mem_is_private().
 * Return: true in a software-protected VM whose @gfn is private.
 */
bool gmem_arch_gfn_is_private(struct kvm *kvm, gfn_t gfn)
{
	return gmem_arch_kvm_accesses(kvm) && kvm_mem_is_private(kvm, gfn);
}
