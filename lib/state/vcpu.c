// SPDX-License-Identifier: MIT
/*
 * A vCPU's state, as blobs that KVM gives: one row for each kind. Most kinds
 * are a structure of fixed size that one ioctl reads and another writes.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gmem.h>

#include "kvm/ioctl.h"
#include "state/blob.h"

#define MSR_BATCH		128	/* KVM takes less than 256 at once */

struct state_row {
	const char *name;
	unsigned long get;
	unsigned long set;
	uint32_t size;
	/* Kinds that need more than one ioctl and a fixed size: */
	int (*read)(struct gmem_vcpu *vcpu, struct gmem_blob *blob);
	int (*write)(struct gmem_vcpu *vcpu, const struct gmem_blob *blob);
};

/* ---- CPUID and MSRs: a count, then entries ---- */

/* Is the blob as long as the count at its start says? */
static bool counted(const struct gmem_blob *blob, size_t head, size_t entry)
{
	uint32_t count;

	if (blob->size < head)
		return false;
	memcpy(&count, blob->data, sizeof(count));
	return (blob->size - head) % entry == 0 &&
	       (blob->size - head) / entry == count;
}

static int read_cpuid(struct gmem_vcpu *vcpu, struct gmem_blob *blob)
{
	struct kvm_cpuid2 *cpuid;
	int ret;

	ret = gmem_blob_alloc(blob, sizeof(*cpuid) +
			       GMEM_CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (ret)
		return ret;
	cpuid = blob->data;
	cpuid->nent = GMEM_CPUID_ENTRIES;
	ret = gmem_ioctl(vcpu->fd, KVM_GET_CPUID2, cpuid);
	if (!ret)
		blob->size = sizeof(*cpuid) +
			     cpuid->nent * sizeof(cpuid->entries[0]);
	return ret;
}

static int write_cpuid(struct gmem_vcpu *vcpu, const struct gmem_blob *blob)
{
	if (!counted(blob, sizeof(struct kvm_cpuid2),
		     sizeof(struct kvm_cpuid_entry2)))
		return -EINVAL;
	return gmem_ioctl(vcpu->fd, KVM_SET_CPUID2, blob->data);
}

union msr_batch {
	struct kvm_msrs msrs;
	char space[sizeof(struct kvm_msrs) +
		   MSR_BATCH * sizeof(struct kvm_msr_entry)];
};

/*
 * MSRs that KVM keeps but does not list: the MTRRs. The ranges come before the
 * register that turns them on.
 */
static const uint32_t unlisted_msrs[] = {
	0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207,
	0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f,
	0x250, 0x258, 0x259,
	0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
	0x2ff,
};

#define NR_UNLISTED	(sizeof(unlisted_msrs) / sizeof(unlisted_msrs[0]))

static bool is_listed(const struct kvm_msr_list *list, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < list->nmsrs; i++)
		if (list->indices[i] == index)
			return true;
	return false;
}

static struct kvm_msr_list *msr_list(int kvm)
{
	struct kvm_msr_list size = { 0 }, *list;
	size_t i;

	if (gmem_ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &size) != -E2BIG)
		return NULL;
	list = calloc(1, sizeof(*list) +
			 (size.nmsrs + NR_UNLISTED) * sizeof(list->indices[0]));
	if (!list)
		return NULL;
	list->nmsrs = size.nmsrs;
	if (gmem_ioctl(kvm, KVM_GET_MSR_INDEX_LIST, list)) {
		free(list);
		return NULL;
	}
	for (i = 0; i < NR_UNLISTED; i++)
		if (!is_listed(list, unlisted_msrs[i]))
			list->indices[list->nmsrs++] = unlisted_msrs[i];
	return list;
}

/*
 * The list has the MSRs that any vCPU may have; the CPUID of this vCPU says
 * which of them it has. KVM stops at the first MSR that it does not have: skip
 * that one.
 */
static int read_msrs(struct gmem_vcpu *vcpu, struct gmem_blob *blob)
{
	struct kvm_msr_list *list = msr_list(vcpu->kvm);
	uint32_t done = 0, kept = 0, i;
	struct kvm_msrs *msrs;
	int got;

	if (!list)
		return -ENOMEM;
	got = gmem_blob_alloc(blob, sizeof(*msrs) +
			       list->nmsrs * sizeof(msrs->entries[0]));
	msrs = blob->data;
	while (got >= 0 && done < list->nmsrs) {
		union msr_batch batch = { .space = { 0 } };
		uint32_t ask = list->nmsrs - done;

		if (ask > MSR_BATCH)
			ask = MSR_BATCH;
		batch.msrs.nmsrs = ask;
		for (i = 0; i < ask; i++)
			batch.msrs.entries[i].index = list->indices[done + i];
		got = gmem_ioctl(vcpu->fd, KVM_GET_MSRS, &batch);
		if (got < 0)
			break;
		memcpy(&msrs->entries[kept], batch.msrs.entries,
		       got * sizeof(msrs->entries[0]));
		kept += got;
		done += (uint32_t)got < ask ? got + 1 : got;
	}
	free(list);
	if (got < 0)
		return got;
	msrs->nmsrs = kept;
	blob->size = sizeof(*msrs) + kept * sizeof(msrs->entries[0]);
	return 0;
}

