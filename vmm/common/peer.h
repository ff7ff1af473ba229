/* SPDX-License-Identifier: MIT */
/* Another process, at the other end of a socket. */
#ifndef VMM_COMMON_PEER_H
#define VMM_COMMON_PEER_H

/* What a person can do about this failure to connect or to talk to it; or NULL. */
const char *peer_todo(int error);

#endif /* VMM_COMMON_PEER_H */
