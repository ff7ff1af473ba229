// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that KVM has mapped for a while is cleared when KVM lets go of it, if a hole has
 * taken it out of its inode meanwhile; unless it went bad, too. An SEV-ES guest's GHCB is
 * mapped from its exit to its next entry. tests/kvm/poison_cleared has the other places
 * where pages are cleared.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/ioctl.h>

#include "../kvm/lib/claims.h"
#include "../kvm/lib/clearing.h"
#include "../kvm/lib/poison.h"
#include "es.h"
#include "expect.h"
#include "firmware.h"

#define PORT	0x7b

static struct es_guest guest;
static uint64_t pfn;

/* The guest has left; its GHCB is mapped, and in no inode any more. */
static void begin(void)
{
	es_create(&guest, 0);
	es_ask(&guest, 0, EXIT_IOIO, IOIO_IN(PORT), 0);
	es_put(&guest, 0, GHCB_RAX, 0);
	pfn = physical(guest.vm.memory + ES_GHCB) / VM_PAGE;
	es_run(&guest, 0, KVM_EXIT_IO);
	EXPECT_EQ(fallocate(guest.vm.view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, ES_GHCB,
			    VM_PAGE), 0);
	clearing_watch(pfn, pfn);
}

static void good(void)
{
	begin();
	es_run(&guest, 0, KVM_EXIT_FAIL_ENTRY);
	EXPECT(was_cleared(pfn));
}

static void bad(void)
{
	begin();
	/* Nobody's page, with a reference: the kernel calls it a failure. */
	poison_report(poison_open(), pfn);
	EXPECT(is_poisoned(pfn));
	es_run(&guest, 0, KVM_EXIT_FAIL_ENTRY);
	EXPECT(!was_cleared(pfn));
	EXPECT(is_poisoned(pfn));
}

static const struct claim claims[] = {
	CLAIM(good, "a page that was punched while KVM had it mapped is cleared"),
	CLAIM(bad, "but not one that went bad"),
};

CLAIMS_MAIN(claims);
