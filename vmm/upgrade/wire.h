/* SPDX-License-Identifier: MIT */
/* What 'gmem upgrade' and a VM say to each other, and what a new VMM is started with. */
#ifndef VMM_UPGRADE_WIRE_H
#define VMM_UPGRADE_WIRE_H

/* A packet, with a descriptor: the program. Answers are JSON objects, a packet each. */
#define UPGRADE_REQUEST	"gmem upgrade 1"

/* A packet: whatever becomes of the VMM from here on, its guest is to end with it. */
#define UPGRADE_END	"gmem end 1"

/* Of a handover's socket, in 'gmem incoming --handover 3'. */
#define UPGRADE_FD	3

#endif /* VMM_UPGRADE_WIRE_H */
