// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on real VMs and inodes: see world.h.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/mman.h>

#include "content.h"
#include "fdinfo.h"
#include "mapped.h"
#include "moving.h"
#include "populate.h"
#include "private.h"
#include "sealing.h"
#include "world.h"

#define SIZE		(MODEL_PAGES * PAGE_SIZE)
#define SLOT_ID(slot)	(MACHINE_SLOT + (slot))

static void *reserve(void)
{
	const size_t huge = MODEL_BLOCK * PAGE_SIZE;
	uint64_t at = (uint64_t)mmap(NULL, SIZE + huge, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT((void *)at != MAP_FAILED, "mmap");
	return (void *)((at + huge - 1) / huge * huge);
}

void world_init(struct world *w)
{
	allow_forced_emulation();
	*w = (struct world){ .source = reserve() };
	for (unsigned int i = 0; i < MODEL_INODES; i++)
		w->fillers[i] = -1;
}

static int64_t result(int64_t ret)
{
	return ret < 0 ? -errno : ret;
}

static uint64_t *page_in(uint64_t *memory, unsigned long page)
{
	return memory + page * CONTENT_WORDS;
}

/* Pages to populate from. */
static uint64_t *prepare(struct world *w, uint64_t base, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		content_put(page_in(w->source, i), content_of(base, i));
	return w->source;
}

static int64_t make_vm(struct world_vm *vm, const long *arg)
{
	if (vm->machine)
		return NOT_DONE;

	vm->machine = machine_of_type(arg[1] ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM,
				      MODEL_PAGES);
	vm->behind = reserve();
	for (unsigned int i = 0; i < MODEL_INODES; i++)
		vm->views[i] = -1;
	return 0;
}

static int64_t unmap(struct world_vm *vm, unsigned int inode)
{
	if (!vm->host[inode])
		return NOT_DONE;

	munmap(vm->host[inode], SIZE);
	vm->host[inode] = NULL;
	return 0;
}

static int64_t close_view(struct world_vm *vm, unsigned int inode)
{
	if (vm->views[inode] < 0)
		return NOT_DONE;

	unmap(vm, inode);
	close(vm->views[inode]);
	vm->views[inode] = -1;
	return 0;
}

static int64_t drop_vm(struct world_vm *vm)
{
	for (unsigned int i = 0; i < MODEL_INODES; i++)
		close_view(vm, i);
	machine_release(vm->machine);
	munmap(vm->behind, SIZE);
	*vm = (struct world_vm){};
	return 0;
}

static bool has_view(struct world *w, unsigned int inode)
{
	for (unsigned int i = 0; i < MODEL_VMS; i++) {
		if (w->vms[i].machine && w->vms[i].views[inode] >= 0)
			return true;
	}
	return false;
}

static uint64_t abi_flags(long flags)
{
	return (flags & MODEL_MMAP ? GUEST_MEMFD_FLAG_MMAP : 0) |
	       (flags & MODEL_INIT_SHARED ? GUEST_MEMFD_FLAG_INIT_SHARED : 0) |
	       (flags & MODEL_WRITE ? GUEST_MEMFD_FLAG_WRITE : 0);
}

static int64_t create(struct world *w, struct world_vm *vm, const long *arg)
{
	int view;

	if (has_view(w, arg[1]))
		return NOT_DONE;

	view = __vm_create_guest_memfd(vm->machine->vm, arg[3] * PAGE_SIZE, abi_flags(arg[2]));
	if (view < 0)
		return result(view);

	vm->views[arg[1]] = view;
	if (w->fillers[arg[1]] >= 0)
		close(w->fillers[arg[1]]);
	w->fillers[arg[1]] = filler_of(view);
	return 0;
}

static int64_t link_inode(struct world *w, struct world_vm *vm, const long *arg)
{
	struct world_vm *from = &w->vms[arg[2]];
	int view = __link_view(vm->machine->vm, from->machine ? from->views[arg[1]] : -1);

	if (view < 0)
		return result(view);

	if (vm->views[arg[1]] >= 0)
		close(view);
	else
		vm->views[arg[1]] = view;
	return 0;
}

static int64_t make_slot(struct world_vm *vm, const long *arg)
{
	return result(__vm_set_user_memory_region2(vm->machine->vm, SLOT_ID(arg[1]),
						   KVM_MEM_GUEST_MEMFD,
						   MACHINE_GPA + arg[2] * PAGE_SIZE,
						   arg[3] * PAGE_SIZE,
						   page_in(vm->behind, arg[2]),
						   vm->views[arg[4]], arg[5] * PAGE_SIZE));
}

static int64_t delete_slot(struct world_vm *vm, const long *arg)
{
	return result(__vm_set_user_memory_region2(vm->machine->vm, SLOT_ID(arg[1]),
						   KVM_MEM_GUEST_MEMFD, MACHINE_GPA, 0, NULL,
						   -1, 0));
}

static int64_t set_attributes(struct world_vm *vm, const long *arg)
{
	struct kvm_memory_attributes args = {
		.address = MACHINE_GPA + arg[1] * PAGE_SIZE,
		.size = arg[2] * PAGE_SIZE,
		.attributes = arg[3] ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return result(__vm_ioctl(vm->machine->vm, KVM_SET_MEMORY_ATTRIBUTES, &args));
}

static int64_t populate_gfns(struct world *w, struct world_vm *vm, const long *arg, uint64_t base)
{
	return result(populate(vm->machine, arg[1], arg[2], prepare(w, base, arg[2])));
}

static int64_t map(struct world_vm *vm, const long *arg)
{
	void *p;

	if (vm->host[arg[1]])
		return NOT_DONE;

	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm->views[arg[1]], 0);
	if (p == MAP_FAILED)
		return result(-1);

	vm->host[arg[1]] = p;
	return 0;
}

/* Registers go along with a vCPU, and without it they do not. */
static bool has_registers(struct world_vm *vm, const struct kvm_regs *want)
{
	struct kvm_regs regs;

	vcpu_regs_get(vm->machine->vcpu, &regs);
	return !memcmp(&regs, want, sizeof(regs));
}

static int64_t move_vm(struct world *w, struct world_vm *vm, const long *arg)
{
	struct world_vm *from = &w->vms[arg[1]];
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { 0, arg[2] ? KVM_MOVE_VCPUS : 0 },
	};
	struct kvm_regs theirs, own;
	bool known;

	if (!from->machine)
		return NOT_DONE;

	known = !__vcpu_ioctl(from->machine->vcpu, KVM_GET_REGS, &theirs) &&
		!__vcpu_ioctl(vm->machine->vcpu, KVM_GET_REGS, &own);
	cap.args[0] = from->machine->vm->fd;
	if (__vm_ioctl(vm->machine->vm, KVM_ENABLE_CAP, &cap))
		return result(-1);

	TEST_ASSERT(known, "a dead VM was moved");
	TEST_ASSERT(has_registers(vm, arg[2] ? &theirs : &own),
		    "the destination's registers are not %s",
		    arg[2] ? "the source's" : "its own");
	return 0;
}

