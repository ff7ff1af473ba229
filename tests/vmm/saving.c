// SPDX-License-Identifier: MIT
/* A snapshot takes its time: what its VMM does meanwhile, and what its end leaves. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/say.h"
#include "common/status.h"
#include "program.h"

static char name[32];
static char dir[64];

/* A file of .cache, where this program is. */
static const char *cache(const char *file)
{
	static char paths[4][512];
	static unsigned int next;
	char *path = paths[next++ % 4];
	ssize_t length = readlink("/proc/self/exe", path, 400);

	assert_true(length > 0);
	path[length] = '\0';
	strcpy(strstr(path, "/build/tests/vmm/") + 1, file);
	return path;
}

static const char *kernel(void)
{
	char file[128] = "kernel/root/boot/vmlinuz-";
	size_t length = strlen(file);
	FILE *release = fopen(cache("kernel/release"), "r");

	assert_non_null(release);
	assert_non_null(fgets(file + length, sizeof(file) - length, release));
	fclose(release);
	file[strcspn(file, "\n")] = '\0';
	return cache(file);
}

/* Linux, that has filled 48 MiB and waits. */
static struct program *start(void)
{
	struct program *vm = program_start("vm", "run", name, "--memory", "128", "--kernel",
					   kernel(), "--initrd",
					   cache("build/tests/vmm/snapshot.initrd"), "--append",
					   "console=ttyS0 quiet panic=-1 fill=48", NULL);

	wait_for_words(vm, "userspace: goes on");
	return vm;
}

static pid_t helper_of(const struct program *vm)
{
	char path[64];
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", vm->child.pid, vm->child.pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

/* The command ends with @status and says @words. */
#define SAYS(status, words, ...) do {					\
	struct program *p = program_start("gmem", __VA_ARGS__, NULL);	\
									\
	wait_for_exit(p, status);					\
	must_have_said(p, words);					\
	program_end_last();						\
} while (0)

/* A snapshot that does not come on: its helper, which makes the files, stands still. */
static struct program *begin(struct program *vm, pid_t *helper)
{
	struct program *snapshot;
	bool saving = false;

	*helper = helper_of(vm);
	kill(*helper, SIGSTOP);
	snapshot = program_start("snapshot", "snapshot", name, dir, NULL);
	while (!saving) {
		struct program *p = program_start("ps", "ps", "--json", NULL);

		wait_for_exit(p, EXIT_DONE);
		saving = has_said(p, "\"state\":\"saving\"");
		program_end_last();
	}
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
	struct program *vm = start(), *snapshot;
	pid_t helper;

	(void)state;
	snapshot = begin(vm, &helper);
	SAYS(EXIT_FAILED, "making two snapshots at once", "snapshot", name, "/tmp/never-made");
	SAYS(EXIT_DONE, "paused", "pause", name);
	SAYS(EXIT_DONE, "\"state\":\"saving\"", "resume", name, "--json");
	assert_int_equal(access("/tmp/never-made", F_OK), -1);
	kill(helper, SIGCONT);
	wait_for_exit(snapshot, EXIT_DONE);
	must_have_said(snapshot, dir);
	wait_for_words(vm, "the guest is kept in");
	SAYS(EXIT_DONE, "running", "ps");
	remove_snapshot();
	/* And it can be kept again. */
	SAYS(EXIT_DONE, "kept in", "snapshot", name, dir);
	remove_snapshot();
	SAYS(EXIT_FAILED, "making the snapshot's directory", "snapshot", name, "/proc/none");
	SAYS(EXIT_DONE, "ended", "kill", name);
	wait_for_exit(vm, EXIT_DONE);
}

static void a_client_that_goes_away_changes_nothing(void **state)
{
	struct program *vm = start(), *snapshot;
	pid_t helper;

	(void)state;
	snapshot = begin(vm, &helper);
	kill(snapshot->child.pid, SIGKILL);
	while (!child_gone(&snapshot->child))
		listen_for(20);
	kill(helper, SIGCONT);
	wait_for_words(vm, "the guest is kept in");
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

/* It has taken the signal, and waits for its helper: it has given the snapshot up by then. */
static void wait_until_it_ends(struct program *vm)
{
	uint64_t limit = late();
	int times = 0;

	while (times < 10 && !child_gone(&vm->child) && now_ns() < limit) {
		times = is_in_its_loop(vm) ? 0 : times + 1;
		listen_for(10);
	}
	assert_true(times == 10 || child_gone(&vm->child));
}

static void a_signal_ends_it_and_leaves_nothing(void **state)
{
	struct program *vm = start(), *snapshot;
	pid_t helper;

	(void)state;
	snapshot = begin(vm, &helper);
	kill(vm->child.pid, SIGTERM);
	wait_until_it_ends(vm);
	kill(helper, SIGCONT);
	wait_for_exit(vm, EXIT_DONE);
	must_have_said(vm, "is given up");
	wait_for_exit(snapshot, EXIT_FAILED);
	assert_int_equal(access(dir, F_OK), -1);
}

static void sigkill_leaves_nothing_half_done(void **state)
{
	char memory[96], whole[96];
	struct program *vm = start();
	pid_t helper = helper_of(vm);
	uint64_t limit = late();

	(void)state;
	snprintf(memory, sizeof(memory), "%s/memory", dir);
	snprintf(whole, sizeof(whole), "%s/state", dir);
	program_start("snapshot", "snapshot", name, dir, NULL);
	while (access(memory, F_OK))
		usleep(1000);
	kill(vm->child.pid, SIGKILL);
	while (!child_gone(&vm->child))
		listen_for(20);
	while (!kill(helper, 0) && now_ns() < limit)
		usleep(20000);
	assert_int_equal(kill(helper, 0), -1);
	if (!access(whole, F_OK))
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
		TEST(sigkill_leaves_nothing_half_done),
	};

	snprintf(name, sizeof(name), "test-%d", (int)getpid());
	snprintf(dir, sizeof(dir), "/tmp/gmem-test-saving-%d", (int)getpid());
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
