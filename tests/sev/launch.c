// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: the launch of a guest through KVM, as its owner sees it.
 */
#include <string.h>

#include "../kvm/lib/claims.h"
#include "expect.h"
#include "firmware.h"
#include "owner.h"
#include "vm.h"

#define SIZE	(VM_PAGES * VM_PAGE)

/* A VM of an owner in LUPDATE, its memory filled with a pattern. */
static void launch(struct vm *vm, struct owner *owner, uint32_t policy)
{
	vm_create(vm, policy & ES);
	owner_open_session(owner, policy);
	EXPECT_EQ(vm_start(vm, owner, policy), SEV_RET_SUCCESS);
	for (int i = 0; i < SIZE; i++)
		vm->memory[i] = i % VM_PAGE / 16 + i / VM_PAGE / 4;
}

static unsigned int debug(struct vm *vm, int id, void *dst, void *src, uint32_t len)
{
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (uintptr_t)src,
		.dst_uaddr = (uintptr_t)dst,
		.len = len,
	};

	return vm_sev(vm, id, &dbg);
}

static void measurement(void)
{
	struct measurement first, second;
	uint8_t before[SIZE];
	const struct piece memory[] = {
		{ before + VM_PAGE, 2 * VM_PAGE },
		{ before + 5 * VM_PAGE + 32, 48 },
		{ before, VM_PAGE },
		{ NULL, 0 },
	};
	const struct piece other[] = { { before, VM_PAGE }, { NULL, 0 } };
	struct owner owner, stranger;
	struct vm vm;

	launch(&vm, &owner, 0);
	memcpy(before, vm.memory, SIZE);
	for (const struct piece *p = memory; p->data; p++) {
		size_t at = (const uint8_t *)p->data - before;

		EXPECT_EQ(vm_update(&vm, vm.memory + at, p->size), SEV_RET_SUCCESS);
	}
	EXPECT_EQ(vm_measure(&vm, &first, sizeof(first)), SEV_RET_SUCCESS);
	EXPECT(owner_accepts(&owner, &first, memory));

	EXPECT(!owner_accepts(&owner, &first, other));
	owner_open_session(&stranger, 0);
	EXPECT(!owner_accepts(&stranger, &first, memory));
	owner.policy = NODBG;
	EXPECT(!owner_accepts(&owner, &first, memory));

	/* The nonce is fresh each time. */
	vm_destroy(&vm);
	launch(&vm, &owner, 0);
	EXPECT_EQ(vm_measure(&vm, &second, sizeof(second)), SEV_RET_SUCCESS);
	EXPECT(memcmp(first.mnonce, second.mnonce, sizeof(first.mnonce)));
}

/* KVM makes the VMSA; here it is any page, to know what is measured. */
static void vmsa_measurement(void)
{
	struct fw_launch_start start = { .policy = ES };
	struct fw_memory vmsa = { .len = VM_PAGE }, measure = { .len = sizeof(struct measurement) };
	uint8_t *pages[3], before[VM_PAGE];
	const struct piece memory[] = { { before, sizeof(before) }, { NULL, 0 } };
	struct owner *owner;

	fw_restart();
	for (int i = 0; i < 3; i++)
		pages[i] = page_alloc();
	owner = (struct owner *)pages[0];
	owner_open_session(owner, ES);
	start.dh_cert_address = physical(owner->certificate);
	start.dh_cert_len = sizeof(owner->certificate);
	start.session_address = physical(&owner->session);
	start.session_len = sizeof(owner->session);
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_activate(start.handle, 1), SEV_RET_SUCCESS);

	memset(pages[1], 0x5a, VM_PAGE);
	memcpy(before, pages[1], VM_PAGE);
	vmsa.handle = start.handle;
	vmsa.address = physical(pages[1]);
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_VMSA, &vmsa), SEV_RET_SUCCESS);
	EXPECT(memcmp(before, pages[1], VM_PAGE));

	measure.handle = start.handle;
	measure.address = physical(pages[2]);
	EXPECT_EQ(fw(FW_LAUNCH_MEASURE, &measure), SEV_RET_SUCCESS);
	EXPECT(owner_accepts(owner, (struct measurement *)pages[2], memory));
	fw_restart();
}

