// SPDX-License-Identifier: MIT
/*
 * Commands that ask a VM under an attacker's control: a process of the test has its name, and
 * answers anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/status.h"
#include "control/names.h"
#include "program.h"

static char name[32];
static char why[NAMES_WHY];
static struct vm_claim claim;	/* in the VM */
static pid_t vm;

static bool read_request(int socket)
{
	char byte = '\0';

	while (byte != '\n')
		if (recv(socket, &byte, 1, 0) != 1)
			return false;
	return true;
}

/* One line for each that connects; then @next, if there is something more to do. */
static void serve(int listener, const char *line, void (*next)(void))
{
	for (;;) {
		int socket = accept(listener, NULL, NULL);

		if (socket < 0)
			_exit(1);
		if (read_request(socket) &&
		    (send(socket, line, strlen(line), MSG_NOSIGNAL) < 0 ||
		     send(socket, "\n", 1, MSG_NOSIGNAL) < 0))
			_exit(1);
		close(socket);
		if (next)
			next();
	}
}

static void be_vm(int ready, const char *line, void (*next)(void))
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (vm_claim(&claim, name, why) ||
	    vm_control_path(name, address.sun_path, sizeof(address.sun_path), why) ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, 16) || write(ready, "", 1) != 1)
		_exit(1);
	serve(listener, line, next);
}

static void vm_end(void)
{
	int status;
	pid_t pid;

	kill(vm, SIGKILL);
	assert_int_equal(waitpid(vm, &status, 0), vm);
	vm = 0;
	assert_int_equal(vm_find(name, &pid, why), -ESRCH);
}

/* In place of the one before. */
static void vm_answers(const char *line, void (*next)(void))
{
	int ready[2];
	char byte;

	if (vm)
		vm_end();
	snprintf(name, sizeof(name), "gmem-test-%d", (int)getpid());
	assert_int_equal(pipe(ready), 0);
	vm = fork();
	if (!vm)
		be_vm(ready[1], line, next);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static int end(void **state)
{
	programs_end(state);
	if (vm)
		vm_end();
	return 0;
}

/* A JSON null is no text, nor is anything else where text is expected. */
static void answers_that_are_something_else(void **state)
{
	static const char *const oks[] = {
		"{\"ok\":true,\"memory\":null,\"state\":null,\"pid\":null,\"vcpus\":null}",
		"{\"ok\":true,\"memory\":{},\"state\":[],\"resident\":[1],\"shared\":\"x\",\"vcpus\":{\"a\":1}}",
		"{\"ok\":true,\"memory\":\"x\",\"state\":1,\"uptime\":-1,\"vcpus\":1e99}",
		"{\"ok\":true,\"how\":null}",
	};
	static const char *const errors[] = {
		"{\"ok\":false,\"todo\":null}", "{\"ok\":null,\"error\":null,\"todo\":[]}",
		"{\"error\":{}}", "{\"ok\":\"yes\"}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(oks) / sizeof(oks[0]); i++) {
		vm_answers(oks[i], NULL);
		SAYS(EXIT_DONE, name, "ps");
		SAYS(EXIT_DONE, name, "ps", "--json");
		SAYS(EXIT_FAILED, "has not shut down", "stop", name, "--timeout", "0");
	}
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		vm_answers(errors[i], NULL);
		SAYS(EXIT_DONE, "no-answer", "ps");
		SAYS(EXIT_FAILED, name, "pause", name);
		SAYS(EXIT_FAILED, name, "console", name);
		SAYS(EXIT_FAILED, name, "snapshot", name, socket_path("snapshot"));
		assert_int_equal(access(socket_path("snapshot"), F_OK), -1);
	}
}

/* The command says it, and no control character, of C1 neither. */
static void says_printable(int status, const char *words, const char *command,
			   const char *first, const char *second)
{
	struct program *program = program_start("gmem", command, first, second, NULL);
	const char *byte;

	wait_for_exit(program, status);
	must_have_said(program, words);
	for (byte = program->said; *byte; byte++)
		assert_true((*byte >= ' ' && *byte <= '~') || *byte == '\n');
	program_end_last();
}

