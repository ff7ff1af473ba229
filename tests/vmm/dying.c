// SPDX-License-Identifier: MIT
/*
 * Loaded into every gmem of a VM by LD_PRELOAD: `gmem incoming` dies at the step that the file
 * $GMEM_DIES names, and removes the file, so that the next one lives.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_gmem.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char step[32];

static void die_at(const char *here)
{
	if (!strcmp(step, here))
		raise(SIGKILL);
}

__attribute__((constructor))
static void begin(int argc, char **argv)
{
	const char *path = getenv("GMEM_DIES");
	int fd;

	if (!path || argc < 2 || strcmp(argv[1], "incoming"))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, step, sizeof(step) - 1) < 0)
		*step = '\0';
	close(fd);
	unlink(path);
	die_at("started");
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int fd, unsigned long request, void *argument);
	const struct kvm_enable_cap *cap;
	void *argument;
	va_list args;
	int ret;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ioctl");
	cap = argument;
	if (request == KVM_ENABLE_CAP && cap->cap == KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM)
		die_at("moving");
	if (request == KVM_RUN)
		die_at("runs");
	ret = real(fd, request, argument);
	if (request == KVM_LINK_GUEST_MEMFD)
		die_at("linked");
	if (request == KVM_ENABLE_CAP && cap->cap == KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM && !ret)
		die_at("moved");
	return ret;
}
