/* SPDX-License-Identifier: MIT */
/*
 * libgmem: guest memory that outlives its VMM, for VMM authors.
 *
 * A thin C API over KVM's ioctls for guest memory and for what goes along with
 * it when a guest changes its VMM process. The library has no state, no
 * threads and no locks of its own, never prints and never exits.
 *
 * Conventions, for every function below unless it says otherwise:
 *  - It returns a file descriptor, a count, or 0; or a negative errno.
 *  - Addresses, offsets and sizes are in bytes, times in milliseconds.
 *  - File descriptors that it returns are the caller's to close, and O_CLOEXEC.
 *  - Functions that take a VM or a vCPU must be called by the process that
 *    created the VM: KVM ties a VM to its creator and says EIO to others.
 *  - Distinct objects may be used by distinct threads at the same time; one
 *    object only by one at a time, but for what gmem_vcpu_set_immediate_exit()
 *    says.
 */
#ifndef GMEM_H
#define GMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvm_run;
struct kvm_regs;
struct kvm_sregs;
struct kvm_gmem_event;
struct kvm_gmem_answer;
struct kvm_gmem_present_range;
struct kvm_gmem_ring;

/* ---- KVM and its VMs (kvm.c) ---- */

/*
 * gmem_kvm_open - open KVM
 *
 * Returns a descriptor of /dev/kvm. Errors: ENOENT (no KVM module loaded),
 * EACCES (not for this user), ENOSYS (it speaks another API than version 12).
 */
int gmem_kvm_open(void);

/*
 * gmem_check_extension - KVM_CHECK_EXTENSION
 * @fd: /dev/kvm, or a VM for what that VM can do
 * @capability: KVM_CAP_*
 *
 * Returns the capability's value, 0 where KVM does not have it. With
 * KVM_CAP_GMEM the value is a mask of KVM_GMEM_CAP_* bits.
 */
int gmem_check_extension(int fd, uint32_t capability);

/*
 * gmem_vm_create - create a VM
 * @kvm: /dev/kvm
 * @type: KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM, ...
 *
 * Returns the VM's descriptor. Errors: EINVAL (this KVM has no such type).
 */
int gmem_vm_create(int kvm, uint64_t type);

/*
 * struct gmem_slot - a memslot, as it is bound and as it is handed over
 * @slot: KVM's number of it
 * @flags: KVM_MEM_*; KVM_MEM_GUEST_MEMFD where it has private memory
 * @gpa: first guest physical address
 * @size: of the slot
 * @private_offset: where the slot begins in its view
 * @shared_offset: where the slot begins in the file of its shared memory
 * @private_fd: the view; in a message, which of the message's descriptors it
 *	is; -1: none
 * @shared_fd: the file that is mapped for its shared memory, or -1 where the
 *	VMM maps memory that the guest never uses; in a message as above
 *
 * Offsets, addresses and sizes are multiples of the page size.
 */
struct gmem_slot {
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t private_offset;
	uint64_t shared_offset;
	int32_t private_fd;
	int32_t shared_fd;
};

/*
 * gmem_vm_set_memory - KVM_SET_USER_MEMORY_REGION2
 * @vm: VM
 * @slot: what to bind; @shared_fd and @shared_offset are not looked at
 * @host: the shared memory of the slot in this process, @size bytes
 *
 * Errors are KVM's: EINVAL (alignment, flags, a view of another VM, a range of
 * it that is bound already), EEXIST (overlaps another slot).
 */
int gmem_vm_set_memory(int vm, const struct gmem_slot *slot, void *host);

/*
 * struct gmem_range - a range of guest physical addresses and its attributes
 * @gpa: first address
 * @size: bytes
 * @attributes: KVM_MEMORY_ATTRIBUTE_*
 */
struct gmem_range {
	uint64_t gpa;
	uint64_t size;
	uint64_t attributes;
};

/*
 * gmem_vm_set_attributes - KVM_SET_MEMORY_ATTRIBUTES
 *
 * Errors are KVM's: EINVAL (alignment, an attribute this VM type has not),
 * ENOMEM.
 */
int gmem_vm_set_attributes(int vm, const struct gmem_range *range);

/* ---- Guest memory (memfd.c) ---- */

/*
 * gmem_memfd_create - make a guest memory inode, and its first view
 * @vm: the VM that the view belongs to
 * @size: of the inode: fixed from here on
 * @flags: GUEST_MEMFD_FLAG_*
 *
 * Returns the view's descriptor. Errors: EINVAL (size, flags), ENOMEM, EMFILE.
 */
