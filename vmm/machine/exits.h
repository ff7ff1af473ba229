/* SPDX-License-Identifier: MIT */
/* Why a vCPU left the guest, and what is done about it. */
#ifndef VMM_MACHINE_EXITS_H
#define VMM_MACHINE_EXITS_H

#include "machine/machine.h"

/* STAND_STILL: the exit completed the line that is waited for. */
enum verdict { GO_ON, STAND_STILL, ENDED };

/*
 * Handle the exit that @vcpu's run page tells. @error: what gmem_vcpu_run() returned.
 * ENDED: the guest has ended with the exit status @status. Called by the vCPU's
 * thread; exits of several vCPUs are handled at the same time.
 */
enum verdict exit_handle(struct machine *machine, struct gmem_vcpu *vcpu, int error,
			 int *status);

#endif /* VMM_MACHINE_EXITS_H */
