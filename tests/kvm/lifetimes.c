// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every way to wait for a pager, and everything that may end a wait: a table, as in
 * docs/pager.md. Each cell is a process of its own, with a VM of its own.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "async.h"
#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "kvm_access.h"
#include "sendfd.h"
#include "successor.h"
#include "waiting.h"

#define SOON	0.1	/* seconds, in which what ends a wait has ended it */
#define LONG	20	/* in which a busy machine gets anything done */

/* What becomes of a wait. */
enum fate {
	NO_ROW,		/* forgotten: fails the test */
	ENDS,		/* SOON */
	STAYS,		/* until the answer */
	SLEEPS,		/* likewise, and is not even woken before */
	NEVER,		/* this can't come about */
};

/*
 * What it is, and what becomes of whoever waits: the fate of the wait, and the word for what the
 * access got, after the answer if it was that which ended the wait. "-": nobody is told.
 */
struct end {
	const char *name;
	void (*fn)(struct waiting *w);
	enum fate fates[WAITING_KINDS];
	const char *got[WAITING_KINDS];
};

#define FATES(guest_, async_, own_, held_, ioctl_, host_)			\
	{ [WAITING_GUEST] = guest_, [WAITING_ASYNC] = async_, [WAITING_OWN] = own_,	\
	  [WAITING_HELD] = held_, [WAITING_IOCTL] = ioctl_, [WAITING_HOST] = host_ }
#define GETS(...)	FATES(__VA_ARGS__)

/* An update of memslots that waits for whoever has kvm->srcu. */
static pthread_t updating;

/*
 * What is to be measured begins here, where there is something to prepare before: the time, and
 * how often it has gone to sleep.
 */
static double begun;
static unsigned long looks;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void end_answer(struct waiting *w)
{
	TEST_ASSERT_EQ(answer(w->pager, KVM_GMEM_ANSWER_ZERO, WAITING_PAGE, 1, NULL), 0);
}

static void end_fail(struct waiting *w)
{
	TEST_ASSERT_EQ(answer(w->pager, KVM_GMEM_ANSWER_FAIL, WAITING_PAGE, 1, NULL), 0);
}

static void end_signal(struct waiting *w)
{
	waiting_signal(w);
}

static void end_slot(struct waiting *w)
{
	machine_unbind(w->m);
}

/* Another VM has a view, too: the memory goes on. */
static void end_view(struct waiting *w)
{
	machine_link(w->m->view, PAGING_PAGES);
	begun = now();
	machine_close_view(w->m);
}

static void end_inode(struct waiting *w)
{
	machine_close_view(w->m);
}

/* And with it the view, to which there is nothing else. */
static void end_mapping(struct waiting *w)
{
	machine_close_view(w->m);
	munmap(w->m->host, PAGING_PAGES * PAGE_SIZE);
}

static void end_hole(struct waiting *w)
{
	punch_pages(w->m->view, WAITING_PAGE, 1);
}

/* To what it does not need the pager for; in an inode with attributes, private. */
static void convert_page(struct waiting *w, uint64_t page)
{
	if (w->m->host)
		make_private(w->m->view, page, 1);
	else
		vm_mem_set_shared(w->m->vm, page_gpa(page), PAGE_SIZE);
}

static void end_conversion(struct waiting *w)
{
	convert_page(w, WAITING_PAGE);
}

static void end_detach(struct waiting *w)
{
	struct kvm_gmem_pager_detach args = { .flags = KVM_GMEM_DETACH_FORCE };

	TEST_ASSERT(!ioctl(w->pager, KVM_GMEM_PAGER_DETACH, &args), "detach: errno %d", errno);
}

static void end_death(struct waiting *w)
{
	close(w->pager);
}