int gmem_memfd_create(int vm, uint64_t size, uint64_t flags);

/*
 * gmem_memfd_link - make another VM's view of the same guest memory inode
 * @vm: the VM that the new view belongs to
 * @memfd: a view of another VM; it may be closed afterwards
 *
 * Returns the new view's descriptor. Errors: EINVAL (@memfd is not open, not a
 * view, or one of @vm already), EOPNOTSUPP (the VM's type cannot), EMFILE,
 * ENOMEM, ENOTTY (KVM is not gmem's).
 */
int gmem_memfd_link(int vm, int memfd);

/*
 * struct gmem_facts - what the kernel tells about a view and its inode
 * @ino: inode number: the same for all views of one inode
 * @size: of the inode
 * @flags: GUEST_MEMFD_FLAG_* of its creation
 * @resident: pages that it has now
 * @allocated: pages ever allocated for it
 * @freed: pages ever freed from it
 * @views: views that are open
 * @bindings: bindings of this view
 */
struct gmem_facts {
	uint64_t ino;
	uint64_t size;
	uint64_t flags;
	uint64_t resident;
	uint64_t allocated;
	uint64_t freed;
	uint64_t views;
	uint64_t bindings;
};

/*
 * gmem_memfd_facts - read a view's facts
 * @pid: the process that has the view open, 0 for the caller
 * @fd: the view's descriptor in that process
 * @facts: filled in
 *
 * Any process that may read /proc/@pid/fdinfo may call it. Errors: EBADF (no
 * such descriptor, or not of guest memory), EACCES, ESRCH (no such process).
 */
int gmem_memfd_facts(pid_t pid, int fd, struct gmem_facts *facts);

/* ---- First content of missing pages (populate.c) ---- */

/*
 * A page is missing until it was populated, or touched by a guest or the host.
 * Populating is for any process that has the descriptor, not only the VM's.
 */

/*
 * gmem_vm_populate - KVM_GUEST_MEMFD_POPULATE
 * @vm: a VM, of whichever process
 * @gpa: where guest memory gets its first content
 * @from: the content, or NULL: zeroes
 * @size: bytes, a multiple of the page size like @gpa
 *
 * Returns how many bytes were populated: call again for the rest. Errors:
 * EEXIST (the first page has content), EFAULT (@from cannot be read), EINVAL
 * (alignment; memory that is shared, or not in a guest memory inode), EIO (a
 * dead VM), ENOMEM, EINTR.
 */
int64_t gmem_vm_populate(int vm, uint64_t gpa, const void *from, uint64_t size);

/*
 * gmem_populate - KVM_GMEM_POPULATE: the same by offset
 * @fd: a view, or what gmem_create_filler() gave
 * @offset: into the inode
 * @from, @size: as above
 *
 * Returns and errors as above; EPIPE: the inode has no view left.
 */
int64_t gmem_populate(int fd, uint64_t offset, const void *from, uint64_t size);

/*
 * gmem_create_filler - make a handle that can populate, and nothing else
 * @view: the view that it is made from; it may be closed afterwards
 *
 * Returns the handle's descriptor: for a process that is not to have all that a
 * view gives. It polls POLLHUP when the inode's last view is closed. Errors:
 * EOPNOTSUPP (an SNP VM), EMFILE, ENOMEM.
 */
int gmem_create_filler(int view);

/*
 * gmem_present - which pages are not missing
 * @fd: a view, or a pager
 * @offset, @size: the range to look at; advanced behind what was looked at:
 *	@size is 0 when that was all
 * @ranges: filled in, in ascending order; adjoining ranges are possible
 * @max: how many there is room for
 *
 * Returns how many ranges were filled in, which may be none. Errors: EINVAL
 * (alignment, not inside the inode, @max is 0), EFAULT, EINTR, EPIPE.
 */
int gmem_present(int fd, uint64_t *offset, uint64_t *size,
		 struct kvm_gmem_present_range *ranges, uint32_t max);

/* ---- A pager for missing pages (pager.c) ---- */

/*
 * A pager owes an inode's missing pages: who needs one waits until it is there.
 * Its descriptor is good for that alone, so it may be sent to a process that is
 * trusted with nothing but the guest's first content. To use it in an event
 * loop, set O_NONBLOCK: it polls POLLIN while there are events, and POLLHUP
 * when the inode's last view is closed.
 */

