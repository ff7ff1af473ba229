// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest survives kill -9 of its VMM, again and again, at any instant.
 *
 * A keeper holds the fds of the VM, of its view and of its shared memory. It
 * starts a VMM, which makes a VM of its own, sends its fds to the keeper,
 * moves the old VM's vCPUs and memory context to the new one, and runs the
 * guest: until it is killed, in KVM_RUN, in an exit, in the move, or before. What
 * the guest must not lose it checks itself: registers, memory, the devices'
 * answers, time.
 *
 * The devices are such that doing an access twice is the same as once, as the
 * VMM that was killed in an exit may have done it: docs/move.md.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "apic.h"
#include "claims.h"
#include "fdinfo.h"
#include "machine.h"
#include "registers.h"
#include "sendfd.h"
#include "successor.h"

#include <asm/pvclock-abi.h>

#define SHARED_PAGES	1024
#define PRIVATE_PAGES	16
#define PRIVATE_GPA	MACHINE_GPA
#define MMIO_GPA	0xd0000000ULL
#define TIMER_VECTOR	0x30

/* Ports. STOPPED is the guest's last word. */
enum { OUT_PORT = 0x70, IN_PORT, STRING_OUT_PORT, STRING_IN_PORT, STOPPED_PORT };
#define STRING		12U

/**
 * struct device - what guest and VMMs share, in the guest's shared memory
 * @stop: the keeper wants the guest to stop
 * @rounds: how many the guest has done
 * @ticks: of its timer
 * @last: what was written to OUT_PORT
 * @mmio: what was written to MMIO_GPA
 * @string: what was written to STRING_OUT_PORT
 * @where: what the VMM is doing, for the statistics
 */
struct device {
	volatile uint64_t stop, rounds, ticks, last, mmio;
	volatile uint8_t string[STRING];
	volatile uint32_t where;
};

enum { NOWHERE, MAKING, MOVING, RUNNING, ANSWERING, NR_WHERES };
static const char * const wheres[] = {
	"before it had a VM", "with a VM", "in the move", "in KVM_RUN", "in an exit",
};

static struct device device;			/* of the guest */
static struct pvclock_vcpu_time_info pvclock __attribute__((aligned(64)));
static uint64_t clock_gpa;
static uint64_t rounds_of[PRIVATE_PAGES];

/* ---- the guest */

static void guest_tick(struct ex_regs *regs __attribute__((unused)))
{
	device.ticks++;
	x2apic_write_reg(APIC_EOI, 0);
}

static uint64_t read_clock(uint64_t *tsc)
{
	uint32_t version;
	uint64_t delta, ns;

	do {
		version = READ_ONCE(pvclock.version);
		asm volatile("lfence" : : : "memory");
		*tsc = rdtsc();
		delta = *tsc - pvclock.tsc_timestamp;
		if (pvclock.tsc_shift < 0)
			delta >>= -pvclock.tsc_shift;
		else
			delta <<= pvclock.tsc_shift;
		ns = pvclock.system_time;
		ns += ((__uint128_t)delta * pvclock.tsc_to_system_mul) >> 32;
		asm volatile("lfence" : : : "memory");
	} while ((version & 1) || version != READ_ONCE(pvclock.version));
	return ns;
}

static void check_time(void)
{
	static uint64_t last_tsc, last_ns, last_ticks, ticked_at;
	uint64_t tsc, ns = read_clock(&tsc);

	__GUEST_ASSERT(tsc >= last_tsc, "TSC from %lu to %lu", last_tsc, tsc);
	__GUEST_ASSERT(ns >= last_ns, "kvmclock from %lu to %lu", last_ns, ns);
	last_tsc = tsc;
	last_ns = ns;

	/* The timer is alive: it ticks at least once in ten rounds of a second. */
	if (device.ticks != last_ticks)
		ticked_at = device.rounds;
	last_ticks = device.ticks;
	__GUEST_ASSERT(device.rounds - ticked_at < 20000, "no tick since round %lu", ticked_at);
}

static volatile uint64_t *private_page(unsigned int page)
{
	return (volatile uint64_t *)(PRIVATE_GPA + page * PAGE_SIZE);
}

static void check_memory(uint64_t round)
{
	unsigned int page = round % PRIVATE_PAGES;

	for (unsigned int i = 0; i < PAGE_SIZE / 8; i += 16)
		GUEST_ASSERT_EQ(private_page(page)[i], rounds_of[page] ? rounds_of[page] + i : 0);
	for (unsigned int i = 0; i < PAGE_SIZE / 8; i += 16)
		private_page(page)[i] = round + i;
	rounds_of[page] = round;
}

