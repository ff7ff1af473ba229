// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that works in 1 GiB while all goes on at once: a pager that dies and
 * is taken over from, holes, links, conversions, the host's looks, and the VM's
 * moves to another. A minute; GMEM_TEST_SECONDS=600 makes it ten.
 */
#include <pthread.h>

#include "claims.h"
#include "machine.h"
#include "mapped.h"
#include "paging.h"
#include "ring.h"
#include "successor.h"

/*
 * What is where, in pages. The guest writes to SOLID, which is never punched. Of
 * HOLES it only knows that a page is zero or as the pager gives it. In COUNTS it
 * keeps how often it has written to each page of SOLID: 4 bytes each.
 */
#define PAGES		(1UL << 18)
#define COUNT_PAGES	(PAGES / 1024)
#define COUNTS		(PAGES - COUNT_PAGES)
#define HOLE_PAGES	4096
#define HOLES		(COUNTS - HOLE_PAGES)
#define SOLID		HOLES

#define PATTERN		11
#define TOUCHES		64	/* by the guest, between two words with us */

static volatile bool stop_others, stop_pager;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- the guest */

static volatile uint64_t *guest_page(uint64_t page)
{
	return (uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);
}

static volatile uint32_t *guest_count(uint64_t page)
{
	return (uint32_t *)guest_page(COUNTS) + page;
}

/* The first word is the count, once there is one; the others are the pager's. */
static void guest_check(uint64_t page, uint64_t word)
{
	uint32_t count = *guest_count(page);
	uint64_t found = guest_page(page)[0];

	__GUEST_ASSERT(found == (count ? count : pattern_word(PATTERN, page, 0)),
		       "page %lu was written %u times, and is %lx", page, count, found);
	found = guest_page(page)[word];
	__GUEST_ASSERT(!word || found == pattern_word(PATTERN, page, word),
		       "word %lu of page %lu is %lx", word, page, found);
}

static void guest_work(uint64_t page, uint64_t word)
{
	guest_check(page, word);
	guest_page(page)[0] = ++*guest_count(page);
}

static void guest_look_at_hole(uint64_t page, uint64_t word)
{
	uint64_t found = guest_page(page)[word];

	__GUEST_ASSERT(!found || found == pattern_word(PATTERN, page, word),
		       "word %lu of page %lu, of the holes, is %lx", word, page, found);
}

/* The host sets it when it is time for the sum. */
static volatile bool enough;

static void guest_soak(void)
{
	uint64_t state = 88172645463325252, touched = 0;

	for (uint64_t n = 1; !enough; n++) {
		uint64_t r = next(&state), word = r >> 40 & 511;

		if (r & 3)
			guest_work((r >> 2) % SOLID, word);
		else
			guest_look_at_hole(HOLES + (r >> 2) % HOLE_PAGES, word);
		if (n % TOUCHES == 0)
			GUEST_SYNC(n);
	}
	/* All that it has ever written to. */
	for (uint64_t page = 0; page < SOLID; page++) {
		if (!*guest_count(page))
			continue;
		guest_check(page, page & 511);
		if (++touched % 4096 == 0)
			GUEST_SYNC(touched);
	}
	GUEST_SYNC(touched);
	GUEST_DONE();
}

/* ---- the pager */

/* @n pages of what it gives; its memory is the caller's until it calls again. */
static const void *served_content(uint64_t page, uint64_t n)
{
	static uint64_t words[16 * PAGE_SIZE / 8];

	for (uint64_t i = 0; i < n * PAGE_SIZE / 8; i++)
		words[i] = page + i / 512 < COUNTS ?
			   pattern_word(PATTERN, page + i / 512, i % 512) : 0;
	return words;
}

/* What else is served with a page, or is there already, is no matter. */
static void serve_by_ioctl(int pager, uint64_t page, uint64_t ahead)
{
	uint64_t n = page + ahead > PAGES ? 1 : ahead;
	const void *content = served_content(page, n);
	int err = answer(pager, KVM_GMEM_ANSWER_COPY, page, n, content);

	TEST_ASSERT(!err || err == EEXIST || err == ENOENT, "COPY of page %lu: errno %d", page,
		    err);
}

static void serve_by_ring(struct ring *ring, uint64_t page)
{
	volatile struct kvm_gmem_answer *entry;

	memcpy(ring->content, served_content(page, 1), PAGE_SIZE);
	entry = ring_put(ring, KVM_GMEM_ANSWER_COPY, page, 1, 0);
	while (!ring_is_done(ring))
		ring_enter(ring);
	TEST_ASSERT(!entry->error || entry->error == EEXIST || entry->error == ENOENT,
		    "COPY of page %lu by the ring: errno %d", page, entry->error);
}

struct pager {
	int view;
	uint64_t served, deaths;
};