/*
 * gmem_pager_create - make the pager of an inode
 * @view: the view that it is made from
 * @offset, @size: the range of the inode that it serves
 * @flags: KVM_GMEM_PAGER_*
 *
 * Returns the pager's descriptor. Errors: EBUSY (there is a pager, or pages are
 * owed that the one before did not serve), EINVAL (range, flags), EOPNOTSUPP (an
 * SNP VM), EMFILE, ENOMEM.
 */
int gmem_pager_create(int view, uint64_t offset, uint64_t size, uint64_t flags);

/*
 * gmem_pager_takeover - make the successor of a pager that is closed
 * @view: a view of its inode
 * @flags: KVM_GMEM_PAGER_*
 *
 * Returns the new pager's descriptor: it owes what the one before did, and
 * reads again every event that was not answered. Errors: as gmem_pager_create();
 * EBUSY: that one's descriptor is still open somewhere.
 */
int gmem_pager_takeover(int view, uint64_t flags);

/*
 * gmem_pager_read - read events, oldest first
 * @events: filled in
 * @max: how many there is room for, at least 1
 *
 * Waits for the first, unless the descriptor is O_NONBLOCK. Returns how many, at
 * least 1. Errors: EAGAIN (none, and O_NONBLOCK), EINTR, EPIPE (none, and the
 * inode has no view left), EPROTO (not a pager).
 */
int gmem_pager_read(int pager, struct kvm_gmem_event *events, uint32_t max);

/*
 * gmem_pager_answer - give pages their content, or say that there is none
 * @answers: carried out in order; @error and @done of each are filled in, up to
 *	the first that was not carried out in full
 * @nr: how many, at most KVM_GMEM_MAX_ANSWERS
 *
 * An answer may be for pages that nobody has asked for yet. Returns how many
 * were carried out in full, fewer than @nr if answers[that many] has an error.
 * Where it is the first, that error is returned. An answer of which only a part
 * was carried out has EEXIST or ENOENT for the page at @offset + @done:
 * somebody else has populated it, or it is not owed (any more). Other errors:
 * EINVAL (alignment, not inside the inode, @from or @op wrong), EFAULT (@from
 * cannot be read), ENOMEM, EINTR, EPIPE (the inode has no view left).
 */
int gmem_pager_answer(int pager, struct kvm_gmem_answer *answers, uint32_t nr);

/*
 * gmem_pager_detach - owe nothing any more
 * @force: pages that are missing fail from now on
 * @missing: NULL, or where to store how many owed pages are missing
 *
 * Errors: EBUSY (pages are missing, and not @force: nothing has changed), EPIPE.
 */
int gmem_pager_detach(int pager, int force, uint64_t *missing);

/* ---- A pager without system calls: its ring (pager-ring.c) ---- */

/* Bytes of a buffer: a page. */
#define GMEM_RING_BUFFER	4096UL

/*
 * struct gmem_pager_ring - memory that a pager and the kernel share
 * @pager: the caller's; it stays open for as long as the ring is used
 * @entries: how many events, and how many answers, it has room for
 * @buffers: how many pages of content
 * @map, @map_size: the mapping
 * @events, @answers, @content: in it
 * @event_tail: events taken
 * @answer_head: answers put
 * @answer_seen: answers that gmem_pager_ring_done() has given back
 *
 * For one thread at a time. Answers for more than there are buffers go by
 * gmem_pager_answer(), beside the ring.
 */
struct gmem_pager_ring {
	int pager;
	uint32_t entries;
	uint32_t buffers;
	struct kvm_gmem_ring *map;
	size_t map_size;
	struct kvm_gmem_event *events;
	struct kvm_gmem_answer *answers;
	char *content;
	uint32_t event_tail;
	uint32_t answer_head;
	uint32_t answer_seen;
};

/*
 * gmem_pager_ring_open - make a pager's ring, once
 * @entries: a power of 2, at most KVM_GMEM_RING_MAX_ENTRIES
 * @buffers: pages, at most KVM_GMEM_RING_MAX_BUFFERS; may be 0
 * @poll_ns: for how many nanoseconds a vCPU looks for an answer before it
 *	sleeps, at most KVM_GMEM_RING_MAX_POLL_NS
 * @ring: filled in; empty on error
 *
 * Events come by the ring from then on; the descriptor polls POLLIN while it has
 * some. Errors: EINVAL, EBUSY (it has one), ENOMEM, ENOTTY (these modules have
 * none). After an error that is not one of these, close the pager.
 */
int gmem_pager_ring_open(int pager, uint32_t entries, uint32_t buffers,
			 uint32_t poll_ns, struct gmem_pager_ring *ring);

