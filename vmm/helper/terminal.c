// SPDX-License-Identifier: MIT
/*
 * The terminal that the VMM was started at, whose keys are its guest's: a VMM that is killed can't
 * give it back as it was. Another VMM reads no keys there.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/raw-mode.h"
#include "helper/terminal.h"

void kept_terminal_find(struct kept_terminal *kept)
{
	kept->fd = -1;
	if (isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &kept->before))
		kept->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static void vmm_ended(struct event *event, uint32_t ready)
{
	(void)ready;
	kept_terminal_close(event->data);
}

int kept_terminal_watch(struct kept_terminal *kept, struct events *events, int vmm)
{
	kept->events = events;
	kept->vmm = (struct event){ .fd = -1, .ready = vmm_ended, .data = kept };
	if (kept->fd < 0)
		return 0;
	kept->vmm.fd = fcntl(vmm, F_DUPFD_CLOEXEC, 0);
	return kept->vmm.fd < 0 ? -1 : events_add(events, &kept->vmm, EPOLLIN);
}

void kept_terminal_close(struct kept_terminal *kept)
{
	struct pollfd end = { .fd = kept->vmm.fd, .events = POLLIN };

	if (kept->fd < 0)
		return;
	/* One that ends by itself has done it, and the terminal is a shell's by now. */
	if (poll(&end, 1, 0) > 0)
		raw_mode_undo(kept->fd, &kept->before);
	events_remove(kept->events, &kept->vmm);
	close_fd(&kept->vmm.fd);
	close_fd(&kept->fd);
}