static void take_over(struct waiting *w)
{
	w->pager = __pager(w->m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(w->pager >= 0, "takeover: errno %d", errno);
}

static void end_takeover(struct waiting *w)
{
	close(w->pager);
	take_over(w);
	/* It is asked for what the one before was asked for. */
	waiting_expect_event(w);
}

static struct machine *heir_of(struct waiting *w)
{
	struct machine *heir;

	if (w->m->host)
		return mapped_link(KVM_X86_SW_PROTECTED_VM, w->m->view, PAGING_PAGES);

	heir = destination(w->m);
	if (w->kind == WAITING_ASYNC)
		vm_userspace_mem_region_add(heir->vm, VM_MEM_SRC_ANONYMOUS, ASYNC_AREA, ASYNC_SLOT,
					    1, 0);
	return heir;
}

/* Refused where an access can't be unwound, and nothing has changed then. */
static void end_move(struct waiting *w)
{
	struct machine *heir = heir_of(w);
	int r;

	/* Its guest is at work; a move waits for that. */
	if (w->kind == WAITING_ASYNC) {
		TEST_ASSERT(!runner_stop(&w->r), "the guest has left");
		w->stopped = true;
	}
	begun = now();
	r = __move(heir->vm, w->m->vm->fd);
	if (w->kind == WAITING_OWN || w->kind == WAITING_HELD)
		TEST_ASSERT(r == -1 && errno == EBUSY, "the move: %d, errno %d", r, errno);
	else
		TEST_ASSERT(!r, "the move: errno %d", errno);
}

static void guest_nothing(void)
{
	GUEST_SYNC(0);
}

/* KVM gives the VM up, at the hands of another of its vCPUs. */
static void end_vm(struct waiting *w)
{
	struct kvm_vcpu *other = vm_vcpu_add(w->m->vm, 1, guest_nothing);

	begun = now();
	break_vm(other);
}

static void end_unload(struct waiting *w __attribute__((unused)))
{
	TEST_ASSERT(syscall(SYS_delete_module, host_cpu_is_intel ? "kvm_intel" : "kvm_amd",
			    O_NONBLOCK) &&
		    syscall(SYS_delete_module, "kvm", O_NONBLOCK), "a module was unloaded");
}

/* What a page that was answered, that failed, that is in no memslot or view any more comes to. */
#define ANSWERED	"zeroes", "zeroes", "zeroes", "done", "done", "zeroes"
#define FAILED		"fault EHWPOISON", "fault EHWPOISON", "MMIO", "done", "done", "SIGBUS"
#define GONE		"fault EFAULT", "fault EFAULT", "MMIO", "done", "done"

/* ---- what is none of its business */

#define OTHER_PAGE	(WAITING_PAGE + 2)	/* nobody waits for it */
#define OTHER_SLOT	20
#define OTHER_GPA	(1ULL << 36)

static void end_other_answer(struct waiting *w)
{
	TEST_ASSERT_EQ(answer(w->pager, KVM_GMEM_ANSWER_ZERO, OTHER_PAGE, 1, NULL), 0);
}

static void end_other_hole(struct waiting *w)
{
	punch_pages(w->m->view, OTHER_PAGE, 1);
}

static void end_other_conversion(struct waiting *w)
{
	convert_page(w, OTHER_PAGE);
}

static void set_other_slot(struct kvm_vm *vm, uint64_t size)
{
	static uint8_t memory[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

	vm_set_user_memory_region(vm, OTHER_SLOT, 0, OTHER_GPA, size, memory);
}

static void *update_other_slot(void *arg)
{
	set_other_slot(arg, PAGE_SIZE);
	set_other_slot(arg, 0);
	return NULL;
}

/* An update waits for whoever waits with kvm->srcu, who looks whether it is its own that goes. */
static void end_other_slot(struct waiting *w)
{
	if (w->kind == WAITING_HELD) {
		pthread_create(&updating, NULL, update_other_slot, w->m->vm);
		return;
	}
	set_other_slot(w->m->vm, PAGE_SIZE);
	looks = waiting_looks(w);
	set_other_slot(w->m->vm, 0);
}

/* Another VM's, with a binding of the same pages. */
static void end_other_view(struct waiting *w)
{
	struct machine *other = w->m->host ?
		mapped_link(KVM_X86_SW_PROTECTED_VM, w->m->view, PAGING_PAGES) :
		machine_link(w->m->view, PAGING_PAGES);

	if (other->host)
		munmap(other->host, PAGING_PAGES * PAGE_SIZE);
	looks = waiting_looks(w);
	machine_close_view(other);
}

static const struct end ends[] = {
	/*			   guest  async  own    held   ioctl  host */
	{ "answer", end_answer,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  ENDS),
				GETS(ANSWERED) },
	/* KVM_RUN completes the instruction when it is answered, then leaves for the signal. */
	{ "signal", end_signal,
				FATES(ENDS,  STAYS, STAYS, STAYS, ENDS,  ENDS),
				GETS("EINTR", "zeroes", "EINTR", "done", "EINTR", "handler") },
	{ "SIGKILL", NULL,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  ENDS),
				GETS("-", "-", "-", "-", "-", "-") },
	{ "memslot", end_slot,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  STAYS),
				GETS(GONE, "zeroes") },
	/* A mapping keeps its view. */
	{ "view", end_view,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  STAYS),
				GETS(GONE, "zeroes") },
	{ "inode", end_inode,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  STAYS),
				GETS(GONE, "zeroes") },
	{ "mapping", end_mapping,
				FATES(NEVER, NEVER, NEVER, NEVER, NEVER, ENDS),
				GETS("-", "-", "-", "-", "-", "SIGSEGV") },
	{ "hole", end_hole,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  ENDS),
				GETS(ANSWERED) },
	/* This asynchronous guest has no memory at userspace_addr. */
	{ "conversion", end_conversion,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  ENDS),
				GETS("behind", "EFAULT", "behind", "done", "done", "SIGBUS") },
	{ "FAIL", end_fail,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  ENDS),
				GETS(FAILED) },
	{ "DETACH", end_detach,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  ENDS),
				GETS(FAILED) },
	{ "pager's death", end_death,
				FATES(STAYS, STAYS, STAYS, STAYS, STAYS, STAYS),
				GETS(ANSWERED) },
	{ "pager's death with FAIL", end_death,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  ENDS),
				GETS(FAILED) },
	{ "takeover", end_takeover,
				FATES(STAYS, STAYS, STAYS, STAYS, STAYS, STAYS),
				GETS(ANSWERED) },
	/*
	 * The source of one that waits in the guest has to be stopped before. What its
	 * guest's task waits for is answered to a VM that is dead.
	 */
	{ "move", end_move,
				FATES(ENDS,  STAYS, STAYS, STAYS, ENDS,  STAYS),
				GETS("EINTR", "-", "zeroes", "done", "EINTR", "zeroes") },
	{ "VM", end_vm,
				FATES(ENDS,  ENDS,  ENDS,  ENDS,  ENDS,  STAYS),
				GETS("EIO", "EIO", "MMIO", "done", "done", "zeroes") },
	{ "unloading", end_unload,
				FATES(STAYS, STAYS, STAYS, STAYS, STAYS, STAYS),
				GETS(ANSWERED) },
	{ "another's answer", end_other_answer,
				FATES(SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS),
				GETS(ANSWERED) },
	{ "another's hole", end_other_hole,
				FATES(SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS),
				GETS(ANSWERED) },
	{ "another's conversion", end_other_conversion,
				FATES(SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS),
				GETS(ANSWERED) },
	/* KVM's clock wakes a vCPU in the time that the memslot takes to go: run_sleeps(). */
	{ "another memslot", end_other_slot,
				FATES(STAYS, SLEEPS, SLEEPS, STAYS, SLEEPS, SLEEPS),
				GETS(ANSWERED) },
	{ "another view", end_other_view,
				FATES(SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS, SLEEPS),
				GETS(ANSWERED) },
};

