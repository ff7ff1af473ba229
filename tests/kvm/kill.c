// SPDX-License-Identifier: GPL-2.0-only
/*
 * SIGKILL of a VMM at any moment: the memory of its guest is whole under the
 * VM that linked it.
 *
 * The guest of the VMM that dies writes generation after generation over its
 * private pages, in order, word by word. Killed at whatever instruction, it
 * leaves one cut through that order: pages of generation g, then at most one
 * that is begun, then pages of g - 1. Any page lost, stale or torn otherwise
 * breaks the order, and the guest of the other VM, which audits it, says where.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "claims.h"
#include "machine.h"
#include "sendfd.h"

#define PAGES	32
#define WORDS	(PAGE_SIZE / sizeof(uint64_t))
#define KILLS	100

static uint64_t word_of(uint64_t generation, uint64_t page, uint64_t word)
{
	return generation ? generation << 24 ^ page << 12 ^ word : 0;
}

static volatile uint64_t *word_at(uint64_t page, uint64_t word)
{
	return (volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE) + word;
}

/* Says each generation that is complete before it begins the next. */
static void guest_code_generations(void)
{
	for (uint64_t g = 1; ; g++) {
		for (uint64_t page = 0; page < PAGES; page++)
			for (uint64_t i = 0; i < WORDS; i++)
				*word_at(page, i) = word_of(g, page, i);
		GUEST_SYNC(g);
	}
}

/* Finds the cut: returns the generation that was being written, or the only one. */
static void guest_code_audit(void)
{
	uint64_t g = *word_at(0, 0) >> 24;
	bool cut = false;

	for (uint64_t page = 0; page < PAGES; page++) {
		for (uint64_t i = 0; i < WORDS; i++) {
			uint64_t got = *word_at(page, i);

			if (!cut && got != word_of(g, page, i))
				cut = true;
			__GUEST_ASSERT(got == word_of(cut ? g - 1 : g, page, i),
				       "page %lu word %lu is %lx, in generation %lu%s", page, i,
				       got, g, cut ? " after the cut" : "");
		}
	}
	GUEST_RETURN(g);
}

/* The VMM that dies. @done: the last generation that its guest completed. */
static void vmm(int socket, volatile uint64_t *done)
{
	struct machine *m = machine_create(PAGES);

	send_fds(socket, &m->view, 1, 0);
	vcpu_arch_set_entry_point(m->vcpu, guest_code_generations);
	for (;;) {
		struct ucall uc;

		vcpu_run(m->vcpu);
		TEST_ASSERT(get_ucall(m->vcpu, &uc) == UCALL_SYNC, "the guest stopped");
		*done = uc.args[1];
	}
}

/* One VMM's life and death. Returns the generation it had got to. */
static uint64_t kill_one(struct machine *heir, volatile uint64_t *done, bool link_before,
			 useconds_t delay)
{
	int sockets[2], view, status;
	uint64_t said, found;
	pid_t pid;

	*done = 0;
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	pid = fork();
	if (!pid) {
		close(sockets[0]);
		vmm(sockets[1], done);
	}
	close(sockets[1]);

	TEST_ASSERT(receive_fds(sockets[0], &view, 1, NULL), "the VMM sent no view");
	if (link_before)
		heir->view = link_view(heir->vm, view);
	usleep(delay);
	kill(pid, SIGKILL);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL, "the VMM died of itself: status %#x", status);
	if (!link_before)
		heir->view = link_view(heir->vm, view);
	/* The last that is left of the dead VM. */
	close(view);
	close(sockets[0]);

	machine_bind(heir, 0);
	said = *done;
	found = machine_call(heir, guest_code_audit, 0, 0, 0);
	TEST_ASSERT(found == said || found == said + 1,
		    "generation %lu was complete, the memory is of %lu", said, found);
	machine_unbind(heir);
	machine_close_view(heir);
	return found;
}

/* How many microseconds one takes here and now until it has a generation. */
static useconds_t time_of_one(volatile uint64_t *done)
{
	struct timespec begun, now;
	int sockets[2], view;
	double until = 0;
	pid_t pid;

	*done = 0;
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	pid = fork();
	if (!pid)
		vmm(sockets[1], done);
	TEST_ASSERT(receive_fds(sockets[0], &view, 1, NULL), "the VMM sent no view");
	clock_gettime(CLOCK_MONOTONIC, &begun);
	while (!*done)
		TEST_ASSERT(claim_is_patient(&until), "its guest completes nothing");
	clock_gettime(CLOCK_MONOTONIC, &now);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(view);
	close(sockets[0]);
	close(sockets[1]);
	return (now.tv_sec - begun.tv_sec) * 1000000 + (now.tv_nsec - begun.tv_nsec) / 1000;
}

static void kill_many(bool link_before)
{
	unsigned int kills = claim_times(KILLS);
	useconds_t longest;
	struct machine *heir;
	uint64_t generations = 0;
	volatile uint64_t *done;
	unsigned int seed = 1;

	require_link();
	done = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(done != MAP_FAILED, "mmap");
	heir = machine_bare(PAGES);
	longest = 4 * time_of_one(done);
	pr_info("lives of up to %u us\n", longest);
	for (unsigned int i = 1; i <= kills; i++) {
		/* Short and long lives alike: up to the longest, a half of it, ... a 64th. */
		generations += kill_one(heir, done, link_before,
					rand_r(&seed) % ((longest >> i % 7) + 1));
		if (i % 25 == 0)
			pr_info("%u kills, %lu generations\n", i, generations);
	}
	TEST_ASSERT(generations > kills, "the guests hardly ran: %lu generations", generations);
}

static void linked_before(void)
{
	kill_many(true);
}

static void linked_after(void)
{
	kill_many(false);
}

static const struct claim claims[] = {
	SLOW_CLAIM(linked_before, 240, "VMMs die by SIGKILL, the view linked while they run"),
	SLOW_CLAIM(linked_after, 240,
		   "VMMs die by SIGKILL, the view linked when they are gone"),
};

CLAIMS_MAIN(claims);