static void check_devices(uint64_t round)
{
	volatile uint64_t *mmio = (uint64_t *)MMIO_GPA;
	uint8_t sent[STRING], got[STRING];
	uint8_t *from = sent, *to = got;
	uint64_t count;

	outl(OUT_PORT, round);
	GUEST_ASSERT_EQ(registers_over_in(IN_PORT, round, 2000), (uint32_t)(round * 3 + 1));

	*mmio = round * 5;
	GUEST_ASSERT_EQ(*mmio, ~(round * 5));

	for (unsigned int i = 0; i < STRING; i++)
		sent[i] = round + i;
	count = STRING;
	asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(STRING_OUT_PORT) : "memory");
	count = STRING;
	asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(STRING_IN_PORT) : "memory");
	for (unsigned int i = 0; i < STRING; i++)
		GUEST_ASSERT_EQ(got[i], (uint8_t)(sent[i] ^ 0x55));
}

static void guest_main(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, clock_gpa | 1);
	x2apic_enable();
	x2apic_write_reg(APIC_TDCR, 0xb);
	x2apic_write_reg(APIC_LVTT, TIMER_VECTOR | APIC_LVT_TIMER_PERIODIC);
	x2apic_write_reg(APIC_TMICT, 5000000);
	asm volatile("sti");

	while (!device.stop) {
		device.rounds++;
		check_memory(device.rounds);
		check_devices(device.rounds);
		check_time();
	}
	outl(STOPPED_PORT, 1);
}

/* ---- a VMM */

/* What makes a VM: all that a keeper holds. */
struct kept {
	int vm, view, memory;
	uint64_t device_gpa;
};

static void send_kept(int socket, const struct kept *kept)
{
	send_fds(socket, (int []){ kept->vm, kept->view, kept->memory }, 3, kept->device_gpa);
}

static bool receive_kept(int socket, struct kept *kept)
{
	int fds[3];

	if (!receive_fds(socket, fds, 3, &kept->device_gpa))
		return false;
	kept->vm = fds[0];
	kept->view = fds[1];
	kept->memory = fds[2];
	return true;
}

static void bind_private(struct kvm_vm *vm, int view)
{
	vm_set_user_memory_region2(vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, PRIVATE_GPA,
				   PRIVATE_PAGES * PAGE_SIZE, NULL, view, 0);
}

/* A new guest on memory of a memfd, which the library loads as it does its own. */
static struct kvm_vcpu *first_vm(unsigned long type, struct kept *kept)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct kvm_vm *vm = ____vm_create(shape);
	struct kvm_vcpu *vcpu;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_SHMEM, 0, 0, SHARED_PAGES, 0);
	for (int i = 0; i < NR_MEM_REGIONS; i++)
		vm->memslots[i] = 0;
	kvm_vm_elf_load(vm, program_invocation_name);
	ucall_init(vm, SHARED_PAGES * PAGE_SIZE);
	kvm_arch_vm_post_create(vm);
	vcpu = vm_vcpu_add(vm, 0, guest_main);

	virt_map(vm, MMIO_GPA, MMIO_GPA, 1);
	vm_install_exception_handler(vm, TIMER_VECTOR, guest_tick);
	clock_gpa = addr_gva2gpa(vm, (vm_vaddr_t)&pvclock);
	sync_global_to_guest(vm, clock_gpa);

	kept->view = -1;
	virt_map(vm, PRIVATE_GPA, PRIVATE_GPA, PRIVATE_PAGES);
	if (type == KVM_X86_SW_PROTECTED_VM) {
		kept->view = vm_create_guest_memfd(vm, PRIVATE_PAGES * PAGE_SIZE, 0);
		bind_private(vm, kept->view);
		vm_set_memory_attributes(vm, PRIVATE_GPA, PRIVATE_PAGES * PAGE_SIZE,
					 KVM_MEMORY_ATTRIBUTE_PRIVATE);
	} else {
		vm_userspace_mem_region_add(vm, VM_MEM_SRC_SHMEM, PRIVATE_GPA, MACHINE_SLOT,
					    PRIVATE_PAGES, 0);
		kept->view = memslot2region(vm, MACHINE_SLOT)->fd;
	}
	kept->memory = memslot2region(vm, 0)->fd;
	kept->device_gpa = addr_gva2gpa(vm, (vm_vaddr_t)&device);
	return vcpu;
}

static void *map(int memory, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	TEST_ASSERT(at != MAP_FAILED, "mmap: errno %d", errno);
	return at;
}