/* It has another VM's name and process, and what it says is not for a terminal. */
static void what_is_not_for_a_terminal(void **state)
{
#define WILD "\\u001b[31m\\n\x7f\xc2\x9b\x9b\xf0\x9f\x98\x80\\u009b"
	static const char ok[] = "{\"ok\":true,\"name\":\"another\",\"pid\":1,\"state\":\"up" WILD
		"\",\"memory\":4096,\"vcpus\":\"" WILD "\",\"version\":\"v" WILD
		"\",\"path\":\"" WILD "\",\"" WILD "\":1,\"how\":\"asked\"}";
	static const char error[] = "{\"ok\":false,\"error\":\"no" WILD "\",\"todo\":\"" WILD "\"}";
	char pid[32];

	(void)state;
	vm_answers(ok, NULL);
	snprintf(pid, sizeof(pid), "\"pid\":%d", (int)vm);
	says_printable(EXIT_DONE, "up?[31m?", "ps", NULL, NULL);
	says_printable(EXIT_DONE, pid, "ps", "--json", NULL);
	says_printable(EXIT_DONE, name, "ps", "--json", NULL);
	SAYS(EXIT_DONE, "v\\u001b[31m\\n\\u007f\\u009b?\\ud83d\\ude00\\u009b\"", "ps", "--json");
	says_printable(EXIT_DONE, "\\u007f", "pause", name, "--json");
	{
		struct program *ps = program_start("gmem", "ps", "--json", NULL);

		wait_for_exit(ps, EXIT_DONE);
		assert_false(has_said(ps, "another"));
	}
	vm_answers(error, NULL);
	says_printable(EXIT_FAILED, "no?[31m", "console", name, NULL);
	says_printable(EXIT_FAILED, "no?[31m", "resume", name, NULL);
	says_printable(EXIT_FAILED, "no?[31m", "resume", name, "--json");
}

/* What Prometheus' own reader finds, a line a sample; it fails where it finds none. */
static const char reader[] =
	"import sys;"
	"from prometheus_client.parser import text_string_to_metric_families as read;"
	"families = list(read(sys.stdin.read()));"
	"assert families and all(f.documentation and f.type in (\"gauge\", \"counter\")"
	"	for f in families);"
	"[print(s.name, sorted(s.labels.items()), s.value) for f in families for s in f.samples]";

static void read_as_metrics(const char *text, char *samples, size_t size)
{
	char command[sizeof(reader) + 256];
	const char *path = socket_path("metrics");
	FILE *file = fopen(path, "w");
	size_t got;

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	/* For the shell: there are no single quotes in it. */
	snprintf(command, sizeof(command), "/usr/bin/python3 -c '%s' <%s", reader, path);
	file = popen(command, "r");
	got = fread(samples, 1, size - 1, file);
	samples[got] = '\0';
	assert_int_equal(pclose(file), 0);
	unlink(path);
}

static void must_have(const char *text, const char *format, const char *who)
{
	char words[256];

	snprintf(words, sizeof(words), format, who, who);
	if (!strstr(text, words))
		fail_msg("no '%s' in:\n%s", words, text);
}

/*
 * Whatever the VM says: its name is the one that it has, what it says is in one label, with
 * its escapes; and what is no number of anything is left out. Another VM stands beside it.
 */
static void metrics_are_well_formed(void **state)
{
	static const char ok[] = "{\"ok\":true,\"name\":\"another\",\"state\":\"running\","
		"\"version\":\"v\\\\\\\"} 7\\n\\u001bx\",\"vcpus\":2,\"memory\":1e99,"
		"\"resident\":-1,\"shared\":9007199254740992,\"console\":true,\"uptime\":null}";
	struct vm_claim other = VM_CLAIM_NONE;
	char samples[8192];
	struct program *ps;

	(void)state;
	vm_answers(ok, NULL);
	assert_int_equal(vm_claim(&other, "gmem-test-0", why), 0);
	ps = program_start("gmem", "ps", "--metrics", NULL);
	wait_for_exit(ps, EXIT_DONE);
	vm_release(&other);
	must_have(ps->said, "gmem_vm_info{name=\"%s\",version=\"v\\\\\\\"} 7\\n?x\"} 1\n", name);
	must_have(ps->said, "# HELP gmem_vm_crashes_total How often a VMM of the guest has died "
		  "and another went on.\n# TYPE gmem_vm_crashes_total counter\n"
		  "gmem_vm_crashes_total{name=\"gmem-test-0\"} 0\n"
		  "gmem_vm_crashes_total{name=\"%s\"} 0\n", name);
	read_as_metrics(ps->said, samples, sizeof(samples));
	must_have(samples, "gmem_vm_info [('name', '%s'), ('version', 'v\\\\\"} 7\\n?x')] 1.0\n",
		  name);
	must_have(samples, "gmem_vm_vcpus [('name', '%s')] 2.0\n", name);
	must_have(samples, "gmem_vm_shared_bytes [('name', '%s')] 9007199254740992.0\n", name);
	must_have(samples, "gmem_vm_console_attached [('name', '%s')] 1.0\n", name);
	must_have(samples, "gmem_vm_state [('name', '%s'), ('state', 'running')] 1.0\n", name);
	must_have(samples, "gmem_vm_state [('name', '%s'), ('state', 'paused')] 0.0\n", name);
	must_have(samples, "[('name', 'gmem-test-0'), ('state', 'starting')] 1.0\n", "");
	assert_null(strstr(samples, "another"));
	assert_null(strstr(samples, "gmem_vm_memory_bytes"));
	assert_null(strstr(samples, "gmem_vm_resident_bytes"));
	assert_null(strstr(samples, "gmem_vm_uptime_seconds"));
}

