// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a table of claims: see claims.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "claims.h"

#define CLAIM_SECONDS	60	/* the usual limit, in an emulated machine */
#define LEAST_TIMES	5	/* of what is done often */
#define PATIENCE	40	/* seconds, of a busy machine; less than the usual limit */
#define REAP_SECONDS	10	/* what SIGKILL may take to be obeyed */
#define EXIT_SKIP	4	/* kselftest's */

enum outcome { HELD, FAILED, SKIPPED };

/* What a claim's processes print, cut into lines. */
struct output {
	int fd;
	size_t len;
	char line[1024];
	char skip[256];
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void claim_skip(const char *fmt, ...)
{
	va_list ap;

	printf("# SKIP ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	exit(EXIT_SKIP);
}

static void output_line(struct output *out)
{
	const char *skip;

	out->line[out->len] = '\0';
	out->len = 0;

	/* "# SKIP reason" is ours, "1..0 # SKIP - reason" is kselftest's. */
	skip = strstr(out->line, "# SKIP");
	if (skip) {
		skip += strlen("# SKIP");
		skip += strspn(skip, " -");
		snprintf(out->skip, sizeof(out->skip), "%s", skip);
		return;
	}
	printf("# %s\n", out->line);
}

/* Returns false at the end of the output. */
static bool output_read(struct output *out)
{
	char buf[4096];
	ssize_t n = read(out->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;

	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n' || out->len == sizeof(out->line) - 1)
			output_line(out);
		if (buf[i] != '\n')
			out->line[out->len++] = buf[i];
	}
	fflush(stdout);
	return true;
}

static void show_file(const char *what, pid_t pid, const char *file)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "r");
	if (!f)
		return;
	printf("# %s:\n", what);
	while (fgets(line, sizeof(line), f))
		printf("#   %s", line);
	fclose(f);
}

static pid_t claim_start(const struct claim *c, int out)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;

	/* A group of its own, so that whatever it leaves can be killed. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	close(out);
	setvbuf(stdout, NULL, _IOLBF, 0);
	c->test();
	exit(0);
}

/* Waits for the claim's process to end, showing what it prints. */
static bool claim_wait(int pidfd, struct output *out, double deadline)
{
	struct pollfd fds[] = {
		{ .fd = out->fd, .events = POLLIN },
		{ .fd = pidfd, .events = POLLIN },
	};

	for (;;) {
		double left = deadline - now();

		if (left <= 0)
			return false;
		if (poll(fds, 2, (int)(left * 1000) + 1) < 0)
			continue;
		if (fds[0].revents && !output_read(out))
			fds[0].fd = -1;
		if (fds[1].revents)
			return true;
	}
}

static enum outcome claim_judge(const struct claim *c, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return HELD;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP)
		return SKIPPED;
	if (WIFSIGNALED(status))
		printf("# %s: killed by signal %d (%s)\n", c->name, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	return FAILED;
}

static unsigned int number_from_env(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text && atoi(text) > 0 ? atoi(text) : otherwise;
}

unsigned int claim_slowness(void)
{
	return number_from_env("GMEM_TEST_SLOWNESS", 1);
}

unsigned int claim_times(unsigned int times)
{
	unsigned int fewer = times / claim_slowness();

	if (fewer < LEAST_TIMES)
		fewer = LEAST_TIMES;
	return fewer < times ? fewer : times;
}

unsigned int claim_patience(void)
{
	return PATIENCE * claim_slowness();
}

bool claim_is_patient(double *until)
{
	if (!*until)
		*until = now() + claim_patience();
	usleep(1000);
	return now() < *until;
}

/*
 * Hammers take GMEM_TEST_SECONDS on top of what a claim may take, fuzzing
 * GMEM_FUZZ_SECONDS.
 */
static unsigned int claim_limit(const struct claim *c)
{
	return (c->seconds ? c->seconds : CLAIM_SECONDS) * claim_slowness() +
		2 * number_from_env("GMEM_TEST_SECONDS", 3) +
		number_from_env("GMEM_FUZZ_SECONDS", 0);
}

/* So that a kernel report can be laid at a claim's door. */
static void mark_kernel_log(const char *program, const struct claim *c)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "gmem tests: %s %s\n", program, c->name);
	close(fd);
}

