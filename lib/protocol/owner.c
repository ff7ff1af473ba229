// SPDX-License-Identifier: MIT
/* The move itself, and what the kernel says came of it. */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "kvm/ioctl.h"

static const char *const fates[] = {
	[GMEM_VM_ALIVE] = "alive", [GMEM_VM_MOVED] = "moved", [GMEM_VM_BROKEN] = "broken",
};

static const char *state_in(const char *text)
{
	static const char key[] = "gmem-vm-state:";

	text = strstr(text, key);
	return text ? text + sizeof(key) - 1 + strspn(text + sizeof(key) - 1, " \t") : NULL;
}

/* By offsets: reading it from its beginning makes it anew. */
int gmem_vm_fate(int info)
{
	char text[4096];
	const char *state;
	size_t used = 0, i;
	ssize_t got;

	do {
		got = pread(info, text + used, sizeof(text) - 1 - used, used);
		if (got > 0)
			used += got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		return -errno;
	text[used] = '\0';
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

	/* Else sign extension would make it the kernel's business. */
	if (flags || source < 0)
		return -EINVAL;
	return gmem_ioctl(vm, KVM_ENABLE_CAP, &cap);
}