static struct kvm_vcpu *next_vm(unsigned long type, const struct kept *old, struct kept *kept)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct kvm_vm *vm = ____vm_create(shape);
	const size_t size = PRIVATE_PAGES * PAGE_SIZE;
	struct kvm_vcpu *vcpu;

	vm_create_irqchip(vm);
	vm_set_user_memory_region2(vm, 0, 0, 0, SHARED_PAGES * PAGE_SIZE,
				   map(old->memory, SHARED_PAGES * PAGE_SIZE), -1, 0);
	kept->view = old->view;
	if (type == KVM_X86_SW_PROTECTED_VM) {
		kept->view = link_view(vm, old->view);
		bind_private(vm, kept->view);
	} else {
		vm_set_user_memory_region2(vm, MACHINE_SLOT, 0, PRIVATE_GPA, size,
					   map(old->view, size), -1, 0);
	}
	vcpu = __vm_vcpu_add(vm, 0);
	vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());

	kept->memory = old->memory;
	kept->device_gpa = old->device_gpa;
	return vcpu;
}

/* Each answer follows from the device's state alone; each write sets it. */
static void answer_port(struct kvm_run *run, struct device *dev)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	switch (run->io.port) {
	case OUT_PORT:
		dev->last = *(uint32_t *)data;
		break;
	case IN_PORT:
		*(uint32_t *)data = dev->last * 3 + 1;
		break;
	case STRING_OUT_PORT:
		for (unsigned int i = 0; i < run->io.count; i++)
			dev->string[(uint8_t)(data[i] - dev->last) % STRING] = data[i];
		break;
	case STRING_IN_PORT:
		TEST_ASSERT_EQ(run->io.count, STRING);
		for (unsigned int i = 0; i < STRING; i++)
			data[i] = dev->string[i] ^ 0x55;
		break;
	case STOPPED_PORT:
		exit(0);
	default:
		TEST_FAIL("port %#x", run->io.port);
	}
}

static void answer(struct kvm_vcpu *vcpu, struct device *dev)
{
	struct kvm_run *run = vcpu->run;
	struct ucall uc;

	switch (run->exit_reason) {
	case KVM_EXIT_UNKNOWN:		/* it has not run yet */
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_IO:
		if (run->io.port >= OUT_PORT && run->io.port <= STOPPED_PORT) {
			answer_port(run, dev);
			break;
		}
		if (get_ucall(vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_FAIL("port %#x", run->io.port);
	case KVM_EXIT_MMIO:
		TEST_ASSERT(run->mmio.phys_addr == MMIO_GPA && run->mmio.len == 8,
			    "MMIO at %llx", run->mmio.phys_addr);
		if (run->mmio.is_write)
			dev->mmio = *(uint64_t *)run->mmio.data;
		else
			*(uint64_t *)run->mmio.data = ~dev->mmio;
		break;
	default:
		TEST_FAIL("exit reason %u (%s)", run->exit_reason,
			  exit_reason_str(run->exit_reason));
	}
}

/* Never returns: it is killed, or the guest stops. */
static void vmm(unsigned long type, int socket, const struct kept *old)
{
	struct device *dev = NULL;
	struct kvm_vcpu *vcpu;
	struct kept kept;

	if (old) {
		dev = map(old->memory, SHARED_PAGES * PAGE_SIZE) + old->device_gpa;
		dev->where = NOWHERE;
		vcpu = next_vm(type, old, &kept);
	} else {
		vcpu = first_vm(type, &kept);
		dev = map(kept.memory, SHARED_PAGES * PAGE_SIZE) + kept.device_gpa;
	}
	kept.vm = vcpu->vm->fd;
	dev->where = MAKING;
	send_kept(socket, &kept);
	close(socket);

	if (old) {
		struct kvm_vm from = { .fd = old->vm };

		dev->where = MOVING;
		move_vcpus(vcpu->vm, &from);
	}
	for (;;) {
		dev->where = ANSWERING;
		usleep(100);	/* a device's work, to be killed in */
		answer(vcpu, dev);
		dev->where = RUNNING;
		TEST_ASSERT(!ioctl(vcpu->fd, KVM_RUN, NULL) || errno == EINTR || errno == EAGAIN,
			    "KVM_RUN: errno %d (%s)", errno, strerror(errno));
	}
}

/* ---- the keeper */

static void let_go(const struct kept *kept, const struct kept *but)
{
	close(kept->vm);
	if (kept->view != but->view)
		close(kept->view);
	if (kept->memory != but->memory)
		close(kept->memory);
}

/*
 * Whether a VM was moved from: a move from it that can't succeed, to a VM of
 * another type, says EIO for a dead one before it looks at types.
 */
static bool is_dead(const struct kept *kept, unsigned long type)
{
	struct vm_shape other = {
		.mode = VM_MODE_DEFAULT,
		.type = type == KVM_X86_DEFAULT_VM ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM,
	};
	static struct kvm_vm *asker;
	struct kvm_vm asked = { .fd = kept->vm };

	if (!asker)
		asker = ____vm_create(other);
	TEST_ASSERT(__move_vcpus(asker, &asked) == -1 && (errno == EIO || errno == EINVAL),
		    "asking whether a VM is dead: errno %d", errno);
	return errno == EIO;
}

/* What fdinfo says of it, where there is a view. */
static void expect_state_is(const struct kept *kept, unsigned long type, const char *state)
{
	char text[32];

	if (type != KVM_X86_SW_PROTECTED_VM)
		return;
	TEST_ASSERT(fdinfo_text(kept->view, "vm-state", text, sizeof(text)), "no gmem-vm-state");
	TEST_ASSERT(!strcmp(text, state), "the state is %s, not %s", text, state);
}

static pid_t start(unsigned long type, const struct kept *old, int *socket)
{
	int pair[2];
	pid_t pid;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		close(pair[0]);
		vmm(type, pair[1], old);
	}
	close(pair[1]);
	*socket = pair[0];
	return pid;
}

static void expect_killed(pid_t pid)
{
	int status;

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "a VMM ended by itself: status %#x", status);
}

