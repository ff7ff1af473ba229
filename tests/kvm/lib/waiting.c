// SPDX-License-Identifier: GPL-2.0-only
/* Somebody who waits for a pager: see waiting.h. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "async.h"
#include "claims.h"
#include "mapped.h"
#include "waiting.h"

const char * const waiting_names[WAITING_KINDS] = {
	"guest", "async", "own", "held", "ioctl", "host",
};

static struct waiting *signalled;

static void handle_signal(int sig)
{
	/* Of a host's access nothing returns: that it comes here is its end. */
	if (signalled && signalled->kind == WAITING_HOST) {
		signalled->signal = sig;
		signalled->done = true;
	}
}

static void *do_ioctl(void *arg, int fd, unsigned long request, void *argp)
{
	struct waiting *w = arg;

	w->result = ioctl(fd, request, argp) ? errno : 0;
	w->done = true;
	return NULL;
}

static void guest_reads(uint64_t page)
{
	GUEST_RETURN(*(volatile uint64_t *)page_gva(page));
}

static void *run_vcpu(void *arg)
{
	struct waiting *w = arg;

	return do_ioctl(w, w->m->vcpu->fd, KVM_RUN, NULL);
}

static void begin_run(struct waiting *w, void *fn)
{
	machine_prepare(w->m, fn, WAITING_PAGE, 0, 0);
	pthread_create(&w->thread, NULL, run_vcpu, w);
}

/* In the guest's paging of 32 bits the page at CR3 is read at once. */
static void *set_sregs(void *arg)
{
	struct waiting *w = arg;

	return do_ioctl(w, w->m->vcpu->fd, KVM_SET_SREGS, &w->sregs);
}

static void begin_sregs(struct waiting *w)
{
	vcpu_sregs_get(w->m->vcpu, &w->sregs);
	w->sregs.efer &= ~(EFER_LME | EFER_LMA);
	w->sregs.cs.l = 0;
	w->sregs.cr3 = page_gpa(WAITING_PAGE);
	pthread_create(&w->thread, NULL, set_sregs, w);
}

/* An area of Xen's, in two pages, that KVM writes to. */
static void *set_runstate(void *arg)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
		.u.runstate.state = 0, /* running */
	};
	struct waiting *w = arg;

	return do_ioctl(w, w->m->vcpu->fd, KVM_XEN_VCPU_SET_ATTR, &attr);
}

/* @n pages from WAITING_PAGE on are owed anew, by another pager. */
static void owe_anew(struct waiting *w, uint64_t n, uint64_t flags)
{
	punch_pages(w->m->view, WAITING_PAGE, n);
	close(w->pager);
	w->pager = __pager(w->m->view, WAITING_PAGE, n, KVM_GMEM_PAGER_TAKEOVER | flags);
	TEST_ASSERT(w->pager >= 0, "takeover: errno %d", errno);
}

/*
 * The ioctl has the first page come, and waits for the second when the first is taken away: what
 * was there before the ioctl began is owed when it is needed.
 */
static void begin_xen(struct waiting *w, uint64_t flags)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
		.u.gpa = page_gpa(WAITING_PAGE + 1) - 8,
	};

	TEST_ASSERT_EQ(answer(w->pager, KVM_GMEM_ANSWER_ZERO, WAITING_PAGE, 2, NULL), 0);
	vcpu_ioctl(w->m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
	owe_anew(w, 2, 0);
	expect_event(w->pager, KVM_GMEM_EVENT_REMOVE, WAITING_PAGE, 2);
	pthread_create(&w->thread, NULL, set_runstate, w);
	for (uint64_t page = WAITING_PAGE; page <= WAITING_PAGE + 1; page++) {
		expect_event(w->pager, KVM_GMEM_EVENT_FAULT, page, 1);
		if (page == WAITING_PAGE)
			TEST_ASSERT_EQ(answer(w->pager, KVM_GMEM_ANSWER_ZERO, page, 1, NULL), 0);
	}
	owe_anew(w, 1, flags);
	expect_event(w->pager, KVM_GMEM_EVENT_FAULT, WAITING_PAGE + 1, 1);
	expect_event(w->pager, KVM_GMEM_EVENT_REMOVE, WAITING_PAGE, 1);
	TEST_ASSERT_EQ(answer(w->pager, KVM_GMEM_ANSWER_ZERO, WAITING_PAGE + 1, 1, NULL), 0);
}

static void *read_mapping(void *arg)
{
	struct waiting *w = arg;
	uint64_t value = 0;

	w->result = host_try_load(host_page(w->m, WAITING_PAGE), &value);
	w->value = value;
	/* It may have been done already, if a handler ran before. */
	w->done = true;
	return NULL;
}

/* What a thread finds where its mapping was. */
static void handle_segv(int sig)
{
	signalled->signal = sig;
	signalled->done = true;
	for (;;)
		pause();
}

static void begin_host(struct waiting *w)
{
	signal(SIGSEGV, handle_segv);
	pthread_create(&w->thread, NULL, read_mapping, w);
}

