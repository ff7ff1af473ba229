// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves of SEV and SEV-ES guests whose memory is a guest memory inode: the
 * destination has it by a view of its own, and the memory context's part finds
 * what does not match, after all of SEV's part.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "../kvm/lib/async_ioctl.h"
#include "../kvm/lib/claims.h"
#include "expect.h"
#include "firmware.h"
#include "pair.h"

/* The guest outlives all that there is of the source. */
static void source_goes(void)
{
	for (int es = 0; es < 2; es++) {
		struct pair p;

		pair_create(&p, PAIR_GMEM | (es ? PAIR_ES : 0), 1);
		pair_move(&p);
		munmap(p.run[0], ioctl(p.src.kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
		munmap(p.src.memory, VM_PAGES * VM_PAGE);
		close(p.src.view);
		close(p.vcpu[0]);
		close(p.src.fd);
		EXPECT_EQ(fw_status(p.handle).asid, p.asid);
		pair_run(&p, 1);
	}
}

/* A destination without memory, as yet. */
static void create(struct pair *p, bool es)
{
	pair_create_source(p, PAIR_GMEM | (es ? PAIR_ES : 0));
	vm_create_bare(&p->dst, es);
	p->run[1] = vm_add_vcpu(&p->dst, &p->vcpu[1]);
}

/* Refused; then it has the memslots of the source, and is taken. */
static void refused_and_mended(struct pair *p)
{
	EXPECT_EQ(vm_try_move(&p->dst, &p->src), -EINVAL);
	if (p->dst.view >= 0) {
		vm_delete_slot(&p->dst);
		/* The mapping is a view that is left, too. */
		munmap(p->dst.memory, VM_PAGES * VM_PAGE);
		close(p->dst.view);
	}
	vm_link(&p->dst, &p->src);
	vm_add_slot(&p->dst, 0);
	pair_add_logged_slot(&p->dst);
	pair_expect_as_before(p);
}

static void slot_missing(void)
{
	for (int es = 0; es < 2; es++) {
		struct pair p;

		create(&p, es);
		refused_and_mended(&p);
	}
}

static void slot_elsewhere(void)
{
	for (int es = 0; es < 2; es++) {
		struct pair p;

		create(&p, es);
		vm_link(&p.dst, &p.src);
		vm_add_slot(&p.dst, 1ULL << 30);
		refused_and_mended(&p);
	}
}

static void another_inode(void)
{
	for (int es = 0; es < 2; es++) {
		struct pair p, other;

		pair_create_source(&other, PAIR_GMEM);
		create(&p, es);
		vm_link(&p.dst, &other.src);
		vm_add_slot(&p.dst, 0);
		refused_and_mended(&p);
	}
}

/* The same memory, and not by a slot of the inode. */
static void without_gmem(void)
{
	for (int es = 0; es < 2; es++) {
		struct pair p;

		create(&p, es);
		p.dst.memory = p.src.memory;
		vm_add_slot(&p.dst, 0);
		EXPECT_EQ(vm_try_move(&p.dst, &p.src), -EINVAL);
		vm_delete_slot(&p.dst);
		refused_and_mended(&p);
	}
}

/* The last page of the inode, which no guest uses, is a pager's to give. */
#define OWED	((VM_PAGES - 1) * VM_PAGE)

static int owe_page(int view)
{
	struct kvm_gmem_create_pager args = { .offset = OWED, .size = VM_PAGE };
	int pager;

	EXPECT_EQ(fallocate(view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, OWED, VM_PAGE), 0);
	pager = ioctl(view, KVM_GMEM_CREATE_PAGER, &args);
	EXPECT(pager >= 0);
	return pager;
}

static void give_page(int pager)
{
	struct kvm_gmem_answer zero = {
		.op = KVM_GMEM_ANSWER_ZERO, .offset = OWED, .size = VM_PAGE,
	};
	struct kvm_gmem_pager_answer args = { .answers = (uintptr_t)&zero, .nr = 1 };

	EXPECT_EQ(ioctl(pager, KVM_GMEM_PAGER_ANSWER, &args), 1);
}

/* KVM_RUN that is to set registers waits for the page at CR3 first: nothing has changed yet. */
static void vcpu_waits(void)
{
	struct kvm_gmem_event event;
	struct kvm_sregs sregs;
	struct async_ioctl run;
	struct pair p;
	int pager;

	pair_create(&p, PAIR_GMEM, 1);
	pager = owe_page(p.src.view);
	EXPECT_EQ(ioctl(p.vcpu[0], KVM_GET_SREGS, &sregs), 0);
	p.run[0]->s.regs.sregs = sregs;
	p.run[0]->s.regs.sregs.cr0 |= 0x80000001;	/* PG, PE */
	p.run[0]->s.regs.sregs.cr4 |= 0x20;		/* PAE */
	p.run[0]->s.regs.sregs.cr3 = OWED;
	p.run[0]->kvm_dirty_regs = KVM_SYNC_X86_SREGS;

	async_ioctl_start(&run, p.vcpu[0], KVM_RUN, 0);
	EXPECT_EQ(read(pager, &event, sizeof(event)), sizeof(event));
	EXPECT(!async_ioctl_is_done(&run));
	EXPECT_EQ(vm_try_move(&p.dst, &p.src), 0);
	EXPECT_EQ(async_ioctl_result(&run), -EINTR);
	EXPECT_EQ(p.run[0]->kvm_dirty_regs, KVM_SYNC_X86_SREGS);
	give_page(pager);
}

#define TRACEFS	"/sys/kernel/tracing"
#define EVENT	"gmem_move_tables"

static void trace_tables(const char *value)
{
	int fd = open(TRACEFS "/events/gmem/" EVENT "/enable", O_WRONLY);

	EXPECT_EQ(write(fd, value, 1), 1);
	close(fd);
}

/* How often the destination of a move has taken tables since they were traced. */
static unsigned int taken(void)
{
	FILE *trace = fopen(TRACEFS "/trace", "r");
	unsigned int n = 0;
	char line[256];

	EXPECT(trace);
	while (fgets(line, sizeof(line), trace))
		n += strstr(line, EVENT) && strstr(line, ": taken");
	fclose(trace);
	return n;
}

/* First the source, then the destination maps the page in which the guest counts. */
static void tables_go_along(void)
{
	unsigned int before = taken();
	struct pair p;

	pair_create(&p, PAIR_GMEM, 1);
	trace_tables("1");
	pair_move(&p);
	trace_tables("0");
	EXPECT_EQ(taken(), before + 1);
	EXPECT_EQ(fallocate(p.dst.view, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			    (VM_PAGES - 1) * VM_PAGE, VM_PAGE), 0);
	pair_run(&p, 1);
}

static const struct claim claims[] = {
	CLAIM(tables_go_along, "the destination takes the source's stage-2 tables"),
	CLAIM(source_goes, "the guest goes on in the inode when the source is gone"),
	CLAIM(slot_missing, "the destination has no memslot: EINVAL, as before"),
	CLAIM(slot_elsewhere, "its memslot is elsewhere: EINVAL, as before"),
	CLAIM(another_inode, "its memslot has another inode: EINVAL, as before"),
	CLAIM(vcpu_waits, "a vCPU that waits for a pager leaves, and the move goes on"),
	CLAIM(without_gmem, "its memslot has the same memory, not the inode: EINVAL, as before"),
};

CLAIMS_MAIN(claims);