/* gmem_pager_ring_close - unmap it; may be called twice */
void gmem_pager_ring_close(struct gmem_pager_ring *ring);

/*
 * gmem_pager_ring_next - take the next event, without a system call
 *
 * Returns 1, or 0 where there is none now. Errors: EPROTO (another process that
 * has the pager has written nonsense into the ring).
 */
int gmem_pager_ring_next(struct gmem_pager_ring *ring,
			 struct kvm_gmem_event *event);

/*
 * gmem_pager_ring_buffer - where content of answers is
 * @first: number of a page
 *
 * Returns its address; the pages lie one behind the other. NULL: it has no such
 * page. A buffer is the kernel's from gmem_pager_ring_put() on, until
 * gmem_pager_ring_done() has given back that answer.
 */
void *gmem_pager_ring_buffer(const struct gmem_pager_ring *ring, uint32_t first);

/*
 * gmem_pager_ring_put - put an answer, without a system call
 * @answer: its @from is an address in the ring's buffers, or 0
 *
 * Errors: EAGAIN (no room: take back what is done). Then gmem_pager_ring_enter(),
 * once for any number of answers.
 */
int gmem_pager_ring_put(struct gmem_pager_ring *ring,
			const struct kvm_gmem_answer *answer);

/*
 * gmem_pager_ring_enter - have the answers carried out, where nobody else does
 * @always: 0: a system call only if somebody sleeps who waits for an answer, or
 *	events found no room. Else in any case: for answers that nobody waits for
 *
 * Returns how many it has carried out; it may be none. Errors: EPIPE,
 * EINTR.
 */
int gmem_pager_ring_enter(struct gmem_pager_ring *ring, int always);

/*
 * gmem_pager_ring_done - take back the oldest answer that was carried out
 * @answer: as it was put, with @error, positive, and @done filled in
 *
 * Returns 1, or 0 where there is none now. ENOMEM in it is the memory limit of the
 * task that carried it out: worth another try. Errors: EPROTO, as above.
 */
int gmem_pager_ring_done(struct gmem_pager_ring *ring,
			 struct kvm_gmem_answer *answer);

/* ---- A page server of its own: the socket (pager-offer.c) ---- */

/*
 * A page server listens, with gmem_listen() or on a socket that it was given;
 * a VMM connects, offers its pager, and closes its own copy of the descriptor:
 *
 *	VMM			page server
 *	OFFER      ------------>
 *		   <------------ ACCEPTED, or REFUSED with a reason
 *		   <------------ DONE, if ever: all is there, nothing is owed
 *
 * When the connection ends without DONE, the page server is gone: the VMM makes
 * a new pager with gmem_pager_takeover(), connects again and offers that. When
 * the pager polls POLLHUP, the memory is gone.
 */
enum gmem_pager_message_kind {
	GMEM_PAGER_OFFER = 1,
	GMEM_PAGER_ACCEPTED,
	GMEM_PAGER_REFUSED,
	GMEM_PAGER_DONE,
	GMEM_PAGER_KINDS
};

/* OFFER: a pager before this one has served a part, and died. */
#define GMEM_PAGER_SUCCEEDS	(1U << 0)

#define GMEM_PAGER_TEXT		232	/* bytes, the final 0 included */

/*
 * struct gmem_pager_message - a message, to send or received
 * @kind: which one
 * @flags: OFFER: GMEM_PAGER_SUCCEEDS
 * @size: OFFER: bytes of memory, from offset 0 of the inode on
 * @pager: OFFER: the pager; else -1. A receiver finds any descriptor here
 * @error: REFUSED: a positive errno
 * @text: REFUSED: the reason, for a person
 */
struct gmem_pager_message {
	enum gmem_pager_message_kind kind;
	uint32_t flags;
	uint64_t size;
	int pager;
	int error;
	char text[GMEM_PAGER_TEXT];
};

/*
 * gmem_pager_send - send a message
 * @timeout: for the whole of it, -1 for ever
 *
 * Errors: EINVAL (not what a message of its kind is), EPIPE (the peer has
 * closed), ETIMEDOUT.
 */
int gmem_pager_send(int socket, const struct gmem_pager_message *message,
		    int timeout);

/*
 * gmem_pager_receive - receive a message, that may be hostile
 * @message: filled in; @pager is the caller's to close. Empty, with @pager -1,
 *	unless the result is 1.
 * @timeout: for the whole of it, -1 for ever
 *
 * Returns 1, or 0 when the peer has closed. Errors: EBADMSG (no message, or cut
 * short), EPROTONOSUPPORT (another version), EPROTO (not what a message of its
 * kind is, or not as many descriptors), EMFILE, ETIMEDOUT. Whatever the error,
 * no received descriptor stays open.
 */
