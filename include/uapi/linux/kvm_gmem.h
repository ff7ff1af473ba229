/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * gmem: guest memory that outlives its VMM.
 *
 * All that the gmem kernel modules add to KVM's userspace ABI. Use it beside
 * <linux/kvm.h>; what an older <linux/kvm.h> lacks of guest_memfd itself is
 * supplied at the end, with the numbers and layouts of Linux 6.12.
 */
#ifndef _UAPI_LINUX_KVM_GMEM_H
#define _UAPI_LINUX_KVM_GMEM_H

#include <linux/kvm.h>
#include <linux/types.h>

/*
 * KVM_CHECK_EXTENSION(KVM_CAP_GMEM), on /dev/kvm or on a VM: a mask of
 * KVM_GMEM_CAP_* bits, 0 where this is not a gmem kernel. On a VM the mask
 * is what that VM's type can do.
 */
#define KVM_CAP_GMEM			0x676d656d

#define KVM_GMEM_CAP_LINK		(1U << 0)	/* KVM_LINK_GUEST_MEMFD */
/* KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM moves the attributes of private memory */
#define KVM_GMEM_CAP_MOVE		(1U << 1)
#define KVM_GMEM_CAP_MOVE_VCPUS		(1U << 2)	/* KVM_MOVE_VCPUS */
/*
 * KVM_SET_MEMORY_ATTRIBUTES2; and GUEST_MEMFD_FLAG_MMAP and
 * GUEST_MEMFD_FLAG_INIT_SHARED for a VM that has private memory, too
 */
#define KVM_GMEM_CAP_CONVERT		(1U << 8)
/* KVM_GUEST_MEMFD_POPULATE, KVM_GMEM_POPULATE and KVM_GMEM_CREATE_FILLER */
#define KVM_GMEM_CAP_POPULATE		(1U << 16)
#define KVM_GMEM_CAP_PAGER		(1U << 17)	/* KVM_GMEM_CREATE_PAGER */
#define KVM_GMEM_CAP_PAGER_RING		(1U << 18)	/* KVM_GMEM_PAGER_RING */
#define KVM_GMEM_CAP_PAGER_EXIT		(1U << 19)	/* KVM_GMEM_PAGER_EXIT */
/* a guest that knows asynchronous page faults runs on while its pager is asked */
#define KVM_GMEM_CAP_PAGER_ASYNC	(1U << 20)

#define KVM_GMEM_CAP_SEAL		(1U << 9)	/* KVM_GMEM_SEAL, KVM_GMEM_GET_SEALS */
#define KVM_GMEM_CAP_WRITE		(1U << 10)	/* GUEST_MEMFD_FLAG_WRITE */
#define KVM_GMEM_CAP_HUGE		(1U << 11)	/* GUEST_MEMFD_FLAG_HUGE_* */

/**
 * struct kvm_link_guest_memfd - argument of KVM_LINK_GUEST_MEMFD
 * @fd: file descriptor of a view, held by the caller, of another VM
 * @flags: none are defined: zero
 * @reserved: zero
 *
 * VM ioctl. Makes a view of the calling VM on the guest memory inode behind
 * @fd and returns its file descriptor (O_CLOEXEC).
 */
struct kvm_link_guest_memfd {
	__u64 fd;
	__u64 flags;
	__u64 reserved[6];
};

#define KVM_LINK_GUEST_MEMFD	_IOWR(KVMIO, 0xd6, struct kvm_link_guest_memfd)

/**
 * struct kvm_guest_memfd_populate - argument of KVM_GUEST_MEMFD_POPULATE
 * @gpa: guest physical address, page-aligned
 * @size: bytes, page-aligned, not 0
 * @from: address of the content in the caller's memory, or 0: zeroes
 * @flags: none are defined: zero
 *
 * VM ioctl, by any process. Gives missing pages behind @gpa their first
 * content. Returns how many; -1 with EEXIST where the first has content.
 */
struct kvm_guest_memfd_populate {
	__u64 gpa;
	__u64 size;
	__u64 from;
	__u64 flags;
};

#define KVM_GUEST_MEMFD_POPULATE \
	_IOW(KVMIO, 0xd6, struct kvm_guest_memfd_populate)

