// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/say.h"
#include "program.h"

#define MAX_ARGUMENTS	14

static struct program programs[MAX_PROGRAMS];
static unsigned int nr_programs;
static char folder[64];

static void hear(struct child *child, const char *line)
{
	struct program *program = child->data;
	size_t used = strlen(program->said);
	unsigned long long count;

	snprintf(program->said + used, sizeof(program->said) - used, "%s\n",
		 line);
	if (sscanf(line, "guest: counted to %llu", &count) == 1) {
		assert_true(count > program->counted);
		program->counted = count;
		program->counts++;
	}
}

const char *gmem_program(void)
{
	static char path[512];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *end;

	assert_true(length > 0);
	path[length] = '\0';
	end = strstr(path, "/tests/vmm/");
	assert_non_null(end);
	strcpy(end, "/vmm/gmem");
	return path;
}

/* Programs that run a guest, or serve one. */
static bool has_reports(const char *command)
{
	static const char *const commands[] = { "run", "restore", "takeover", "pager" };
	size_t i;

	for (i = 0; command && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(command, commands[i]))
			return true;
	return false;
}

struct program *program_start(const char *name, ...)
{
	const char *arguments[MAX_ARGUMENTS + 1] = { gmem_program() };
	struct program *program = &programs[nr_programs];
	va_list rest;
	int i = 1;

	assert_true(nr_programs < MAX_PROGRAMS);
	va_start(rest, name);
	while (i < MAX_ARGUMENTS && (arguments[i] = va_arg(rest, const char *)))
		i++;
	va_end(rest);
	*program = (struct program){
		.child = { .name = name, .errors_too = true, .heard = hear,
			   .data = program },
	};
	program->child.no_reports = !has_reports(arguments[1]);
	assert_int_equal(child_start(&program->child, arguments), 0);
	nr_programs++;
	return program;
}

void program_limit_descriptors(struct program *program, rlim_t limit)
{
	struct rlimit few = { limit, limit };

	/* It has not come far: what it has open stays. */
	kill(program->child.pid, SIGSTOP);
	assert_int_equal(prlimit(program->child.pid, RLIMIT_NOFILE, &few, NULL), 0);
	kill(program->child.pid, SIGCONT);
}

void program_end_last(void)
{
	child_end(&programs[--nr_programs].child, SIGTERM, 30000);
}

int programs_end(void **state)
{
	(void)state;
	while (nr_programs)
		program_end_last();
	unlink(socket_path("a"));
	unlink(socket_path("b"));
	return 0;
}

int sockets_make(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/gmem-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

int sockets_remove(void **state)
{
	(void)state;
	return rmdir(folder);
}

const char *socket_path(const char *name)
{
	static char paths[4][128];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

struct program *source_start(void)
{
	struct program *source = program_start("A", "run", "--memory", "8",
					       "--socket", socket_path("a"),
					       NULL);

	wait_for_words(source, "guest: filled, counting");
	return source;
}

/* Some kernels are slower than others: tests/run says by how much. */
uint64_t late(void)
{
	const char *slowness = getenv("GMEM_TEST_SLOWNESS");
	uint64_t times = slowness ? strtoull(slowness, NULL, 10) : 1;

	return now_ns() + LATE * (times ? times : 1) * 1000000000ULL;
}

static bool listen_once(int timeout)
{
	struct child *children[MAX_PROGRAMS];
	unsigned int i;

	for (i = 0; i < nr_programs; i++)
		children[i] = &programs[i].child;
	return children_listen(children, nr_programs, timeout);
}

void listen_for(int milliseconds)
{
	uint64_t limit = now_ns() + milliseconds * 1000000ULL;

	while (now_ns() < limit)
		if (!listen_once(10))
			usleep(10000);
}

bool has_said(const struct program *program, const char *words)
{
	return strstr(program->said, words);
}

/* Its output, as comments of KTAP, however long. */
static void show(const struct program *program)
{
	const char *line = program->said;

	while (*line) {
		int length = strcspn(line, "\n");

		printf("# %s| %.*s\n", program->child.name, length, line);
		line += length + (line[length] == '\n');
	}
}

static void give_up(const struct program *program, const char *waited_for)
{
	printf("# %s did not come to: %s; it said:\n", program->child.name,
	       waited_for);
	show(program);
	fail();
}

void must_have_said(const struct program *program, const char *words)
{
	if (!has_said(program, words))
		give_up(program, words);
}

/* How many lines of its threads' status files are this one. */
static unsigned int threads_with(const struct program *vm, const char *wanted,
				 unsigned int *threads)
{
	char path[64], line[256];
	unsigned int found = 0;
	struct dirent *entry;
	DIR *dir;

	*threads = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", vm->child.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		FILE *file;

		if (*entry->d_name == '.')
			continue;
		++*threads;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", vm->child.pid,
			 entry->d_name);
		file = fopen(path, "r");
		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			found += !strcmp(line, wanted);
		fclose(file);
	}
	closedir(dir);
	return found;
}

void must_be_confined(const struct program *program)
{
	static const char *const lines[] = {
		"Seccomp:\t2\n", "NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n",
		"CapPrm:\t0000000000000000\n",
	};
	unsigned int found, threads;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		found = threads_with(program, lines[i], &threads);
		assert_int_equal(found, threads);
		assert_true(threads >= 2);
	}
}

void wait_for_words(struct program *program, const char *words)
{
	uint64_t limit = late();

	while (!has_said(program, words) && now_ns() < limit)
		if (!listen_once(50))
			break;
	if (!has_said(program, words))
		give_up(program, words);
}

void wait_for_counting(struct program *program)
{
	uint64_t limit = late();
	unsigned int before = program->counts;

	while (program->counts < before + 2 && now_ns() < limit)
		if (!listen_once(50))
			break;
	if (program->counts < before + 2)
		give_up(program, "counting");
}

/* It is in the pipes, however long it takes this process to get the CPU. */
static bool has_more(const struct child *child)
{
	struct pollfd wait[] = {
		{ .fd = child->output.fd, .events = POLLIN },
		{ .fd = child->reports.fd, .events = POLLIN },
	};

	return (wait[0].fd >= 0 || wait[1].fd >= 0) && poll(wait, 2, 20) > 0;
}

void hear_last_words(struct program *program)
{
	while (has_more(&program->child))
		listen_once(0);
}

void wait_for_exit(struct program *program, int status)
{
	uint64_t limit = late();
	struct child *child = &program->child;

	while (!child_gone(child) && now_ns() < limit)
		if (!listen_once(20))
			usleep(10000);
	hear_last_words(program);
	if (!child_gone(child) || !WIFEXITED(child->status) ||
	    WEXITSTATUS(child->status) != status) {
		print_message("# %s: wait status 0x%x, not exit %d\n",
			      child->name, child->status, status);
		give_up(program, "its end");
	}
}
