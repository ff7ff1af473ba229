// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: each command in its states only, with the firmware's error codes
 * otherwise.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kvm/lib/claims.h"
#include "expect.h"
#include "firmware.h"

static void platform_states(void)
{
	struct fw_init init = { .flags = 1 };
	struct fw_launch_start start = { 0 };

	fw_restart();
	EXPECT_EQ(fw_platform().state, PSTATE_INIT);
	EXPECT_EQ(fw(FW_INIT, &init), SEV_RET_INVALID_PLATFORM_STATE);

	fw_launch(0);
	EXPECT_EQ(fw_platform().state, PSTATE_WORKING);
	EXPECT_EQ(fw_platform().guest_count, 1);

	EXPECT_EQ(fw_command(FW_SHUTDOWN, NULL, 0), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_platform().state, PSTATE_UNINIT);
	EXPECT_EQ(fw_platform().guest_count, 0);
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_INVALID_PLATFORM_STATE);
	EXPECT_EQ(fw_command(FW_DF_FLUSH, NULL, 0), SEV_RET_INVALID_PLATFORM_STATE);
	EXPECT_EQ(fw(FW_INIT, &init), SEV_RET_SUCCESS);
}

static void platform_identity(void)
{
	struct fw_get_id get = { .len = 1 };
	char *page = page_alloc();

	fw_restart();
	EXPECT_EQ(fw_platform().api_major, 0);
	EXPECT_EQ(fw_platform().api_minor, 24);
	EXPECT_EQ(fw_platform().flags, SEV_STATUS_FLAGS_CONFIG_ES);

	EXPECT_EQ(fw(FW_GET_ID, &get), SEV_RET_INVALID_LEN);
	EXPECT_EQ(get.len, 64);
	get.address = physical(page);
	EXPECT_EQ(fw(FW_GET_ID, &get), SEV_RET_SUCCESS);
	EXPECT_EQ(strncmp(page, "softpsp", 7), 0);
}

static void unknown_commands(void)
{
	char buffer[64] = { 0 };

	EXPECT_EQ(fw(FW_SEND_START, &buffer), SEV_RET_INVALID_COMMAND);
	EXPECT_EQ(fw(0xfff, &buffer), SEV_RET_INVALID_COMMAND);
}

static void no_guest(void)
{
	fw_restart();
	EXPECT_EQ(fw_guest(FW_LAUNCH_FINISH, 1), SEV_RET_INVALID_PLATFORM_STATE);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, 1), SEV_RET_INVALID_PLATFORM_STATE);

	/* With another guest, the platform is in the right state. */
	EXPECT_EQ(fw_launch(0), 1);
	EXPECT_EQ(fw_guest(FW_LAUNCH_FINISH, 2), SEV_RET_INVALID_GUEST);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, 0), SEV_RET_INVALID_GUEST);
	EXPECT_EQ(fw_activate(-1, MIN_SEV_ASID), SEV_RET_INVALID_GUEST);
}

/* The error of each launch command for a guest in a state that is not its own. */
static void launch_commands(uint32_t handle, unsigned int update, unsigned int measure,
			    unsigned int secret, unsigned int finish)
{
	struct fw_memory memory = { .handle = handle };
	struct fw_launch_secret packet = { .handle = handle };

	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_DATA, &memory), update);
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_VMSA, &memory), update);
	EXPECT_EQ(fw(FW_LAUNCH_MEASURE, &memory), measure);
	EXPECT_EQ(fw(FW_LAUNCH_SECRET, &packet), secret);
	/* Has no argument to be wrong: only where it is refused. */
	if (finish)
		EXPECT_EQ(fw_guest(FW_LAUNCH_FINISH, handle), finish);
}