static enum outcome claim_run(const struct claim *c, struct output *out)
{
	unsigned int seconds = claim_limit(c);
	int fds[2], pidfd, status = 0;
	bool ended;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK)) {
		printf("# pipe: %s\n", strerror(errno));
		return FAILED;
	}
	/* The claim writes blocking; only our end polls. */
	fcntl(fds[1], F_SETFL, 0);

	pid = claim_start(c, fds[1]);
	setpgid(pid, pid);
	close(fds[1]);
	out->fd = fds[0];
	pidfd = syscall(SYS_pidfd_open, pid, 0);

	ended = claim_wait(pidfd, out, now() + seconds);
	if (!ended) {
		printf("# %s: not done after %u s: killed\n", c->name, seconds);
		show_file("where it was", pid, "stack");
	}
	kill(-pid, SIGKILL);
	if (!ended && !claim_wait(pidfd, out, now() + REAP_SECONDS)) {
		printf("# %s: hangs in the kernel, SIGKILL is not obeyed\n", c->name);
		show_file("where it hangs", pid, "stack");
		close(fds[0]);
		close(pidfd);
		return FAILED;
	}
	waitpid(pid, &status, 0);
	/* What was printed just before the end. */
	for (struct pollfd rest = { .fd = fds[0], .events = POLLIN }; poll(&rest, 1, 0) > 0; ) {
		if (!output_read(out))
			break;
	}
	if (out->len)
		output_line(out);
	close(fds[0]);
	close(pidfd);

	return ended ? claim_judge(c, status) : FAILED;
}

static bool wanted(const struct claim *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], c->name))
			return true;
	}
	return argc == 1;
}

/*
 * GMEM_TEST_EXPECTED names a file about the machine that this runs on, of lines "PROGRAM:CLAIM
 * hangs|fails REASON". A claim that hangs would take the machine along, and is not run. Returns
 * the reason, to be freed, or NULL where the file does not say @verdict.
 */
static char *expected(const char *program, const struct claim *c, const char *verdict)
{
	const char *path = getenv("GMEM_TEST_EXPECTED"), *slash = strrchr(program, '/');
	char line[512], name[128], said[16], *reason = NULL;
	int at;
	FILE *f;

	f = path ? fopen(path, "r") : NULL;
	if (!f)
		return NULL;
	snprintf(name, sizeof(name), "%s:%s", slash ? slash + 1 : program, c->name);
	while (!reason && fgets(line, sizeof(line), f)) {
		char of[128];

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%127s %15s %n", of, said, &at) == 2 && !strcmp(of, name) &&
		    !strcmp(said, verdict))
			reason = strdup(line + at);
	}
	fclose(f);
	return reason;
}

static void report(unsigned int number, bool ok, const struct claim *c, const char *directive,
		   const char *reason)
{
	printf("%s %u - %s: %s%s%s\n", ok ? "ok" : "not ok", number, c->name, c->text,
	       directive, reason);
	fflush(stdout);
}

/* Returns whether the claim is no failure. */
static bool claim_show(const char *program, unsigned int number, const struct claim *c)
{
	char *reason = expected(program, c, "hangs");
	struct output out = { 0 };
	enum outcome outcome;
	bool held;

	if (reason) {
		report(number, true, c, " # SKIP ", reason);
		free(reason);
		return true;
	}
	mark_kernel_log(program, c);
	outcome = claim_run(c, &out);
	if (outcome == SKIPPED) {
		report(number, true, c, " # SKIP ", out.skip);
		return true;
	}
	reason = outcome == FAILED ? expected(program, c, "fails") : NULL;
	held = outcome == HELD || reason;
	report(number, held, c, reason ? " # XFAIL " : "", reason ? reason : "");
	free(reason);
	return held;
}

static void list(void)
{
	for (const struct claim *c = claims_table; c < claims_table + claims_count; c++)
		printf("%-36s %s\n", c->name, c->text);
}

static unsigned int count_wanted(int argc, char **argv)
{
	unsigned int n = 0;

	for (const struct claim *c = claims_table; c < claims_table + claims_count; c++)
		n += wanted(c, argc, argv);
	return n;
}

int main(int argc, char **argv)
{
	unsigned int number = 0, failed = 0;

	if (argc == 2 && !strcmp(argv[1], "-l")) {
		list();
		return 0;
	}
	if (!count_wanted(argc, argv)) {
		fprintf(stderr, "%s: no such claim: %s: -l lists them\n", argv[0], argv[1]);
		return 1;
	}

	printf("KTAP version 1\n1..%u\n", count_wanted(argc, argv));
	for (const struct claim *c = claims_table; c < claims_table + claims_count; c++) {
		if (wanted(c, argc, argv))
			failed += !claim_show(argv[0], ++number, c);
	}
	return failed ? 1 : 0;
}
