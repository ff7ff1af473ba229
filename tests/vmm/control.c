// SPDX-License-Identifier: MIT
/*
 * A VM's control socket and console, on a VM without KVM: its guest is a thread that has
 * the serial port, and prints what it is told to.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/devices.h"
#include "cmd/serve.h"
#include "common/fd-message.h"
#include "common/say.h"
#include "common/status.h"
#include "control/client.h"
#include "control/request.h"
#include "loop.h"

#define FLOOD	(1U << 20)	/* bytes: more than is kept, and than any pipe has room for */
#define PATIENCE 20000		/* ms: a machine may be busy */

static pid_t vm;
static int output;		/* its stdout, to read */
static char name[32];

/* ---- The VM ---- */

static void print(struct machine *machine, const char *bytes, size_t size)
{
	while (size--) {
		pthread_mutex_lock(&machine->device_lock);
		serial_out(&machine->pc.serial, UART_TX, *bytes++);
		pthread_mutex_unlock(&machine->device_lock);
	}
}

/* '!': prints a lot; other bytes it prints in brackets, without an end of the line. */
static void obey(struct machine *machine, char byte)
{
	static char line[64];
	char text[3] = { '[', byte, ']' };
	unsigned int i;

	if (byte != '!') {
		print(machine, text, 3);
		return;
	}
	memset(line, '.', sizeof(line));
	line[63] = '\n';
	for (i = 0; i < FLOOD / sizeof(line); i++)
		print(machine, line, sizeof(line));
	print(machine, "flooded\n", 8);
}

static void *guest(void *data)
{
	struct machine *machine = data;
	struct serial *serial = &machine->pc.serial;

	for (;;) {
		int byte = -1;

		pthread_mutex_lock(&machine->device_lock);
		if (serial_in(serial, UART_LSR) & UART_LSR_DR)
			byte = serial_in(serial, UART_RX);
		pthread_mutex_unlock(&machine->device_lock);
		if (byte >= 0)
			obey(machine, byte);
		else
			usleep(1000);
	}
	return NULL;
}

static int run_vm(void)
{
	static struct machine machine = {
		.kvm = -1, .vm = -1, .device_lock = PTHREAD_MUTEX_INITIALIZER,
		.pc = { .present = true, .serial.vm = -1 },
	};
	struct serving serving = { .socket = NULL };
	const struct devices devices = { .rng = 0 };
	pthread_t thread;
	int status;

	machine.pc.serial.console = &machine.console;
	serial_out(&machine.pc.serial, UART_FCR, UART_FCR_ENABLE_FIFO);
	loop_block_signals(false);
	status = serve_as(&serving, name);
	if (!status)
		status = serve_with_helper(&serving, &devices, NULL);
	if (status || events_open(&machine.events) ||
	    pthread_create(&thread, NULL, guest, &machine))
		return 99;
	status = serve_guest(&machine, &serving);
	serve_end(&serving);
	return status;
}

/* @input: its stdin */
static void start_with(int input)
{
	int pipes[2];
	char why[NAMES_WHY];
	pid_t found;

	snprintf(name, sizeof(name), "gmem-test-%d", (int)getpid());
	assert_int_equal(pipe(pipes), 0);
	vm = fork();
	if (!vm) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(input, STDIN_FILENO);
		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(run_vm());
	}
	close(pipes[1]);
	output = pipes[0];
	while (vm_find(name, &found, why))
		usleep(1000);
}

static int begin(void **state)
{
	FILE *nothing = fopen("/dev/null", "r");

	(void)state;
	start_with(fileno(nothing));
	fclose(nothing);
	return 0;
}

static bool vm_ends(int *status)
{
	uint64_t limit = now_ns() + PATIENCE * 1000000ULL;

	while (now_ns() < limit) {
		if (waitpid(vm, status, WNOHANG) == vm) {
			vm = 0;
			return true;
		}
		usleep(1000);
	}
	return false;
}

static int end(void **state)
{
	int status;

	(void)state;
	if (vm) {
		kill(vm, SIGKILL);
		waitpid(vm, &status, 0);
	}
	vm = 0;
	close(output);
	return 0;
}

