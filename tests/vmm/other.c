// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "boot/counting.h"
#include "handover/transfer.h"
#include "machine/machine.h"
#include "other.h"

#define LATE	30000	/* ms */

/* The dialogue, and who says what. */
static const struct {
	enum gmem_message_kind kind;
	bool by_destination;
} dialogue[] = {
	{ GMEM_MESSAGE_REQUEST, true },
	{ GMEM_MESSAGE_MEMORY, false },
	{ GMEM_MESSAGE_LINKED, true },
	{ GMEM_MESSAGE_STATE, false },
	{ GMEM_MESSAGE_COMMIT, true },
	{ GMEM_MESSAGE_GIVEN, false },
	{ GMEM_MESSAGE_RUNNING, true },
};

#define STEPS	(sizeof(dialogue) / sizeof(dialogue[0]))

static bool say_kind(int socket, struct machine *machine,
		     enum gmem_message_kind kind)
{
	struct gmem_message message = { .kind = kind };
	struct gmem_vcpu_state vcpu = { 0 };
	struct gmem_slot slots[MACHINE_SLOTS];
	ssize_t ret;

	if (kind == GMEM_MESSAGE_MEMORY)
		machine_to_memory(machine, &message, slots);
	if (kind == GMEM_MESSAGE_STATE &&
	    machine_to_state(machine, &message, &vcpu))
		return false;
	ret = gmem_send(socket, &message, LATE);
	gmem_vcpu_state_free(&vcpu);
	return ret > 0;
}

static bool hear_kind(int socket, enum gmem_message_kind kind)
{
	struct gmem_message message;
	ssize_t ret = gmem_receive(socket, &message, LATE);
	bool right = ret > 0 && message.kind == kind;

	if (ret > 0)
		gmem_message_free(&message);
	return right;
}

static bool play(int socket, struct machine *machine,
		 enum gmem_message_kind last)
{
	bool destination = !machine;
	size_t i;

	for (i = 0; i < STEPS && last; i++) {
		enum gmem_message_kind kind = dialogue[i].kind;

		if (dialogue[i].by_destination == destination ?
		    !say_kind(socket, machine, kind) :
		    !hear_kind(socket, kind))
			return false;
		if (kind == last)
			break;
	}
	return true;
}

/* Never returns. @ready is closed when the point has been reached. */
static void end_as(int socket, enum other_end end, int ready)
{
	struct gmem_message abort = {
		.kind = GMEM_MESSAGE_ABORT, .error = ENOMEM,
		.text = "\033[31mI have\nchanged my mind",
	};

	if (end == DIES)
		_exit(0);
	if (end == CLOSES_AND_LIVES)
		close(socket);
	if (end == SAYS_ABORT)
		gmem_send(socket, &abort, LATE);
	if (end == SAYS_NONSENSE)
		send(socket, "to be or not to be, that is", 27, MSG_NOSIGNAL);
	if (ready >= 0)
		close(ready);
	for (;;)
		pause();
}

/* A process that writes nothing to @ready but closes it, by dying at least. */
static pid_t start_other(int *ready)
{
	int ends[2];
	pid_t other;

	assert_int_equal(pipe(ends), 0);
	other = fork();
	assert_true(other >= 0);
	if (other) {
		close(ends[1]);
		*ready = ends[0];
		return other;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ends[0]);
	*ready = ends[1];
	return 0;
}

static void wait_ready(int ready, bool expect_byte)
{
	char byte;

	assert_int_equal(read(ready, &byte, 1), expect_byte);
	close(ready);
}

pid_t other_destination(const char *path, enum gmem_message_kind last,
			enum other_end end)
{
	int socket, ready;
	pid_t other = start_other(&ready);

	if (other) {
		wait_ready(ready, true);
		return other;
	}
	socket = gmem_connect(path);
	if (socket < 0 || !play(socket, NULL, last))
		_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	end_as(socket, end, ready);
	_exit(1);
}

pid_t other_source(const char *path, enum gmem_message_kind last,
		   enum other_end end)
{
	struct machine machine;
	int listener, socket, ready;
	pid_t other = start_other(&ready);

	if (other) {
		wait_ready(ready, true);
		return other;
	}
	listener = gmem_listen(path);
	if (machine_create(&machine, KVM_X86_SW_PROTECTED_VM) ||
	    machine_boot(&machine, 2 << 20, false) || listener < 0)
		_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	socket = gmem_accept(listener);
	if (socket < 0 || !play(socket, &machine, last))
		_exit(1);
	end_as(socket, end, -1);
	_exit(1);
}

/* Listens, and leaves what comes to another process. */
static void supervise(const char *path, enum gmem_message_kind last, enum other_end end,
		      int told)
{
	struct machine machine;
	int listener = gmem_listen(path);
	int socket, played[2];
	pid_t source;
	char byte;

	if (listener < 0 || pipe(played))
		_exit(1);
	source = fork();
	if (source) {
		close(played[1]);
		/* Gone when the source has said what it had to say. */
		_exit(write(told, &source, sizeof(source)) != sizeof(source) ||
		      read(played[0], &byte, 1) < 0);
	}
	close(played[0]);
	if (machine_create(&machine, KVM_X86_SW_PROTECTED_VM) ||
	    machine_boot(&machine, 2 << 20, false))
		_exit(1);
	socket = gmem_accept(listener);
	if (socket < 0 || !play(socket, &machine, last))
		_exit(1);
	end_as(socket, end, played[1]);
}

pid_t supervised_source(const char *path, enum gmem_message_kind last,
			enum other_end end)
{
	int told[2];
	pid_t supervisor, source;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(told), 0);
	supervisor = fork();
	if (!supervisor)
		supervise(path, last, end, told[1]);
	close(told[1]);
	assert_int_equal(read(told[0], &source, sizeof(source)), sizeof(source));
	close(told[0]);
	return source;
}

void other_gone(pid_t other)
{
	kill(other, SIGKILL);
	assert_int_equal(waitpid(other, NULL, 0), other);
}

void send_bytes(const char *path, const void *bytes, size_t size)
{
	int socket = gmem_connect(path);

	assert_true(socket >= 0);
	/* It may have been closed by then: as good an answer as any. */
	send(socket, bytes, size, MSG_NOSIGNAL);
	close(socket);
}