int gmem_pager_receive(int socket, struct gmem_pager_message *message,
		       int timeout);

/* ---- vCPUs (vcpu.c) ---- */

/*
 * struct gmem_vcpu - a vCPU of a VM of this process
 * @fd: its descriptor
 * @id: KVM's number of it
 * @kvm: /dev/kvm, the caller's
 * @vm: its VM, the caller's
 * @run: the page that it shares with KVM
 * @run_size: bytes mapped at @run
 */
struct gmem_vcpu {
	int fd;
	uint32_t id;
	int kvm;
	int vm;
	struct kvm_run *run;
	size_t run_size;
};

/*
 * gmem_vcpu_create - create a vCPU and map its run page
 * @kvm, @vm: borrowed: they stay open for as long as the vCPU is used
 * @id: its number, below KVM_CAP_MAX_VCPU_ID
 * @vcpu: filled in; unchanged on error
 */
int gmem_vcpu_create(int kvm, int vm, uint32_t id, struct gmem_vcpu *vcpu);

/* gmem_vcpu_close - unmap and close; may be called twice */
void gmem_vcpu_close(struct gmem_vcpu *vcpu);

/*
 * gmem_vcpu_run - KVM_RUN
 *
 * Returns 0 when the guest left for the reason in @run->exit_reason. -EINTR: a
 * signal came or immediate_exit is set; nothing is pending then, and the state
 * is complete. -EFAULT and -EHWPOISON may come with
 * @run->exit_reason KVM_EXIT_MEMORY_FAULT.
 *
 * An exit that KVM wants answered (port I/O, MMIO) is complete only after the
 * next call: state that is read before is between two instructions. Set
 * immediate_exit and call until it returns -EINTR.
 */
int gmem_vcpu_run(struct gmem_vcpu *vcpu);

/*
 * gmem_vcpu_set_immediate_exit - make gmem_vcpu_run() return at once, or not
 *
 * The one function that another thread may call while one is in
 * gmem_vcpu_run(). To stop a running vCPU: call it, then send that thread a
 * signal that has a handler.
 */
void gmem_vcpu_set_immediate_exit(struct gmem_vcpu *vcpu, int on);

/* gmem_vcpu_set_regs - KVM_SET_REGS */
int gmem_vcpu_set_regs(struct gmem_vcpu *vcpu, const struct kvm_regs *regs);

/* gmem_vcpu_get_sregs - KVM_GET_SREGS */
int gmem_vcpu_get_sregs(struct gmem_vcpu *vcpu, struct kvm_sregs *sregs);

/* gmem_vcpu_set_sregs - KVM_SET_SREGS */
int gmem_vcpu_set_sregs(struct gmem_vcpu *vcpu, const struct kvm_sregs *sregs);

/* gmem_vcpu_use_host_cpuid - give the guest all the CPUID that KVM supports */
int gmem_vcpu_use_host_cpuid(struct gmem_vcpu *vcpu);

/* ---- A PC's devices in the kernel (pc.c) ---- */

/*
 * gmem_vm_create_pc - interrupt controllers and timer of a PC
 * @vm: VM without vCPUs
 *
 * vCPUs get local APICs. Errors: EEXIST (it has them).
 */
int gmem_vm_create_pc(int vm);

/* gmem_vm_set_irq - raise (@level 1) or lower an interrupt line: KVM_IRQ_LINE */
int gmem_vm_set_irq(int vm, uint32_t irq, int level);

/* gmem_vcpu_wire_pic - as firmware does: interrupts of the PIC reach this vCPU */
int gmem_vcpu_wire_pic(struct gmem_vcpu *vcpu);

/*
 * gmem_vcpu_use_pc_cpuid - as gmem_vcpu_use_host_cpuid(), with what a vCPU
 * with a local APIC in the kernel has besides
 */
int gmem_vcpu_use_pc_cpuid(struct gmem_vcpu *vcpu);

/* ---- A vCPU's state (state.c) ---- */

/*
 * What a vCPU's state consists of, in the order in which it is set: later
 * kinds depend on earlier ones. The numbers are part of the wire format.
 */