/**
 * struct kvm_gmem_populate - argument of KVM_GMEM_POPULATE
 * @offset: bytes into the inode, page-aligned
 * @size: as in struct kvm_guest_memfd_populate
 * @from: likewise
 * @flags: likewise
 * @reserved: zero
 *
 * ioctl on a view or on a populate-only handle: the same by offset.
 */
struct kvm_gmem_populate {
	__u64 offset;
	__u64 size;
	__u64 from;
	__u64 flags;
	__u64 reserved[4];
};

#define KVM_GMEM_POPULATE	_IOW(KVMIO, 0xe2, struct kvm_gmem_populate)

/**
 * struct kvm_gmem_create_filler - argument of KVM_GMEM_CREATE_FILLER
 * @flags: none are defined: zero
 * @reserved: zero
 *
 * ioctl on a view. Returns the descriptor (O_CLOEXEC) of a populate-only
 * handle: it takes KVM_GMEM_POPULATE, and is good for nothing else.
 */
struct kvm_gmem_create_filler {
	__u64 flags;
	__u64 reserved[7];
};

#define KVM_GMEM_CREATE_FILLER	_IOW(KVMIO, 0xe3, struct kvm_gmem_create_filler)

/**
 * struct kvm_gmem_create_pager - argument of KVM_GMEM_CREATE_PAGER
 * @flags: KVM_GMEM_PAGER_*
 * @offset: bytes into the inode, page-aligned
 * @size: bytes, page-aligned; with TAKEOVER it may be 0
 * @reserved: zero
 *
 * ioctl on a view. Returns the descriptor (O_CLOEXEC) of a pager: from then on
 * a missing page of the range is not zero-filled; a task that needs it waits, and the pager reads
 * an event for it.
 */
struct kvm_gmem_create_pager {
	__u64 flags;
	__u64 offset;
	__u64 size;
	__u64 reserved[5];
};

/* The earlier pager has died: take over what it owed, and every event that it did not answer. */
#define KVM_GMEM_PAGER_TAKEOVER		(1ULL << 0)
/* When the pager dies, missing pages fail; otherwise a task that needs one waits. */
#define KVM_GMEM_PAGER_FAIL		(1ULL << 1)
/*
 * A vCPU that needs a missing page does not wait: KVM_RUN fails with EFAULT and
 * KVM_EXIT_MEMORY_FAULT, with KVM_MEMORY_EXIT_FLAG_MISSING. There is an event, too.
 */
#define KVM_GMEM_PAGER_EXIT		(1ULL << 2)
#define KVM_MEMORY_EXIT_FLAG_MISSING	(1ULL << 32)

#define KVM_GMEM_CREATE_PAGER	_IOW(KVMIO, 0xe6, struct kvm_gmem_create_pager)

/**
 * struct kvm_gmem_event - what read(2) on a pager returns, one or more
 * @type: KVM_GMEM_EVENT_*
 * @flags: of a fault: KVM_GMEM_FAULT_*; of a removal: KVM_GMEM_REMOVE_*
 * @offset: bytes into the inode
 * @size: bytes
 * @when: CLOCK_MONOTONIC, in nanoseconds
 * @vm: the VM that needs it, as "vm" in a view's fdinfo; 0: the host
 * @reserved: zero
 */
struct kvm_gmem_event {
	__u32 type;
	__u32 flags;
	__u64 offset;
	__u64 size;
	__u64 when;
	__u32 vm;
	__u32 reserved[7];
};

#define KVM_GMEM_EVENT_FAULT		1	/* a page is needed */
#define KVM_GMEM_EVENT_REMOVE		2	/* a hole: not owed any more */

/*
 * The limit of unanswered faults: an access to a further page waits without an event, and
 * asks when half of them are answered. The same limit holds for unread removals: beyond it, one
 * event covers several.
 */
#define KVM_GMEM_MAX_EVENTS		65536
/* A removal's flag: some pages of the range may still be owed; ENOENT tells which are not. */
#define KVM_GMEM_REMOVE_PARTLY		(1U << 0)

#define KVM_GMEM_FAULT_WRITE		(1U << 0)
#define KVM_GMEM_FAULT_EXEC		(1U << 1)
#define KVM_GMEM_FAULT_KVM		(1U << 2)	/* KVM's own access */