/* ---- Its client ---- */

static int connect_vm(void)
{
	uint64_t limit = now_ns() + PATIENCE * 1000000ULL;
	char why[CONTROL_WHY];
	int socket = -EAGAIN;

	while ((socket == -EAGAIN || socket == -ESRCH) && now_ns() < limit) {
		socket = control_connect(name, why);
		if (socket < 0)
			usleep(1000);
	}
	assert_true(socket >= 0);
	return socket;
}

static void say_bytes(int socket, const void *bytes, size_t size)
{
	assert_int_equal(send(socket, bytes, size, MSG_NOSIGNAL), size);
}

/* The next line; "": it was closed. */
static const char *hear_line(int socket)
{
	static char line[16384];
	size_t used = 0;

	while (used < sizeof(line) - 1) {
		struct pollfd wait = { .fd = socket, .events = POLLIN };

		assert_int_equal(poll(&wait, 1, PATIENCE), 1);
		if (recv(socket, line + used, 1, 0) != 1)
			break;
		if (line[used++] == '\n')
			break;
	}
	line[used] = '\0';
	return line;
}

static void answers(int socket, const char *request, const char *words)
{
	const char *line;

	say_bytes(socket, request, strlen(request));
	say_bytes(socket, "\n", 1);
	line = hear_line(socket);
	if (!strstr(line, words))
		print_message("# '%s' was answered: %s", request, line);
	assert_non_null(strstr(line, words));
}

/* Read until these words have come, with what stands before them. */
static const char *hear(int fd, const char *words)
{
	static char heard[4 << 20];
	size_t used = 0;

	heard[0] = '\0';
	while (!memmem(heard, used, words, strlen(words))) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t got;

		assert_true(used < sizeof(heard) - 1);
		if (poll(&wait, 1, PATIENCE) != 1)
			print_message("# '%s' did not come, but: %s\n", words, heard);
		got = read(fd, heard + used, sizeof(heard) - 1 - used);
		assert_true(got > 0);
		used += got;
		heard[used] = '\0';
	}
	return heard;
}

static int attach(void)
{
	int socket = connect_vm();

	answers(socket, "{\"command\":\"console\"}", "{\"ok\":true}");
	return socket;
}

/* ---- Requests ---- */

static void requests_are_answered(void **state)
{
	int socket = connect_vm(), status;

	(void)state;
	answers(socket, "{\"command\":\"status\"}", name);
	answers(socket, " { \"command\" : \"status\" } ", "\"vcpus\":0");
	answers(socket, "{\"command\":\"pause\"}", "\"state\":\"paused\"");
	answers(socket, "{\"command\":\"pause\"}", "\"state\":\"paused\"");
	answers(socket, "{\"command\":\"status\"}", "\"state\":\"paused\"");
	answers(socket, "{\"command\":\"resume\"}", "\"ok\":true");
	answers(socket, "{\"command\":\"snapshot\",\"path\":\"/tmp/never\"}", "no two empty files");
	kill(vm, SIGTERM);
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	assert_string_equal(hear_line(socket), "");
	close(socket);
}

static void a_vm_is_killed(void **state)
{
	int socket = connect_vm(), status;

	(void)state;
	answers(socket, "{\"command\":\"kill\"}", "{\"ok\":true}");
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	close(socket);
}