/* If an MSR cannot be written but has that value already, nothing is lost. */
static int msr_is(struct gmem_vcpu *vcpu, const struct kvm_msr_entry *entry)
{
	union msr_batch batch = { .space = { 0 } };

	batch.msrs.nmsrs = 1;
	batch.msrs.entries[0].index = entry->index;
	return gmem_ioctl(vcpu->fd, KVM_GET_MSRS, &batch) == 1 &&
	       batch.msrs.entries[0].data == entry->data;
}

static int write_msrs(struct gmem_vcpu *vcpu, const struct gmem_blob *blob)
{
	const struct kvm_msrs *msrs = blob->data;
	uint32_t done = 0;

	if (!counted(blob, sizeof(*msrs), sizeof(msrs->entries[0])))
		return -EINVAL;
	while (done < msrs->nmsrs) {
		union msr_batch batch = { .space = { 0 } };
		uint32_t ask = msrs->nmsrs - done;
		int set;

		if (ask > MSR_BATCH)
			ask = MSR_BATCH;
		batch.msrs.nmsrs = ask;
		memcpy(batch.msrs.entries, &msrs->entries[done],
		       ask * sizeof(msrs->entries[0]));
		set = gmem_ioctl(vcpu->fd, KVM_SET_MSRS, &batch);
		if (set < 0)
			return set;
		done += set;
		if ((uint32_t)set == ask)
			continue;
		if (!msr_is(vcpu, &msrs->entries[done]))
			return -EINVAL;
		done++;
	}
	return 0;
}

/* ---- What has a size or a presence of its own ---- */

static int read_tsc_khz(struct gmem_vcpu *vcpu, struct gmem_blob *blob)
{
	int khz = gmem_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL);
	int ret;

	if (khz < 0)
		return khz;
	ret = gmem_blob_alloc(blob, sizeof(uint32_t));
	if (!ret)
		memcpy(blob->data, &khz, sizeof(khz));
	return ret;
}

static int write_tsc_khz(struct gmem_vcpu *vcpu, const struct gmem_blob *blob)
{
	uint32_t khz;

	if (blob->size != sizeof(khz))
		return -EINVAL;
	memcpy(&khz, blob->data, sizeof(khz));
	/* A CPU that cannot scale its TSC refuses even its own rate. */
	if (gmem_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL) == (int)khz)
		return 0;
	return gmem_ioctl(vcpu->fd, KVM_SET_TSC_KHZ,
			  (const void *)(uintptr_t)khz);
}

static int read_lapic(struct gmem_vcpu *vcpu, struct gmem_blob *blob)
{
	int ret = gmem_blob_alloc(blob, sizeof(struct kvm_lapic_state));

	if (ret)
		return ret;
	ret = gmem_ioctl(vcpu->fd, KVM_GET_LAPIC, blob->data);
	if (ret == -EINVAL) {	/* KVM does not emulate the LAPIC */
		gmem_blob_drop(blob);
		return 0;
	}
	return ret;
}

static int write_lapic(struct gmem_vcpu *vcpu, const struct gmem_blob *blob)
{
	if (blob->size != sizeof(struct kvm_lapic_state))
		return -EINVAL;
	return gmem_ioctl(vcpu->fd, KVM_SET_LAPIC, blob->data);
}

static uint32_t xsave_size(int vm)
{
	int size = gmem_check_extension(vm, KVM_CAP_XSAVE2);
	int least = sizeof(struct kvm_xsave);

	return size > least ? size : least;
}

static int read_xsave(struct gmem_vcpu *vcpu, struct gmem_blob *blob)
{
	uint32_t size = xsave_size(vcpu->vm);
	int ret = gmem_blob_alloc(blob, size);

	if (ret)
		return ret;
	return gmem_ioctl(vcpu->fd, size > sizeof(struct kvm_xsave) ?
			  KVM_GET_XSAVE2 : KVM_GET_XSAVE, blob->data);
}

/* KVM_SET_XSAVE reads as much as KVM_CAP_XSAVE2 says, whatever the size of our blob. */
static int write_xsave(struct gmem_vcpu *vcpu, const struct gmem_blob *blob)
{
	if (blob->size != xsave_size(vcpu->vm))
		return -EINVAL;
	return gmem_ioctl(vcpu->fd, KVM_SET_XSAVE, blob->data);
}