/**
 * struct kvm_gmem_answer - one of KVM_GMEM_PAGER_ANSWER's answers
 * @op: KVM_GMEM_ANSWER_*
 * @error: out: 0, or the errno of what stopped it
 * @offset: bytes into the inode, page-aligned
 * @size: bytes, page-aligned, not 0
 * @from: of COPY: address of the content in the caller's memory
 * @done: out: bytes that were populated
 */
struct kvm_gmem_answer {
	__u32 op;
	__s32 error;
	__u64 offset;
	__u64 size;
	__u64 from;
	__u64 done;
};

#define KVM_GMEM_ANSWER_COPY		1	/* content from memory */
#define KVM_GMEM_ANSWER_ZERO		2	/* zeroes */
#define KVM_GMEM_ANSWER_CONTINUE	3	/* populated by other means */
#define KVM_GMEM_ANSWER_FAIL		4	/* can't be served */

/**
 * struct kvm_gmem_pager_answer - argument of KVM_GMEM_PAGER_ANSWER
 * @answers: address of an array of struct kvm_gmem_answer
 * @nr: its length, at most KVM_GMEM_MAX_ANSWERS
 * @flags: none are defined: zero
 *
 * ioctl on a pager. Returns how many answers were carried out in full; the
 * next one, if any, has @error set. -1 where it is the first, with that error.
 */
struct kvm_gmem_pager_answer {
	__u64 answers;
	__u32 nr;
	__u32 flags;
};

#define KVM_GMEM_MAX_ANSWERS		1024
#define KVM_GMEM_PAGER_ANSWER	_IOW(KVMIO, 0xe7, struct kvm_gmem_pager_answer)

/**
 * struct kvm_gmem_pager_ring - argument of KVM_GMEM_PAGER_RING
 * @entries: in: how many events it has room for, and how many answers: a power
 *	     of 2, at most KVM_GMEM_RING_MAX_ENTRIES
 * @buffers: in: pages of content, at most KVM_GMEM_RING_MAX_BUFFERS
 * @poll_ns: in: for how long a vCPU looks for an answer before it sleeps, at
 *	     most KVM_GMEM_RING_MAX_POLL_NS
 * @flags: none are defined: zero
 * @size: out: bytes, to be mapped from offset 0 of the pager, shared
 * @events: out: offset of an array of struct kvm_gmem_event in the mapping
 * @answers: out: offset of an array of struct kvm_gmem_answer
 * @content: out: offset of the pages of content
 * @reserved: zero
 *
 * ioctl on a pager, once. Events come by the ring from then on; read(2) gives
 * those that found no room there.
 */
struct kvm_gmem_pager_ring {
	__u32 entries;
	__u32 buffers;
	__u32 poll_ns;
	__u32 flags;
	__u64 size;
	__u64 events;
	__u64 answers;
	__u64 content;
	__u64 reserved[2];
};

#define KVM_GMEM_RING_MAX_ENTRIES	4096
#define KVM_GMEM_RING_MAX_BUFFERS	4096
#define KVM_GMEM_RING_MAX_POLL_NS	1000000
#define KVM_GMEM_PAGER_RING	_IOWR(KVMIO, 0xea, struct kvm_gmem_pager_ring)

/**
 * struct kvm_gmem_ring - what is at the beginning of the mapping
 * @event_head: events that the kernel has put
 * @event_tail: events that the pager has taken
 * @answer_head: answers that the pager has put
 * @answer_tail: answers that were carried out
 * @wake: KVM_GMEM_RING_*, of the kernel: what KVM_GMEM_PAGER_ENTER is needed for
 *
 * The four count on for ever, modulo 2^32; an entry is at the count modulo
 * @entries. A head is stored after the entries before it, and loaded before
 * them. In the ring, COPY's from is an offset in the mapping; when answer_tail
 * has passed an answer, its error and done say how it went. No answer in the
 * ring is for more than KVM_GMEM_RING_MAX_BUFFERS pages.
 */
struct kvm_gmem_ring {
	__u32 event_head;
	__u32 pad0[15];
	__u32 event_tail;
	__u32 pad1[15];
	__u32 answer_head;
	__u32 pad2[15];
	__u32 answer_tail;
	__u32 pad3[15];
	__u32 wake;
	__u32 pad4[15];
};