static void wrong_requests(void **state)
{
	static const struct {
		const char *request;
		const char *words;
	} wrong[] = {
		{ "", "\"ok\":false" },
		{ "{", "\"ok\":false" },
		{ "{}", "'command' must be a string" },
		{ "[]", "this is something else" },
		{ "1", "\"ok\":false" },
		{ "null", "\"ok\":false" },
		{ "{\"command\":1}", "'command' must be a string" },
		{ "{\"command\":null}", "'command' must be a string" },
		{ "{\"command\":\"fly\"}", "'fly' is not known" },
		{ "{\"command\":\"status\\u0000\"}", "'command' must be a string" },
		{ "{\"command\":\"status\",\"fast\":true}", "'fast' is not known" },
		{ "{\"command\":\"status\",\"path\":\"/tmp\"}", "'path' is not known" },
		{ "{\"command\":\"snapshot\"}", "absolute path" },
		{ "{\"command\":\"snapshot\",\"path\":\"relative\"}", "absolute path" },
		{ "{\"command\":\"snapshot\",\"path\":\"\"}", "absolute path" },
		{ "{\"command\":\"snapshot\",\"path\":\"/a\\u0000b\"}", "absolute path" },
		{ "{\"command\":\"status\"} {}", "\"ok\":false" },
		{ "{\"command\":\"status\",}", "\"ok\":false" },
		{ "{'command':'status'}", "\"ok\":false" },
		{ "{\"command\":\"stat\xff\"}", "\"ok\":false" },
		{ "{\"command\":{\"command\":{\"command\":{}}}}", "\"ok\":false" },
		{ "{\"\\u001b[31m\":1,\"command\":\"status\"}", "?[31m" },
	};
	int socket = connect_vm();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		answers(socket, wrong[i].request, wrong[i].words);
	say_bytes(socket, "{\"command\":\"status\"\0}\n", 22);
	assert_non_null(strstr(hear_line(socket), "\"ok\":false"));
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	close(socket);
}

static void lines_that_are_too_long(void **state)
{
	static char longer[CONTROL_LINE + 100];
	int socket = connect_vm();

	(void)state;
	memset(longer, '[', sizeof(longer));
	say_bytes(socket, longer, CONTROL_LINE - 1);
	say_bytes(socket, "\n", 1);
	assert_non_null(strstr(hear_line(socket), "\"ok\":false"));
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	send(socket, longer, sizeof(longer), MSG_NOSIGNAL);
	assert_non_null(strstr(hear_line(socket), "too long"));
	close(socket);
	/* As long as a line may be. */
	socket = connect_vm();
	memset(longer, ' ', sizeof(longer));
	memcpy(longer, "{\"command\":\"status\"", 19);
	longer[CONTROL_LINE - 2] = '}';
	longer[CONTROL_LINE - 1] = '\n';
	say_bytes(socket, longer, CONTROL_LINE);
	assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	close(socket);
}

static void requests_in_pieces_and_at_once(void **state)
{
	const char *request = "{\"command\":\"status\"}\n";
	int socket = connect_vm(), i;
	char many[40 * 32] = "";

	(void)state;
	for (i = 0; request[i]; i++) {
		say_bytes(socket, request + i, 1);
		usleep(1000);
	}
	assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	for (i = 0; i < 40; i++)
		strcat(many, request);
	say_bytes(socket, many, strlen(many));
	for (i = 0; i < 40; i++)
		assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	close(socket);
}

