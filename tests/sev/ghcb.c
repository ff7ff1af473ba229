// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests of an SEV-ES guest in its GHCB, and a move in between. KVM keeps these and some of the
 * guest's registers; no ioctl reads or sets them.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../kvm/lib/claims.h"
#include "es.h"
#include "expect.h"
#include "firmware.h"

#define PORT	0x7b

static struct es_guest src, dst;

static void create(void)
{
	es_create(&src, 0);
	es_create_destination(&dst, &src, 0);
}

static uint8_t *io_data(struct es_guest *g)
{
	return (uint8_t *)g->run[0] + g->run[0]->io.data_offset;
}

static void expect_in(struct es_guest *g, unsigned int count)
{
	EXPECT_EQ(g->run[0]->exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(g->run[0]->io.direction, KVM_EXIT_IO_IN);
	EXPECT_EQ(g->run[0]->io.port, PORT);
	EXPECT_EQ(g->run[0]->io.count, count);
}

/* The source's guest reads a byte from PORT, with @rax in its register; KVM_RUN returns. */
static void ask_for_a_byte(uint64_t rax)
{
	es_ask(&src, 0, EXIT_IOIO, IOIO_IN(PORT), 0);
	es_put(&src, 0, GHCB_RAX, rax);
	es_run(&src, 0, KVM_EXIT_IO);
}

/* The moved guest goes on with the byte. */
static void expect_byte(uint8_t byte)
{
	es_run(&dst, 0, KVM_EXIT_FAIL_ENTRY);
	EXPECT_EQ(es_get(&dst, 0, GHCB_RAX), byte);
}

/* No move: the tests' guest and softpsp work. */
static void no_move(void)
{
	es_create(&src, 0);
	ask_for_a_byte(0x1100);
	expect_in(&src, 1);
	*io_data(&src) = 0x5a;
	es_run(&src, 0, KVM_EXIT_FAIL_ENTRY);
	EXPECT_EQ(es_get(&src, 0, GHCB_RAX) & 0xff, 0x5a);
}

static void answered_before(void)
{
	create();
	ask_for_a_byte(0);
	*io_data(&src) = 0x5a;
	es_move(&dst, &src);
	expect_in(&dst, 1);
	expect_byte(0x5a);
}

static void answered_after(void)
{
	create();
	ask_for_a_byte(0);
	es_move(&dst, &src);
	expect_in(&dst, 1);
	*io_data(&dst) = 0x5a;
	expect_byte(0x5a);
}

/* KVM has taken the answer, and the guest was not entered since. */
static void completed_before(void)
{
	create();
	ask_for_a_byte(0);
	*io_data(&src) = 0x5a;
	src.run[0]->immediate_exit = 1;
	EXPECT_EQ(ioctl(src.vcpu[0], KVM_RUN, 0), -1);
	EXPECT_EQ(errno, EINTR);
	es_move(&dst, &src);
	expect_byte(0x5a);
}

static void string_io(void)
{
	create();
	es_ask(&src, 0, EXIT_IOIO, IOIO_INS(PORT), 5);
	es_put(&src, 0, GHCB_SCRATCH, ES_SCRATCH);
	es_run(&src, 0, KVM_EXIT_IO);
	es_move(&dst, &src);
	expect_in(&dst, 5);
	memcpy(io_data(&dst), "moved", 5);
	es_run(&dst, 0, KVM_EXIT_FAIL_ENTRY);
	EXPECT(!memcmp(dst.vm.memory + ES_SCRATCH, "moved", 5));
}

static void mmio(void)
{
	create();
	es_ask(&src, 0, EXIT_MMIO_READ, ES_MMIO, 8);
	es_put(&src, 0, GHCB_SCRATCH, ES_SCRATCH);
	es_run(&src, 0, KVM_EXIT_MMIO);
	es_move(&dst, &src);
	EXPECT_EQ(dst.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(dst.run[0]->mmio.phys_addr, ES_MMIO);
	memcpy(dst.run[0]->mmio.data, "the same", 8);
	es_run(&dst, 0, KVM_EXIT_FAIL_ENTRY);
	EXPECT(!memcmp(dst.vm.memory + ES_SCRATCH, "the same", 8));
}

static void jump_table(void)
{
	create();
	es_ask(&src, 0, EXIT_AP_JUMP_TABLE, 0, 0x7000);
	es_run(&src, 0, KVM_EXIT_FAIL_ENTRY);
	es_move(&dst, &src);
	es_ask(&dst, 1, EXIT_AP_JUMP_TABLE, 1, 0);
	es_run(&dst, 1, KVM_EXIT_FAIL_ENTRY);
	EXPECT_EQ(es_get(&dst, 1, GHCB_INFO2), 0x7000);
}

static uint32_t ask_cpuid(struct es_guest *g)
{
	es_ask(g, 0, EXIT_CPUID, 0, 0);
	es_put(g, 0, GHCB_RAX, 1);
	es_put(g, 0, GHCB_RCX, 0);
	es_run(g, 0, KVM_EXIT_FAIL_ENTRY);
	return es_get(g, 0, GHCB_RCX);
}

/* CPUID has a bit of CR4's, which KVM is told of and can't read. */
static void cr4(void)
{
	const uint64_t osxsave = 1 << 18, pae = 1 << 5;
	uint32_t features;

	for (int after = 0; after < 2; after++) {
		create();
		es_set_cpuid(src.vcpu[0]);
		if (!after)
			es_set_cpuid(dst.vcpu[0]);
		EXPECT(!(ask_cpuid(&src) & 1 << 27));
		fw_exit(src.asid, 0, EXIT_CR4_WRITE_TRAP, osxsave | pae, 0);
		es_run(&src, 0, KVM_EXIT_FAIL_ENTRY);
		features = ask_cpuid(&src);
		EXPECT(features & 1 << 27);
		es_move(&dst, &src);
		if (after)
			es_set_cpuid(dst.vcpu[0]);
		EXPECT_EQ(ask_cpuid(&dst), features);
	}
}

static const struct claim claims[] = {
	CLAIM(no_move, "without a move, the guest gets what userspace answers"),
	CLAIM(answered_before, "port I/O, answered to the source: the moved guest gets it"),
	CLAIM(answered_after, "port I/O is shown in the destination, and answered there"),
	CLAIM(completed_before, "port I/O that KVM has completed in the source: likewise"),
	CLAIM(string_io, "string I/O is answered in the destination"),
	CLAIM(mmio, "MMIO is answered in the destination"),
	CLAIM(jump_table, "the jump table that the guest has set is told in the destination"),
	CLAIM(cr4, "CPUID tells what the guest has written to CR4"),
};

CLAIMS_MAIN(claims);