static void make_machine(struct waiting *w, uint64_t flags)
{
	if (w->kind == WAITING_HOST) {
		w->m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGING_PAGES, MMAP_SHARED);
	} else if (w->kind == WAITING_ASYNC) {
		w->m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGING_PAGES);
	} else {
		allow_forced_emulation();
		w->m = private_create(PAGING_PAGES).m;
	}
	w->pager = __pager(w->m->view, 0, PAGING_PAGES, flags);
	TEST_ASSERT(w->pager >= 0, "pager: errno %d", errno);
}

/* A guest's task has no thread of its own: it waits when the modules count it. */
static void fall_asleep(struct waiting *w)
{
	double until = 0;

	while (waiting_count(w) == 0)
		TEST_ASSERT(claim_is_patient(&until), "nobody comes to wait");
	if (w->kind != WAITING_ASYNC)
		wait_asleep(thread_id(w->thread), IN_PAGER_WAIT);
}

void waiting_begin(struct waiting *w, enum waiting_kind kind, uint64_t flags)
{
	struct sigaction action = { .sa_handler = handle_signal };

	*w = (struct waiting){ .kind = kind, .result = -1 };
	signalled = w;
	sigaction(SIGUSR1, &action, NULL);
	make_machine(w, flags);
	switch (kind) {
	case WAITING_GUEST:
		begin_run(w, guest_reads);
		break;
	case WAITING_ASYNC:
		async_start(w->m, &w->r, async_tasks, WAITING_PAGE, 1, 0);
		break;
	case WAITING_OWN:
		begin_run(w, guest_kvm_read);
		break;
	case WAITING_HELD:
		begin_xen(w, flags);
		break;
	case WAITING_IOCTL:
		begin_sregs(w);
		break;
	default:
		begin_host(w);
	}
	waiting_expect_event(w);
	fall_asleep(w);
	TEST_ASSERT(!waiting_has_ended(w), "it does not wait");
}

void waiting_expect_event(struct waiting *w)
{
	expect_event(w->pager, KVM_GMEM_EVENT_FAULT, WAITING_PAGE, 1);
}

bool waiting_has_ended(struct waiting *w)
{
	if (w->stopped)
		return waiting_count(w) == 0;
	/* Its task was all that the guest had to wait for. */
	if (w->kind == WAITING_ASYNC)
		return __atomic_load_n(&w->r.ended, __ATOMIC_ACQUIRE);
	return w->done;
}

static const char *content_of(uint64_t value)
{
	static const uint64_t behind = 0x0101010101010101 * BEHIND;

	return !value ? "zeroes" : value == behind ? "behind" : "other content";
}

static const char *memory_fault(int err, const struct kvm_run *run)
{
	if (run->memory_fault.gpa != page_gpa(WAITING_PAGE))
		return "fault elsewhere";
	return err == EFAULT ? "fault EFAULT" : err == EHWPOISON ? "fault EHWPOISON" : "fault";
}

/* What KVM_RUN said. */
static const char *run_got(struct waiting *w, int err)
{
	const struct kvm_run *run = w->m->vcpu->run;

	if (err && run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		return memory_fault(err, run);
	if (err)
		return strerrorname_np(err);
	if (run->exit_reason == KVM_EXIT_MMIO)
		return run->mmio.phys_addr == page_gpa(WAITING_PAGE) ? "MMIO" : "MMIO elsewhere";
	if (run->exit_reason != KVM_EXIT_IO)
		return exit_reason_str(run->exit_reason);
	/* An asynchronous task has looked at its page itself, and found what ZERO gives. */
	return w->kind == WAITING_ASYNC ? "zeroes" :
		content_of(*GUEST_VARIABLE(w->m->vm, guest_result));
}

static const char *host_got(struct waiting *w)
{
	if (w->result > 0)
		return "SIGBUS";
	if (!w->result)
		return content_of(w->value);
	return w->signal == SIGSEGV ? "SIGSEGV" : "handler";
}

const char *waiting_got(struct waiting *w)
{
	switch (w->kind) {
	case WAITING_GUEST:
	case WAITING_OWN:
		return run_got(w, w->result);
	case WAITING_ASYNC:
		return run_got(w, w->r.err);
	case WAITING_HOST:
		return host_got(w);
	default:
		return w->result ? strerrorname_np(w->result) : "done";
	}
}

unsigned long waiting_looks(struct waiting *w)
{
	if (w->kind == WAITING_ASYNC) {
		/* It is told by an interrupt, which takes a while. */
		usleep(50000);
		return ASYNC(w->m, ready);
	}
	/* One that was woken does not sleep until it has looked. */
	wait_asleep(thread_id(w->thread), IN_PAGER_WAIT);
	return times_slept(thread_id(w->thread));
}

void waiting_signal(struct waiting *w)
{
	pthread_kill(w->kind == WAITING_ASYNC ? w->r.thread : w->thread, SIGUSR1);
}

int waiting_count(struct waiting *w)
{
	char path[64], format[64], line[128];
	int n, count = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->pager);
	snprintf(format, sizeof(format), "gmem-waits-%s:\t%%d", waiting_names[w->kind]);
	f = fopen(path, "r");
	TEST_ASSERT(f, "open %s", path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, format, &n) == 1)
			count = n;
	}
	fclose(f);
	return count;
}
