// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machines whose memory the host maps too: see mapped.h.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "mapped.h"

#define WORDS	(PAGE_SIZE / sizeof(uint64_t))

uint64_t *map_view(int view, uint64_t npages)
{
	void *p = mmap(NULL, npages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, view, 0);

	TEST_ASSERT(p != MAP_FAILED, "mmap of a view: errno %d", errno);
	return p;
}

static struct machine *mapped_machine(struct machine *m)
{
	m->host = map_view(m->view, m->npages);
	machine_bind(m, 0);
	return m;
}

void require_convert(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_CONVERT,
		       "these modules have no KVM_SET_MEMORY_ATTRIBUTES2");
}

struct machine *mapped_create(uint32_t type, uint64_t npages, uint64_t flags)
{
	struct machine *m = machine_of_type(type, npages);

	m->view = vm_create_guest_memfd(m->vm, npages * PAGE_SIZE, flags);
	return mapped_machine(m);
}

struct machine *mapped_link(uint32_t type, int view, uint64_t npages)
{
	struct machine *m = machine_of_type(type, npages);

	m->view = link_view(m->vm, view);
	return mapped_machine(m);
}

static __thread sigjmp_buf on_sigbus;
static __thread const volatile void *touching;

static void catch_sigbus(int sig __maybe_unused, siginfo_t *info, void *context __maybe_unused)
{
	if (info->si_addr != touching)
		abort();
	siglongjmp(on_sigbus, info->si_code);
}

static void expect_sigbus_at(const volatile void *p)
{
	struct sigaction action = { .sa_sigaction = catch_sigbus, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &action, NULL);
	touching = p;
}

int host_try_load(const volatile uint64_t *p, uint64_t *value)
{
	int code;

	expect_sigbus_at(p);
	code = sigsetjmp(on_sigbus, 1);
	if (!code)
		*value = *p;
	return code;
}

int host_try_read(const volatile void *p)
{
	uint64_t value;

	return host_try_load(p, &value);
}

int host_try_write(volatile void *p)
{
	volatile uint64_t *word = p;
	int code;

	expect_sigbus_at(p);
	code = sigsetjmp(on_sigbus, 1);
	if (!code)
		*word = *word + 1;
	return code;
}

void host_write(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern)
{
	for (uint64_t page = first; page < first + n; page++) {
		for (uint64_t i = 0; i < WORDS; i++)
			host_page(m, page)[i] = pattern_word(pattern, page, i);
	}
}

void host_expect(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern)
{
	for (uint64_t page = first; page < first + n; page++) {
		for (uint64_t i = 0; i < WORDS; i++) {
			uint64_t got = host_page(m, page)[i];
			uint64_t want = pattern_word(pattern, page, i);

			TEST_ASSERT(got == want, "page %lu word %lu is %lx, not %lx",
				    page, i, got, want);
		}
	}
}

void host_expect_sigbus(struct machine *m, uint64_t first, uint64_t n)
{
	for (uint64_t page = first; page < first + n; page++) {
		TEST_ASSERT_EQ(host_try_read(host_page(m, page)), BUS_ADRERR);
		TEST_ASSERT_EQ(host_try_write(host_page(m, page)), BUS_ADRERR);
	}
}

int __convert(int view, uint64_t first, uint64_t n, uint64_t attributes, uint64_t *in_the_way)
{
	struct kvm_memory_attributes2 args = {
		.offset = first * PAGE_SIZE,
		.size = n * PAGE_SIZE,
		.attributes = attributes,
	};
	int ret = ioctl(view, KVM_SET_MEMORY_ATTRIBUTES2, &args);

	if (in_the_way)
		*in_the_way = args.error_offset / PAGE_SIZE;
	return ret;
}

static void convert(int view, uint64_t first, uint64_t n, uint64_t attributes)
{
	uint64_t in_the_way;
	int ret = __convert(view, first, n, attributes, &in_the_way);

	TEST_ASSERT(!ret, "KVM_SET_MEMORY_ATTRIBUTES2: %d, errno %d (%s), page %lu is in the way",
		    ret, errno, strerror(errno), in_the_way);
}

void make_private(int view, uint64_t first, uint64_t n)
{
	convert(view, first, n, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

void make_shared(int view, uint64_t first, uint64_t n)
{
	convert(view, first, n, 0);
}