static void launch_order(void)
{
	const unsigned int wrong_state = SEV_RET_INVALID_GUEST_STATE;
	const unsigned int wrong_len = SEV_RET_INVALID_LEN;
	struct fw_memory memory = { .address = physical(page_alloc()), .len = 4096 };
	uint32_t handle;

	fw_restart();
	handle = fw_launch(ES);
	memory.handle = handle;
	EXPECT_EQ(fw_status(handle).state, GSTATE_LUPDATE);
	EXPECT_EQ(fw_status(handle).policy, ES);
	EXPECT_EQ(fw_activate(handle, 1), SEV_RET_SUCCESS);
	launch_commands(handle, wrong_len, wrong_len, wrong_state, wrong_state);
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_DATA, &memory), SEV_RET_SUCCESS);
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_VMSA, &memory), SEV_RET_SUCCESS);

	EXPECT_EQ(fw(FW_LAUNCH_MEASURE, &memory), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_status(handle).state, GSTATE_LSECRET);
	launch_commands(handle, wrong_state, wrong_state, wrong_len, 0);

	EXPECT_EQ(fw_guest(FW_LAUNCH_FINISH, handle), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_status(handle).state, GSTATE_RUNNING);
	launch_commands(handle, wrong_state, wrong_state, wrong_state, wrong_state);
}

static void only_active(void)
{
	struct fw_memory memory = { .address = physical(page_alloc()), .len = 4096 };
	struct fw_dbg dbg = { .len = 16 };

	fw_restart();
	memory.handle = fw_launch(0);
	dbg.handle = memory.handle;
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_DATA, &memory), SEV_RET_INACTIVE);
	EXPECT_EQ(fw(FW_DBG_DECRYPT, &dbg), SEV_RET_INACTIVE);
	EXPECT_EQ(fw(FW_DBG_ENCRYPT, &dbg), SEV_RET_INACTIVE);
	EXPECT_EQ(fw_guest(FW_DEACTIVATE, memory.handle), SEV_RET_INACTIVE);
	/* This one touches no memory of the guest. */
	EXPECT_EQ(fw(FW_LAUNCH_MEASURE, &memory), SEV_RET_SUCCESS);
}

static void arguments(void)
{
	uint64_t page = physical(page_alloc());
	struct fw_memory memory = { .len = 16 };

	fw_restart();
	memory.handle = fw_launch(0);
	EXPECT_EQ(fw_activate(memory.handle, MIN_SEV_ASID), SEV_RET_SUCCESS);
	memory.address = page + 8;
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_DATA, &memory), SEV_RET_INVALID_ADDRESS);
	memory.address = 1ULL << 45;
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_DATA, &memory), SEV_RET_INVALID_ADDRESS);
	memory.address = page;
	memory.len = 24;
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_DATA, &memory), SEV_RET_INVALID_LEN);
	memory.len = 4096;
	EXPECT_EQ(fw(FW_LAUNCH_UPDATE_VMSA, &memory), SEV_RET_UNSUPPORTED);

	/* A buffer that is too small is told the size and changes nothing. */
	memory.len = 47;
	EXPECT_EQ(fw(FW_LAUNCH_MEASURE, &memory), SEV_RET_INVALID_LEN);
	EXPECT_EQ(memory.len, 48);
	EXPECT_EQ(fw_status(memory.handle).state, GSTATE_LUPDATE);
}

static void policies(void)
{
	struct fw_init without_es = { 0 };
	struct fw_launch_start start = { .policy = 1 << 6 };

	fw_restart();
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_POLICY_FAILURE);
	start.policy = 25U << 24;
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_POLICY_FAILURE);
	start.policy = 1U << 16;
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_POLICY_FAILURE);
	EXPECT_EQ(fw_platform().guest_count, 0);
	start.policy = 24U << 24;
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_SUCCESS);

	EXPECT_EQ(fw_command(FW_SHUTDOWN, NULL, 0), SEV_RET_SUCCESS);
	EXPECT_EQ(fw(FW_INIT, &without_es), SEV_RET_SUCCESS);
	start = (struct fw_launch_start){ .policy = ES };
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_POLICY_FAILURE);
	fw_restart();
}

