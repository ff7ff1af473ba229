// SPDX-License-Identifier: MIT
/*
 * What it costs to move a VM: by the size of its memory, and by how much of it
 * the source's guest has mapped. Beside it, what KVM takes to empty these stage-2
 * tables when the memslot is deleted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 15
#define MAPPED_ROUNDS 5
#define FEW (64 * KIB)
#define MANY (64 * MIB)
#define PARTS 1024ULL
#define HUGE (2 * MIB)

static const uint64_t sizes[] = {
	1 * GIB, 4 * GIB, 16 * GIB, 64 * GIB,
};

static const uint64_t mapped_sizes[] = {
	4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 1 * GIB,
};

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define NR_MAPPED (sizeof(mapped_sizes) / sizeof(mapped_sizes[0]))

static void *host;

struct vm {
	int fd;
	int memfd;
	struct gmem_vcpu vcpu;
};

static void set_up_vm(struct vm *vm, uint64_t size, const struct vm *source)
{
	vm->fd = create_vm();
	vm->memfd = must(source ? gmem_memfd_link(vm->fd, source->memfd) :
				  gmem_memfd_create(vm->fd, size, 0), "get guest memory");
	bind_private(vm->fd, vm->memfd, size, host);
	create_guest_vcpu(vm->fd, 0, &vm->vcpu);
}

static void tear_down_vm(struct vm *vm)
{
	gmem_vcpu_close(&vm->vcpu);
	close(vm->memfd);
	close(vm->fd);
}

/* A VM whose memory is private, with that much of it mapped, from its start. */
static void set_up_source(struct vm *vm, uint64_t size, uint64_t mapped)
{
	set_up_vm(vm, size, NULL);
	make_private(vm->fd, size);
	if (mapped)
		prefault(&vm->vcpu, PRIVATE_GPA, mapped);
}

/* The same with one page in 2 MiB of all of it. */
static void set_up_sparse_source(struct vm *vm, uint64_t size)
{
	uint64_t offset;

	set_up_source(vm, size, 0);
	for (offset = 0; offset < size; offset += HUGE)
		prefault(&vm->vcpu, PRIVATE_GPA + offset, PAGE);
}

/* The same with nothing mapped any more, but with the tables for it. */
static void set_up_emptied_source(struct vm *vm, uint64_t size)
{
	set_up_source(vm, size, FEW);
	if (fallocate(vm->memfd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, size))
		must(-errno, "punch a hole");
}

/* Moves @source to a VM of its own; both are gone afterwards. */
static void measure_move(struct vm *source, uint64_t size, uint64_t flags, const char *series,
			 uint64_t x)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { source->fd, flags },
	};
	struct vm destination;
	uint64_t start;

	set_up_vm(&destination, size, source);
	start = now_ns();
	if (ioctl(destination.fd, KVM_ENABLE_CAP, &cap))
		must(-errno, "move");
	sample("move", series, x, now_ns() - start);
	tear_down_vm(source);
	tear_down_vm(&destination);
}

static void move(uint64_t size, uint64_t mapped, const char *series, uint64_t x)
{
	struct vm source;

	set_up_source(&source, size, mapped);
	measure_move(&source, size, 0, series, x);
}

static void move_vcpus(uint64_t size, uint64_t mapped, const char *series, uint64_t x)
{
	struct vm source;

	set_up_source(&source, size, mapped);
	measure_move(&source, size, KVM_MOVE_VCPUS, series, x);
}

static void move_sparse(uint64_t size, uint64_t flags, const char *series)
{
	struct vm source;

	set_up_sparse_source(&source, size);
	measure_move(&source, size, flags, series, size);
}

static void move_emptied(uint64_t size, uint64_t flags, const char *series)
{
	struct vm source;

	set_up_emptied_source(&source, size);
	measure_move(&source, size, flags, series, size);
}

/* Pages that are there and that no guest has mapped cost nothing. */
static void move_resident(uint64_t size, const char *series)
{
	struct vm source;

	set_up_source(&source, size, 0);
	if (fallocate(source.memfd, FALLOC_FL_KEEP_SIZE, 0, MANY))
		must(-errno, "allocate guest memory");
	measure_move(&source, size, 0, series, size);
}

/* Attributes in many ranges, spread over all of the memory. */
static void move_parts(uint64_t size, const char *series)
{
	struct vm source;
	uint64_t part;

	set_up_source(&source, size, 0);
	for (part = 0; part < PARTS; part++) {
		struct gmem_range range = {
			.gpa = PRIVATE_GPA + part * (size / PARTS),
			.size = PAGE,
		};

		must(gmem_vm_set_attributes(source.fd, &range), "make a page shared");
	}
	measure_move(&source, size, 0, series, size);
}

static void delete_slot(uint64_t size, uint64_t mapped)
{
	struct vm vm;
	uint64_t start;

	set_up_source(&vm, size, mapped);
	start = now_ns();
	unbind_private(vm.fd);
	sample("move", "delete the slot, by what is mapped", mapped, now_ns() - start);
	tear_down_vm(&vm);
}

static void measure_by_size(void)
{
	size_t i, round;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_SIZES; i++)
			move(sizes[i], 0, "nothing mapped", sizes[i]);
		for (i = 0; i < NR_SIZES; i++)
			move(sizes[i], FEW, "64 KiB mapped", sizes[i]);
	}
	for (round = 0; round < MAPPED_ROUNDS; round++) {
		for (i = 0; i < NR_SIZES; i++)
			move_resident(sizes[i], "64 MiB resident, not mapped");
		for (i = 0; i < NR_SIZES; i++)
			move(sizes[i], MANY, "64 MiB mapped", sizes[i]);
		for (i = 0; i < NR_SIZES; i++)
			move_parts(sizes[i], "2048 ranges of attributes");
		for (i = 0; i < NR_SIZES; i++)
			move_emptied(sizes[i], 0, "nothing mapped any more");
		move_sparse(sizes[NR_SIZES - 1], 0, "one page in 2 MiB mapped");
		move_sparse(sizes[NR_SIZES - 1], KVM_MOVE_VCPUS,
			    "with vCPUs, one page in 2 MiB mapped");
		move_vcpus(GIB, 0, "with vCPUs, nothing mapped", GIB);
		move_emptied(GIB, KVM_MOVE_VCPUS, "with vCPUs, nothing mapped any more");
	}
}

int main(void)
{
	size_t i, round;

	host = reserve_addresses(sizes[NR_SIZES - 1]);
	if (kvm_is_gmem())
		measure_by_size();
	for (round = 0; round < MAPPED_ROUNDS; round++) {
		for (i = 0; i < NR_MAPPED; i++) {
			if (kvm_is_gmem())
				move(GIB, mapped_sizes[i], "move, by what is mapped",
				     mapped_sizes[i]);
			if (kvm_is_gmem())
				move_vcpus(GIB, mapped_sizes[i], "with vCPUs, by what is mapped",
					   mapped_sizes[i]);
			delete_slot(GIB, mapped_sizes[i]);
		}
	}
	return 0;
}
