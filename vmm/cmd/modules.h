/* SPDX-License-Identifier: MIT */
/* The KVM modules that this host has loaded or installed, according to files. */
#ifndef VMM_CMD_MODULES_H
#define VMM_CMD_MODULES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The version of the loaded kvm.ko; empty if it has none, like the kernel's own, or none is loaded.
 */
void modules_version(char *version, size_t size);

/* Is there a kvm.ko of gmem-dkms for this kernel, which modprobe(8) takes first? */
bool modules_installed(void);

/* Does the kernel refuse modules without a signature that it can check? */
bool modules_must_be_signed(void);

#endif /* VMM_CMD_MODULES_H */