/* Somebody sleeps: ENTER after an answer. A full barrier before looking here. */
#define KVM_GMEM_RING_WAKE		(1U << 0)
/* There was no room for all events: ENTER once there is. */
#define KVM_GMEM_RING_MORE		(1U << 1)

/*
 * ioctl on a pager with a ring: carries out the answers in it, and puts events
 * that had found no room. Returns how many answers.
 */
#define KVM_GMEM_PAGER_ENTER	_IO(KVMIO, 0xeb)

/**
 * struct kvm_gmem_pager_detach - argument of KVM_GMEM_PAGER_DETACH
 * @flags: KVM_GMEM_DETACH_FORCE
 * @missing: out: owed pages that are missing
 *
 * ioctl on a pager: nothing is owed any more. EBUSY where pages are missing;
 * with FORCE these fail from then on.
 */
struct kvm_gmem_pager_detach {
	__u64 flags;
	__u64 missing;
};

#define KVM_GMEM_DETACH_FORCE		(1ULL << 0)
#define KVM_GMEM_PAGER_DETACH	_IOWR(KVMIO, 0xe8, struct kvm_gmem_pager_detach)

/**
 * struct kvm_gmem_present - argument of KVM_GMEM_PRESENT
 * @offset: in: where to look, bytes, page-aligned; out: where to go on
 * @size: in: how far, bytes, page-aligned; out: what is left
 * @ranges: address of an array of struct kvm_gmem_present_range
 * @nr: in: its length; out: how many were filled in
 * @flags: none are defined: zero
 *
 * ioctl on a view or a pager: which pages there are, as ranges.
 */
struct kvm_gmem_present {
	__u64 offset;
	__u64 size;
	__u64 ranges;
	__u32 nr;
	__u32 flags;
};

struct kvm_gmem_present_range {
	__u64 offset;
	__u64 size;
};

#define KVM_GMEM_PRESENT	_IOWR(KVMIO, 0xe9, struct kvm_gmem_present)

/*
 * A flag in args[1] of KVM_ENABLE_CAP(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM): the
 * state of the vCPUs, the interrupt controllers, the timers and the clocks
 * moves too, and exits to userspace that are not completed.
 */
#define KVM_MOVE_VCPUS			(1ULL << 32)

/*
 * KVM_CREATE_GUEST_MEMFD's flags, with the numbers of Linux 6.18.
 * KVM_CHECK_EXTENSION(KVM_CAP_GUEST_MEMFD_FLAGS) on a VM says which of them it can have.
 */
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS	244
#endif
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#endif
#ifndef GUEST_MEMFD_FLAG_INIT_SHARED
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)
#endif
/*
 * Our own. Each is two bits, bit 63 and one more, valid together only:
 * KVM_CAP_GUEST_MEMFD_FLAGS has 32 bits, and Linux's own tests demand that every single bit
 * which it does not have is refused.
 */
/* write(2) populates pages; KVM_GMEM_CAP_WRITE says that the flag is there */
#define GUEST_MEMFD_FLAG_WRITE		(1ULL << 63 | 1ULL << 32)
/*
 * When pages come 2 MiB at a time, one of the three and only with GUEST_MEMFD_FLAG_MMAP:
 * never; where that is free in one piece; also where memory has to be made free for it. A
 * page that is touched then gives the others of its 2 MiB content, too. Without one of them
 * the modules' parameter gmem_huge decides. KVM_GMEM_CAP_HUGE says that the flags are there.
 */
#define GUEST_MEMFD_FLAG_HUGE_NEVER	(1ULL << 63 | 1ULL << 33)
#define GUEST_MEMFD_FLAG_HUGE_FITS	(1ULL << 63 | 1ULL << 34)
#define GUEST_MEMFD_FLAG_HUGE_ALWAYS	(1ULL << 63 | 1ULL << 35)

/* f_type of fstatfs(2) on a view, as in Linux 6.19. */
#ifndef GUEST_MEMFD_MAGIC
#define GUEST_MEMFD_MAGIC		0x474d454d
#endif

