// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel does to other memory, to move it or to get it back, leaves
 * mapped guest memory as it is.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "claims.h"
#include "mapped.h"

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

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, text, strlen(text)) > 0, "%s: errno %d", path, errno);
	close(fd);
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
	write_to("/proc/sys/vm/compact_memory", "1");
	write_to("/proc/sys/vm/drop_caches", "3");
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
	unsigned long block;
	char path[80], text[32] = "";
	struct frames f;
	int fd, status;
	pid_t pid;

	fd = open("/sys/devices/system/memory/block_size_bytes", O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		claim_skip("this kernel has no memory hotplug");
	block = strtoul(text, NULL, 16);

	begin(&f);
	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%lu/state",
		 (unsigned long)(f.pfn[7] * PAGE_SIZE / block));
	pid = fork();
	if (!pid) {
		/* It goes on trying until somebody tells it to stop. */
		alarm(5);
		fd = open(path, O_WRONLY);
		_exit(fd >= 0 && write(fd, "offline", 7) == 7);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	TEST_ASSERT(WIFSIGNALED(status) || !WEXITSTATUS(status), "the block went offline");
	end(&f);
}

static const struct claim claims[] = {
	CLAIM(pageout, "MADV_COLD and MADV_PAGEOUT through a mapping take no page"),
	CLAIM(compaction, "compaction and drop_caches neither move nor take one"),
	CLAIM(soft_offline, "a page that is to be migrated away stays"),
	CLAIM(memory_goes_offline, "a memory block that is to go offline stays"),
};

CLAIMS_MAIN(claims);