static void sessions(void)
{
	struct owner owner, wrong;
	struct vm vm;

	vm_create(&vm, false);
	owner_open_session(&owner, NODBG);
	EXPECT_EQ(vm_start(&vm, &owner, 0), SEV_RET_BAD_MEASUREMENT);
	wrong = owner;
	wrong.certificate[0] ^= 1;
	EXPECT_EQ(vm_start(&vm, &wrong, NODBG), SEV_RET_BAD_MEASUREMENT);
	wrong = owner;
	wrong.session.wrap_tk[31] ^= 1;
	EXPECT_EQ(vm_start(&vm, &wrong, NODBG), SEV_RET_BAD_MEASUREMENT);
	wrong = owner;
	wrong.session.wrap_mac[0] ^= 1;
	EXPECT_EQ(vm_start(&vm, &wrong, NODBG), SEV_RET_BAD_MEASUREMENT);
	EXPECT_EQ(fw_platform().guest_count, 0);
	EXPECT_EQ(vm_start(&vm, &owner, NODBG), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_platform().guest_count, 1);
}

static void transformed(void)
{
	uint8_t before[SIZE], first[SIZE];
	struct owner owner;
	struct vm vm, other;

	launch(&vm, &owner, 0);
	memcpy(before, vm.memory, SIZE);
	EXPECT_EQ(vm_update(&vm, vm.memory + VM_PAGE, 2 * VM_PAGE), SEV_RET_SUCCESS);
	memcpy(first, vm.memory, SIZE);

	/* All of what was asked for, and nothing else. */
	EXPECT(!memcmp(first, before, VM_PAGE));
	EXPECT(!memcmp(first + 3 * VM_PAGE, before + 3 * VM_PAGE, SIZE - 3 * VM_PAGE));
	for (int i = VM_PAGE; i < 3 * VM_PAGE; i += 16)
		EXPECT(memcmp(first + i, before + i, 16));

	/* The same content differs from place to place, and from guest to guest. */
	EXPECT(!memcmp(before + VM_PAGE, before + 2 * VM_PAGE, VM_PAGE));
	EXPECT(memcmp(first + VM_PAGE, first + 2 * VM_PAGE, VM_PAGE));
	launch(&other, &owner, 0);
	EXPECT_EQ(vm_update(&other, other.memory + VM_PAGE, VM_PAGE), SEV_RET_SUCCESS);
	EXPECT(memcmp(first + VM_PAGE, other.memory + VM_PAGE, VM_PAGE));

	/* It stays when the guest goes: there is no key any more to read it with. */
	vm_sev(&vm, KVM_SEV_LAUNCH_FINISH, NULL);
	vm_destroy(&other);
	EXPECT(!memcmp(first, vm.memory, SIZE));
}

static void debugger(void)
{
	uint8_t before[VM_PAGE], *read_back = page_alloc();
	char *text = page_alloc();
	struct owner owner;
	struct vm vm;

	launch(&vm, &owner, 0);
	memcpy(before, vm.memory, VM_PAGE);
	EXPECT_EQ(vm_update(&vm, vm.memory, VM_PAGE), SEV_RET_SUCCESS);
	EXPECT_EQ(debug(&vm, KVM_SEV_DBG_DECRYPT, read_back, vm.memory, VM_PAGE),
		  SEV_RET_SUCCESS);
	EXPECT(!memcmp(read_back, before, VM_PAGE));
	/* At any alignment: KVM widens to what the firmware takes. */
	EXPECT_EQ(debug(&vm, KVM_SEV_DBG_DECRYPT, read_back + 1, vm.memory + 1003, 77),
		  SEV_RET_SUCCESS);
	EXPECT(!memcmp(read_back + 1, before + 1003, 77));

	strcpy(text, "written by a debugger, and read by it again");
	EXPECT_EQ(debug(&vm, KVM_SEV_DBG_ENCRYPT, vm.memory + 512, text, 32), SEV_RET_SUCCESS);
	EXPECT(memcmp(vm.memory + 512, text, 32));
	EXPECT_EQ(debug(&vm, KVM_SEV_DBG_DECRYPT, read_back, vm.memory, VM_PAGE),
		  SEV_RET_SUCCESS);
	memcpy(before + 512, text, 32);
	EXPECT(!memcmp(read_back, before, VM_PAGE));

	launch(&vm, &owner, NODBG);
	EXPECT_EQ(debug(&vm, KVM_SEV_DBG_DECRYPT, read_back, vm.memory, VM_PAGE),
		  SEV_RET_POLICY_FAILURE);
	EXPECT_EQ(debug(&vm, KVM_SEV_DBG_ENCRYPT, vm.memory, text, VM_PAGE),
		  SEV_RET_POLICY_FAILURE);
}

