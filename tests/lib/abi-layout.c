// SPDX-License-Identifier: MIT
/*
 * The ABI never changes: checks that numbers and layouts are as they were when they were added.
 * Compiled, not run, as C11 and as C++17, with KVM headers of several ages, by ./abi.
 */
#include <linux/kvm_gmem.h>
#include <stddef.h>

#ifndef __cplusplus
#define static_assert _Static_assert
#endif

#define SIZE(type, size) \
	static_assert(sizeof(struct type) == (size), "size of " #type)
#define FIELD(type, field, at) \
	static_assert(offsetof(struct type, field) == (at), \
		      "place of " #type "." #field)
#define NUMBER(name, value) static_assert((name) == (value), "value of " #name)

NUMBER(KVM_CAP_GMEM, 0x676d656d);
NUMBER(KVM_GMEM_CAP_LINK, 1);

SIZE(kvm_link_guest_memfd, 64);
FIELD(kvm_link_guest_memfd, fd, 0);
FIELD(kvm_link_guest_memfd, flags, 8);
FIELD(kvm_link_guest_memfd, reserved, 16);
NUMBER(KVM_LINK_GUEST_MEMFD, 0xc040aed6);

NUMBER(KVM_GMEM_CAP_CONVERT, 0x100);
NUMBER(KVM_GMEM_CAP_SEAL, 0x200);
NUMBER(KVM_CAP_GUEST_MEMFD_FLAGS, 244);
NUMBER(GUEST_MEMFD_FLAG_MMAP, 1);
NUMBER(GUEST_MEMFD_FLAG_INIT_SHARED, 2);
NUMBER(GUEST_MEMFD_FLAG_WRITE, 0x8000000100000000);
NUMBER(KVM_GMEM_CAP_WRITE, 0x400);
NUMBER(GUEST_MEMFD_MAGIC, 0x474d454d);

SIZE(kvm_memory_attributes2, 128);
FIELD(kvm_memory_attributes2, offset, 0);
FIELD(kvm_memory_attributes2, size, 8);
FIELD(kvm_memory_attributes2, attributes, 16);
FIELD(kvm_memory_attributes2, flags, 24);
FIELD(kvm_memory_attributes2, error_offset, 32);
FIELD(kvm_memory_attributes2, reserved, 40);
NUMBER(KVM_SET_MEMORY_ATTRIBUTES2, 0xc080aed2);

SIZE(kvm_gmem_seals, 64);
FIELD(kvm_gmem_seals, seals, 0);
FIELD(kvm_gmem_seals, flags, 8);
FIELD(kvm_gmem_seals, reserved, 16);
NUMBER(KVM_GMEM_SEAL, 0x4040aee0);
NUMBER(KVM_GMEM_GET_SEALS, 0x8040aee1);
NUMBER(KVM_GMEM_SEAL_SEAL, 1);
NUMBER(KVM_GMEM_SEAL_SHRINK, 2);
NUMBER(KVM_GMEM_SEAL_WRITE, 8);
NUMBER(KVM_GMEM_SEAL_GUEST, 0x100000000);
NUMBER(KVM_GMEM_SEAL_LINK, 0x200000000);

NUMBER(KVM_GMEM_CAP_POPULATE, 0x10000);
NUMBER(KVM_GMEM_CAP_PAGER, 0x20000);
NUMBER(KVM_GMEM_CAP_PAGER_ASYNC, 0x100000);

SIZE(kvm_guest_memfd_populate, 32);
FIELD(kvm_guest_memfd_populate, gpa, 0);
FIELD(kvm_guest_memfd_populate, size, 8);
FIELD(kvm_guest_memfd_populate, from, 16);
FIELD(kvm_guest_memfd_populate, flags, 24);
NUMBER(KVM_GUEST_MEMFD_POPULATE, 0x4020aed6);

SIZE(kvm_gmem_populate, 64);
FIELD(kvm_gmem_populate, offset, 0);
FIELD(kvm_gmem_populate, size, 8);
FIELD(kvm_gmem_populate, from, 16);
FIELD(kvm_gmem_populate, flags, 24);
FIELD(kvm_gmem_populate, reserved, 32);
NUMBER(KVM_GMEM_POPULATE, 0x4040aee2);

SIZE(kvm_gmem_create_filler, 64);
FIELD(kvm_gmem_create_filler, flags, 0);
FIELD(kvm_gmem_create_filler, reserved, 8);
NUMBER(KVM_GMEM_CREATE_FILLER, 0x4040aee3);

SIZE(kvm_gmem_create_pager, 64);
FIELD(kvm_gmem_create_pager, flags, 0);
FIELD(kvm_gmem_create_pager, offset, 8);
FIELD(kvm_gmem_create_pager, size, 16);
FIELD(kvm_gmem_create_pager, reserved, 24);
NUMBER(KVM_GMEM_PAGER_TAKEOVER, 1);
NUMBER(KVM_GMEM_PAGER_FAIL, 2);
NUMBER(KVM_GMEM_CREATE_PAGER, 0x4040aee6);

SIZE(kvm_gmem_event, 64);
FIELD(kvm_gmem_event, type, 0);
FIELD(kvm_gmem_event, flags, 4);
FIELD(kvm_gmem_event, offset, 8);
FIELD(kvm_gmem_event, size, 16);
FIELD(kvm_gmem_event, when, 24);
FIELD(kvm_gmem_event, vm, 32);
FIELD(kvm_gmem_event, reserved, 36);
NUMBER(KVM_GMEM_EVENT_FAULT, 1);
NUMBER(KVM_GMEM_EVENT_REMOVE, 2);
NUMBER(KVM_GMEM_FAULT_WRITE, 1);
NUMBER(KVM_GMEM_FAULT_EXEC, 2);
NUMBER(KVM_GMEM_FAULT_KVM, 4);

SIZE(kvm_gmem_answer, 40);
FIELD(kvm_gmem_answer, op, 0);
FIELD(kvm_gmem_answer, error, 4);
FIELD(kvm_gmem_answer, offset, 8);
FIELD(kvm_gmem_answer, size, 16);
FIELD(kvm_gmem_answer, from, 24);
FIELD(kvm_gmem_answer, done, 32);
NUMBER(KVM_GMEM_ANSWER_COPY, 1);
NUMBER(KVM_GMEM_ANSWER_ZERO, 2);
NUMBER(KVM_GMEM_ANSWER_CONTINUE, 3);
NUMBER(KVM_GMEM_ANSWER_FAIL, 4);

SIZE(kvm_gmem_pager_answer, 16);
FIELD(kvm_gmem_pager_answer, answers, 0);
FIELD(kvm_gmem_pager_answer, nr, 8);
FIELD(kvm_gmem_pager_answer, flags, 12);
NUMBER(KVM_GMEM_MAX_ANSWERS, 1024);
NUMBER(KVM_GMEM_PAGER_ANSWER, 0x4010aee7);

SIZE(kvm_gmem_pager_detach, 16);
FIELD(kvm_gmem_pager_detach, flags, 0);
FIELD(kvm_gmem_pager_detach, missing, 8);
NUMBER(KVM_GMEM_DETACH_FORCE, 1);
NUMBER(KVM_GMEM_PAGER_DETACH, 0xc010aee8);

SIZE(kvm_gmem_pager_ring, 64);
FIELD(kvm_gmem_pager_ring, entries, 0);
FIELD(kvm_gmem_pager_ring, buffers, 4);
FIELD(kvm_gmem_pager_ring, poll_ns, 8);
FIELD(kvm_gmem_pager_ring, flags, 12);
FIELD(kvm_gmem_pager_ring, size, 16);
FIELD(kvm_gmem_pager_ring, events, 24);
FIELD(kvm_gmem_pager_ring, answers, 32);
FIELD(kvm_gmem_pager_ring, content, 40);
FIELD(kvm_gmem_pager_ring, reserved, 48);
SIZE(kvm_gmem_ring, 320);
FIELD(kvm_gmem_ring, event_head, 0);
FIELD(kvm_gmem_ring, event_tail, 64);
FIELD(kvm_gmem_ring, answer_head, 128);
FIELD(kvm_gmem_ring, answer_tail, 192);
FIELD(kvm_gmem_ring, wake, 256);
NUMBER(KVM_GMEM_RING_WAKE, 1);
NUMBER(KVM_GMEM_RING_MORE, 2);
NUMBER(KVM_GMEM_RING_MAX_ENTRIES, 4096);
NUMBER(KVM_GMEM_RING_MAX_BUFFERS, 4096);
NUMBER(KVM_GMEM_RING_MAX_POLL_NS, 1000000);
NUMBER(KVM_GMEM_PAGER_RING, 0xc040aeea);
NUMBER(KVM_GMEM_PAGER_ENTER, 0xaeeb);
NUMBER(KVM_GMEM_PAGER_EXIT, 4);
NUMBER(KVM_MEMORY_EXIT_FLAG_MISSING, 1ULL << 32);

SIZE(kvm_gmem_present, 32);
FIELD(kvm_gmem_present, offset, 0);
FIELD(kvm_gmem_present, size, 8);
FIELD(kvm_gmem_present, ranges, 16);
FIELD(kvm_gmem_present, nr, 24);
FIELD(kvm_gmem_present, flags, 28);
SIZE(kvm_gmem_present_range, 16);
FIELD(kvm_gmem_present_range, offset, 0);
FIELD(kvm_gmem_present_range, size, 8);
NUMBER(KVM_GMEM_PRESENT, 0xc020aee9);

SIZE(kvm_gmem_memory_fault, 24);
FIELD(kvm_gmem_memory_fault, flags, 0);
FIELD(kvm_gmem_memory_fault, gpa, 8);
FIELD(kvm_gmem_memory_fault, size, 16);
/* It lies over kvm_run.hw, where newer headers have kvm_run.memory_fault. */
FIELD(kvm_run, hw, 32);
#ifdef NEWER_HEADERS
FIELD(kvm_run, memory_fault, 32);
FIELD(kvm_run, memory_fault.gpa, 40);
FIELD(kvm_run, memory_fault.size, 48);
#endif

/* Linux 6.12's, which the header supplies where linux/kvm.h has them not. */
NUMBER(KVM_CAP_USER_MEMORY2, 231);
NUMBER(KVM_CAP_MEMORY_FAULT_INFO, 232);
NUMBER(KVM_CAP_MEMORY_ATTRIBUTES, 233);
NUMBER(KVM_CAP_GUEST_MEMFD, 234);
NUMBER(KVM_CAP_VM_TYPES, 235);
NUMBER(KVM_X86_SW_PROTECTED_VM, 1);
NUMBER(KVM_MEM_GUEST_MEMFD, 4);
NUMBER(KVM_MEMORY_ATTRIBUTE_PRIVATE, 8);
NUMBER(KVM_EXIT_MEMORY_FAULT, 39);
NUMBER(KVM_MEMORY_EXIT_FLAG_PRIVATE, 8);

SIZE(kvm_userspace_memory_region2, 160);
FIELD(kvm_userspace_memory_region2, userspace_addr, 24);
FIELD(kvm_userspace_memory_region2, guest_memfd_offset, 32);
FIELD(kvm_userspace_memory_region2, guest_memfd, 40);
NUMBER(KVM_SET_USER_MEMORY_REGION2, 0x40a0ae49);

SIZE(kvm_memory_attributes, 32);
FIELD(kvm_memory_attributes, attributes, 16);
NUMBER(KVM_SET_MEMORY_ATTRIBUTES, 0x4020aed2);

SIZE(kvm_create_guest_memfd, 64);
FIELD(kvm_create_guest_memfd, flags, 8);
NUMBER(KVM_CREATE_GUEST_MEMFD, 0xc040aed4);
