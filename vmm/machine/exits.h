/* SPDX-License-Identifier: MIT */
/* Handles the reasons for which a vCPU leaves the guest. */
#ifndef VMM_MACHINE_EXITS_H
#define VMM_MACHINE_EXITS_H

#include "machine/machine.h"

/* STAND_STILL: the exit completed the line that is waited for. */
enum verdict { GO_ON, STAND_STILL, ENDED };

/*
 * Handle the exit in @vcpu's run page. @error: the result of gmem_vcpu_run(). ENDED: the guest has
 * ended with the exit status @status. Called by the vCPU's thread; exits of several vCPUs are
 * handled at the same time.
 */
enum verdict exit_handle(struct machine *machine, struct gmem_vcpu *vcpu, int error,
			 int *status);

#endif /* VMM_MACHINE_EXITS_H */
