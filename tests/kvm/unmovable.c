// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel does to other memory, to move it or to get it back, leaves
 * mapped guest memory as it is.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "claims.h"
#include "mapped.h"
#include "offline.h"

#define PAGES	64

#ifndef MADV_PAGEOUT
#define MADV_COLD		20
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

static uint64_t pfn_at(void *p)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	TEST_ASSERT(pread(fd, &entry, 8, (uintptr_t)p / PAGE_SIZE * 8) == 8, "read pagemap");
	close(fd);
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

struct frames {
	struct machine *m;
	uint64_t pfn[PAGES];
};

static void begin(struct frames *f)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP,
		       "these modules have no GUEST_MEMFD_FLAG_MMAP");
	f->m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	host_write(f->m, 0, PAGES, 3);
	guest_expect(f->m, 0, PAGES, 3);
	for (int i = 0; i < PAGES; i++)
		f->pfn[i] = pfn_at(host_page(f->m, i));
}

static void end(struct frames *f)
{
	struct stat st;

	TEST_ASSERT(!fstat(f->m->view, &st), "fstat");
	TEST_ASSERT_EQ((uint64_t)st.st_blocks, PAGES * PAGE_SIZE / 512);
	host_expect(f->m, 0, PAGES, 3);
	guest_expect(f->m, 0, PAGES, 3);
	for (int i = 0; i < PAGES; i++)
		TEST_ASSERT_EQ(pfn_at(host_page(f->m, i)), f->pfn[i]);
}

static void pageout(void)
{
	const int advice[] = { MADV_COLD, MADV_PAGEOUT, MADV_COLD, MADV_PAGEOUT };
	struct frames f;

	begin(&f);
	for (int i = 0; i < 4; i++) {
		int ret = madvise(f.m->host, PAGES * PAGE_SIZE, advice[i]);

		TEST_ASSERT(!ret || errno == EINVAL, "madvise(%d): errno %d", advice[i], errno);
	}
	end(&f);
}

static void compaction(void)
{
	struct frames f;

	begin(&f);
	write_file("/proc/sys/vm/compact_memory", "1");
	write_file("/proc/sys/vm/drop_caches", "3");
	end(&f);
}

/* Which migrates the page away, or fails; here it has to fail. */
static void soft_offline(void)
{
	struct frames f;
	int ret;

	begin(&f);
	ret = madvise(host_page(f.m, 7), PAGE_SIZE, MADV_SOFT_OFFLINE);
	if (ret && errno == EINVAL)
		claim_skip("this kernel has no MADV_SOFT_OFFLINE");
	TEST_ASSERT(ret, "the page was migrated");
	end(&f);
}

static void memory_goes_offline(void)
{
	struct frames f;

	require_offline();
	begin(&f);
	expect_stays_online(f.pfn[7]);
	end(&f);
}

static const struct claim claims[] = {
	CLAIM(pageout, "MADV_COLD and MADV_PAGEOUT through a mapping take no page"),
	CLAIM(compaction, "compaction and drop_caches neither move nor take one"),
	CLAIM(soft_offline, "a page that is to be migrated away stays"),
	CLAIM(memory_goes_offline, "a memory block that is to go offline stays"),
};

CLAIMS_MAIN(claims);