/* A state that is none of ours is no label's value. */
static void a_state_that_is_none(void **state)
{
	char samples[8192];
	struct program *ps;

	(void)state;
	vm_answers("{\"ok\":true,\"state\":\"on fire\"}", NULL);
	ps = program_start("gmem", "ps", "--metrics", NULL);
	wait_for_exit(ps, EXIT_DONE);
	read_as_metrics(ps->said, samples, sizeof(samples));
	must_have(samples, "gmem_vm_state [('name', '%s'), ('state', 'running')] 0.0\n", name);
	assert_null(strstr(samples, "1.0"));
	assert_null(strstr(samples, "fire"));
}

/* As `gmem ps`, and it asks again each second, in place on a terminal. */
static void it_is_watched(void **state)
{
	static const char ok[] = "{\"ok\":true,\"state\":\"up" WILD "\",\"memory\":4096,"
		"\"vcpus\":\"" WILD "\",\"blackout_us\":1234,\"resident\":{}}";
	unsigned int clears = 0;
	char screens[4096];
	size_t used = 0;
	int terminal;
	pid_t top;

	(void)state;
	vm_answers(ok, NULL);
	says_printable(EXIT_DONE, "up?[31m?", "top", "--once", NULL);
	SAYS(EXIT_DONE, " 1.2 ms       0\n", "top", "--once");
	top = forkpty(&terminal, NULL, NULL, NULL);
	assert_true(top >= 0);
	if (!top) {
		execl(gmem_program(), "gmem", "top", NULL);
		_exit(127);
	}
	while (clears < 3 && used < sizeof(screens) - 1 && read(terminal, &screens[used], 1) == 1) {
		screens[++used] = '\0';
		clears += used >= 6 && !strcmp(&screens[used - 6], "\033[H\033[J");
	}
	kill(top, SIGINT);
	assert_int_equal(waitpid(top, NULL, 0), top);
	close(terminal);
	assert_int_equal(clears, 3);
	must_have(screens, "%s ", name);
	must_have(screens, "up?[31m?", "");
}

static void close_lock(void)
{
	close(claim.lock);
}

/* As a VMM's helper does. */
static void have_lock_held(void)
{
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void hold_and_close_lock(void)
{
	have_lock_held();
	usleep(50000);
	close_lock();
}

/* It was told that it has ended, so that it has. */
static void is_killed(void)
{
	int status;

	SAYS(EXIT_DONE, "ended", "kill", name);
	assert_int_equal(waitpid(vm, &status, WNOHANG), vm);
	assert_true(WIFSIGNALED(status));
	vm = 0;
}

/* It says that it ends, and lets go of its name, but stays. */
static void one_that_says_that_it_ends(void **state)
{
	(void)state;
	vm_answers("{\"ok\":true}", NULL);
	is_killed();
	vm_answers("{\"ok\":true}", close_lock);
	is_killed();
	/* Its helper has the name. */
	vm_answers("{\"ok\":true,\"how\":\"asked\"}", hold_and_close_lock);
	SAYS(EXIT_FAILED, "has not shut down", "stop", name, "--timeout", "1");
	is_killed();
	vm_answers("{\"ok\":true,\"how\":\"asked\"}", close_lock);
	SAYS(EXIT_FAILED, "has not shut down", "stop", name, "--timeout", "1");
}

/* It has written nothing of it. */
static void a_snapshot_that_is_none(void **state)
{
	(void)state;
	vm_answers("{\"ok\":true,\"state\":\"running\"}", NULL);
	SAYS(EXIT_FAILED, "has not written it", "snapshot", name, socket_path("snapshot"));
	assert_int_equal(access(socket_path("snapshot"), F_OK), -1);
	SAYS(EXIT_FAILED, "\"ok\":false", "snapshot", name, socket_path("snapshot"), "--json");
	assert_int_equal(access(socket_path("snapshot"), F_OK), -1);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_that_are_something_else),
		TEST(what_is_not_for_a_terminal),
		TEST(metrics_are_well_formed),
		TEST(a_state_that_is_none),
		TEST(it_is_watched),
		TEST(one_that_says_that_it_ends),
		TEST(a_snapshot_that_is_none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
