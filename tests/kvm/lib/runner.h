/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A runner: a thread that runs a vCPU, and can be told to stop wherever the
 * guest is: in its code, in HLT, or waiting for SIPI.
 */
#ifndef GMEM_TESTS_RUNNER_H
#define GMEM_TESTS_RUNNER_H

#include <pthread.h>
#include <stdbool.h>

#include "asleep.h"
#include "kvm_util.h"
#include "processor.h"

/**
 * struct runner - see above
 * @vcpu: what it runs
 * @thread: its thread
 * @err: 0, or why KVM_RUN failed
 * @stop: it was told to stop
 * @ended: the guest left to userspace, or KVM_RUN failed
 */
struct runner {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	int err;
	bool stop;
	bool ended;
};

void runner_start(struct runner *r, struct kvm_vcpu *vcpu);

/* Waits, long, until the thread sleeps in @function of the kernel: see asleep.h. */
void runner_sleeps(struct runner *r, const char *function);

/*
 * Stops the thread. Returns whether the guest had left to userspace by itself;
 * that KVM_RUN failed is a failure of the test.
 */
bool runner_stop(struct runner *r);

/* Waits until the guest leaves to userspace. */
void runner_wait(struct runner *r);

/* Runs @vcpu for some time, or until it leaves to userspace: whether it did. */
bool run_for(struct kvm_vcpu *vcpu, unsigned int ms);

/*
 * Runs @vcpu until it leaves to userspace by a ucall, and returns it; a failed
 * assertion of the guest is a failure of the test.
 */
uint64_t run_to_ucall(struct kvm_vcpu *vcpu, struct ucall *uc);

/* Runs it until GUEST_SYNC(@value), or GUEST_DONE(). */
void run_to_sync(struct kvm_vcpu *vcpu, uint64_t value);
void run_to_done(struct kvm_vcpu *vcpu);

/* Waits, long, until a counter of the guest, as the host sees it, is @value or more. */
void wait_for(const volatile uint64_t *counter, uint64_t value);

/* Where the host sees a global variable of the guest's, in all VMs on its memory. */
#define GUEST_VARIABLE(vm, variable)						\
	((typeof(variable) *)addr_gva2hva(vm, (vm_vaddr_t)&(variable)))

#endif /* GMEM_TESTS_RUNNER_H */
