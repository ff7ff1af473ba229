// SPDX-License-Identifier: MIT
/* A snapshot takes time: what its VMM does meanwhile, and what is left if the VMM ends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "built.h"
#include "common/say.h"
#include "common/status.h"
#include "program.h"
#include "snapshot/snapshot.h"

static char name[32];
static char dir[64];

/* Linux, that has filled 48 MiB and waits; with @snapshot SIGUSR2 has it kept in @dir. */
static struct program *start(bool snapshot)
{
	struct program *vm = program_start("vm", "run", name, "--memory", "128", "--kernel",
					   built_kernel(), "--initrd",
					   built_file("build/tests/vmm/snapshot.initrd"),
					   "--append", "console=ttyS0 quiet panic=-1 fill=48",
					   snapshot ? "--snapshot" : NULL, dir, NULL);

	wait_for_words(vm, "userspace: goes on");
	return vm;
}

/* The thread that writes, before its first step: its creator, the main loop, goes on. */
static pid_t hold_writer(const struct program *vm)
{
	unsigned long writer;
	int status;

	assert_int_equal(waitpid(vm->child.pid, &status, __WALL), vm->child.pid);
	assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_CLONE << 8);
	assert_int_equal(ptrace(PTRACE_GETEVENTMSG, vm->child.pid, 0, &writer), 0);
	assert_int_equal(ptrace(PTRACE_DETACH, vm->child.pid, 0, 0), 0);
	assert_int_equal(waitpid(writer, &status, __WALL), writer);
	return writer;
}

static void await_writer(const struct program *vm)
{
	assert_int_equal(ptrace(PTRACE_SEIZE, vm->child.pid, 0, PTRACE_O_TRACECLONE), 0);
}

static void let_go(pid_t writer)
{
	assert_int_equal(ptrace(PTRACE_DETACH, writer, 0, 0), 0);
}

/* Until all is written, and only to be told. */
static void let_write(pid_t writer)
{
	struct user_regs_struct registers = { .orig_rax = 0 };
	int status;

	while (registers.orig_rax != SYS_close) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, writer, 0, 0), 0);
		assert_int_equal(waitpid(writer, &status, __WALL), writer);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(ptrace(PTRACE_GETREGS, writer, 0, &registers), 0);
	}
}

/* A snapshot that does not come on. */
static struct program *begin(struct program *vm, pid_t *writer)
{
	struct program *snapshot;

	await_writer(vm);
	snapshot = program_start("snapshot", "snapshot", name, dir, NULL);
	*writer = hold_writer(vm);
	SAYS(EXIT_DONE, "\"state\":\"saving\"", "ps", "--json");
	return snapshot;
}

