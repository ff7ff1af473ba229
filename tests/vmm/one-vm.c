// SPDX-License-Identifier: MIT
#include <linux/kvm_gmem.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/devices.h"
#include "cmd/serve.h"
#include "common/say.h"
#include "control/client.h"
#include "control/request.h"
#include "loop.h"
#include "one-vm.h"

#define FLOOD	(1U << 20)	/* bytes: more than is kept, and more than any pipe has room for */

pid_t vm;
int output;
char name[32];
static uint64_t vm_type = KVM_X86_DEFAULT_VM;

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

	machine.vm_type = vm_type;
	machine.nr_shared = 3;
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

void vm_start_with(int input)
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

int vm_begin(void **state)
{
	FILE *nothing = fopen("/dev/null", "r");

	(void)state;
	vm_start_with(fileno(nothing));
	fclose(nothing);
	return 0;
}

int vm_begin_private(void **state)
{
	int ret;

	vm_type = KVM_X86_SW_PROTECTED_VM;
	ret = vm_begin(state);
	vm_type = KVM_X86_DEFAULT_VM;
	return ret;
}

bool vm_ends(int *status)
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

int vm_end(void **state)
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

int connect_vm(void)
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

void say_bytes(int socket, const void *bytes, size_t size)
{
	assert_int_equal(send(socket, bytes, size, MSG_NOSIGNAL), size);
}

const char *hear_line(int socket)
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

void answers(int socket, const char *request, const char *words)
{
	const char *line;

	say_bytes(socket, request, strlen(request));
	say_bytes(socket, "\n", 1);
	line = hear_line(socket);
	if (!strstr(line, words))
		print_message("# '%s' was answered: %s", request, line);
	assert_non_null(strstr(line, words));
}