/* For at most @seconds. */
static void wait_for_end(struct waiting *w, double seconds)
{
	double from = now();

	while (!waiting_has_ended(w) && now() - from < seconds)
		usleep(500);
}

static void expect_stays(struct waiting *w)
{
	wait_for_end(w, 0.1);
	TEST_ASSERT(!waiting_has_ended(w), "it has ended");
	/* Not for lack of a pager: its answer is still what ends it. */
	if (fcntl(w->pager, F_GETFD) < 0)
		take_over(w);
	TEST_ASSERT(waiting_count(w) == 1 || waiting_count(w) == -1, "%d of its kind wait",
		    waiting_count(w));
	end_answer(w);
	wait_for_end(w, LONG * claim_slowness());
	TEST_ASSERT(waiting_has_ended(w), "it has not ended by the answer");
	if (updating)
		pthread_join(updating, NULL);
}

/* Other processes want the CPU too: what takes long now and then may be that, not each time. */
#define TRIES	10

static void expect_got(struct waiting *w, const char *expected)
{
	const char *got = strcmp(expected, "-") ? waiting_got(w) : expected;

	TEST_ASSERT(got && !strcmp(got, expected), "the access got %s, not %s", got, expected);
}

/*
 * Not even woken: once is enough, as there are other reasons to wake a vCPU. Where the host's TSC
 * is no clock, KVM has each VM's clocks updated 100 ms after a vCPU was loaded.
 */