static int read_nested(struct gmem_vcpu *vcpu, struct gmem_blob *blob)
{
	int size = gmem_check_extension(vcpu->vm, KVM_CAP_NESTED_STATE);
	struct kvm_nested_state *nested;
	int ret;

	if (size <= 0)
		return 0;
	if (size < (int)sizeof(*nested))
		size = sizeof(*nested);
	ret = gmem_blob_alloc(blob, size);
	if (ret)
		return ret;
	nested = blob->data;
	nested->size = size;
	ret = gmem_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, nested);
	if (!ret && nested->size <= (uint32_t)size)
		blob->size = nested->size;
	return ret;
}

static int write_nested(struct gmem_vcpu *vcpu, const struct gmem_blob *blob)
{
	const struct kvm_nested_state *nested = blob->data;

	if (blob->size < sizeof(*nested) || nested->size != blob->size)
		return -EINVAL;
	return gmem_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, nested);
}

#define FIXED(n, GET, SET, type) \
	{ .name = n, .get = GET, .set = SET, .size = sizeof(type) }

static const struct state_row rows[GMEM_STATE_KINDS] = {
	[GMEM_STATE_CPUID] = { "cpuid", .read = read_cpuid,
			       .write = write_cpuid },
	[GMEM_STATE_TSC_KHZ] = { "tsc_khz", .read = read_tsc_khz,
				 .write = write_tsc_khz },
	[GMEM_STATE_SREGS] = FIXED("sregs", KVM_GET_SREGS2, KVM_SET_SREGS2,
				   struct kvm_sregs2),
	[GMEM_STATE_LAPIC] = { "lapic", .read = read_lapic,
			       .write = write_lapic },
	[GMEM_STATE_XCRS] = FIXED("xcrs", KVM_GET_XCRS, KVM_SET_XCRS,
				  struct kvm_xcrs),
	[GMEM_STATE_XSAVE] = { "xsave", .read = read_xsave,
			       .write = write_xsave },
	[GMEM_STATE_MSRS] = { "msrs", .read = read_msrs, .write = write_msrs },
	[GMEM_STATE_EVENTS] = FIXED("events", KVM_GET_VCPU_EVENTS,
				    KVM_SET_VCPU_EVENTS,
				    struct kvm_vcpu_events),
	[GMEM_STATE_MP_STATE] = FIXED("mp_state", KVM_GET_MP_STATE,
				      KVM_SET_MP_STATE, struct kvm_mp_state),
	[GMEM_STATE_DEBUGREGS] = FIXED("debugregs", KVM_GET_DEBUGREGS,
				       KVM_SET_DEBUGREGS,
				       struct kvm_debugregs),
	[GMEM_STATE_REGS] = FIXED("regs", KVM_GET_REGS, KVM_SET_REGS,
				  struct kvm_regs),
	[GMEM_STATE_NESTED] = { "nested", .read = read_nested,
				.write = write_nested },
};

const char *gmem_state_name(enum gmem_state_kind kind)
{
	return kind < GMEM_STATE_KINDS ? rows[kind].name : "unknown";
}

static int read_row(struct gmem_vcpu *vcpu, const struct state_row *row,
		    struct gmem_blob *blob)
{
	int ret;

	if (row->read)
		return row->read(vcpu, blob);
	ret = gmem_blob_alloc(blob, row->size);
	return ret ? ret : gmem_ioctl(vcpu->fd, row->get, blob->data);
}

static int write_row(struct gmem_vcpu *vcpu, const struct state_row *row,
		     const struct gmem_blob *blob)
{
	if (row->write)
		return row->write(vcpu, blob);
	if (blob->size != row->size)
		return -EINVAL;
	return gmem_ioctl(vcpu->fd, row->set, blob->data);
}

int gmem_vcpu_get_state(struct gmem_vcpu *vcpu, struct gmem_vcpu_state *state)
{
	int kind, ret;

	*state = (struct gmem_vcpu_state){ .id = vcpu->id };
	for (kind = 0; kind < GMEM_STATE_KINDS; kind++) {
		ret = read_row(vcpu, &rows[kind], &state->blobs[kind]);
		if (ret < 0) {
			gmem_vcpu_state_free(state);
			return ret;
		}
	}
	return 0;
}

int gmem_vcpu_set_state(struct gmem_vcpu *vcpu,
			const struct gmem_vcpu_state *state,
			enum gmem_state_kind *failed)
{
	int kind, ret;

	for (kind = 0; kind < GMEM_STATE_KINDS; kind++) {
		if (!state->blobs[kind].data)
			continue;
		ret = write_row(vcpu, &rows[kind], &state->blobs[kind]);
		if (ret < 0) {
			if (failed)
				*failed = kind;
			return ret;
		}
	}
	return 0;
}

void gmem_vcpu_state_free(struct gmem_vcpu_state *state)
{
	int kind;

	for (kind = 0; kind < GMEM_STATE_KINDS; kind++)
		gmem_blob_drop(&state->blobs[kind]);
}
