// SPDX-License-Identifier: MIT
/* The move itself, and its result according to the kernel. */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <string.h>

#include <gmem.h>

#include "kvm/ioctl.h"
#include "memory/fdinfo.h"

static const char *const fates[] = {
	[GMEM_VM_ALIVE] = "alive", [GMEM_VM_MOVED] = "moved", [GMEM_VM_BROKEN] = "broken",
};

static const char *state_in(const char *text)
{
	static const char key[] = "gmem-vm-state:";

	text = strstr(text, key);
	return text ? text + sizeof(key) - 1 + strspn(text + sizeof(key) - 1, " \t") : NULL;
}

int gmem_vm_fate(int info)
{
	char text[4096];
	const char *state;
	size_t i;
	int ret = gmem_fdinfo_read(info, text, sizeof(text));

	if (ret)
		return ret;
	state = state_in(text);
	for (i = 0; state && i < sizeof(fates) / sizeof(fates[0]); i++) {
		size_t length = strlen(fates[i]);

		if (!strncmp(state, fates[i], length) &&
		    (state[length] == '\n' || !state[length]))
			return i;
	}
	return -EBADF;
}

int gmem_vm_move(int vm, int source, uint64_t flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { source, KVM_MOVE_VCPUS },
	};

	/* Otherwise sign extension would hand the kernel a bogus descriptor. */
	if (flags || source < 0)
		return -EINVAL;
	return gmem_ioctl(vm, KVM_ENABLE_CAP, &cap);
}