/* Nor one that does not read its answers, nor those that say nothing. */
static void clients_that_stall(void **state)
{
	int silent[20], mute = connect_vm(), socket, i;
	const char *request = "{\"command\":\"status\"}\n";

	(void)state;
	while (send(mute, request, strlen(request), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	for (i = 0; i < 20; i++)
		silent[i] = connect_vm();
	/* There is no room for so many: the last are told. */
	assert_non_null(strstr(hear_line(silent[19]), "too many are connected"));
	for (i = 0; i < 20; i++)
		close(silent[i]);
	/* That the others are closed is seen before the next one is accepted, or after. */
	for (;;) {
		socket = connect_vm();
		say_bytes(socket, request, strlen(request));
		if (strstr(hear_line(socket), "\"ok\":true"))
			break;
		close(socket);
	}
	close(socket);
	close(mute);
}

/* ---- The files of a snapshot ---- */

/* The request with these descriptors is answered with @words. */
static void answered_with(const int *fds, unsigned int nr, const char *words)
{
	static const char request[] = "{\"command\":\"snapshot\",\"path\":\"/a\"}\n";
	int socket = connect_vm();
	const char *line;

	assert_int_equal(fd_message_send(socket, request, strlen(request), fds, nr), 0);
	line = hear_line(socket);
	if (!strstr(line, words))
		fail_msg("it was answered: %s", line);
	/* It keeps none of them, and goes on. */
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	close(socket);
}

static int open_file(int flags)
{
	char path[] = "/tmp/gmem-test-XXXXXX";
	int fd = mkstemp(path), again;

	assert_true(fd >= 0);
	again = open(path, flags);
	assert_true(again >= 0);
	unlink(path);
	close(fd);
	return again;
}

static unsigned int descriptors_of_vm(void)
{
	unsigned int nr = 0;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)vm);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* As many as that, once it has seen that connections were closed. */
static void has_descriptors(unsigned int nr)
{
	uint64_t limit = now_ns() + PATIENCE * 1000000ULL;

	while (descriptors_of_vm() != nr && now_ns() < limit)
		usleep(1000);
	assert_int_equal(descriptors_of_vm(), nr);
}

static void what_are_no_files_for_a_snapshot(void **state)
{
	static const char no[] = "no two empty files";
	int good = open_file(O_WRONLY), other = open_file(O_RDWR), pair[2], ends[2];
	int wrong[6], i;
	int socket = connect_vm();
	unsigned int before;

	(void)state;
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	before = descriptors_of_vm() - 1;
	close(socket);
	answered_with(NULL, 0, no);
	assert_int_equal(pipe(ends), 0);
	wrong[0] = open_file(O_RDONLY);
	wrong[1] = open_file(O_WRONLY | O_APPEND);
	wrong[2] = open_file(O_PATH);
	wrong[3] = ends[1];
	wrong[4] = dup(good);		/* the same one twice */
	wrong[5] = open_file(O_RDWR);
	assert_int_equal(write(wrong[5], "x", 1), 1);
	answered_with(&good, 1, no);
	for (i = 0; i < 6; i++) {
		pair[0] = good;
		pair[1] = wrong[i];
		answered_with(pair, 2, no);
		pair[0] = wrong[i];
		pair[1] = good;
		answered_with(pair, 2, no);
		close(wrong[i]);
	}
	/* Files are not the reason why this guest, which is no VM's, cannot be kept. */
	pair[0] = good;
	pair[1] = other;
	answered_with(pair, 2, "making a snapshot of this kind of guest");
	has_descriptors(before);
	close(ends[0]);
	close(good);
	close(other);
}

/* They are for the request that they come with. */
static void descriptors_that_nobody_needs_are_closed(void **state)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	int socket = connect_vm(), fds[2] = { open_file(O_RDWR), open_file(O_RDWR) }, i;
	unsigned int before;

	(void)state;
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	before = descriptors_of_vm();
	for (i = 0; i < 40; i++) {
		assert_int_equal(fd_message_send(socket, request, strlen(request), fds, 2), 0);
		assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	}
	/* Without a line's end: the last are kept until one comes. */
	for (i = 0; i < 40; i++)
		assert_int_equal(fd_message_send(socket, " ", 1, fds, 2), 0);
	answers(socket, "{\"command\":\"snapshot\",\"path\":\"/a\"}",
		"making a snapshot of this kind of guest");
	answers(socket, "{\"command\":\"snapshot\",\"path\":\"/a\"}", "no two empty files");
	has_descriptors(before);
	close(fds[0]);
	close(fds[1]);
	close(socket);
}

/* ---- The console ---- */

static void keys_come_to_the_guest(void **state)
{
	char keys[3000], expected[16];
	int socket = attach(), second = connect_vm(), i;

	(void)state;
	say_bytes(socket, "ab", 2);
	hear(socket, "[a][b]");
	answers(second, "{\"command\":\"status\"}", "\"console\":true");
	answers(second, "{\"command\":\"console\"}", "somebody is attached");
	close(second);
	/* More than the port's FIFO and the terminal have room for: none is lost. */
	for (i = 0; i < 4; i++) {
		memset(keys, 'c' + i, sizeof(keys));
		say_bytes(socket, keys, sizeof(keys));
	}
	say_bytes(socket, "Z", 1);
	{
		const char *heard = hear(socket, "[Z]");
		int count[4] = { 0 };

		for (; *heard; heard++)
			if (*heard >= 'c' && *heard < 'c' + 4)
				count[*heard - 'c']++;
		for (i = 0; i < 4; i++)
			assert_int_equal(count[i], sizeof(keys));
	}
	snprintf(expected, sizeof(expected), "[Z]");
	hear(output, expected);
	close(socket);
}

