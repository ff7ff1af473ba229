// SPDX-License-Identifier: MIT
/*
 * The first process of a Linux guest under test: reports the machine that it sees, and ends as
 * end=off, end=reset or end=button on the kernel's command line says. With touch=GIB it writes to a
 * page in each 64 MiB of so much memory first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_ALL	3
#define STRIDE		(64UL << 20)
#define WARNING		4

static char log_bytes[1 << 20];

static void show_complaint(const char *line)
{
	static const char * const of[] = { "ACPI", "PCI", "pci ", "pci_bus", "acpi", "pnp", "rtc" };
	static const char * const words[] = {
		"Firmware Bug", "BIOS Error", "BIOS Warning", "BIOS bug", "Fatal",
	};
	bool bad = line[0] == '<' && atoi(line + 1) <= WARNING;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		bad |= !!strstr(line, words[i]);
	for (i = 0; bad && i < sizeof(of) / sizeof(of[0]); i++) {
		if (strstr(line, of[i])) {
			printf("machine: complaint: %s\n", line);
			return;
		}
	}
}

static unsigned int show_log(void)
{
	int size = klogctl(READ_ALL, log_bytes, sizeof(log_bytes) - 1);
	unsigned int lines = 0;
	char *line, *rest = log_bytes;

	log_bytes[size > 0 ? size : 0] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		show_complaint(line);
		lines++;
	}
	return lines;
}

static const char *touch(const char *gib)
{
	uint64_t size = gib ? strtoull(gib, NULL, 10) << 30 : 0, at;
	volatile uint64_t *words;

	if (!size)
		return "no";
	words = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (words == MAP_FAILED)
		return strerror(errno);
	madvise((void *)words, size, MADV_NOHUGEPAGE);
	for (at = 0; at < size; at += STRIDE)
		words[at / 8] = ~at;
	for (at = 0; at < size; at += STRIDE)
		if (words[at / 8] != ~at)
			return "torn";
	return "whole";
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		printf("machine: %s: %s\n", path, strerror(errno));
	close(fd);
}

/* Wait for the power button. */
static void wait_for_button(void)
{
	struct input_event event;
	int fd;

	load_module("/button.ko");
	load_module("/evdev.ko");
	fd = open("/dev/input/event0", O_RDONLY);
	if (fd < 0)
		printf("machine: no button: %s\n", strerror(errno));
	printf("machine: press it\n");
	fflush(stdout);
	while (fd >= 0 && read(fd, &event, sizeof(event)) == sizeof(event))
		if (event.type == EV_KEY && event.code == KEY_POWER && event.value)
			break;
	printf("machine: the button was pressed\n");
}

int main(void)
{
	const char *end = getenv("end");
	struct sysinfo info;
	unsigned int lines;

	mkdir("/sys", 0755);
	mkdir("/proc", 0755);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	sysinfo(&info);
	lines = show_log();
	printf("machine: %ld CPUs, %lu MiB, clock %s, touched: %s, %u lines\n",
	       sysconf(_SC_NPROCESSORS_ONLN), (info.totalram * info.mem_unit) >> 20,
	       access("/sys/class/rtc/rtc0", F_OK) ? "none" : "there", touch(getenv("touch")),
	       lines);
	fflush(stdout);
	if (end && !strcmp(end, "button"))
		wait_for_button();
	fflush(stdout);
	reboot(end && !strcmp(end, "reset") ? RB_AUTOBOOT : RB_POWER_OFF);
	return 1;
}
