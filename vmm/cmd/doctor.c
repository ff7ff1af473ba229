// SPDX-License-Identifier: MIT
/* gmem doctor: check whether this host has what gmem needs, and say what to do about it. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/kvm.h>
#include <linux/kvm_gmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "cmd/modules.h"
#include "commands.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "options.h"

/* Everything is fine, or some feature can't be used, or nothing can. */
enum health { GOOD, LACKING, BROKEN };

/*
 * struct finding - the result of a check
 * @found: a sentence
 * @todo: what a person can do, or NULL
 */
struct finding {
	char found[NAMES_WHY];
	const char *todo;
};

#define FOUND(finding, ...) snprintf((finding)->found, sizeof((finding)->found), __VA_ARGS__)

static enum health check_kvm(struct finding *finding)
{
	int kvm = gmem_kvm_open();

	if (kvm >= 0) {
		close(kvm);
		FOUND(finding, "/dev/kvm can be used");
		return GOOD;
	}
	FOUND(finding, "/dev/kvm: %s", strerror(-kvm));
	if (kvm == -EACCES || kvm == -EPERM)
		finding->todo = "run it as root, or as a user of the group kvm";
	else
		finding->todo = "load kvm.ko and kvm-amd.ko or kvm-intel.ko; "
				"the firmware must have virtualization on";
	return BROKEN;
}

/* An extension's value, or -errno if KVM can't be opened. */
static int extension(long number)
{
	int kvm = gmem_kvm_open(), ret;

	if (kvm < 0)
		return kvm;
	ret = gmem_check_extension(kvm, number);
	close(kvm);
	return ret;
}

static enum health check_gmem(struct finding *finding)
{
	int caps = extension(KVM_CAP_GMEM);
	char version[32];

	if (caps <= 0 && modules_installed()) {
		FOUND(finding, "gmem's KVM modules are installed, but the kernel's own are loaded");
		finding->todo = "as root: gmem-modules reload, when no VM is running; or reboot";
		return BROKEN;
	}
	if (caps <= 0) {
		FOUND(finding, "the KVM modules are not gmem's, or are not loaded");
		finding->todo = "install gmem-dkms; or load what 'make kmod' built (README.md)";
		return BROKEN;
	}
	modules_version(version, sizeof(version));
	if (strcmp(version, GMEM_VERSION)) {
		FOUND(finding, "the KVM modules are of gmem %.30s, this program is of "
		      GMEM_VERSION, *version ? version : "without a version");
		finding->todo = "install the gmem-dkms of this version; then reboot, or, "
				"when no VM is running, as root: gmem-modules reload";
		return LACKING;
	}
	FOUND(finding, "the KVM modules are gmem's, %s (KVM_CAP_GMEM: 0x%x)", version, caps);
	return GOOD;
}

static enum health check_signed(struct finding *finding)
{
	if (!modules_must_be_signed()) {
		FOUND(finding, "modules are loaded without a signature, too");
		return GOOD;
	}
	if (extension(KVM_CAP_GMEM) > 0) {
		FOUND(finding, "modules must be signed, and gmem's are");
		return GOOD;
	}
	FOUND(finding, "modules must be signed with a key that the kernel knows (Secure Boot)");
	finding->todo = "as root: mokutil --import /var/lib/dkms/mok.pub, then reboot, and "
			"enroll the key in the screen that appears";
	return LACKING;
}

static enum health check_private(struct finding *finding)
{
	int types = extension(KVM_CAP_VM_TYPES);

	if (types > 0 && types & 1 << KVM_X86_SW_PROTECTED_VM) {
		FOUND(finding, "VMs can have private memory");
		return GOOD;
	}
	FOUND(finding, "VMs can't have private memory: no --private, and no demo");
	finding->todo = "use a kernel with KVM_SW_PROTECTED_VM, and KVM's tdp_mmu";
	return LACKING;
}

static enum health check_io_uring(struct finding *finding)
{
	struct io_uring ring;
	int ret = io_uring_queue_init(1, &ring, 0);

	if (!ret) {
		io_uring_queue_exit(&ring);
		FOUND(finding, "there are io_urings");
		return GOOD;
	}
	FOUND(finding, "no io_uring: %s: disks and page servers read one thing after another",
	      strerror(-ret));
	finding->todo = ret == -EPERM ? "sysctl kernel.io_uring_disabled=0" : NULL;
	return LACKING;
}

static enum health check_tun(struct finding *finding)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), error = errno;

	if (fd >= 0) {
		close(fd);
		FOUND(finding, "/dev/net/tun can be used");
		return GOOD;
	}
	FOUND(finding, "/dev/net/tun: %s: no network by a tap", strerror(error));
	finding->todo = error == EACCES ? "have the tap made, and its user set, by root" :
					  "modprobe tun";
	return LACKING;
}

static enum health check_passt(struct finding *finding)
{
	const char *path = getenv("PATH");
	char *folders = strdup(path ? path : "/usr/bin:/bin"), *rest = folders, *folder;
	char program[512] = "";

	while (folders && (folder = strsep(&rest, ":"))) {
		snprintf(program, sizeof(program), "%s/passt", folder);
		if (!access(program, X_OK))
			break;
		*program = '\0';
	}
	free(folders);
	if (*program) {
		FOUND(finding, "%.400s", program);
		return GOOD;
	}
	FOUND(finding, "passt is not installed: no network without root");
	finding->todo = "install the package passt";
	return LACKING;
}

static void pass_over(const char *name, pid_t pid, void *data)
{
	(void)name;
	(void)pid;
	++*(unsigned int *)data;
}

static enum health check_names(struct finding *finding)
{
	unsigned int count = 0;

	if (vm_each(pass_over, &count, finding->found)) {
		finding->todo = "guests run without a name only, until then";
		return LACKING;
	}
	FOUND(finding, "VMs can have names; %u of this user have", count);
	return GOOD;
}

static const struct {
	const char *name;
	enum health (*check)(struct finding *finding);
} checks[] = {
	{ "kvm", check_kvm },
	{ "gmem", check_gmem },
	{ "signed", check_signed },
	{ "private", check_private },
	{ "io_uring", check_io_uring },
	{ "tun", check_tun },
	{ "passt", check_passt },
	{ "names", check_names },
};

static void show_json(const char *name, const char *state, const struct finding *finding)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "check", json_object_new_string(name));
	json_object_object_add(object, "state", json_object_new_string(state));
	json_object_object_add(object, "found", json_object_new_string(finding->found));
	if (finding->todo)
		json_object_object_add(object, "todo", json_object_new_string(finding->todo));
	control_print(object);
	json_object_put(object);
}

int cmd_doctor(int argc, char **argv)
{
	static const char *const states[] = { "good", "lacking", "broken" };
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "json", .number = &json, .help = "print a JSON object a check" },
		{ .name = NULL },
	};
	enum health worst = GOOD;
	size_t i;
	int status = options_read(argc, argv, rows,
				  "Check what gmem needs of this host, and say what to do.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct finding finding = { .todo = NULL };
		enum health health = checks[i].check(&finding);

		worst = health > worst ? health : worst;
		if (json) {
			show_json(checks[i].name, states[health], &finding);
			continue;
		}
		printf("%-8s %-8s %s\n", checks[i].name, states[health], finding.found);
		if (finding.todo)
			printf("%-17s to do: %s\n", "", finding.todo);
	}
	return worst == BROKEN ? EXIT_FAILED : EXIT_DONE;
}
