// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "boot/counting.h"
#include "common/descriptors.h"
#include "common/say.h"
#include "common/status.h"
#include "devices/terminal.h"
#include "machine/exits.h"
#include "machine/vcpus.h"

#define MOVED_WAIT	30000000000ULL	/* ns */

static void tell(int eventfd, const char *what)
{
	uint64_t one = 1;

	if (write(eventfd, &one, sizeof(one)) != sizeof(one))
		say("%s could not be told", what);
}

/* The first vCPU that ends determines the result; the loop stops the others. */
static void end(struct vcpus *vcpus, int status)
{
	if (__atomic_exchange_n(&vcpus->ended, true, __ATOMIC_SEQ_CST))
		return;
	vcpus->status = status;
	tell(vcpus->ended_fd, "the end of the guest");
}

/* The next KVM_RUN completes the exit, and then the thread ends. */
static void stand_still(struct vcpu_thread *thread)
{
	gmem_vcpu_set_immediate_exit(thread->vcpu, 1);
	tell(thread->vcpus->still_fd, "the awaited line");
}

static int run_once(struct vcpu_thread *thread)
{
	int ret = gmem_vcpu_run(thread->vcpu);

	__atomic_store_n(&thread->vcpus->left_ns, now_ns(), __ATOMIC_RELAXED);
	return ret;
}

/*
 * Nobody can take back a guest that has come by a move. If its first KVM_RUN fails for lack of
 * memory, try again later.
 */
static bool is_tried_again(const struct vcpu_thread *thread, int error, uint64_t began)
{
	const struct timespec while_others_free = { .tv_nsec = 10000000 };

	if (error != -ENOMEM || !thread->vcpus->moved || now_ns() - began > MOVED_WAIT)
		return false;
	nanosleep(&while_others_free, NULL);
	return true;
}

static void *run_loop(void *data)
{
	struct vcpu_thread *thread = data;
	struct vcpus *vcpus = thread->vcpus;
	struct kvm_run *run = thread->vcpu->run;
	bool first = !thread->vcpu->id, fresh = true;
	uint64_t began;
	int status = EXIT_FAILED;
	enum verdict verdict;
	int ret;

	while (sem_wait(&vcpus->gate))
		;	/* a signal, which means nothing yet */
	if (vcpus->dismissed)
		return NULL;
	if (!__atomic_load_n(&vcpus->entered_ns, __ATOMIC_RELAXED))
		__atomic_store_n(&vcpus->entered_ns, now_ns(), __ATOMIC_RELAXED);
	began = now_ns();
	if (first)
		report("running", "count=%" PRIu64, machine_count(vcpus->machine));
	for (;;) {
		ret = run_once(thread);
		if (fresh && is_tried_again(thread, ret, began))
			ret = -EINTR;
		if (ret == -EINTR) {
			if (run->immediate_exit)
				return NULL;
			continue;
		}
		/* The thread waited for its first start, and may have been started. */
		if (ret == -EAGAIN)
			continue;
		fresh = false;
		if (ret < 0 && run->exit_reason != KVM_EXIT_MEMORY_FAULT) {
			say_failed(ret, "running the guest");
			break;
		}
		if (first)
			report("first-exit", "left=%" PRIu64, vcpus->left_ns);
		first = false;
		verdict = exit_handle(vcpus->machine, thread->vcpu, ret, &status);
		if (verdict == ENDED)
			break;
		if (verdict == STAND_STILL)
			stand_still(thread);
	}
	end(vcpus, status);
	return NULL;
}

void vcpus_answer(struct vcpus *vcpus, unsigned int i)
{
	struct gmem_vcpu *vcpu = &vcpus->machine->vcpus[i];
	uint32_t reason = vcpu->run->exit_reason;
	int status = EXIT_FAILED;
	enum verdict verdict;

	/* After any other exit, the guest executes the instruction again. */
	if (reason != KVM_EXIT_IO && reason != KVM_EXIT_MMIO && reason != KVM_EXIT_SHUTDOWN)
		return;
	verdict = exit_handle(vcpus->machine, vcpu, 0, &status);
	if (verdict == ENDED)
		end(vcpus, status);
	else if (verdict == STAND_STILL)
		tell(vcpus->still_fd, "the awaited line");
}

/* The signal only has to be delivered: that ends KVM_RUN. */
static void kicked(int signal)
{
	(void)signal;
}

int vcpus_init(struct vcpus *vcpus, struct machine *machine)
{
	struct sigaction action = { .sa_handler = kicked };

	*vcpus = (struct vcpus){
		.machine = machine, .status = EXIT_FAILED,
	};
	sigaction(SIGUSR1, &action, NULL);
	vcpus->ended_fd = eventfd(0, EFD_CLOEXEC);
	vcpus->still_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vcpus->ended_fd >= 0 && vcpus->still_fd >= 0)
		return 0;
	vcpus_close(vcpus);
	return -EMFILE;
}

static int start_thread(struct vcpus *vcpus, unsigned int i)
{
	struct vcpu_thread *thread = &vcpus->threads[i];

	thread->vcpus = vcpus;
	thread->vcpu = &vcpus->machine->vcpus[i];
	gmem_vcpu_set_immediate_exit(thread->vcpu, 0);
	return -pthread_create(&thread->pthread, NULL, run_loop, thread);
}

int vcpus_park(struct vcpus *vcpus)
{
	int ret = 0;

	sem_init(&vcpus->gate, 0, 0);
	vcpus->dismissed = true;
	while (!ret && vcpus->going < vcpus->machine->nr_vcpus) {
		ret = start_thread(vcpus, vcpus->going);
		vcpus->going += !ret;
	}
	if (ret)
		vcpus_stop(vcpus);
	return ret;
}

static void open_gate(struct vcpus *vcpus)
{
	unsigned int i;

	for (i = 0; i < vcpus->going; i++)
		sem_post(&vcpus->gate);
}

void vcpus_release(struct vcpus *vcpus)
{
	vcpus->dismissed = false;
	open_gate(vcpus);
}

int vcpus_go(struct vcpus *vcpus)
{
	int ret = vcpus_park(vcpus);

	if (!ret)
		vcpus_release(vcpus);
	return ret;
}

int vcpus_go_on(struct vcpus *vcpus)
{
	return vcpus->paused || vcpus->going ? 0 : vcpus_go(vcpus);
}

/*
 * Set immediate_exit first: otherwise a signal that comes before KVM_RUN is entered would be lost.
 */
void vcpus_stop(struct vcpus *vcpus)
{
	unsigned int i;

	if (!vcpus->going)
		return;
	for (i = 0; i < vcpus->going; i++) {
		gmem_vcpu_set_immediate_exit(vcpus->threads[i].vcpu, 1);
		pthread_kill(vcpus->threads[i].pthread, SIGUSR1);
	}
	open_gate(vcpus);
	for (i = 0; i < vcpus->going; i++)
		pthread_join(vcpus->threads[i].pthread, NULL);
	sem_destroy(&vcpus->gate);
	vcpus->going = 0;
	/* The process that goes on with the guest may print next, and may kill this one. */
	if (vcpus->machine->console.terminal)
		terminal_flush(vcpus->machine->console.terminal);
}

bool vcpus_stand_still(const struct vcpus *vcpus)
{
	struct pollfd told = { .fd = vcpus->still_fd, .events = POLLIN };

	return poll(&told, 1, 0) > 0;
}

void vcpus_close(struct vcpus *vcpus)
{
	vcpus_stop(vcpus);
	close_fd(&vcpus->ended_fd);
	close_fd(&vcpus->still_fd);
}
