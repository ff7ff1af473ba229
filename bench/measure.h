/* SPDX-License-Identifier: MIT */
/*
 * What the measuring programs share: samples, and VMs to take them from.
 *
 * A program prints one line a sample: measurement, series, x, nanoseconds,
 * separated by tabs. x is what the cost may grow with (bytes, VMs, vCPUs).
 * bench/run puts the modules' kind and the boot's number in front.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include <gmem.h>

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define PAGE 4096ULL

/* Aligned for every page size, so that no slot loses its huge pages by it. */
#define PRIVATE_GPA (1 * GIB)

/* ---- Samples (sample.c) ---- */

uint64_t now_ns(void);

/* Print one sample. */
void sample(const char *measurement, const char *series, uint64_t x, uint64_t ns);

/* @ret, or the end of the program where it is -errno. */
int must(int ret, const char *what);

/* ---- VMs (machine.c) ---- */

/* /dev/kvm, opened once; whether its modules are ours. */
int kvm_fd(void);
int kvm_is_gmem(void);

/* A fresh VM with private memory, of no memory and no vCPU. */
int create_vm(void);

/* The same, of the type that has no private memory. */
int create_default_vm(void);

/* Addresses for a slot's shared half that nobody touches, aligned to 1 GiB. */
void *reserve_addresses(size_t size);

/* Bind @size bytes of @memfd at PRIVATE_GPA, as slot 1. */
void bind_private(int vm, int memfd, uint64_t size, void *host);

/* Take slot 1 away. */
void unbind_private(int vm);

/* The same slot, with shared memory alone. */
void add_slot_without_gmem(int vm, uint64_t size, void *host);

/* Give @size bytes from PRIVATE_GPA + @offset on these attributes. */
void set_attributes(int vm, uint64_t offset, uint64_t size, uint64_t attributes);

/* Say that [PRIVATE_GPA, + @size) is private. */
void make_private(int vm, uint64_t size);

/* ---- vCPUs that touch memory (guest.c) ---- */

/* The guest's code, shared, at guest physical address 0, as slot 0. */
void add_guest_code(int vm);

void create_guest_vcpu(int vm, uint32_t id, struct gmem_vcpu *vcpu);

/* Set the vCPU up to write to each page of [gpa, end), below 4 GiB. */
void set_guest_range(struct gmem_vcpu *vcpu, uint64_t gpa, uint64_t end);

/* Run the vCPU until it is done with its range. */
void run_guest(struct gmem_vcpu *vcpu);

/* Have KVM map [gpa, gpa + size) for the vCPU's VM, without running it. */
void prefault(struct gmem_vcpu *vcpu, uint64_t gpa, uint64_t size);

#endif /* BENCH_MEASURE_H */
