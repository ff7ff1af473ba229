// SPDX-License-Identifier: MIT
/*
 * What Linux 7.3's KVM does too, with guest memory that the host may map, in a default VM: first
 * touches by guest and host, touches of what is there, and holes. bench/mainline runs it on both.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 3
#define SIZE (64 * MIB)
#define FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* A VM whose memory is mapped by the host, and nothing of it touched. */
struct subject {
	int vm;
	int view;
	volatile char *host;
	struct gmem_vcpu vcpu;
};

static void open_subject(struct subject *s)
{
	s->vm = create_default_vm();
	s->view = must(gmem_memfd_create(s->vm, SIZE, FLAGS), "create guest memory");
	s->host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->view, 0);
	if (s->host == MAP_FAILED)
		must(-errno, "mmap");
	add_guest_code(s->vm);
	bind_private(s->vm, s->view, SIZE, (void *)s->host);
	create_guest_vcpu(s->vm, 0, &s->vcpu);
}

static void close_subject(struct subject *s)
{
	gmem_vcpu_close(&s->vcpu);
	munmap((void *)s->host, SIZE);
	close(s->view);
	close(s->vm);
}

static void sample_pages(const char *series, uint64_t start)
{
	sample("mainline", series, SIZE, (now_ns() - start) / (SIZE / PAGE));
}

static void touch_by_guest(struct subject *s, const char *series)
{
	uint64_t start;

	set_guest_range(&s->vcpu, PRIVATE_GPA, PRIVATE_GPA + SIZE);
	start = now_ns();
	run_guest(&s->vcpu);
	sample_pages(series, start);
}

static void touch_by_host(struct subject *s, const char *series)
{
	uint64_t start = now_ns(), at;

	for (at = 0; at < SIZE; at += PAGE)
		s->host[at] = 1;
	sample_pages(series, start);
}

static void punch(struct subject *s, const char *series)
{
	uint64_t start = now_ns();

	if (fallocate(s->view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
		must(-errno, "punch");
	sample_pages(series, start);
}

int main(void)
{
	struct subject s;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		open_subject(&s);
		touch_by_guest(&s, "first touch by the guest");
		touch_by_host(&s, "then by the host");
		punch(&s, "hole, mapped by both");
		touch_by_host(&s, "first touch by the host");
		touch_by_guest(&s, "then by the guest");
		munmap((void *)s.host, SIZE);
		punch(&s, "hole, mapped by the guest");
		close_subject(&s);
	}
	return 0;
}
