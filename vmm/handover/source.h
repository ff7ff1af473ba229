/* SPDX-License-Identifier: MIT */
/* The source's side of a handover: a running guest that may be taken over. */
#ifndef VMM_HANDOVER_SOURCE_H
#define VMM_HANDOVER_SOURCE_H

#include "machine/vcpus.h"

/* The owner of the guest after a handover was tried. */
enum guest_owner { OURS, THEIRS };

/* Make the socket; says why if that fails. @path NULL gives -1. 0 or -errno. */
int source_listen(const char *path, int *listener);

/* Close the socket, and remove it; @path NULL: the helper does that. */
void source_unlisten(int listener, const char *path);

/*
 * Accept a connection on @listener and hand the guest over to that process. If
 * that fails, the guest goes on here.
 */
enum guest_owner source_serve(struct vcpus *vcpus, int listener);

#endif /* VMM_HANDOVER_SOURCE_H */
