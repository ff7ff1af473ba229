/* SPDX-License-Identifier: MIT */
/* What this host has of KVM's modules, loaded or installed, as files tell. */
#ifndef VMM_CMD_MODULES_H
#define VMM_CMD_MODULES_H

#include <stdbool.h>
#include <stddef.h>

/* Of the kvm.ko that is loaded; empty where it tells none, as the kernel's own, or none is. */
void modules_version(char *version, size_t size);

/* Is there a kvm.ko of gmem-dkms for this kernel, which modprobe(8) takes first? */
bool modules_installed(void);

/* Does the kernel refuse modules without a signature that it can check? */
bool modules_must_be_signed(void);

#endif /* VMM_CMD_MODULES_H */