static void shared_keys(void)
{
	struct fw_launch_start start = { 0 };
	uint32_t first, closed;

	fw_restart();
	first = fw_launch(0);
	closed = fw_launch(NOKS);
	start.handle = first;
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_SUCCESS);
	EXPECT(start.handle != first);
	start.handle = closed;
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_POLICY_FAILURE);
	start.handle = first;
	start.policy = NOKS;
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_POLICY_FAILURE);
	start.handle = 999;
	EXPECT_EQ(fw(FW_LAUNCH_START, &start), SEV_RET_INVALID_GUEST);
}

static void handles(void)
{
	uint32_t first, second;

	fw_restart();
	first = fw_launch(0);
	second = fw_launch(0);
	EXPECT(first && second && first != second);
	EXPECT_EQ(fw_platform().guest_count, 2);

	EXPECT_EQ(fw_activate(first, MIN_SEV_ASID), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, first), SEV_RET_ACTIVE);
	EXPECT_EQ(fw_guest(FW_DEACTIVATE, first), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, first), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_platform().guest_count, 1);
	EXPECT_EQ(fw_guest(FW_LAUNCH_FINISH, first), SEV_RET_INVALID_GUEST);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, first), SEV_RET_INVALID_GUEST);
	EXPECT_EQ(fw_launch(0), first);

	EXPECT_EQ(fw_guest(FW_DECOMMISSION, first), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, second), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_platform().state, PSTATE_INIT);
}

static void as_many_as_fit(void)
{
	struct fw_launch_start start;
	unsigned int said, n = 0;

	fw_restart();
	do {
		start = (struct fw_launch_start){ 0 };
		said = fw(FW_LAUNCH_START, &start);
	} while (!said && ++n < 100000);
	EXPECT_EQ(said, SEV_RET_RESOURCE_LIMIT);
	EXPECT_EQ(fw_platform().guest_count, n);
	EXPECT_EQ(fw_guest(FW_DECOMMISSION, 7), SEV_RET_SUCCESS);
	EXPECT_EQ(fw_launch(0), 7);
	fw_restart();
}

static void drop_capability(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	EXPECT_EQ(syscall(SYS_capget, &header, data), 0);
	data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	EXPECT_EQ(syscall(SYS_capset, &header, data), 0);
}

static void mailbox(void)
{
	struct sev_user_data_status status[2];
	unsigned int said;

	EXPECT_EQ(fw_try(FW_PLATFORM_STATUS, status, sizeof(*status) + 1, &said), -EINVAL);
	EXPECT_EQ(fw_try(FW_PLATFORM_STATUS, NULL, 0, &said), -EINVAL);
	EXPECT_EQ(fw_try(FW_DF_FLUSH, status, sizeof(*status), &said), -EINVAL);
	EXPECT_EQ(fw_try(FW_PLATFORM_STATUS, NULL, sizeof(*status), &said), -EFAULT);
	EXPECT_EQ(fw_try(FW_PLATFORM_STATUS, status, sizeof(*status), &said), 0);
	drop_capability(CAP_SYS_RAWIO);
	EXPECT_EQ(fw_try(FW_PLATFORM_STATUS, status, sizeof(*status), &said), -EPERM);
}

static const struct claim claims[] = {
	CLAIM(platform_states, "commands of the platform only come in its states"),
	CLAIM(platform_identity, "the platform tells its version, configuration and id"),
	CLAIM(unknown_commands, "commands that are not there are INVALID_COMMAND"),
	CLAIM(no_guest, "a handle of no guest is INVALID_GUEST"),
	CLAIM(launch_order, "launch commands in the wrong order are INVALID_GUEST_STATE"),
	CLAIM(only_active, "a guest whose key is not installed is INACTIVE"),
	CLAIM(arguments, "addresses and lengths are checked"),
	CLAIM(policies, "policies are checked"),
	CLAIM(shared_keys, "guests share a key if both policies allow it"),
	CLAIM(handles, "DECOMMISSION frees a handle, of inactive guests only"),
	CLAIM(as_many_as_fit, "there are no more guests than fit"),
	CLAIM(mailbox, "commands take a buffer of their size and CAP_SYS_RAWIO"),
};

CLAIMS_MAIN(claims);