static void a_console_is_attached_again(void **state)
{
	int socket = attach();

	(void)state;
	say_bytes(socket, "xq", 2);
	close(socket);
	/* What it had typed is printed though nobody is attached. */
	hear(output, "[x][q]");
	socket = attach();
	hear(socket, "[q]");
	close(socket);
	socket = attach();
	say_bytes(socket, "y", 1);
	/* What was seen is not shown again. */
	assert_null(strstr(hear(socket, "[y]"), "[x]"));
	close(socket);
}

/* Typed in the same breath as the request. */
static void keys_behind_the_request(void **state)
{
	int socket = connect_vm();
	struct timeval patience;
	socklen_t size = sizeof(patience);

	(void)state;
	/* However slowly the guest takes keys, they are not lost. */
	assert_int_equal(getsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, &size), 0);
	assert_int_equal(patience.tv_sec, 0);
	say_bytes(socket, "{\"command\":\"console\"}\nuv", 24);
	hear(socket, "[u][v]");
	close(socket);
}

static void a_console_that_stalls(void **state)
{
	int socket = attach(), other = connect_vm(), status;

	(void)state;
	say_bytes(socket, "!", 1);
	/* The guest prints it all, though the console's reader has read none. */
	hear(output, "flooded\n");
	answers(other, "{\"command\":\"status\"}", "\"ok\":true");
	hear(socket, "bytes were not read in time]");
	hear(socket, "flooded\n");
	say_bytes(socket, "w", 1);
	hear(socket, "[w]");
	say_bytes(socket, "!", 1);
	hear(output, "flooded\n");
	kill(vm, SIGTERM);
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	close(socket);
	close(other);
}

static void a_stdout_that_stalls(void **state)
{
	int socket = attach(), other = connect_vm(), status;

	(void)state;
	say_bytes(socket, "!", 1);
	hear(socket, "flooded\n");
	answers(other, "{\"command\":\"status\"}", "\"ok\":true");
	hear(output, "bytes were not read in time]");
	hear(output, "flooded\n");
	say_bytes(socket, "!", 1);
	hear(socket, "flooded\n");
	kill(vm, SIGTERM);
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	close(socket);
	close(other);
}

static void stdout_is_closed(void **state)
{
	int socket = attach();

	(void)state;
	close(output);
	say_bytes(socket, "a!b", 3);
	hear(socket, "flooded\n[b]");
	output = dup(socket);
	close(socket);
}

/* The line's end does not come: it is shown by then. */
static void a_prompt_is_shown(void **state)
{
	int pipes[2];

	(void)state;
	end(NULL);
	assert_int_equal(pipe(pipes), 0);
	start_with(pipes[0]);
	close(pipes[0]);
	assert_int_equal(write(pipes[1], "p", 1), 1);
	hear(output, "[p]");
	close(pipes[1]);
	/* That there is no more to type is no end of the guest. */
	usleep(50000);
	close(connect_vm());
}

static void signals_end_it(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < 4; i++) {
		close(connect_vm());
		kill(vm, SIGUSR2);	/* which asks for nothing here */
		usleep(20000);
		close(connect_vm());
		kill(vm, signals[i]);
		assert_true(vm_ends(&status));
		assert_int_equal(status, 0);
		end(NULL);
		begin(NULL);
	}
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		TEST(a_vm_is_killed),
		TEST(wrong_requests),
		TEST(lines_that_are_too_long),
		TEST(requests_in_pieces_and_at_once),
		TEST(clients_that_stall),
		TEST(what_are_no_files_for_a_snapshot),
		TEST(descriptors_that_nobody_needs_are_closed),
		TEST(keys_come_to_the_guest),
		TEST(a_console_is_attached_again),
		TEST(keys_behind_the_request),
		TEST(a_console_that_stalls),
		TEST(a_stdout_that_stalls),
		TEST(stdout_is_closed),
		TEST(a_prompt_is_shown),
		TEST(signals_end_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