static int64_t prefault(struct world_vm *vm, const long *arg)
{
	struct kvm_pre_fault_memory range = {
		.gpa = MACHINE_GPA + arg[1] * PAGE_SIZE, .size = arg[2] * PAGE_SIZE,
	};

	if (__vcpu_ioctl(vm->machine->vcpu, KVM_PRE_FAULT_MEMORY, &range))
		return result(-1);
	return arg[2] - range.size / PAGE_SIZE;
}

static int64_t host(struct world_vm *vm, const struct operation *op, struct outcome *got)
{
	const long *arg = op->arg;

	if (!vm->host[arg[1]])
		return NOT_DONE;

	for (long i = 0; i < arg[3]; i++) {
		uint64_t *page = page_in(vm->host[arg[1]], arg[2] + i), word;
		int code = op->kind == OP_HOST_WRITE ? host_try_write(page) : 0;

		if (!code && op->kind == OP_HOST_WRITE)
			content_put(page, content_of(got->base, i));
		if (!code)
			code = host_try_load(page, &word);
		if (code)
			got->seen[i] = code == BUS_ADRERR ? SEES_SIGBUS : SEES_NONSENSE;
		else
			got->seen[i] = content_look(page, word);
	}
	got->nr = arg[3];
	return 0;
}

static int64_t behind(struct world_vm *vm, const struct operation *op, struct outcome *got)
{
	const long *arg = op->arg;

	for (long i = 0; i < arg[2]; i++) {
		uint64_t *page = page_in(vm->behind, arg[1] + i);

		if (op->kind == OP_BEHIND_WRITE)
			content_put(page, content_of(got->base, i));
		got->seen[i] = content_look(page, *(volatile uint64_t *)page);
	}
	got->nr = arg[2];
	return 0;
}

static void find_present(int view, unsigned long npages, struct outcome *got)
{
	static struct kvm_gmem_present_range ranges[MODEL_PAGES];
	struct kvm_gmem_present args = {
		.size = npages * PAGE_SIZE, .ranges = (uintptr_t)ranges, .nr = MODEL_PAGES,
	};

	TEST_ASSERT(!ioctl(view, KVM_GMEM_PRESENT, &args) && !args.size,
		    "KVM_GMEM_PRESENT: errno %d", errno);
	got->nr = npages;
	for (unsigned long i = 0; i < npages; i++)
		got->seen[i] = SEES_ABSENT;
	for (unsigned int r = 0; r < args.nr; r++) {
		unsigned long first = ranges[r].offset / PAGE_SIZE;

		for (unsigned long i = 0; i < ranges[r].size / PAGE_SIZE; i++)
			got->seen[first + i] = SEES_PRESENT;
	}
}

