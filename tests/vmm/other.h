/* SPDX-License-Identifier: MIT */
/*
 * The other end of a handover, played by a process of the test: it follows the protocol up to a
 * point, and then does something else.
 */
#ifndef TESTS_VMM_OTHER_H
#define TESTS_VMM_OTHER_H

#include <sys/types.h>

#include <gmem.h>

/* What it does when it has come to its point. */
enum other_end {
	DIES,
	CLOSES_AND_LIVES,
	SAYS_NOTHING,
	SAYS_ABORT,
	SAYS_NONSENSE,
};

/*
 * A destination that takes over from @path, sending and receiving up to and
 * including @last. Returns when it has done that, with its process.
 */
pid_t other_destination(const char *path, enum gmem_message_kind last,
			enum other_end end);

/*
 * A source that listens at @path, with a guest of 2 MiB that has not run yet,
 * and @last as above. Returns when it listens.
 */
pid_t other_source(const char *path, enum gmem_message_kind last,
		   enum other_end end);

/*
 * Likewise, but the process that listens is another than the one that accepts and has
 * the guest, and ends when that has come to @end. Returns the latter.
 */
pid_t supervised_source(const char *path, enum gmem_message_kind last,
			enum other_end end);

/* End the process, if it has not ended, and wait for it. */
void other_gone(pid_t other);

/* Connect, send @size bytes, and close. */
void send_bytes(const char *path, const void *bytes, size_t size);

#endif /* TESTS_VMM_OTHER_H */