/**
 * struct kvm_memory_attributes2 - argument of KVM_SET_MEMORY_ATTRIBUTES2
 * @address: not used on a view, whose pages go by offset
 * @offset: bytes into the inode, page-aligned
 * @size: bytes, page-aligned
 * @attributes: KVM_MEMORY_ATTRIBUTE_PRIVATE, or 0: shared
 * @flags: none are defined: zero
 * @error_offset: out, with EAGAIN: the first page that is in the way
 * @reserved: zero
 *
 * ioctl on a view whose VM has private memory, of an inode with MMAP or
 * INIT_SHARED. Makes pages private or shared in place, for all views and the host.
 */
#ifndef KVM_SET_MEMORY_ATTRIBUTES2
struct kvm_memory_attributes2 {
	union {
		__u64 address;
		__u64 offset;
	};
	__u64 size;
	__u64 attributes;
	__u64 flags;
	__u64 error_offset;
	__u64 reserved[11];
};

#define KVM_SET_MEMORY_ATTRIBUTES2 \
	_IOWR(KVMIO, 0xd2, struct kvm_memory_attributes2)
#endif

/*
 * What is never to happen to an inode again. Those that memfd_create(2) has too
 * have the numbers of F_SEAL_*.
 */
#define KVM_GMEM_SEAL_SEAL	(1ULL << 0)	/* no more seals */
#define KVM_GMEM_SEAL_SHRINK	(1ULL << 1)	/* no holes */
/* no content from userspace: no populating, write(2) or mapping */
#define KVM_GMEM_SEAL_WRITE	(1ULL << 3)
/* no access by the host's userspace: no write(2), mapping, or conversion to shared */
#define KVM_GMEM_SEAL_GUEST	(1ULL << 32)
#define KVM_GMEM_SEAL_LINK	(1ULL << 33)	/* no more views */

/**
 * struct kvm_gmem_seals - argument of KVM_GMEM_SEAL and KVM_GMEM_GET_SEALS
 * @seals: KVM_GMEM_SEAL_*: those to add; those that are set
 * @flags: none are defined: zero
 * @reserved: zero
 *
 * ioctls on a view. Seals are the inode's: every view has them, for good.
 */
struct kvm_gmem_seals {
	__u64 seals;
	__u64 flags;
	__u64 reserved[6];
};

#define KVM_GMEM_SEAL		_IOW(KVMIO, 0xe0, struct kvm_gmem_seals)
#define KVM_GMEM_GET_SEALS	_IOR(KVMIO, 0xe1, struct kvm_gmem_seals)

/*
 * Linux 6.12's guest_memfd ABI, for those whose <linux/kvm.h> is older.
 */
#ifndef KVM_CREATE_GUEST_MEMFD

#define KVM_CAP_USER_MEMORY2		231
#define KVM_CAP_MEMORY_FAULT_INFO	232
#define KVM_CAP_MEMORY_ATTRIBUTES	233
#define KVM_CAP_GUEST_MEMFD		234
#define KVM_CAP_VM_TYPES		235

#define KVM_X86_DEFAULT_VM		0
#define KVM_X86_SW_PROTECTED_VM		1

#define KVM_MEM_GUEST_MEMFD		(1UL << 2)

struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2 \
	_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)

struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};

#define KVM_MEMORY_ATTRIBUTE_PRIVATE	(1ULL << 3)
#define KVM_SET_MEMORY_ATTRIBUTES \
	_IOW(KVMIO, 0xd2, struct kvm_memory_attributes)

struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};

#define KVM_CREATE_GUEST_MEMFD \
	_IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)

#define KVM_EXIT_MEMORY_FAULT		39
#define KVM_MEMORY_EXIT_FLAG_PRIVATE	(1ULL << 3)

#endif /* KVM_CREATE_GUEST_MEMFD */

/**
 * struct kvm_gmem_memory_fault - kvm_run's payload of KVM_EXIT_MEMORY_FAULT
 * @flags: KVM_MEMORY_EXIT_FLAG_*
 * @gpa: first guest physical address of the fault
 * @size: bytes
 *
 * The same bytes as kvm_run.memory_fault, for those whose struct kvm_run has
 * no such member: they start where kvm_run.hw does.
 */
struct kvm_gmem_memory_fault {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};

#endif /* _UAPI_LINUX_KVM_GMEM_H */