static void remove_snapshot(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/memory", dir);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void its_vmm_answers_meanwhile(void **state)
{
	struct program *vm = start(false), *snapshot;
	pid_t writer;

	(void)state;
	snapshot = begin(vm, &writer);
	SAYS(EXIT_FAILED, "making two snapshots at once", "snapshot", name, "/tmp/never-made");
	SAYS(EXIT_DONE, "paused", "pause", name);
	SAYS(EXIT_DONE, "\"state\":\"saving\"", "resume", name, "--json");
	assert_int_equal(access("/tmp/never-made", F_OK), -1);
	let_go(writer);
	wait_for_exit(snapshot, EXIT_DONE);
	must_have_said(snapshot, dir);
	wait_for_words(vm, "the guest is kept in");
	SAYS(EXIT_DONE, "running", "ps");
	remove_snapshot();
	/* And it can be kept again. */
	SAYS(EXIT_DONE, "kept in", "snapshot", name, dir);
	SAYS(EXIT_FAILED, "name a directory that is not there", "snapshot", name, dir);
	remove_snapshot();
	SAYS(EXIT_FAILED, "making the snapshot's directory", "snapshot", name, "/proc/none");
	SAYS(EXIT_FAILED, "\"ok\":false", "snapshot", name, "/proc/none", "--json");
	SAYS(EXIT_DONE, "ended", "kill", name);
	wait_for_exit(vm, EXIT_DONE);
	SAYS(EXIT_FAILED, "there is no such VM", "snapshot", name, dir);
	assert_int_equal(access(dir, F_OK), -1);
}

static void a_client_that_goes_away_changes_nothing(void **state)
{
	struct program *vm = start(false), *snapshot;
	struct snapshot kept;
	pid_t writer;

	(void)state;
	snapshot = begin(vm, &writer);
	kill(snapshot->child.pid, SIGKILL);
	while (!child_gone(&snapshot->child))
		listen_for(20);
	assert_int_equal(snapshot_open(&kept, dir), -ENODATA);
	snapshot_close(&kept);
	let_go(writer);
	wait_for_words(vm, "the guest is kept in");
	assert_int_equal(snapshot_open(&kept, dir), 0);
	snapshot_close(&kept);
	SAYS(EXIT_DONE, "running", "ps");
	remove_snapshot();
	SAYS(EXIT_DONE, "ended", "kill", name);
}

/* Is its first thread where it waits for events, or on its way from there? */
static bool is_in_its_loop(const struct program *vm)
{
	char path[64], line[128] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/wchan", vm->child.pid);
	file = fopen(path, "r");
	assert_non_null(file);
	if (!fgets(line, sizeof(line), file))
		*line = '\0';
	fclose(file);
	/* "0": it does not sleep. */
	return !strcmp(line, "0") || strstr(line, "ep_poll") || strstr(line, "epoll");
}

/*
 * The signal comes while a thread writes: the VMM has taken it when it waits for that thread, and
 * has decided on the snapshot by then.
 */
static void end_meanwhile(struct program *vm, pid_t writer)
{
	uint64_t limit = late();
	int times = 0;

	kill(vm->child.pid, SIGTERM);
	while (times < 10 && !child_gone(&vm->child) && now_ns() < limit) {
		times = is_in_its_loop(vm) ? 0 : times + 1;
		listen_for(10);
	}
	assert_true(times == 10 || child_gone(&vm->child));
	let_go(writer);
}

static void a_signal_ends_it_and_leaves_nothing(void **state)
{
	struct program *vm = start(false), *snapshot;
	pid_t writer;

	(void)state;
	snapshot = begin(vm, &writer);
	end_meanwhile(vm, writer);
	wait_for_exit(vm, EXIT_DONE);
	must_have_said(vm, "is given up");
	wait_for_exit(snapshot, EXIT_FAILED);
	must_have_said(snapshot, "the VM has been ended");
	assert_int_equal(access(dir, F_OK), -1);
}

/* The signal comes when everything is written: the client hears that the guest is kept. */
static void one_that_is_kept_at_a_signal_is_a_success(void **state)
{
	struct program *vm = start(false), *snapshot;
	pid_t writer;

	(void)state;
	snapshot = begin(vm, &writer);
	let_write(writer);
	end_meanwhile(vm, writer);
	wait_for_exit(vm, EXIT_DONE);
	must_have_said(vm, "the guest is kept in");
	wait_for_exit(snapshot, EXIT_DONE);
	must_have_said(snapshot, "kept in");
	remove_snapshot();
}

/* What was asked for last decides on the status of the VMM that was to keep it. */
static void the_status_says_what_came_of_it(void **state)
{
	struct program *vm = start(true);
	pid_t writer;

	(void)state;
	await_writer(vm);
	kill(vm->child.pid, SIGUSR2);
	writer = hold_writer(vm);
	let_write(writer);
	end_meanwhile(vm, writer);
	wait_for_exit(vm, EXIT_DONE);
	must_have_said(vm, "the guest is kept in");
	remove_snapshot();
	programs_end(NULL);

	vm = start(true);
	await_writer(vm);
	kill(vm->child.pid, SIGUSR2);
	writer = hold_writer(vm);
	end_meanwhile(vm, writer);
	wait_for_exit(vm, EXIT_FAILED);
	must_have_said(vm, "is given up");
	assert_int_equal(access(dir, F_OK), -1);
}

static void sigkill_leaves_nothing_half_done(void **state)
{
	struct program *vm = start(false), *snapshot;
	char memory[96];

	(void)state;
	snprintf(memory, sizeof(memory), "%s/memory", dir);
	snapshot = program_start("snapshot", "snapshot", name, dir, NULL);
	while (access(memory, F_OK))
		usleep(1000);
	kill(vm->child.pid, SIGKILL);
	while (!child_gone(&vm->child) || !child_gone(&snapshot->child))
		listen_for(20);
	if (!snapshot->child.status)
		remove_snapshot();	/* it was quicker */
	assert_int_equal(access(dir, F_OK), -1);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(its_vmm_answers_meanwhile),
		TEST(a_client_that_goes_away_changes_nothing),
		TEST(a_signal_ends_it_and_leaves_nothing),
		TEST(one_that_is_kept_at_a_signal_is_a_success),
		TEST(the_status_says_what_came_of_it),
		TEST(sigkill_leaves_nothing_half_done),
	};

	snprintf(name, sizeof(name), "test-%d", (int)getpid());
	snprintf(dir, sizeof(dir), "/tmp/gmem-test-saving-%d", (int)getpid());
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
