// SPDX-License-Identifier: MIT
/*
 * A Linux guest under `gmem run` and under Debian's QEMU with KVM, as a microvm with PCI:
 * the same kernel, first process, disk and tap, with modules that are ours. How long it
 * takes from the start of the VMM to the guest's first process; exits a second when it has
 * nothing to do; 4 KiB requests to its disk; a TCP stream through its tap; and the memory
 * that the VMM itself uses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interface.h"
#include "linux-guest.h"
#include "measure.h"
#include "processes.h"

#define ROUNDS		3
#define ENDS_WITHIN	10000	/* ms */
#define MEMORY		"256"	/* MiB */
#define TAP		"bench0"
#define LINE "console=ttyS0 quiet reboot=k panic=-1 mitigations=off nokaslr noxsave " \
	     "i8042.nokbd i8042.noaux"

/*
 * struct vmm - a program that runs the guest
 * @name: of its series
 * @program: where it is; NULL: what this checkout has built
 * @command: for the shell: its program, kernel, initrd, what the guest is to do
 * @disk, @tap: what is added for a disk, whose path is given, and for a tap
 */
static const struct vmm {
	const char *name;
	const char *program;
	const char *command;
	const char *disk;
	const char *tap;
} vmms[] = {
	{
		"gmem run",
		NULL,
		"exec %s run --memory " MEMORY " --cpus 2 --kernel %s --initrd %s "
		"--append '" LINE " bench=%s'",
		" --disk %s",
		" --net tap=" TAP,
	}, {
		"QEMU microvm",
		"/usr/bin/qemu-system-x86_64",
		"exec %s -M microvm,pcie=on,rtc=on "
		"-accel kvm -cpu host -m " MEMORY " -smp 2 -nodefaults -no-user-config "
		"-display none -no-reboot -serial stdio -kernel %s -initrd %s "
		"-append '" LINE " bench=%s'",
		" -drive file=%s,format=raw,if=none,id=disk,cache=none,aio=io_uring "
		"-device virtio-blk-pci,drive=disk,disable-legacy=on",
		" -netdev tap,id=net,ifname=" TAP ",script=no,downscript=no,vhost=off "
		"-device virtio-net-pci,netdev=net,disable-legacy=on,romfile=",
	},
};

#define NR_VMMS (sizeof(vmms) / sizeof(vmms[0]))

static char *program, *kernel, *initrd, *disk;
static bool warm;

/*
 * The first round is not counted: programs, kernels and firmware are read from the host then,
 * and while the lab waits for that its clock goes on.
 */
static void take(const char *measurement, const struct vmm *vmm, uint64_t x, uint64_t value)
{
	if (warm)
		sample(measurement, vmm->name, x, value);
}

static void start_vmm(struct child *child, const struct vmm *vmm, const char *work)
{
	char command[2048], added[512] = "";
	const char *const arguments[] = { "/bin/sh", "-c", command, NULL };
	size_t length;

	if (!strcmp(work, "disk"))
		snprintf(added, sizeof(added), vmm->disk, disk);
	if (!strcmp(work, "net"))
		snprintf(added, sizeof(added), "%s", vmm->tap);
	snprintf(command, sizeof(command), vmm->command,
		 vmm->program ? : program, kernel, initrd, work);
	length = strlen(command);
	snprintf(command + length, sizeof(command) - length, "%s", added);
	*child = (struct child){ .name = vmm->name, .no_reports = true, .errors_too = true };
	must(child_start(child, arguments), vmm->name);
}

static void end_vmm(struct child *child)
{
	child_end(child, SIGTERM, ENDS_WITHIN);
}

/* ---- From its start to the guest's first process; what it needs for itself; idle ---- */

/* Of all VMs, and there is one: debugfs sums them up. */
static uint64_t count_exits(void)
{
	FILE *in = fopen("/sys/kernel/debug/kvm/exits", "re");
	unsigned long long n = 0;

	must(in && fscanf(in, "%llu", &n) == 1 ? 0 : -ENOENT, "KVM's exits in debugfs");
	fclose(in);
	return n;
}

/*
 * Bytes that are resident in a process and its children, shared ones by the share, but
 * those of mappings that are as large as the guest: its memory.
 */
static uint64_t own_memory(pid_t pid)
{
	uint64_t sum = 0, kib, size = 0;
	char path[64], line[512], *child, *rest;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	in = fopen(path, "re");
	must(in ? 0 : -errno, path);
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "Size: %lu kB", &kib) == 1)
			size = kib;
		else if (sscanf(line, "Pss: %lu kB", &kib) == 1 && size < 128 * 1024)
			sum += kib * 1024;
	}
	fclose(in);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	in = fopen(path, "re");
	if (!in || !fgets(line, sizeof(line), in))
		line[0] = '\0';
	if (in)
		fclose(in);
	for (child = strtok_r(line, " ", &rest); child; child = strtok_r(NULL, " ", &rest))
		sum += own_memory(atoi(child));
	return sum;
}