enum gmem_state_kind {
	GMEM_STATE_CPUID,	/* struct kvm_cpuid2 */
	GMEM_STATE_TSC_KHZ,	/* uint32_t */
	GMEM_STATE_SREGS,	/* struct kvm_sregs2 */
	GMEM_STATE_LAPIC,	/* struct kvm_lapic_state, where KVM has it */
	GMEM_STATE_XCRS,	/* struct kvm_xcrs */
	GMEM_STATE_XSAVE,	/* struct kvm_xsave, as long as KVM_CAP_XSAVE2 */
	GMEM_STATE_MSRS,	/* struct kvm_msrs */
	GMEM_STATE_EVENTS,	/* struct kvm_vcpu_events */
	GMEM_STATE_MP_STATE,	/* struct kvm_mp_state */
	GMEM_STATE_DEBUGREGS,	/* struct kvm_debugregs */
	GMEM_STATE_REGS,	/* struct kvm_regs */
	GMEM_STATE_NESTED,	/* struct kvm_nested_state, where KVM has it */
	GMEM_STATE_KINDS
};

/*
 * struct gmem_blob - one piece of state
 * @data: as KVM gives it; NULL where this piece is absent
 * @size: bytes
 */
struct gmem_blob {
	void *data;
	uint32_t size;
};

/*
 * struct gmem_vcpu_state - all that a vCPU is, memory apart
 * @id: KVM's number of the vCPU
 * @blobs: by enum gmem_state_kind
 *
 * VM-wide devices (in-kernel irqchip, PIT, kvmclock) are in struct gmem_vm_state.
 */
struct gmem_vcpu_state {
	uint32_t id;
	struct gmem_blob blobs[GMEM_STATE_KINDS];
};

/*
 * gmem_vcpu_get_state - read the state of a vCPU that is stopped
 * @state: filled in; free with gmem_vcpu_state_free(). Empty on error.
 */
int gmem_vcpu_get_state(struct gmem_vcpu *vcpu, struct gmem_vcpu_state *state);

/*
 * gmem_vcpu_set_state - write state to a vCPU that has never run
 * @failed: NULL, or where to store which kind KVM refused
 *
 * Errors: EINVAL (a blob of the wrong size, or content that KVM refuses, such
 * as an MSR that this vCPU has not), and KVM's own. After an error the vCPU is
 * part old, part new: close its VM.
 */
int gmem_vcpu_set_state(struct gmem_vcpu *vcpu,
			const struct gmem_vcpu_state *state,
			enum gmem_state_kind *failed);

/* gmem_vcpu_state_free - free the blobs; may be called twice */
void gmem_vcpu_state_free(struct gmem_vcpu_state *state);

/* gmem_state_name - "cpuid", "msrs", ...; "unknown" for what is none */
const char *gmem_state_name(enum gmem_state_kind kind);

/* ---- The state of what vCPUs share (vm-state.c) ---- */

/* In the order in which it is set. The numbers are part of the wire format. */
enum gmem_vm_state_kind {
	GMEM_VM_STATE_PIC_MASTER,	/* struct kvm_irqchip, where KVM has it */
	GMEM_VM_STATE_PIC_SLAVE,	/* struct kvm_irqchip, likewise */
	GMEM_VM_STATE_IOAPIC,		/* struct kvm_irqchip, likewise */
	GMEM_VM_STATE_PIT,		/* struct kvm_pit_state2, likewise */
	GMEM_VM_STATE_CLOCK,		/* struct kvm_clock_data */
	GMEM_VM_STATE_KINDS
};

/*
 * struct gmem_vm_state - what a VM is, vCPUs and memory apart
 * @blobs: by enum gmem_vm_state_kind
 */
struct gmem_vm_state {
	struct gmem_blob blobs[GMEM_VM_STATE_KINDS];
};

/*
 * gmem_vm_get_state - read it, with all vCPUs stopped
 * @state: filled in; free with gmem_vm_state_free(). Empty on error.
 */
int gmem_vm_get_state(int vm, struct gmem_vm_state *state);

/*
 * gmem_vm_set_state - write it, after all vCPUs' states: an interrupt that is on
 * its way to a local APIC arrives there
 * @failed: NULL, or where to store which kind KVM refused
 *
 * The guest's clock goes on from where it was read. Errors: EINVAL (a blob of the
 * wrong size, or content that KVM refuses), ENXIO (the VM has no such device).
 * After an error the VM is part old, part new: close it.
 */
int gmem_vm_set_state(int vm, const struct gmem_vm_state *state,
		      enum gmem_vm_state_kind *failed);

/* gmem_vm_state_free - free the blobs; may be called twice */
void gmem_vm_state_free(struct gmem_vm_state *state);

