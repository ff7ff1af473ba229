// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMM's end, for which the end of every VM on the host waits: it keeps the tables of guest
 * memory for the next VM, but not at any price.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "claims.h"
#include "mapped.h"
#include "sendfd.h"
#include "tracing.h"

#define PIECES		(16UL << 10)	/* of attributes */
#define MOST_ZAPS	(PIECES / 4)	/* half of them are shared */
#define SLOT_GPA	(1ULL << 32)
#define CONVERTED	(96UL << 10)	/* pages: 384 MiB */
#define ROUNDS		5
#define MOST		(ROUNDS / 2 + 1)

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* A process that has made a VM and sent its view; the view. */
static int start_vmm(pid_t *pid, int (*make)(void))
{
	int s[2], view;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, s), "socketpair");
	*pid = fork();
	if (!*pid) {
		close(s[0]);
		view = make();
		send_fds(s[1], &view, 1, 0);
		pause();
		_exit(1);
	}
	close(s[1]);
	TEST_ASSERT(receive_fds(s[0], &view, 1, NULL), "the VMM is gone");
	close(s[0]);
	return view;
}

static void kill_vmm(pid_t pid)
{
	int status;

	TEST_ASSERT(!kill(pid, SIGKILL), "kill");
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "status %#x", status);
}

static int in_pieces(void)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	size_t size = PIECES * PAGE_SIZE;
	int view = vm_create_guest_memfd(vm, size, 0);
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	__vm_vcpu_add(vm, 0);
	vm_set_user_memory_region2(vm, 10, KVM_MEM_GUEST_MEMFD, SLOT_GPA, size, at, view, 0);
	for (uint64_t page = 0; page < PIECES; page += 2)
		vm_mem_set_private(vm, SLOT_GPA + page * PAGE_SIZE, PAGE_SIZE);
	return view;
}

static void attributes(void)
{
	unsigned long zaps;
	pid_t pid;

	close(start_vmm(&pid, in_pieces));
	trace_calls_start("kvm_tdp_mmu_unmap_gfn_range");
	kill_vmm(pid);
	zaps = trace_calls();
	TEST_ASSERT(zaps > 0, "nothing is zapped by pieces");
	TEST_ASSERT(zaps < MOST_ZAPS, "%lu pieces are zapped", zaps);
}

static int converted(void)
{
	struct machine *m = mapped_create(KVM_X86_SW_PROTECTED_VM, CONVERTED, MMAP_SHARED);

	allocate_pages(m->view, 0, CONVERTED);
	return m->view;
}

/* Has slots_lock for as long as it takes; when it has ended. */
static void convert(int view, volatile double *begun, volatile double *ended)
{
	*begun = now_ms();
	make_private(view, 0, CONVERTED);
	*ended = now_ms();
	_exit(0);
}

static bool ends_meanwhile(void)
{
	volatile double *times = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t vmm, converter;
	double until = 0, end;
	int view, status;

	view = start_vmm(&vmm, converted);
	converter = fork();
	if (!converter)
		convert(view, &times[0], &times[1]);
	while (!times[0])
		TEST_ASSERT(claim_is_patient(&until), "no conversion");
	kill_vmm(vmm);
	end = now_ms();
	TEST_ASSERT(waitpid(converter, &status, 0) == converter && !status, "status %#x", status);
	close(view);
	return end < times[1];
}

/*
 * Another process converts the VM's pages, for some 30 ms. Had the VMM's end to wait for that, it
 * would come a moment later each time, but where the conversion is held up before it has the lock.
 */
static void slots_lock(void)
{
	int meanwhile = 0;

	require_convert();
	for (int i = 0; i < ROUNDS; i++)
		meanwhile += ends_meanwhile();
	TEST_ASSERT(meanwhile >= MOST, "the VMM's end waits for a conversion: %d of %d do not",
		    meanwhile, ROUNDS);
}

static const struct claim claims[] = {
	CLAIM(attributes, "attributes of many pieces are not looked at one by one"),
	SLOW_CLAIM(slots_lock, 120, "nobody who has slots_lock is waited for"),
};

CLAIMS_MAIN(claims);