/* One VMM more: killed after @us microseconds. Returns where the guest is then. */
static struct kept generation(unsigned long type, const struct kept *old, unsigned int us)
{
	struct kept new;
	int socket;
	pid_t pid = start(type, old, &socket);
	bool received;

	usleep(us);
	kill(pid, SIGKILL);
	expect_killed(pid);
	received = receive_kept(socket, &new);
	close(socket);

	expect_state_is(old, type, is_dead(old, type) ? "moved" : "alive");
	if (!is_dead(old, type)) {
		if (received)
			let_go(&new, old);
		return *old;
	}
	TEST_ASSERT(received, "a VM was moved from to one that nobody knows");
	let_go(old, &new);
	return new;
}

static void finish(unsigned long type, const struct kept *old, struct device *dev)
{
	int socket, status;
	pid_t pid;

	dev->stop = 1;
	pid = start(type, old, &socket);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "the last VMM: %#x", status);
}

/* Waits until the guest has done something: microseconds since @start. */
static unsigned int time_to_run(const struct device *dev, const struct timespec *start)
{
	struct timespec now;
	unsigned int us;

	do {
		usleep(1000);
		clock_gettime(CLOCK_MONOTONIC, &now);
		us = (now.tv_sec - start->tv_sec) * 1000000 + (now.tv_nsec - start->tv_nsec) / 1000;
		TEST_ASSERT(us < 60 * 1000000, "the guest does nothing");
	} while (dev->rounds < 2);
	return us;
}

static void survives(unsigned long type, unsigned int kills)
{
	unsigned int at[NR_WHERES] = { }, moved = 0, longest;
	struct timespec began;
	struct device *dev;
	struct kept kept;
	uint64_t rounds;
	int socket;
	pid_t pid;

	require_move_vcpus();
	/* Read once, for all VMMs: it tells on which CPU that was. */
	kvm_get_supported_cpuid();
	srandom(kills);
	clock_gettime(CLOCK_MONOTONIC, &began);
	pid = start(type, NULL, &socket);
	TEST_ASSERT(receive_kept(socket, &kept), "no VM");
	dev = map(kept.memory, SHARED_PAGES * PAGE_SIZE) + kept.device_gpa;
	/* Some die before they run the guest, most after: also on a slow kernel. */
	longest = 3 * time_to_run(dev, &began) / 2;
	kill(pid, SIGKILL);
	expect_killed(pid);

	for (unsigned int i = 0; i < kills; i++) {
		int vm = kept.vm;

		dev->where = NOWHERE;
		kept = generation(type, &kept, random() % (i % 2 ? longest : longest / 4));
		at[dev->where]++;
		moved += kept.vm != vm;
	}
	rounds = dev->rounds;
	finish(type, &kept, dev);

	TEST_ASSERT(moved > kills / 10 && rounds > kills / 10, "%u moves, %lu rounds", moved,
		    rounds);
	printf("%u kills: %lu rounds, %lu ticks, %u moves;", kills, rounds, dev->ticks, moved);
	for (unsigned int i = 0; i < NR_WHERES; i++)
		printf(" %u %s%s", at[i], wheres[i], i + 1 < NR_WHERES ? "," : "\n");
}

static void protected_guest_survives(void)
{
	survives(KVM_X86_SW_PROTECTED_VM, claim_times(500));
}

static void default_guest_survives(void)
{
	survives(KVM_X86_DEFAULT_VM, claim_times(100));
}

static const struct claim claims[] = {
	SLOW_CLAIM(protected_guest_survives, 600,
		   "a guest with private memory survives kill -9 of its VMM, at any instant"),
	SLOW_CLAIM(default_guest_survives, 300, "so does a default guest on a memfd"),
};

CLAIMS_MAIN(claims);
