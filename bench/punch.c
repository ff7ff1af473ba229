// SPDX-License-Identifier: MIT
/*
 * What punching a hole into 256 MiB costs: pages that no guest has mapped,
 * pages that one guest has mapped, and, where memory can be linked, with more
 * VMs that have bound it, or have mapped it too. x is the number of VMs that
 * have the range bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "measure.h"

#define SIZE (256 * MIB)
#define ROUNDS 3
#define MAX_VMS 9

struct vm {
	int fd;
	int memfd;
	struct gmem_vcpu vcpu;
};

static const unsigned int others[] = { 1, 2, 8 };

#define NR_OTHERS (sizeof(others) / sizeof(others[0]))

static void *host;

static void set_up_vm(struct vm *vm, const struct vm *source)
{
	vm->fd = create_vm();
	vm->memfd = must(source ? gmem_memfd_link(vm->fd, source->memfd) :
				  gmem_memfd_create(vm->fd, SIZE, 0), "get guest memory");
	bind_private(vm->fd, vm->memfd, SIZE, host);
	make_private(vm->fd, SIZE);
	create_guest_vcpu(vm->fd, 0, &vm->vcpu);
}

static void tear_down_vm(struct vm *vm)
{
	gmem_vcpu_close(&vm->vcpu);
	close(vm->memfd);
	close(vm->fd);
}

static void punch(const struct vm *vm, const char *series, uint64_t x)
{
	uint64_t start = now_ns();

	if (fallocate(vm->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
		must(-errno, "punch a hole");
	sample("punch", series, x, now_ns() - start);
}

static void allocate(const struct vm *vm)
{
	if (fallocate(vm->memfd, FALLOC_FL_KEEP_SIZE, 0, SIZE))
		must(-errno, "allocate guest memory");
}

/* Allocated pages are mapped faster than missing ones; the result is the same. */
static void map(struct vm *vms, unsigned int nr_vms)
{
	unsigned int i;

	allocate(&vms[0]);
	for (i = 0; i < nr_vms; i++)
		prefault(&vms[i].vcpu, PRIVATE_GPA, SIZE);
}

static void measure_one_vm(struct vm *vm)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		punch(vm, "nothing resident", 1);
		allocate(vm);
		punch(vm, "allocated, not mapped", 1);
		map(vm, 1);
		punch(vm, "mapped by one guest", 1);
	}
}

static void measure_more_vms(struct vm *vms)
{
	unsigned int i, round, nr_vms = 1;

	for (i = 0; i < NR_OTHERS; i++) {
		while (nr_vms < 1 + others[i])
			set_up_vm(&vms[nr_vms++], &vms[0]);
		for (round = 0; round < ROUNDS; round++) {
			map(vms, 1);
			punch(&vms[0], "mapped by one guest", nr_vms);
		}
	}
	/* Last, since a VM keeps the page tables of what it had mapped. */
	while (i--) {
		while (nr_vms > 1 + others[i])
			tear_down_vm(&vms[--nr_vms]);
		map(vms, nr_vms);
		punch(&vms[0], "mapped by every guest", nr_vms);
	}
	while (nr_vms > 1)
		tear_down_vm(&vms[--nr_vms]);
}

int main(void)
{
	struct vm vms[MAX_VMS];

	host = reserve_addresses(SIZE);
	set_up_vm(&vms[0], NULL);
	measure_one_vm(&vms[0]);
	if (kvm_is_gmem())
		measure_more_vms(vms);
	tear_down_vm(&vms[0]);
	return 0;
}
