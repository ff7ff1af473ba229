/* SPDX-License-Identifier: MIT */
/* The descriptors that the helper holds for a guest, so that it goes on if its VMM dies. */
#ifndef VMM_UPGRADE_HOLD_H
#define VMM_UPGRADE_HOLD_H

struct upgrade;

/*
 * Give the helper these descriptors, and publish the machine's state from now on, before the VMM
 * gives up its rights. Returns 0, or -errno: then the guest ends with its VMM.
 */
int upgrade_hold(struct upgrade *upgrade);

#endif /* VMM_UPGRADE_HOLD_H */