/* gmem_vm_state_name - "ioapic", "pit", ...; "unknown" for what is none */
const char *gmem_vm_state_name(enum gmem_vm_state_kind kind);

/* ---- Handover: messages (message.c, decode.c) ---- */

/*
 * A handover is a dialogue between the source, whose VM has the guest, and the
 * destination, which connects to the source's socket:
 *
 *	destination		source			the guest
 *	REQUEST    ------------>			runs under the source
 *		   <------------ MEMORY			runs
 *	LINKED     ------------>			runs
 *		   <------------ STATE			is stopped
 *	COMMIT     ------------>			is stopped
 *		   <------------ GIVEN			is the destination's
 *	RUNNING    ------------>			runs there
 *
 * Between MEMORY and the end, the source leaves layout and attributes alone.
 *
 * Never two owners: the source runs the guest until it has sent STATE. From
 * there it may run it again only if the dialogue ended before COMMIT came, or
 * if the destination's process is gone and RUNNING had not come. The
 * destination runs the guest only after GIVEN, having sent RUNNING; or, having
 * STATE, when the source's process is gone. A socket that was closed does not
 * say that a process is gone: gmem_peer_wait_gone() does.
 *
 * Either side may send ABORT, with a reason, in place of its next message, up
 * to COMMIT and GIVEN.
 *
 * SNAPSHOT does not go over a socket: it is what is kept of a guest in a file,
 * memory apart. Its descriptors are files of memory, in an order that writer and
 * reader agree on.
 */
enum gmem_message_kind {
	GMEM_MESSAGE_REQUEST = 1,
	GMEM_MESSAGE_MEMORY,
	GMEM_MESSAGE_LINKED,
	GMEM_MESSAGE_STATE,
	GMEM_MESSAGE_COMMIT,
	GMEM_MESSAGE_GIVEN,
	GMEM_MESSAGE_RUNNING,
	GMEM_MESSAGE_ABORT,
	GMEM_MESSAGE_SNAPSHOT,
	GMEM_MESSAGE_KINDS
};

/* Limits of one message; what is past them is refused on both sides. */
#define GMEM_MAX_FDS		64
#define GMEM_MAX_SLOTS		4096
#define GMEM_MAX_RANGES		65536
#define GMEM_MAX_VCPUS		1024
#define GMEM_MAX_BLOB		65536		/* bytes */
#define GMEM_MAX_DEVICES	(1024 * 1024)	/* bytes */
#define GMEM_MAX_TEXT		256		/* bytes, the final 0 included */
#define GMEM_MAX_MESSAGE	(64 * 1024 * 1024) /* bytes */

/*
 * struct gmem_message - a message, to send or received
 * @kind: which one: which of the following it has
 * @vm_type: MEMORY, SNAPSHOT: KVM_X86_*
 * @nr_slots, @slots: likewise: the memslots; their descriptors are indexes
 * @nr_ranges, @ranges: likewise: attributes that are not 0
 * @nr_fds, @fds: likewise: descriptors, each used by a slot at least
 * @nr_vcpus, @vcpus: STATE, SNAPSHOT: vCPUs
 * @devices_size, @devices: likewise: the VMM's own, opaque to the library
 * @vm_state: SNAPSHOT: what the vCPUs share
 * @error: ABORT: a positive errno
 * @text: ABORT: the reason, for a person
 *
 * For sending, the pointers and descriptors stay the caller's. What is
 * received belongs to the message until gmem_message_free().
 */
struct gmem_message {
	enum gmem_message_kind kind;
	uint64_t vm_type;
	uint32_t nr_slots;
	uint32_t nr_ranges;
	uint32_t nr_vcpus;
	uint32_t nr_fds;
	struct gmem_slot *slots;
	struct gmem_range *ranges;
	struct gmem_vcpu_state *vcpus;
	int fds[GMEM_MAX_FDS];
	size_t devices_size;
	void *devices;
	struct gmem_vm_state vm_state;
	int error;
	char text[GMEM_MAX_TEXT];
};

/*
 * gmem_message_encode - lay a message out as it goes over the socket
 * @buffer: where to store a buffer, to be given to free()
 *
 * Returns its bytes. Descriptors are not in it. Errors: EINVAL (the message
 * is not one that gmem_message_decode() would take), ENOMEM.
 */
ssize_t gmem_message_encode(const struct gmem_message *message, void **buffer);

/*
 * gmem_message_decode - read a message from bytes that may be anything
 * @message: filled in, but for @fds, which are -1; empty on error
 * @buffer, @size: exactly one message
 *
 * Errors: EBADMSG (no message, cut short, too long), EPROTONOSUPPORT (another
 * version), EPROTO (well-formed, with a content that its kind may not have),
 * ENOMEM.
 */
