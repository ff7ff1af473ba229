// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "boot/counting.h"
#include "common/say.h"
#include "common/status.h"
#include "guest/layout.h"
#include "machine/vcpu-thread.h"

/* What the run loop does after an exit was handled. */
enum verdict { GO_ON, ENDED };

static enum verdict exit_io(struct vcpu_thread *thread)
{
	struct kvm_run *run = thread->machine->vcpu.run;
	const char *data = (char *)run + run->io.data_offset;

	if (thread->machine->pc.present) {
		if (!pc_io(&thread->machine->pc, run))
			return GO_ON;
		thread->status = EXIT_DONE;
		say("the guest reset itself");
		return ENDED;
	}
	if (run->io.direction == KVM_EXIT_IO_OUT &&
	    run->io.port == GUEST_PORT_CONSOLE) {
		console_write(&thread->machine->console, data,
			      (size_t)run->io.size * run->io.count);
		return GO_ON;
	}
	if (run->io.direction == KVM_EXIT_IO_OUT &&
	    run->io.port == GUEST_PORT_END) {
		thread->status = *data ? EXIT_GUEST : EXIT_DONE;
		say("the guest ended with status %d", *data);
		return ENDED;
	}
	say("the guest used port 0x%x, where there is no device", run->io.port);
	return ENDED;
}

static enum verdict exit_mmio(struct vcpu_thread *thread)
{
	struct kvm_run *run = thread->machine->vcpu.run;

	if (thread->machine->pc.present) {
		pc_mmio(run);
		return GO_ON;
	}
	say("the guest used address 0x%" PRIx64 ", where there is nothing",
	    (uint64_t)run->mmio.phys_addr);
	return ENDED;
}

static enum verdict exit_shutdown(struct vcpu_thread *thread)
{
	(void)thread;
	say("the guest shut down: an exception that it did not handle");
	return ENDED;
}

static enum verdict exit_memory_fault(struct vcpu_thread *thread)
{
	struct kvm_gmem_memory_fault fault;

	memcpy(&fault, &thread->machine->vcpu.run->hw, sizeof(fault));
	if (thread->error == -EHWPOISON) {
		say("the memory at 0x%" PRIx64 " has an error, or could not be given",
		    (uint64_t)fault.gpa);
		return ENDED;
	}
	say("the guest touched 0x%" PRIx64 " as %s memory, which it is not",
	    (uint64_t)fault.gpa,
	    fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ? "private" : "shared");
	return ENDED;
}

static const struct {
	uint32_t reason;
	enum verdict (*handle)(struct vcpu_thread *thread);
} exits[] = {
	{ KVM_EXIT_IO, exit_io },
	{ KVM_EXIT_MMIO, exit_mmio },
	{ KVM_EXIT_SHUTDOWN, exit_shutdown },
	{ KVM_EXIT_MEMORY_FAULT, exit_memory_fault },
};

static enum verdict handle_exit(struct vcpu_thread *thread)
{
	uint32_t reason = thread->machine->vcpu.run->exit_reason;
	size_t i;

	for (i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (exits[i].reason == reason)
			return exits[i].handle(thread);
	say("the guest left for a reason that is not known here: %u", reason);
	return ENDED;
}

static void tell(int eventfd, const char *what)
{
	uint64_t one = 1;

	if (write(eventfd, &one, sizeof(one)) != sizeof(one))
		say("%s could not be told", what);
}

static void end(struct vcpu_thread *thread)
{
	thread->ended = true;
	tell(thread->ended_fd, "the end of the guest");
}

/* The next KVM_RUN completes the exit, and then the thread ends. */
static void stand_still(struct vcpu_thread *thread)
{
	struct console *console = &thread->machine->console;

	console->awaited = NULL;
	console->came = false;
	gmem_vcpu_set_immediate_exit(&thread->machine->vcpu, 1);
	tell(thread->still_fd, "the awaited line");
}

static void *run_loop(void *data)
{
	struct vcpu_thread *thread = data;
	struct gmem_vcpu *vcpu = &thread->machine->vcpu;
	bool first = true;
	int ret;

	while (sem_wait(&thread->gate))
		;	/* a signal, which says nothing yet */
	if (thread->dismissed)
		return NULL;
	report("running", "count=%" PRIu64, machine_count(thread->machine));
	for (;;) {
		ret = gmem_vcpu_run(vcpu);
		thread->left_ns = now_ns();
		thread->error = ret;
		if (ret == -EINTR) {
			if (vcpu->run->immediate_exit)
				return NULL;
			continue;
		}
		if (ret < 0 &&
		    vcpu->run->exit_reason != KVM_EXIT_MEMORY_FAULT) {
			say_failed(ret, "running the guest");
			break;
		}
		if (first)
			report("first-exit", "left=%" PRIu64, thread->left_ns);
		first = false;
		if (handle_exit(thread) == ENDED)
			break;
		if (thread->machine->console.came)
			stand_still(thread);
	}
	end(thread);
	return NULL;
}

/* Its delivery is all that is wanted of the signal: it ends KVM_RUN. */
static void kicked(int signal)
{
	(void)signal;
}

int vcpu_thread_init(struct vcpu_thread *thread, struct machine *machine)
{
	struct sigaction action = { .sa_handler = kicked };

	*thread = (struct vcpu_thread){
		.machine = machine, .status = EXIT_FAILED,
	};
	sigaction(SIGUSR1, &action, NULL);
	thread->ended_fd = eventfd(0, EFD_CLOEXEC);
	thread->still_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->ended_fd >= 0 && thread->still_fd >= 0)
		return 0;
	vcpu_thread_close(thread);
	return -EMFILE;
}

int vcpu_thread_park(struct vcpu_thread *thread)
{
	int ret;

	gmem_vcpu_set_immediate_exit(&thread->machine->vcpu, 0);
	console_set_stopped(&thread->machine->console, false);
	sem_init(&thread->gate, 0, 0);
	thread->dismissed = true;
	ret = pthread_create(&thread->pthread, NULL, run_loop, thread);
	thread->going = !ret;
	return -ret;
}

void vcpu_thread_release(struct vcpu_thread *thread)
{
	thread->dismissed = false;
	sem_post(&thread->gate);
}

int vcpu_thread_go(struct vcpu_thread *thread)
{
	int ret = vcpu_thread_park(thread);

	if (!ret)
		vcpu_thread_release(thread);
	return ret;
}

/*
 * immediate_exit first: a signal that comes before KVM_RUN is entered would
 * be lost without it.
 */
void vcpu_thread_stop(struct vcpu_thread *thread)
{
	if (!thread->going)
		return;
	gmem_vcpu_set_immediate_exit(&thread->machine->vcpu, 1);
	console_set_stopped(&thread->machine->console, true);
	pthread_kill(thread->pthread, SIGUSR1);
	sem_post(&thread->gate);
	pthread_join(thread->pthread, NULL);
	sem_destroy(&thread->gate);
	thread->going = false;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vcpu_thread_close(struct vcpu_thread *thread)
{
	vcpu_thread_stop(thread);
	close_fd(&thread->ended_fd);
	close_fd(&thread->still_fd);
}
