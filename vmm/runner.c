// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "commands.h"
#include "guest/layout.h"
#include "runner.h"
#include "say.h"

/* What the run loop does after an exit was handled. */
enum verdict { GO_ON, ENDED };

static enum verdict exit_io(struct runner *runner)
{
	struct kvm_run *run = runner->machine->vcpu.run;
	const char *data = (char *)run + run->io.data_offset;

	if (runner->machine->pc.present) {
		if (!pc_io(&runner->machine->pc, run))
			return GO_ON;
		runner->status = EXIT_DONE;
		say("the guest reset itself");
		return ENDED;
	}
	if (run->io.direction == KVM_EXIT_IO_OUT &&
	    run->io.port == GUEST_PORT_CONSOLE) {
		console_write(&runner->machine->console, data,
			      (size_t)run->io.size * run->io.count);
		return GO_ON;
	}
	if (run->io.direction == KVM_EXIT_IO_OUT &&
	    run->io.port == GUEST_PORT_END) {
		runner->status = *data ? EXIT_GUEST : EXIT_DONE;
		say("the guest ended with status %d", *data);
		return ENDED;
	}
	say("the guest used port 0x%x, where there is no device", run->io.port);
	return ENDED;
}

static enum verdict exit_mmio(struct runner *runner)
{
	struct kvm_run *run = runner->machine->vcpu.run;

	if (runner->machine->pc.present) {
		pc_mmio(run);
		return GO_ON;
	}
	say("the guest used address 0x%" PRIx64 ", where there is nothing",
	    (uint64_t)run->mmio.phys_addr);
	return ENDED;
}

static enum verdict exit_shutdown(struct runner *runner)
{
	(void)runner;
	say("the guest shut down: an exception that it did not handle");
	return ENDED;
}

static enum verdict exit_memory_fault(struct runner *runner)
{
	struct kvm_gmem_memory_fault fault;

	memcpy(&fault, &runner->machine->vcpu.run->hw, sizeof(fault));
	if (runner->error == -EHWPOISON) {
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
	enum verdict (*handle)(struct runner *runner);
} exits[] = {
	{ KVM_EXIT_IO, exit_io },
	{ KVM_EXIT_MMIO, exit_mmio },
	{ KVM_EXIT_SHUTDOWN, exit_shutdown },
	{ KVM_EXIT_MEMORY_FAULT, exit_memory_fault },
};

static enum verdict handle_exit(struct runner *runner)
{
	uint32_t reason = runner->machine->vcpu.run->exit_reason;
	size_t i;

	for (i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (exits[i].reason == reason)
			return exits[i].handle(runner);
	say("the guest left for a reason that is not known here: %u", reason);
	return ENDED;
}

static void tell(int eventfd, const char *what)
{
	uint64_t one = 1;

	if (write(eventfd, &one, sizeof(one)) != sizeof(one))
		say("%s could not be told", what);
}

static void end(struct runner *runner)
{
	runner->ended = true;
	tell(runner->ended_fd, "the end of the guest");
}

/* The next KVM_RUN completes the exit, and then the thread ends. */
static void stand_still(struct runner *runner)
{
	struct console *console = &runner->machine->console;

	console->awaited = NULL;
	console->came = false;
	gmem_vcpu_set_immediate_exit(&runner->machine->vcpu, 1);
	tell(runner->still_fd, "the awaited line");
}

static void *run_loop(void *data)
{
	struct runner *runner = data;
	struct gmem_vcpu *vcpu = &runner->machine->vcpu;
	bool first = true;
	int ret;

	while (sem_wait(&runner->gate))
		;	/* a signal, which says nothing yet */
	if (runner->dismissed)
		return NULL;
	report("running", "count=%" PRIu64, machine_count(runner->machine));
	for (;;) {
		ret = gmem_vcpu_run(vcpu);
		runner->left_ns = now_ns();
		runner->error = ret;
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
			report("first-exit", "left=%" PRIu64, runner->left_ns);
		first = false;
		if (handle_exit(runner) == ENDED)
			break;
		if (runner->machine->console.came)
			stand_still(runner);
	}
	end(runner);
	return NULL;
}

/* Its delivery is all that is wanted of the signal: it ends KVM_RUN. */
static void kicked(int signal)
{
	(void)signal;
}

int runner_init(struct runner *runner, struct machine *machine)
{
	struct sigaction action = { .sa_handler = kicked };

	*runner = (struct runner){
		.machine = machine, .status = EXIT_FAILED,
	};
	sigaction(SIGUSR1, &action, NULL);
	runner->ended_fd = eventfd(0, EFD_CLOEXEC);
	runner->still_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (runner->ended_fd >= 0 && runner->still_fd >= 0)
		return 0;
	runner_close(runner);
	return -EMFILE;
}

int runner_park(struct runner *runner)
{
	int ret;

	gmem_vcpu_set_immediate_exit(&runner->machine->vcpu, 0);
	console_set_stopped(&runner->machine->console, false);
	sem_init(&runner->gate, 0, 0);
	runner->dismissed = true;
	ret = pthread_create(&runner->thread, NULL, run_loop, runner);
	runner->going = !ret;
	return -ret;
}

void runner_release(struct runner *runner)
{
	runner->dismissed = false;
	sem_post(&runner->gate);
}

int runner_go(struct runner *runner)
{
	int ret = runner_park(runner);

	if (!ret)
		runner_release(runner);
	return ret;
}

/*
 * immediate_exit first: a signal that comes before KVM_RUN is entered would
 * be lost without it.
 */
void runner_stop(struct runner *runner)
{
	if (!runner->going)
		return;
	gmem_vcpu_set_immediate_exit(&runner->machine->vcpu, 1);
	console_set_stopped(&runner->machine->console, true);
	pthread_kill(runner->thread, SIGUSR1);
	sem_post(&runner->gate);
	pthread_join(runner->thread, NULL);
	sem_destroy(&runner->gate);
	runner->going = false;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void runner_close(struct runner *runner)
{
	runner_stop(runner);
	close_fd(&runner->ended_fd);
	close_fd(&runner->still_fd);
}