static void run_sleeps(const struct end *e, enum waiting_kind kind)
{
	for (int i = 0; i < TRIES; i++) {
		struct waiting w;
		bool slept;

		waiting_begin(&w, kind, 0);
		looks = waiting_looks(&w);
		e->fn(&w);
		slept = waiting_looks(&w) == looks;
		expect_stays(&w);
		expect_got(&w, e->got[kind]);
		if (slept)
			return;
	}
	TEST_FAIL("it was woken, %d times", TRIES);
}

static void run_cell(const struct end *e, enum waiting_kind kind)
{
	enum fate fate = e->fates[kind];
	bool fails = strstr(e->name, "FAIL") && e->fn == end_death;
	double took, least = 1e9;

	for (int i = 0; i < TRIES; i++) {
		struct waiting w;

		waiting_begin(&w, kind, fails ? KVM_GMEM_PAGER_FAIL : 0);
		begun = now();
		e->fn(&w);
		if (fate == STAYS)
			expect_stays(&w);
		else
			wait_for_end(&w, LONG * claim_slowness());
		took = now() - begun;
		TEST_ASSERT(waiting_has_ended(&w), "it waits on");
		expect_got(&w, e->got[kind]);
		if (fate == STAYS)
			return;
		least = took < least ? took : least;
		if (least <= SOON * claim_slowness())
			return;
	}
	TEST_FAIL("it took %.0f ms to end at least, %d times", least * 1000, TRIES);
}

/* Of a process: waits, tells the parent of its pager, and is to be killed. */
static void wait_to_be_killed(enum waiting_kind kind, int parent)
{
	struct waiting w;

	waiting_begin(&w, kind, 0);
	send_fds(parent, &w.pager, 1, 0);
	pause();
}

/*
 * How many seconds a wait goes on after its process got SIGKILL, as its pager tells, which stays.
 * All of the process, its VM and its memory goes too, which takes longer.
 */
static double kill_one(enum waiting_kind kind)
{
	struct waiting w = { .kind = kind };
	int sockets[2], status;
	double took;
	pid_t pid;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), "socketpair");
	pid = fork();
	if (!pid)
		wait_to_be_killed(kind, sockets[1]);
	close(sockets[1]);
	TEST_ASSERT(receive_fds(sockets[0], &w.pager, 1, NULL), "the child has failed");
	close(sockets[0]);
	TEST_ASSERT_EQ(waiting_count(&w), 1);

	begun = now();
	kill(pid, SIGKILL);
	while (waiting_count(&w) && now() - begun < LONG * claim_slowness())
		usleep(500);
	took = now() - begun;
	TEST_ASSERT(!waiting_count(&w), "it waits on");
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	close(w.pager);
	return took;
}

static void run_killed(enum waiting_kind kind)
{
	double least = 1e9;

	for (int i = 0; i < TRIES; i++) {
		double took = kill_one(kind);

		least = took < least ? took : least;
		if (least <= SOON * claim_slowness())
			return;
	}
	TEST_FAIL("it took %.0f ms to end at least, %d times", least * 1000, TRIES);
}

static bool cell_holds(const struct end *e, enum waiting_kind kind)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(3 * LONG * claim_slowness());
		if (!e->fn)
			run_killed(kind);
		else if (e->fates[kind] == SLEEPS)
			run_sleeps(e, kind);
		else
			run_cell(e, kind);
		_exit(0);
	}
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	if (!status)
		return true;
	/* Also if it was skipped: that is no cell that holds. */
	printf("%s, %s: status %#x\n", waiting_names[kind], e->name, status);
	return false;
}