/* One life: so many faults, by the ring or without, then death, perhaps in debt. */
static void pager_life(struct pager *p, uint64_t faults, bool by_ring)
{
	int pager = __pager(p->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
	struct kvm_gmem_event event;
	struct ring ring;

	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	if (by_ring)
		ring_open(&ring, pager, 16, 1, 200000);
	while (faults && !stop_pager) {
		if (!has_event(pager, 10))
			continue;
		if (by_ring && !ring_take(&ring, &event)) {
			ring_enter(&ring);
			continue;
		}
		if (!by_ring)
			event = next_event(pager);
		if (event.type != KVM_GMEM_EVENT_FAULT || !--faults)
			continue;
		if (by_ring)
			serve_by_ring(&ring, event.offset / PAGE_SIZE);
		else
			serve_by_ioctl(pager, event.offset / PAGE_SIZE, 1 + faults % 16);
		p->served++;
	}
	if (by_ring)
		ring_close(&ring);
	else
		close(pager);
	p->deaths++;
}

static void *pager_thread(void *arg)
{
	uint64_t state = 4101842887655102017;
	struct pager *p = arg;

	while (!stop_pager)
		pager_life(p, 1 + next(&state) % 300, p->deaths % 2);
	return NULL;
}

/* ---- all the others, on a view of a VM of their own */

struct others {
	int view;
	uint64_t *host;
	uint64_t holes, links, conversions, looks;
};

static void convert_some(struct others *o, uint64_t r)
{
	uint64_t first = r % (PAGES - 64), n = 1 + (r >> 32) % 64, at;

	if (!__convert(o->view, first, n, r >> 63 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, &at))
		o->conversions++;
	else
		TEST_ASSERT(errno == EAGAIN, "conversion: errno %d", errno);
}

/* The host finds SIGBUS where it is private, else what the guest would. */
static void look_at_some(struct others *o, uint64_t r)
{
	uint64_t page = r % SOLID, found;

	if (host_try_load(o->host + page * 512 + 511, &found))
		return;
	TEST_ASSERT(found == pattern_word(PATTERN, page, 511), "the host finds %lx in page %lu",
		    found, page);
	o->looks++;
}

static void *others_thread(void *arg)
{
	uint64_t state = 1181783497276652981;
	struct others *o = arg;

	while (!stop_others) {
		uint64_t r = next(&state);
		struct kvm_vm *vm;

		switch (r % 16) {
		case 0:
			vm = idle_vm();
			close(link_view(vm, o->view));
			kvm_vm_free(vm);
			o->links++;
			break;
		case 1 ... 5:
			punch_pages(o->view, HOLES + (r >> 4) % (HOLE_PAGES - 8), 1 + r % 8);
			o->holes++;
			break;
		case 6 ... 11:
			convert_some(o, r >> 4 | (r & 1) << 63);
			break;
		default:
			look_at_some(o, r >> 4);
		}
		usleep(500);
	}
	return NULL;
}

/* ---- and the VM, which moves on every so often */

/* Another VM with the machine's memory takes over; m is its from then on. */
static void move_on(struct machine *m)
{
	struct kvm_vcpu *heir = successor(m->vcpu);
	int view = link_view(heir->vm, m->view);

	vm_set_user_memory_region2(heir->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   m->npages * PAGE_SIZE, m->host, view, 0);
	move_vcpus(heir->vm, m->vm);
	close_vm(m->vm);
	close(m->view);
	m->vm = heir->vm;
	m->vcpu = heir;
	m->view = view;
}

/*
 * A fault that a conversion comes in between of is KVM_EXIT_MEMORY_FAULT, as in
 * Linux: what it was when it began is not what it is now. It is tried again.
 */
static void run_on(struct machine *m)
{
	struct kvm_run *run = m->vcpu->run;
	int err;

	do {
		err = run_once(m->vcpu);
		TEST_ASSERT(!err || (err == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT),
			    "KVM_RUN: errno %d, exit reason %u", err, run->exit_reason);
	} while (err);
}

/* Returns what the guest said last, and how often it has moved. */
static uint64_t run_to_the_end(struct machine *m, unsigned int seconds, unsigned int *moves)
{
	time_t end = time(NULL) + seconds;
	struct ucall uc = { };
	uint64_t said = 0;

	for (unsigned int n = 1;; n++) {
		run_on(m);
		switch (get_ucall(m->vcpu, &uc)) {
		case UCALL_SYNC:
			said = uc.args[1];
			break;
		case UCALL_DONE:
			return said;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
		default:
			TEST_FAIL("exit reason %u", m->vcpu->run->exit_reason);
		}
		if (time(NULL) >= end)
			*(volatile bool *)addr_gva2hva(m->vm, (vm_vaddr_t)&enough) = true;
		if (n % 4)
			continue;
		move_on(m);
		++*moves;
	}
}

static unsigned int soak_seconds(void)
{
	const char *text = getenv("GMEM_TEST_SECONDS");
	int seconds = text ? atoi(text) : 0;

	return seconds > 60 ? seconds : 60;
}

static void soak(void)
{
	struct others others = { };
	struct pager pager = { };
	pthread_t threads[2];
	unsigned int moves = 0;
	struct kvm_vm *idle;
	struct machine *m;
	uint64_t written;

	require_pager();
	require_move_vcpus();
	m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_PRIVATE);
	idle = idle_vm();
	others.view = link_view(idle, m->view);
	others.host = m->host;
	pager.view = others.view;
	close(__pager(pager.view, 0, PAGES, 0));
	machine_prepare(m, guest_soak, 0, 0, 0);
	pthread_create(&threads[0], NULL, pager_thread, &pager);
	pthread_create(&threads[1], NULL, others_thread, &others);

	written = run_to_the_end(m, soak_seconds(), &moves);

	stop_others = true;
	pthread_join(threads[1], NULL);
	stop_pager = true;
	pthread_join(threads[0], NULL);
	printf("%lu pages written to, %lu faults served in %lu lives, %u moves\n", written,
	       pager.served, pager.deaths, moves);
	printf("%lu holes, %lu links, %lu conversions, %lu looks by the host\n", others.holes,
	       others.links, others.conversions, others.looks);
	TEST_ASSERT(moves && others.holes && others.links && others.conversions && others.looks &&
		    pager.deaths > 1, "something did not happen");
}

static const struct claim claims[] = {
	SLOW_CLAIM(soak, 400, "1 GiB; pager, holes, links, conversions and moves at once"),
};

CLAIMS_MAIN(claims);
