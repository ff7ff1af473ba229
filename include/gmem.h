/* SPDX-License-Identifier: MIT */
/*
 * libgmem: guest memory that outlives its VMM, for VMM authors.
 *
 * A thin C API over KVM's ioctls for guest memory and for what goes along with
 * it when a guest changes its VMM process. The library has no state, no
 * threads and no locks of its own, never prints and never exits.
 *
 * Conventions, for every function below unless it says otherwise:
 *  - It returns a file descriptor, a count, or 0; or a negative errno.
 *  - Addresses, offsets and sizes are in bytes, times in milliseconds.
 *  - The caller must close file descriptors that it returns. They are O_CLOEXEC.
 *  - Functions that take a VM or a vCPU must be called by the process that
 *    created the VM: KVM ties a VM to its creator and says EIO to others.
 *  - Different threads may use different objects at the same time, but only one
 *    thread may use an object at a time. gmem_vcpu_set_immediate_exit() is the
 *    only exception.
 */
#ifndef GMEM_H
#define GMEM_H

#include <gmem/kvm.h>
#include <gmem/memory.h>
#include <gmem/pager.h>
#include <gmem/state.h>
#include <gmem/handover.h>
#include <gmem/protocol.h>
#include <gmem/version.h>

#endif /* GMEM_H */