int gmem_message_decode(struct gmem_message *message, const void *buffer,
			size_t size);

/* gmem_message_free - free what was received and close its descriptors */
void gmem_message_free(struct gmem_message *message);

/*
 * gmem_message_take_fd - take a descriptor out of a received message
 *
 * Returns the descriptor, from now on the caller's. EBADF: there is none of
 * that index, or it was taken.
 */
int gmem_message_take_fd(struct gmem_message *message, uint32_t index);

/* gmem_message_name - "REQUEST", ...; "unknown" for what is none */
const char *gmem_message_name(enum gmem_message_kind kind);

/* ---- Handover: the socket (socket.c) ---- */

/*
 * gmem_listen - make the socket that destinations connect to
 * @path: of the socket, mode 0600 from its first instant; the caller's to
 *	unlink
 *
 * Errors: EADDRINUSE (@path exists), ENAMETOOLONG, ENOENT, EACCES.
 */
int gmem_listen(const char *path);

/*
 * gmem_accept - take one destination
 *
 * Returns its connection. EPERM: the process at the other end is of another
 * user, and not root: it was turned away.
 */
int gmem_accept(int listener);

/*
 * gmem_connect - connect to a source
 *
 * Returns the connection. Errors: ENOENT (no such socket), ECONNREFUSED
 * (nobody listens), EPERM as for gmem_accept(), ENAMETOOLONG.
 */
int gmem_connect(const char *path);

/*
 * gmem_send - send a message
 * @timeout: for the whole of it, -1 for ever
 *
 * Returns the bytes sent. Errors: EINVAL (as gmem_message_encode(); SNAPSHOT), EPIPE
 * (the peer has closed), ETIMEDOUT. After an error the connection is of no
 * more use: close it.
 */
ssize_t gmem_send(int socket, const struct gmem_message *message, int timeout);

/*
 * gmem_receive - receive a message
 * @message: filled in; free with gmem_message_free(). Empty unless the
 *	result is positive.
 * @timeout: for the whole of it, -1 for ever
 *
 * Returns the bytes received, or 0 when the peer has closed. What comes may
 * be hostile: errors as gmem_message_decode(), and EPROTO (SNAPSHOT; the descriptors
 * are not as many as it says), EBADF (a descriptor is not what its slot needs:
 * private_fd a view, shared_fd a file sealed with F_SEAL_SHRINK, both long
 * enough), EMFILE, ETIMEDOUT. Whatever the error, no received descriptor stays
 * open. After an error the connection is of no more use: close it.
 */
ssize_t gmem_receive(int socket, struct gmem_message *message, int timeout);

/* ---- Handover: who is at the other end (peer.c) ---- */

/*
 * struct gmem_peer - the process at the other end of a connection
 * @pidfd: of the process, or -1
 * @pid: its number as seen from here
 * @uid: its user
 * @gone: it was gone already when the peer was opened
 */
struct gmem_peer {
	int pidfd;
	pid_t pid;
	uid_t uid;
	int gone;
};

/*
 * gmem_peer_open - find out which process is at the other end of a connection
 * @socket: from gmem_connect() or gmem_accept()
 * @peer: filled in; to be closed by gmem_peer_close(), also after an error
 * @timeout: how long to wait for something to come, in milliseconds, -1 for ever
 *
 * The peer is the process that sent what is received next, not the process that
 * called listen(2), which SO_PEERCRED names. So this waits until something has
 * arrived, and leaves it to be received. Errors: EPIPE (the connection was closed),
 * ETIMEDOUT, ESRCH (the sender's number has no meaning here), EMFILE.
 */
int gmem_peer_open(int socket, struct gmem_peer *peer, int timeout);

/*
 * gmem_peer_wait_gone - wait until the peer's process is no more
 * @timeout: how long to wait, 0 to ask only, -1 for ever
 *
 * Returns 0 when it is gone with all its descriptors and VMs (it may not have
 * been waited for by its parent). ETIMEDOUT: it lives. EBADF: cannot be told.
 */
int gmem_peer_wait_gone(const struct gmem_peer *peer, int timeout);

/* gmem_peer_kill - SIGKILL to the peer's process; ESRCH: it is gone already */
int gmem_peer_kill(const struct gmem_peer *peer);

/* gmem_peer_close - forget it; may be called twice */
void gmem_peer_close(struct gmem_peer *peer);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_H */
