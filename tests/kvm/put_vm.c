// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last reference to a VM, which a view has, goes in another process's context, while the VM's
 * end waits for something that its VMM keeps: nobody waits with it. It is a kworker of an
 * asynchronous page fault that looks for a page of the VMM's, as from a FUSE server that is
 * silent.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asleep.h"
#include "blocked_page.h"
#include "claims.h"
#include "machine.h"
#include "sendfd.h"
#include "tracing.h"

#define PAGES		16
#define BLOCKED_GPA	(1ULL << 36)
#define BLOCKED_SLOT	20
#define DESTROY		"kvm_arch_pre_destroy_vm"
#define SETTLED_US	300000

/* A VM's, whose VMM has gone. */
static int view, uffd;
static struct blocked_page blocked;

/* A vCPU that can be interrupted has its page faults at the host done by a kworker. */
static void guest_wait(uint64_t gva)
{
	asm volatile("sti");
	GUEST_RETURN(*(volatile uint64_t *)gva);
}

static void *run(void *arg)
{
	struct machine *m = arg;

	machine_call(m, guest_wait, BLOCKED_GPA, 0, 0);
	return NULL;
}

static size_t run_size(void)
{
	int kvm = open("/dev/kvm", O_RDWR), size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	TEST_ASSERT(size > 0, "KVM_GET_VCPU_MMAP_SIZE");
	close(kvm);
	return size;
}

static void be_vmm(int socket)
{
	struct machine *m = machine_create(PAGES);
	pthread_t thread;

	blocked_page_init(&blocked);
	vm_set_user_memory_region(m->vm, BLOCKED_SLOT, 0, BLOCKED_GPA, PAGE_SIZE, blocked.page);
	virt_map(m->vm, BLOCKED_GPA, BLOCKED_GPA, 1);
	pthread_create(&thread, NULL, run, m);
	blocked_page_wait(&blocked);
	/* The kworker keeps the address space, and each mapping its file. */
	TEST_ASSERT(!munmap(m->vcpu->run, run_size()), "munmap");
	send_fds(socket, (int[]){ m->view, blocked.uffd }, 2, 0);
	pause();
}

static void make_sockets(int *s)
{
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, s), "socketpair");
}

/* The VMM is killed. Its VM and the page it waits for are there, by the view and the uffd. */
static void begin(void)
{
	double until = 0;
	int s[2], fds[2];
	pid_t pid;

	make_sockets(s);
	pid = fork();
	if (!pid) {
		close(s[0]);
		be_vmm(s[1]);
		_exit(1);
	}
	close(s[1]);
	TEST_ASSERT(receive_fds(s[0], fds, 2, NULL), "the VMM is gone");
	close(s[0]);
	view = fds[0];
	uffd = fds[1];
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, WNOHANG) != pid)
		TEST_ASSERT(claim_is_patient(&until), "the VMM does not end");
	trace_calls_start(DESTROY);
}

static void wait_for_vm(void)
{
	double until = 0;

	while (!trace_calls())
		TEST_ASSERT(claim_is_patient(&until), "the VM does not end");
}

/* In time; and the VM's end had begun. */
static void wait_for_end(pid_t pid)
{
	double until = 0;

	while (waitpid(pid, NULL, WNOHANG) != pid)
		TEST_ASSERT(claim_is_patient(&until), "a stranger waits for the VM's end");
	wait_for_vm();
	close(uffd);
}

/* Another process has the last reference to the view, and closes it. */
static pid_t close_elsewhere(void)
{
	pid_t pid = fork();

	if (!pid) {
		close(view);
		_exit(0);
	}
	close(view);
	return pid;
}

static void a_stranger_closes(void)
{
	begin();
	wait_for_end(close_elsewhere());
}

static void a_stranger_ends(void)
{
	pid_t pid;

	begin();
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	close(view);
	kill(pid, SIGKILL);
	wait_for_end(pid);
}

/* References to the module that a VM's end calls. */
static int module_users(void)
{
	FILE *file = fopen("/sys/module/kvm_amd/refcnt", "r");
	int users = -1;

	if (!file)
		file = fopen("/sys/module/kvm_intel/refcnt", "r");
	TEST_ASSERT(file && fscanf(file, "%d", &users) == 1, "refcnt");
	fclose(file);
	return users;
}

/* Nothing else does: no file is left. */
static void the_module_stays(void)
{
	double until = 0;
	int idle = module_users();
	pid_t pid;

	begin();
	pid = close_elsewhere();
	while (waitpid(pid, NULL, WNOHANG) != pid)
		TEST_ASSERT(claim_is_patient(&until), "a stranger waits for the VM's end");
	wait_for_vm();
	/* The inode's goes some time after it. */
	until = 0;
	while (module_users() > idle + 1)
		TEST_ASSERT(claim_is_patient(&until), "there are %d users", module_users());
	usleep(SETTLED_US);
	TEST_ASSERT_EQ(module_users(), idle + 1);
	close(uffd);
	until = 0;
	while (module_users() != idle)
		TEST_ASSERT(claim_is_patient(&until), "the module is kept");
}

/* Garbage, which a kworker finds that closes the files of all of the host. */
static void a_kworker_closes(void)
{
	int other[2];
	pid_t pid;

	begin();
	close_as_garbage(view);
	wait_for_vm();

	/* So would this be closed by it. */
	pid = fork();
	if (!pid) {
		char byte;

		make_sockets(other);
		close_as_garbage(other[1]);
		_exit(read(other[0], &byte, 1) ? 1 : 0);
	}
	wait_for_end(pid);
}

static const struct claim claims[] = {
	CLAIM(a_stranger_closes, "who closes the last view does not wait for the VM's end"),
	CLAIM(a_stranger_ends, "nor who ends with it"),
	CLAIM(the_module_stays, "until the VM has ended its module stays"),
	CLAIM(a_kworker_closes, "nor the kworker that closes others' files"),
};

CLAIMS_MAIN(claims);
