// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kvm/lib/claims.h"
#include "expect.h"
#include "firmware.h"

#define PAGE	4096

int open_sev(void)
{
	int fd = open("/dev/sev", O_RDWR | O_CLOEXEC);

	if (fd < 0 || access("/sys/module/softpsp", F_OK))
		claim_skip("no softpsp here: only lab/run --kmod sev has it");
	return fd;
}

/* This program's own descriptor, which no VM has. */
static int device(void)
{
	static int sev = -1;

	if (sev < 0)
		sev = open_sev();
	return sev;
}

int fw_try(int id, void *buffer, size_t size, unsigned int *said)
{
	struct softpsp_command command = {
		.id = id,
		.buffer = (uintptr_t)buffer,
		.size = size,
	};

	if (ioctl(device(), SOFTPSP_COMMAND, &command))
		return -errno;
	*said = command.error;
	return 0;
}

unsigned int fw_command(int id, void *buffer, size_t size)
{
	unsigned int said = 0;

	EXPECT_EQ(fw_try(id, buffer, size, &said), 0);
	return said;
}

unsigned int fw_guest(int id, uint32_t handle)
{
	return fw(id, &handle);
}

unsigned int fw_activate(uint32_t handle, uint32_t asid)
{
	uint32_t buffer[2] = { handle, asid };

	return fw(FW_ACTIVATE, &buffer);
}

void fw_restart(void)
{
	struct fw_init init = { .flags = 1 };

	EXPECT_EQ(fw_command(FW_SHUTDOWN, NULL, 0), SEV_RET_SUCCESS);
	EXPECT_EQ(fw(FW_INIT, &init), SEV_RET_SUCCESS);
}

struct sev_user_data_status fw_platform(void)
{
	struct sev_user_data_status status;

	EXPECT_EQ(fw(FW_PLATFORM_STATUS, &status), SEV_RET_SUCCESS);
	return status;
}

uint32_t fw_launch(uint32_t policy)
{
	struct fw_launch_start start = { .policy = policy };

	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_SUCCESS);
	return start.handle;
}

struct fw_guest_status fw_status(uint32_t handle)
{
	struct fw_guest_status status = { .handle = handle };

	EXPECT_EQ(fw(FW_GUEST_STATUS, &status), SEV_RET_SUCCESS);
	return status;
}

struct softpsp_entry fw_entry(uint32_t asid, uint32_t vcpu)
{
	struct softpsp_entry entry = { .asid = asid, .vcpu = vcpu };

	EXPECT_EQ(ioctl(device(), SOFTPSP_ENTRY, &entry), 0);
	return entry;
}

void fw_exit(uint32_t asid, uint32_t vcpu, uint64_t exit_code, uint64_t info, uint64_t ghcb)
{
	struct softpsp_entry entry = {
		.asid = asid,
		.vcpu = vcpu,
		.exit_code = exit_code,
		.exit_info_1 = info,
		.exit_ghcb = ghcb,
	};

	EXPECT_EQ(ioctl(device(), SOFTPSP_ENTRY, &entry), 0);
}

uint64_t fw_flushes(void)
{
	__u64 flushes;

	EXPECT_EQ(ioctl(device(), SOFTPSP_FLUSHES, &flushes), 0);
	return flushes;
}

void *page_alloc(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);

	EXPECT(page != MAP_FAILED);
	return page;
}

uint64_t physical(const void *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	EXPECT(fd >= 0);
	EXPECT_EQ(pread(fd, &entry, sizeof(entry), (uintptr_t)address / PAGE * sizeof(entry)),
		  sizeof(entry));
	close(fd);
	EXPECT(entry >> 63);
	return (entry & ((1ULL << 55) - 1)) * PAGE + (uintptr_t)address % PAGE;
}