static unsigned int send_secret(struct vm *vm, struct packet_header *header, void *wrapped,
				uint32_t size)
{
	struct kvm_sev_launch_secret secret = {
		.hdr_uaddr = (uintptr_t)header,
		.hdr_len = sizeof(*header),
		.guest_uaddr = (uintptr_t)(vm->memory + 2 * VM_PAGE + 64),
		.guest_len = size,
		.trans_uaddr = (uintptr_t)wrapped,
		.trans_len = size,
	};

	return vm_sev(vm, KVM_SEV_LAUNCH_SECRET, &secret);
}

static void secrets(void)
{
	static const char secret[48] = "what only the owner and the guest know";
	struct measurement measurement;
	struct packet_header header;
	uint8_t *read_back = page_alloc();
	char wrapped[48];
	struct owner owner;
	struct vm vm;

	launch(&vm, &owner, 0);
	memcpy(wrapped, secret, sizeof(wrapped));
	EXPECT_EQ(send_secret(&vm, &header, wrapped, sizeof(wrapped)),
		  SEV_RET_INVALID_GUEST_STATE);
	EXPECT_EQ(vm_measure(&vm, &measurement, sizeof(measurement)), SEV_RET_SUCCESS);
	owner_wrap(&owner, &measurement, &header, wrapped, sizeof(wrapped));
	EXPECT(memcmp(wrapped, secret, sizeof(wrapped)));

	wrapped[3] ^= 1;
	EXPECT_EQ(send_secret(&vm, &header, wrapped, sizeof(wrapped)), SEV_RET_BAD_MEASUREMENT);
	wrapped[3] ^= 1;
	EXPECT_EQ(send_secret(&vm, &header, wrapped, 32), SEV_RET_BAD_MEASUREMENT);
	EXPECT_EQ(send_secret(&vm, &header, wrapped, 40), SEV_RET_INVALID_LEN);
	EXPECT_EQ(send_secret(&vm, &header, wrapped, sizeof(wrapped)), SEV_RET_SUCCESS);
	EXPECT_EQ(debug(&vm, KVM_SEV_DBG_DECRYPT, read_back, vm.memory + 2 * VM_PAGE, VM_PAGE),
		  SEV_RET_SUCCESS);
	EXPECT(!memcmp(read_back + 64, secret, sizeof(secret)));
}

static void guest_goes_with_vm(void)
{
	struct kvm_sev_guest_status status;
	struct vm vms[3];

	fw_restart();
	for (int i = 0; i < 3; i++) {
		vm_create(&vms[i], i);
		EXPECT_EQ(vm_start(&vms[i], NULL, i ? ES : 0), SEV_RET_SUCCESS);
		EXPECT_EQ(fw_platform().guest_count, i + 1);
	}
	EXPECT_EQ(vm_sev(&vms[1], KVM_SEV_GUEST_STATUS, &status), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_status(status.handle).policy, ES);
	vm_destroy(&vms[1]);
	EXPECT_EQ(fw_platform().guest_count, 2);
	EXPECT_EQ(fw_guest(FW_LAUNCH_FINISH, status.handle), SEV_RET_INVALID_GUEST);
	vm_destroy(&vms[0]);
	vm_destroy(&vms[2]);
	EXPECT_EQ(fw_platform().guest_count, 0);
}

static const struct claim claims[] = {
	CLAIM(measurement, "the measurement is the HMAC that the owner computes"),
	CLAIM(vmsa_measurement, "an SEV-ES guest's save areas are measured and transformed"),
	CLAIM(sessions, "an owner's session that is not genuine is BAD_MEASUREMENT"),
	CLAIM(transformed, "launch updates really transform the guest's memory"),
	CLAIM(debugger, "a debugger reads and writes what the policy lets it"),
	CLAIM(secrets, "an owner's secret arrives, if it is genuine"),
	CLAIM(guest_goes_with_vm, "a guest's context is gone when its VM is"),
};

CLAIMS_MAIN(claims);