static void try_end(const char *name)
{
	int wrong = 0;

	require_pager();
	for (const struct end *e = ends; e < ends + ARRAY_SIZE(ends); e++) {
		if (strcmp(e->name, name))
			continue;
		for (enum waiting_kind kind = 0; kind < WAITING_KINDS; kind++) {
			TEST_ASSERT(e->fates[kind] != NO_ROW && e->got[kind],
				    "%s has no row for %s", name, waiting_names[kind]);
			if (e->fates[kind] != NEVER)
				wrong += !cell_holds(e, kind);
		}
		TEST_ASSERT(!wrong, "%d of %d cells", wrong, WAITING_KINDS);
		return;
	}
	TEST_FAIL("no row for %s", name);
}

#define END(fn, name)	static void fn(void) { try_end(name); }
END(answers, "answer")
END(signals, "signal")
END(killed, "SIGKILL")
END(slots, "memslot")
END(views, "view")
END(inodes, "inode")
END(mappings, "mapping")
END(holes, "hole")
END(conversions, "conversion")
END(fails, "FAIL")
END(detaches, "DETACH")
END(deaths, "pager's death")
END(deaths_with_fail, "pager's death with FAIL")
END(takeovers, "takeover")
END(moves, "move")
END(vms, "VM")
END(unloads, "unloading")
END(others_answers, "another's answer")
END(others_holes, "another's hole")
END(others_conversions, "another's conversion")
END(other_slots, "another memslot")
END(other_views, "another view")

/* What the modules know of is what this test knows of. */
static void all_kinds(void)
{
	char line[128], told[256] = "", known[256] = "";
	struct machine *m;
	char path[64];
	FILE *f;

	require_pager();
	m = machine_create(PAGING_PAGES);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pager_of(m));
	f = fopen(path, "r");
	TEST_ASSERT(f, "open %s", path);
	while (fgets(line, sizeof(line), f)) {
		char kind[32];

		if (sscanf(line, "gmem-waits-%31[a-z]", kind) == 1) {
			strcat(told, kind);
			strcat(told, " ");
		}
	}
	for (int i = 0; i < WAITING_KINDS; i++) {
		strcat(known, waiting_names[i]);
		strcat(known, " ");
	}
	TEST_ASSERT(!strcmp(told, known), "the modules know of '%s', this test of '%s'", told,
		    known);
}

static const struct claim claims[] = {
	CLAIM(all_kinds, "this is a test of every way to wait that there is"),
	SLOW_CLAIM(answers, 120, "an answer ends waits of each kind"),
	SLOW_CLAIM(signals, 120, "a signal ends those that can start over"),
	SLOW_CLAIM(killed, 120, "SIGKILL ends all"),
	SLOW_CLAIM(slots, 120, "so does the end of the memslot"),
	SLOW_CLAIM(views, 120, "and of the VM's view"),
	SLOW_CLAIM(inodes, 120, "and of the last view"),
	SLOW_CLAIM(mappings, 120, "and of the view with the host's mapping"),
	SLOW_CLAIM(holes, 120, "a hole ends all"),
	SLOW_CLAIM(conversions, 120, "so does a conversion to what the waiter does not need"),
	SLOW_CLAIM(fails, 120, "and FAIL"),
	SLOW_CLAIM(detaches, 120, "and DETACH by force"),
	SLOW_CLAIM(deaths, 120, "the pager's death ends none"),
	SLOW_CLAIM(deaths_with_fail, 120, "unless that was said"),
	SLOW_CLAIM(takeovers, 120, "the next pager is asked for the same"),
	SLOW_CLAIM(moves, 120, "a move ends what can start over, or is EBUSY"),
	SLOW_CLAIM(vms, 120, "so does a VM that KVM gives up, but for the host's accesses"),
	SLOW_CLAIM(unloads, 120, "the modules can't be unloaded meanwhile"),
	SLOW_CLAIM(others_answers, 120, "an answer for another page wakes none"),
	SLOW_CLAIM(others_holes, 120, "nor does a hole elsewhere"),
	SLOW_CLAIM(others_conversions, 120, "nor a conversion of another page"),
	SLOW_CLAIM(other_slots, 120, "nor another memslot's end; those with kvm->srcu look again"),
	SLOW_CLAIM(other_views, 120, "nor the end of another VM's view"),
};

CLAIMS_MAIN(claims);