static int64_t facts(struct world_vm *vm, const long *arg, struct outcome *got)
{
	int view = vm->views[arg[1]];
	char state[32] = "";

	if (view < 0)
		return NOT_DONE;

	find_present(view, fdinfo(view, "size") / PAGE_SIZE, got);
	fdinfo_text(view, "vm-state", state, sizeof(state));
	got->base = fdinfo(view, "seals") << 4 | fdinfo(view, "views");
	TEST_ASSERT(!strcmp(state, "alive") || !strcmp(state, "moved"), "VM is %s", state);
	return (int64_t)resident(view) << 1 | !strcmp(state, "moved");
}

/* Operations on a view: of VM, INODE, PAGE, PAGES. */
static int64_t do_view(struct world *w, struct world_vm *vm, const struct operation *op,
		       uint64_t base)
{
	int view = vm->views[op->arg[1]];
	unsigned long first = op->arg[2], n = op->arg[3];

	switch (op->kind) {
	case OP_CONVERT:
		return result(__convert(view, first, n,
					op->arg[4] ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, NULL));
	case OP_PUNCH:
		return result(fallocate(view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					first * PAGE_SIZE, n * PAGE_SIZE));
	case OP_ALLOCATE:
		return result(fallocate(view, FALLOC_FL_KEEP_SIZE, first * PAGE_SIZE,
					n * PAGE_SIZE));
	case OP_FILL:
		return result(populate_offset(view, first, n, prepare(w, base, n)));
	case OP_SEAL:
		return result(__seal(view, op->arg[2]));
	default:
		return NOT_DONE;
	}
}

static int64_t write_pages(struct world *w, struct world_vm *vm, const long *arg, uint64_t base)
{
	ssize_t n = pwrite(vm->views[arg[1]], prepare(w, base, arg[3]), arg[3] * PAGE_SIZE,
			   arg[2] * PAGE_SIZE);

	return n < 0 ? -errno : n / (ssize_t)PAGE_SIZE;
}

static int64_t feed(struct world *w, const long *arg, uint64_t base)
{
	int filler = w->fillers[arg[0]];

	if (filler < 0)
		return NOT_DONE;
	return result(populate_offset(filler, arg[1], arg[2], prepare(w, base, arg[2])));
}

static int64_t do_vm(struct world *w, struct world_vm *vm, const struct operation *op,
		     struct outcome *got)
{
	switch (op->kind) {
	case OP_DROP:
		return drop_vm(vm);
	case OP_CREATE:
		return create(w, vm, op->arg);
	case OP_LINK:
		return link_inode(w, vm, op->arg);
	case OP_CLOSE:
		return close_view(vm, op->arg[1]);
	case OP_SLOT:
		return make_slot(vm, op->arg);
	case OP_UNSLOT:
		return delete_slot(vm, op->arg);
	case OP_ATTRIBUTES:
		return set_attributes(vm, op->arg);
	case OP_POPULATE:
		return populate_gfns(w, vm, op->arg, got->base);
	case OP_WRITE:
		return write_pages(w, vm, op->arg, got->base);
	case OP_MMAP:
		return map(vm, op->arg);
	case OP_MUNMAP:
		return unmap(vm, op->arg[1]);
	case OP_MOVE:
		return move_vm(w, vm, op->arg);
	case OP_PREFAULT:
		return prefault(vm, op->arg);
	case OP_HOST_READ:
	case OP_HOST_WRITE:
		return host(vm, op, got);
	case OP_BEHIND_READ:
	case OP_BEHIND_WRITE:
		return behind(vm, op, got);
	case OP_FACTS:
		return facts(vm, op->arg, got);
	default:
		return do_view(w, vm, op, got->base);
	}
}

void world_do(struct world *w, const struct operation *op, struct outcome *got)
{
	struct world_vm *vm = &w->vms[op->arg[0]];

	got->nr = 0;
	if (op->kind == OP_FEED)
		got->ret = feed(w, op->arg, got->base);
	else if (op->kind == OP_VM)
		got->ret = make_vm(vm, op->arg);
	else if (!vm->machine)
		got->ret = NOT_DONE;
	else if (op->kind >= OP_GUEST_READ && op->kind <= OP_EMULATED_WRITE)
		world_guest(vm->machine, op, got);
	else
		got->ret = do_vm(w, vm, op, got);
}
