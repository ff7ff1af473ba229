// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: which VM may have which ASID, and when.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kvm/lib/claims.h"
#include "expect.h"
#include "firmware.h"
#include "vm.h"

static void range(void)
{
	uint32_t sev, sev_es;

	fw_restart();
	sev = fw_launch(0);
	sev_es = fw_launch(ES);
	EXPECT_EQ(fw_activate(sev, 0), SEV_RET_INVALID_ASID);
	EXPECT_EQ(fw_activate(sev, MIN_SEV_ASID - 1), SEV_RET_INVALID_ASID);
	EXPECT_EQ(fw_activate(sev, MAX_SEV_ASID + 1), SEV_RET_INVALID_ASID);
	EXPECT_EQ(fw_activate(sev, -1), SEV_RET_INVALID_ASID);
	EXPECT_EQ(fw_activate(sev_es, 0), SEV_RET_INVALID_ASID);
	EXPECT_EQ(fw_activate(sev_es, MIN_SEV_ASID), SEV_RET_INVALID_ASID);
	EXPECT_EQ(fw_status(sev).asid, 0);

	EXPECT_EQ(fw_activate(sev, MAX_SEV_ASID), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_activate(sev_es, MIN_SEV_ASID - 1), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_status(sev).asid, MAX_SEV_ASID);
	EXPECT_EQ(fw_status(sev_es).asid, MIN_SEV_ASID - 1);
	fw_restart();
}

static void one_owner(void)
{
	uint32_t first, second;

	fw_restart();
	first = fw_launch(0);
	second = fw_launch(0);
	EXPECT_EQ(fw_activate(first, MIN_SEV_ASID), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_activate(first, MIN_SEV_ASID), SEV_RET_ACTIVE);
	EXPECT_EQ(fw_activate(first, MIN_SEV_ASID + 1), SEV_RET_ACTIVE);
	EXPECT_EQ(fw_activate(second, MIN_SEV_ASID), SEV_RET_ASID_OWNED);
	EXPECT_EQ(fw_activate(second, MIN_SEV_ASID + 1), SEV_RET_SUCCESS);
	fw_restart();
}

static void reuse_after_flush(void)
{
	uint32_t first, second;

	fw_restart();
	first = fw_launch(0);
	second = fw_launch(0);
	EXPECT_EQ(fw_activate(first, MIN_SEV_ASID), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_guest(FW_DEACTIVATE, first), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_status(first).asid, 0);
	EXPECT_EQ(fw_activate(second, MIN_SEV_ASID), SEV_RET_DFFLUSH_REQUIRED);
	EXPECT_EQ(fw_activate(first, MIN_SEV_ASID), SEV_RET_DFFLUSH_REQUIRED);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, first), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_activate(second, MIN_SEV_ASID), SEV_RET_DFFLUSH_REQUIRED);

	EXPECT_EQ(fw_command(FW_DF_FLUSH, NULL, 0), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_activate(second, MIN_SEV_ASID), SEV_RET_SUCCESS);
	fw_restart();
}

/* Several times as many VMs, one after the other, as there are ASIDs for SEV-ES. */
static void kvm_recycles(void)
{
	for (int i = 0; i < 3 * MIN_SEV_ASID; i++) {
		struct vm vm;

		vm_create(&vm, true);
		EXPECT_EQ(vm_start(&vm, NULL, ES), SEV_RET_SUCCESS);
		vm_destroy(&vm);
	}
	EXPECT_EQ(fw_platform().guest_count, 0);
}

/*
 * As many VMs as there are ASIDs for SEV-ES, less what another program has or
 * has left charged; another one only when one of them goes.
 */
static void kvm_runs_out(void)
{
	struct vm vms[MIN_SEV_ASID];
	int n;

	for (n = 0; n < MIN_SEV_ASID && vm_try_create(&vms[n], true); n++)
		;
	EXPECT(n > 0 && n < MIN_SEV_ASID);
	EXPECT(!vm_try_create(&vms[n], true));
	vm_destroy(&vms[n / 2]);
	vm_create(&vms[n / 2], true);
	EXPECT_EQ(vm_start(&vms[n / 2], NULL, ES), SEV_RET_SUCCESS);
	EXPECT(!vm_try_create(&vms[n], true));
}

/* Otherwise a VM that got one of its own files as the SEV device would hold itself for ever. */
static void kvm_holds_no_other_file(void)
{
	struct kvm_sev_launch_start start = { .policy = ES };
	int run_size;

	for (int i = 0; i < 3 * MIN_SEV_ASID; i++) {
		struct kvm_run *run;
		struct vm vm;
		int vcpu;

		vm_create_on_gmem(&vm, true);
		run = vm_add_vcpu(&vm, &vcpu);
		run_size = ioctl(vm.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
		for (int which = 0; which < 3; which++) {
			struct kvm_sev_cmd cmd = {
				.id = KVM_SEV_LAUNCH_START,
				.data = (uintptr_t)&start,
				.sev_fd = which == 0 ? vm.fd : which == 1 ? vcpu : vm.view,
			};

			EXPECT_EQ(ioctl(vm.fd, KVM_MEMORY_ENCRYPT_OP, &cmd), -1);
			EXPECT_EQ(errno, EBADF);
		}
		munmap(run, run_size);
		close(vcpu);
		close(vm.view);
		vm_destroy(&vm);
	}
	EXPECT_EQ(fw_platform().guest_count, 0);
}

static const struct claim claims[] = {
	CLAIM(range, "SEV-ES guests have the lower ASIDs, SEV guests the upper ones"),
	CLAIM(one_owner, "an ASID has one guest, a guest one ASID"),
	CLAIM(reuse_after_flush, "an ASID is only used again after DF_FLUSH"),
	CLAIM(kvm_recycles, "KVM flushes and uses ASIDs again, and leaves no guest behind"),
	CLAIM(kvm_holds_no_other_file, "a VM given a file of its own for the SEV device goes, too"),
	CLAIM(kvm_runs_out, "KVM has as many encrypted VMs as there are ASIDs"),
};

CLAIMS_MAIN(claims);
