// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scripts: see script.h.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "check.h"
#include "plan.h"
#include "script.h"

/* A loaded host may give the lab a tenth of a CPU; then a script takes 15 s or so. */
#define RUN_SECONDS	150
#define SHRINK_SECONDS	60

struct script *script_create(void)
{
	struct script *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(s != MAP_FAILED, "mmap");
	return s;
}

static void script_fail(const struct script *s)
{
	printf("operation %u: %s\n", s->done, s->why);
	exit(1);
}

static void count(struct script *s, const struct operation *op, int64_t ret)
{
	if (ret >= 0)
		s->counts[op->kind].done++;
	else if (ret != NOT_DONE)
		s->counts[op->kind].failed++;
}

static void run_seed(struct script *s, uint64_t seed)
{
	struct plan *plan = malloc(sizeof(*plan));
	struct check *check = check_create();

	TEST_ASSERT(plan, "out of memory");
	plan_init(plan, seed);
	s->nr = 0;
	while (plan_next(plan, &check->model, &s->ops[s->nr])) {
		TEST_ASSERT(++s->nr < SCRIPT_MAX, "the script is too long");
		s->done = s->nr;
		if (!check_do(check, &s->ops[s->nr - 1], s->why, sizeof(s->why)))
			script_fail(s);
		count(s, &s->ops[s->nr - 1], check->ret);
	}
}

static void run_ops(struct script *s)
{
	struct check *check = check_create();

	for (s->done = 1; s->done <= s->nr; s->done++) {
		if (!check_do(check, &s->ops[s->done - 1], s->why, sizeof(s->why)))
			script_fail(s);
	}
	s->done = s->nr;
}

static unsigned int slowness(void)
{
	const char *text = getenv("GMEM_TEST_SLOWNESS");

	return text && atoi(text) > 0 ? atoi(text) : 1;
}

/* In a process of its own: whatever it leaves goes with it. @seed: 0 runs what there is. */
static bool run(struct script *s, uint64_t seed, bool quiet)
{
	int status;
	pid_t pid;

	snprintf(s->why, sizeof(s->why), "the test itself has ended");
	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		if (quiet)
			dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
		if (quiet)
			dup2(STDOUT_FILENO, STDERR_FILENO);
		alarm(RUN_SECONDS * slowness());
		if (seed)
			run_seed(s, seed);
		else
			run_ops(s);
		exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	s->hangs = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
	if (WIFSIGNALED(status))
		snprintf(s->why, sizeof(s->why), "operation %u: %s", s->done,
			 s->hangs ? "it does not end" : strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

bool script_run_seed(struct script *s, uint64_t seed)
{
	return run(s, seed, false);
}

bool script_run(struct script *s)
{
	return run(s, 0, false);
}

/* Without operations [@first, @first + @n) it fails, too: then these are left out. */
static bool leave_out(struct script *s, struct script *shorter, unsigned int first,
		      unsigned int n)
{
	memcpy(shorter->ops, s->ops, first * sizeof(s->ops[0]));
	memcpy(shorter->ops + first, s->ops + first + n,
	       (s->nr - first - n) * sizeof(s->ops[0]));
	shorter->nr = s->nr - n;
	if (run(shorter, 0, true))
		return false;

	memcpy(s, shorter, sizeof(*s));
	/* What comes after the difference was not done. */
	s->nr = s->done;
	return true;
}

void script_shrink(struct script *s)
{
	time_t end = time(NULL) + SHRINK_SECONDS * slowness();
	struct script *shorter;

	s->nr = s->done;
	/* Each try would take as long. */
	if (s->hangs)
		return;

	shorter = script_create();
	for (unsigned int n = s->nr / 2; n; n /= 2) {
		for (unsigned int first = s->nr; first >= n && time(NULL) < end;) {
			first -= n;
			if (first + n < s->nr && leave_out(s, shorter, first, n) && first > s->nr)
				first = s->nr;
		}
	}
	munmap(shorter, sizeof(*shorter));
}

void script_print(const struct script *s, FILE *f)
{
	char line[OPERATION_LINE];

	for (unsigned int i = 0; i < s->nr; i++) {
		operation_print(&s->ops[i], line);
		fprintf(f, "%s\n", line);
	}
}

/* Also as a test run prints it, with marks of comments before the lines. */
void script_read(struct script *s, const char *path)
{
	char line[OPERATION_LINE];
	FILE *f = fopen(path, "r");

	TEST_ASSERT(f, "%s: errno %d", path, errno);
	s->nr = 0;
	while (fgets(line, sizeof(line), f) && s->nr < SCRIPT_MAX) {
		bool is_op = operation_parse(&s->ops[s->nr], line + strspn(line, "# "));

		TEST_ASSERT(is_op || strchr("#\n", *line), "%s: no operation: %s", path, line);
		s->nr += is_op;
	}
	fclose(f);
	TEST_ASSERT(s->nr, "%s: no operation", path);
}