static void measure_start(const struct vmm *vmm)
{
	uint64_t start = now_ns(), before;
	struct child child;

	start_vmm(&child, vmm, "start");
	take("linux-start", vmm, 1, await(&child, "bench: userspace", NULL) - start);
	sleep(LINUX_SETTLES);
	before = count_exits();
	sleep(LINUX_IDLE);
	/* The report knows no sample that is nothing. */
	take("linux-idle-exits", vmm, LINUX_IDLE, count_exits() - before + 1);
	take("linux-memory-bytes", vmm, 1, own_memory(child.pid));
	end_vmm(&child);
}

/* ---- Disk ---- */

static void measure_disk(const struct vmm *vmm)
{
	static const char *const works[] = {
		"read-in-order", "read-random", "write-in-order", "write-random",
	};
	char words[64], name[64];
	struct child child;
	uint64_t start;
	unsigned int i;

	start_vmm(&child, vmm, "disk");
	for (i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		snprintf(words, sizeof(words), "bench: begins %s", works[i]);
		start = await(&child, words, NULL);
		snprintf(words, sizeof(words), "bench: ends %s", works[i]);
		snprintf(name, sizeof(name), "linux-%s", works[i]);
		take(name, vmm, 1, (await(&child, words, NULL) - start) / LINUX_REQUESTS);
	}
	end_vmm(&child);
}

/* ---- Network ---- */

static void make_tap(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	must(fd < 0 ? -errno : 0, "/dev/net/tun");
	strcpy(ifr.ifr_name, TAP);
	must(ioctl(fd, TUNSETIFF, &ifr) ? -errno : 0, TAP);
	must(ioctl(fd, TUNSETPERSIST, 1) ? -errno : 0, TAP);
	close(fd);
	must(interface_up(TAP, LINUX_HOST), TAP);
}

static int listening(void)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(LINUX_PORT),
		.sin_addr.s_addr = inet_addr(LINUX_HOST),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	must(fd < 0 ? -errno : 0, "a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	must(bind(fd, (const struct sockaddr *)&at, sizeof(at)) ? -errno : 0, LINUX_HOST);
	must(listen(fd, 1) ? -errno : 0, LINUX_HOST);
	return fd;
}

static void measure_net(const struct vmm *vmm)
{
	static char buffer[65536];
	int server = listening(), fd;
	struct child child;
	uint64_t left, start;
	ssize_t n;

	start_vmm(&child, vmm, "net");
	await(&child, "bench: userspace", NULL);
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	must(fd < 0 ? -errno : 0, "the guest's connection");
	start = now_ns();
	for (left = LINUX_STREAM; left; left -= n) {
		n = read(fd, buffer, sizeof(buffer));
		must(n <= 0 ? -EIO : 0, "the guest's stream");
	}
	take("linux-tcp-from-guest", vmm, LINUX_STREAM, now_ns() - start);
	start = now_ns();
	for (left = LINUX_STREAM; left; left -= n) {
		n = write(fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer));
		must(n <= 0 ? -EIO : 0, "the stream to the guest");
	}
	/* It has all. */
	must(read(fd, buffer, 1) != 1 ? -EIO : 0, "the guest's answer");
	take("linux-tcp-to-guest", vmm, LINUX_STREAM, now_ns() - start);
	close(fd);
	close(server);
	end_vmm(&child);
}

/* ---- */

/* Debian's, of the kernel that runs here. */
static void load_tun(void)
{
	char *path = built("bench/tun.ko");
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	must(fd < 0 ? -errno : 0, path);
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		must(-errno, path);
	close(fd);
	free(path);
}

static void make_disk(void)
{
	static char block[MIB];
	uint64_t at;
	int fd;

	disk = in_folder("disk");
	fd = open(disk, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	must(fd < 0 ? -errno : 0, disk);
	memset(block, 1, sizeof(block));
	for (at = 0; at < LINUX_DISK; at += sizeof(block))
		must(write(fd, block, sizeof(block)) != sizeof(block) ? -EIO : 0, disk);
	close(fd);
}

int main(void)
{
	unsigned int round, i;

	/* Each of them on the same modules, so that the VMM is all that differs. */
	if (!kvm_is_gmem())
		return 0;

	signal(SIGPIPE, SIG_IGN);
	make_folder();
	make_disk();
	load_tun();
	make_tap();
	program = built("vmm/gmem");
	kernel = debians_kernel();
	initrd = built("bench/linux.initrd");
	for (round = 0; round <= ROUNDS; round++, warm = true) {
		for (i = 0; i < NR_VMMS; i++)
			measure_start(&vmms[(i + round) % NR_VMMS]);
		for (i = 0; i < NR_VMMS; i++)
			measure_disk(&vmms[(i + round) % NR_VMMS]);
		for (i = 0; i < NR_VMMS; i++)
			measure_net(&vmms[(i + round) % NR_VMMS]);
	}
	return 0;
}
