/* SPDX-License-Identifier: MIT */
/* The messages between 'gmem upgrade' and a VM, and the arguments of a new VMM. */
#ifndef VMM_UPGRADE_WIRE_H
#define VMM_UPGRADE_WIRE_H

/* A packet with the program's descriptor. Answers are JSON objects, one in each packet. */
#define UPGRADE_REQUEST	"gmem upgrade 1"

/* A packet: from here on, the guest must end if its VMM ends. */
#define UPGRADE_END	"gmem end 1"

/* The number of the handover's socket, in 'gmem incoming --handover 3'. */
#define UPGRADE_FD	3

#endif /* VMM_UPGRADE_WIRE_H */
