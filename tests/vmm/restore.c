// SPDX-License-Identifier: MIT
/*
 * gmem restore: invalid and hostile snapshots. tests/boot/snapshot restores guests from good ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/status.h"
#include "image/image.h"
#include "machine/cpuid.h"
#include "machine/sections.h"
#include "program.h"
#include "snapshot/files.h"
#include "snapshot/snapshot.h"

#define MEMORY		(2UL << 20)
#define MUTANTS		400
#define DAMAGED		"it is damaged, or no snapshot"
#define NO_GUEST	"it is of no guest that gmem could have saved"

static char path[64];
static int dir;

/* struct sample - a snapshot of a PC that never ran, to be changed and written */
struct sample {
	struct gmem_message message;
	struct gmem_slot slots[2];
	struct gmem_range range;
	struct gmem_vcpu_state vcpus[2];
	struct machine machine;
};

static void sample_make(struct sample *sample)
{
	struct gmem_message *message = &sample->message;

	memset(sample, 0, sizeof(*sample));
	assert_int_equal(machine_create(&sample->machine, KVM_X86_DEFAULT_VM), 0);
	assert_int_equal(machine_add_pc(&sample->machine), 0);
	assert_int_equal(machine_add_vcpus(&sample->machine, 1), 0);
	assert_int_equal(machine_set_cpuid(&sample->machine), 0);
	assert_int_equal(gmem_vcpu_get_state(&sample->machine.vcpus[0], &sample->vcpus[0]), 0);
	assert_int_equal(gmem_vm_get_state(sample->machine.vm, &message->vm_state), 0);
	sample->slots[0] = (struct gmem_slot){
		.flags = KVM_MEM_GUEST_MEMFD, .size = MEMORY,
	};
	message->kind = GMEM_MESSAGE_SNAPSHOT;
	message->vm_type = KVM_X86_DEFAULT_VM;
	message->slots = sample->slots;
	message->nr_slots = 1;
	message->nr_fds = 1;
	message->ranges = &sample->range;
	message->vcpus = sample->vcpus;
	message->nr_vcpus = 1;
	assert_int_equal(sections_save(machine_sections, &sample->machine, &message->devices,
				       &message->devices_size), 0);
}

static void sample_drop(struct sample *sample)
{
	free(sample->message.devices);
	gmem_vcpu_state_free(&sample->vcpus[0]);
	gmem_vm_state_free(&sample->message.vm_state);
	machine_close(&sample->machine);
}

static void write_memory(off_t size)
{
	int fd = openat(dir, "memory", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

/* 0 or -errno */
static int write_state(const struct gmem_message *message)
{
	void *encoded;
	ssize_t length = gmem_message_encode(message, &encoded);
	int fd = openat(dir, "state", O_WRONLY | O_CREAT | O_EXCL, 0600);
	int ret = snapshot_write_state(fd, encoded, length);

	free(encoded);
	close(fd);
	return ret;
}

static int begin(void **state)
{
	(void)state;
	strcpy(path, "/tmp/gmem-test-XXXXXX");
	if (!mkdtemp(path))
		return -1;
	dir = open(path, O_RDONLY | O_DIRECTORY);
	write_memory(MEMORY);
	return dir < 0 ? -1 : 0;
}

static int end(void **state)
{
	programs_end(state);
	unlinkat(dir, "memory", 0);
	unlinkat(dir, "memory.sums", 0);
	unlinkat(dir, "state", 0);
	unlinkat(dir, "state", AT_REMOVEDIR);
	close(dir);
	return rmdir(path);
}

/* The program says these words, and nothing else happens. */
static void refused(const char *words)
{
	struct program *program = program_start("restore", "restore", "--snapshot",
						path, NULL);

	wait_for_exit(program, EXIT_FAILED);
	must_have_said(program, words);
	programs_end(NULL);
}

/* The same, for the sample with a change. */
#define REFUSED(words, change) do {					\
	struct sample sample;						\
									\
	sample_make(&sample);						\
	change;								\
	unlinkat(dir, "state", 0);					\
	assert_int_equal(write_state(&sample.message), 0); \
	sample_drop(&sample);						\
	refused(words);							\
} while (0)

/* The bytes of a good `state`, and what replaces them. */
static char *bytes;
static size_t size;

static void read_good(void)
{
	struct sample sample;
	struct stat st;
	int fd;

	sample_make(&sample);
	assert_int_equal(write_state(&sample.message), 0);
	sample_drop(&sample);
	fd = openat(dir, "state", O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	size = st.st_size;
	bytes = malloc(size);
	assert_int_equal(read(fd, bytes, size), size);
	close(fd);
}

static int read_back(const char *changed, size_t length)
{
	int fd = openat(dir, "state", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct gmem_message message;
	int ret;

	assert_int_equal(write(fd, changed, length), length);
	close(fd);
	ret = snapshot_read_state(dir, &message);
	gmem_message_free(&message);
	return ret;
}

static void what_is_no_state(void **state)
{
	(void)state;
	refused("No such file or directory");
	assert_int_equal(mkdirat(dir, "state", 0700), 0);
	refused(DAMAGED);
	assert_int_equal(unlinkat(dir, "state", AT_REMOVEDIR), 0);
	assert_int_equal(mkfifoat(dir, "state", 0600), 0);
	refused(DAMAGED);
	assert_int_equal(unlinkat(dir, "state", 0), 0);
	close(openat(dir, "state", O_WRONLY | O_CREAT, 0600));
	refused("it is not complete");
}

static void a_state_cut_short_or_longer(void **state)
{
	char *longer;
	size_t length;

	(void)state;
	read_good();
	longer = calloc(1, size + 1);
	memcpy(longer, bytes, size);
	assert_int_equal(read_back(bytes, 0), -ENODATA);
	for (length = 1; length < size; length += 1 + length / 16)
		assert_int_equal(read_back(bytes, length), -EBADMSG);
	assert_int_equal(read_back(bytes, size - 1), -EBADMSG);
	assert_int_equal(read_back(longer, size + 1), -EBADMSG);
	assert_int_equal(read_back(bytes, size), 0);
	free(longer);
	free(bytes);
}

static void a_state_with_any_bit_changed(void **state)
{
	unsigned int seed = 1;
	size_t i;

	(void)state;
	read_good();
	for (i = 0; i < 1000; i++) {
		size_t at = i < 24 ? i : rand_r(&seed) % size;
		int ret;

		bytes[at] ^= 1 << i % 8;
		ret = read_back(bytes, size);
		/* Those of the version say that it is another's. */
		assert_int_equal(ret, at >= 8 && at < 12 ? -EPROTONOSUPPORT : -EBADMSG);
		bytes[at] ^= 1 << i % 8;
	}
	bytes[8]++;
	read_back(bytes, size);
	refused("it was made by another version of gmem");
	free(bytes);
}

static void a_memory_that_does_not_fit(void **state)
{
	(void)state;
	write_memory(0);
	REFUSED(NO_GUEST, (void)sample);
	write_memory(MEMORY + 1);
	refused(NO_GUEST);
	write_memory(MEMORY - 4096);
	refused(NO_GUEST);
	unlinkat(dir, "memory", 0);
	refused("opening the snapshot's memory");
	assert_int_equal(mkfifoat(dir, "memory", 0600), 0);
	refused(NO_GUEST);
}

static void what_no_guest_can_be(void **state)
{
	(void)state;
	REFUSED(NO_GUEST, sample.message.vm_type = 2 /* SEV */);
	REFUSED(NO_GUEST, sample.message.vm_type = ~0ULL);
	/* What is private has its attribute, and is there. */
	REFUSED(NO_GUEST, sample.message.vm_type = KVM_X86_SW_PROTECTED_VM;
		sample.range.size = 4096; sample.message.nr_ranges = 1);
	REFUSED(NO_GUEST, sample.message.vm_type = KVM_X86_SW_PROTECTED_VM;
		sample.range.size = 4096; sample.range.gpa = MEMORY;
		sample.range.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
		sample.message.nr_ranges = 1);
	REFUSED(NO_GUEST, sample.range.size = 4096; sample.message.nr_ranges = 1);
	REFUSED(NO_GUEST, sample.vcpus[1].id = 2; sample.message.nr_vcpus = 2);
	REFUSED(NO_GUEST, sample.vcpus[0].id = 1);
	REFUSED(NO_GUEST, sample.slots[0].size = MEMORY + 4096);
	REFUSED(NO_GUEST, sample.slots[0].private_offset = 4096;
		sample.slots[0].shared_offset = 4096);
	REFUSED(NO_GUEST, sample.slots[0].private_offset = 4096;
		sample.slots[0].size = 4096);
	REFUSED(NO_GUEST, sample.slots[0].shared_fd = -1);
	REFUSED(NO_GUEST, sample.slots[0].flags |= 1);
	REFUSED(NO_GUEST, sample.slots[0].gpa = 1ULL << 60);
	REFUSED(NO_GUEST, sample.slots[0].slot = 1);
	/* Bound twice. */
	REFUSED(NO_GUEST, sample.slots[1] = sample.slots[0];
		sample.slots[1].slot = 1; sample.slots[1].gpa = MEMORY;
		sample.message.nr_slots = 2);
}

static void no_page_server(void **state)
{
	struct program *program;

	(void)state;
	read_good();
	free(bytes);
	program = program_start("restore", "restore", "--snapshot", path,
				"--pager", "/nowhere/at/all", NULL);
	wait_for_exit(program, EXIT_FAILED);
	must_have_said(program, "/nowhere/at/all");
}

static void another_message(void **state)
{
	struct sample sample;

	(void)state;
	sample_make(&sample);
	sample.message.kind = GMEM_MESSAGE_STATE;
	gmem_vm_state_free(&sample.message.vm_state);
	sample.message.nr_slots = 0;
	sample.message.nr_fds = 0;
	assert_int_equal(write_state(&sample.message), 0);
	sample_drop(&sample);
	refused(NO_GUEST);
}

/* The section of a device of the sample's, and its state. */
static struct section_header *device_header(struct sample *sample, const char *name)
{
	struct section_header *header = sample->message.devices;

	while (strcmp(header->name, name))
		header = (void *)((char *)(header + 1) + (header->length + 7) / 8 * 8);
	return header;
}

static void *device(struct sample *sample, const char *name)
{
	return device_header(sample, name) + 1;
}

static void state_that_kvm_refuses(void **state)
{
	struct gmem_blob *blob;

	(void)state;
	REFUSED("KVM refused the vCPU's regs",
		sample.vcpus[0].blobs[GMEM_STATE_REGS].size--);
	REFUSED("KVM refused the vCPU's sregs",
		((struct kvm_sregs *)sample.vcpus[0].blobs[GMEM_STATE_SREGS].data)->cr4 = ~0ULL);
	REFUSED("KVM refused the state of: pit",
		sample.message.vm_state.blobs[GMEM_VM_STATE_PIT].size--);
	/* One chip in the place of another. */
	REFUSED("KVM refused the state of: ioapic",
		blob = &sample.message.vm_state.blobs[GMEM_VM_STATE_IOAPIC];
		((struct kvm_irqchip *)blob->data)->chip_id = KVM_IRQCHIP_PIC_MASTER);
	REFUSED("the state of 'pci' is cut short", sample.message.devices_size--);
	REFUSED("the state of 'console' is missing", sample.message.devices_size = 0);
	REFUSED("the state of 'console' is none",
		((struct console_state *)device(&sample, "console"))->used = 252);
	REFUSED("the state of 'power' is none",
		((struct power_state *)device(&sample, "power"))->events = 2);
	REFUSED("the state of 'serial' is none",
		((struct serial_state *)device(&sample, "serial"))->raised = 2);
	REFUSED("the state of 'rtc' is none",
		((struct rtc_state *)device(&sample, "rtc"))->selected = 128);
	REFUSED("'rtc' of version 9 is not known to this gmem",
		device_header(&sample, "rtc")->version = 9);
	REFUSED("'no' of version 1 is not known to this gmem",
		memcpy(device_header(&sample, "rtc")->name, "no", 3));
}

/* As on a full disk: no half of the memory is left there. */
static void a_snapshot_that_fails_leaves_nothing(void **state)
{
	struct rlimit limit, small;
	struct snapshot snapshot;
	struct machine machine;
	struct sample sample;
	struct snapshot_copy copy;
	struct snapshot_files files;
	struct snapshot_fds fds;
	struct stat st;
	char other[sizeof(path) + 8];

	(void)state;
	snprintf(other, sizeof(other), "%s/other", path);
	sample_make(&sample);
	assert_int_equal(write_state(&sample.message), 0);
	sample_drop(&sample);
	assert_int_equal(snapshot_open(&snapshot, path), 0);
	assert_int_equal(snapshot_build(&snapshot, &machine), 0);
	assert_int_equal(snapshot_set_state(&snapshot, &machine), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = MEMORY / 2;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(snapshot_capture(&machine, &copy), 0);
	assert_int_equal(snapshot_files_make(&files, other, &fds), 0);
	assert_int_equal(snapshot_write(&copy, &fds, &(bool){ false }), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	/* Nobody may be there to remove them. */
	assert_int_equal(fstatat(dir, "other/memory", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(snapshot_open(&snapshot, other), -ENODATA);
	snapshot_close(&snapshot);
	assert_int_equal(snapshot_files_drop(&files), 0);
	assert_int_equal(access(other, F_OK), -1);
	assert_int_equal(snapshot_files_make(&files, other, &fds), 0);
	assert_int_equal(snapshot_write(&copy, &fds, &(bool){ true }), -ECANCELED);
	assert_int_equal(snapshot_files_drop(&files), 0);
	assert_int_equal(snapshot_files_make(&files, other, &fds), 0);
	assert_int_equal(snapshot_write(&copy, &fds, &(bool){ false }), 0);
	assert_int_equal(snapshot_files_keep(&files), 0);
	snapshot_copy_free(&copy);
	machine_close(&machine);
	snapshot_close(&snapshot);
	assert_int_equal(unlinkat(dir, "other/memory", 0), 0);
	assert_int_equal(unlinkat(dir, "other/state", 0), 0);
	assert_int_equal(unlinkat(dir, "other", AT_REMOVEDIR), 0);
}

/* Whatever the bytes are: an error, or a VM; never harm. */
static void random_states(void **state)
{
	unsigned int seed = 1, taken = 0;
	struct sample sample;
	int i, n;

	(void)state;
	sample_make(&sample);
	for (i = 0; i < MUTANTS; i++) {
		struct gmem_blob *vcpu = &sample.vcpus[0].blobs[i % GMEM_STATE_KINDS];
		struct gmem_blob *vm = &sample.message.vm_state.blobs[i % GMEM_VM_STATE_KINDS];
		struct gmem_blob *blob = i & 1 ? vcpu : vm;
		struct snapshot snapshot;
		struct machine machine;
		char *kept;

		if (!blob->data)
			continue;
		kept = malloc(blob->size);
		memcpy(kept, blob->data, blob->size);
		for (n = 0; n < 1 + i % 16; n++)
			((char *)blob->data)[rand_r(&seed) % blob->size] = rand_r(&seed);
		unlinkat(dir, "state", 0);
		assert_int_equal(write_state(&sample.message), 0);
		assert_int_equal(snapshot_open(&snapshot, path), 0);
		assert_int_equal(snapshot_build(&snapshot, &machine), 0);
		taken += !snapshot_set_state(&snapshot, &machine);
		machine_close(&machine);
		snapshot_close(&snapshot);
		memcpy(blob->data, kept, blob->size);
		free(kept);
	}
	sample_drop(&sample);
	assert_in_range(taken, MUTANTS / 10, MUTANTS * 9 / 10);
}

/* ---- A page server that does not answer ---- */

/* Where a guest's wall clock is: KVM writes it when that is set. */
#define WALL_CLOCK	0x4b564d00
#define WALL_CLOCK_GPA	0x5000

static void set_wall_clock(struct gmem_blob *blob)
{
	struct kvm_msrs *msrs = blob->data;
	unsigned int i;

	for (i = 0; i < msrs->nmsrs; i++)
		if (msrs->entries[i].index == WALL_CLOCK)
			break;
	assert_true(i < msrs->nmsrs);
	msrs->entries[i].data = WALL_CLOCK_GPA;
}

/* It takes the pager and gives nothing; returns when KVM waits for a page. */
static int take_pager(int listener)
{
	int socket = gmem_accept(listener);
	struct gmem_pager_message message;
	struct kvm_gmem_event event;
	int pager;

	assert_true(socket >= 0);
	assert_true(gmem_pager_receive(socket, &message, 60000) > 0);
	pager = message.pager;
	message = (struct gmem_pager_message){ .kind = GMEM_PAGER_ACCEPTED, .pager = -1 };
	assert_int_equal(gmem_pager_send(socket, &message, 60000), 0);
	assert_int_equal(gmem_pager_read(pager, &event, 1), 1);
	assert_int_equal(event.offset, WALL_CLOCK_GPA);
	return pager;
}

static void ended_while_kvm_waits(int signal)
{
	char socket[sizeof(path) + 8];
	struct program *program;
	struct sample sample;
	int listener, pager;

	sample_make(&sample);
	set_wall_clock(&sample.vcpus[0].blobs[GMEM_STATE_MSRS]);
	unlinkat(dir, "state", 0);
	assert_int_equal(write_state(&sample.message), 0);
	sample_drop(&sample);
	snprintf(socket, sizeof(socket), "%s/socket", path);
	listener = gmem_listen(socket);
	assert_true(listener >= 0);
	program = program_start("restore", "restore", "--snapshot", path,
				"--pager", socket, NULL);
	pager = take_pager(listener);
	kill(program->child.pid, signal);
	wait_for_exit(program, EXIT_DONE);
	must_have_said(program, "gmem: ended before the guest ran");
	close(pager);
	close(listener);
	unlink(socket);
}

static void a_signal_while_kvm_waits(void **state)
{
	(void)state;
	ended_while_kvm_waits(SIGTERM);
	programs_end(NULL);
	ended_while_kvm_waits(SIGINT);
}

/* ---- Sums of the memory ---- */

static void make_sums(void)
{
	char image[sizeof(path) + 8];
	const char *why;

	snprintf(image, sizeof(image), "%s/memory", path);
	assert_int_equal(image_make_sums(image, &why), 0);
}

static void write_byte(const char *name, off_t at, char byte)
{
	int fd = openat(dir, name, O_WRONLY);

	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* What comes of it: 0 or -errno of its memory. */
static int populates(void)
{
	struct snapshot snapshot;
	struct machine machine;
	int ret;

	assert_int_equal(snapshot_open(&snapshot, path), 0);
	assert_int_equal(snapshot_build(&snapshot, &machine), 0);
	ret = snapshot_populate(&snapshot, &machine);
	machine_close(&machine);
	snapshot_close(&snapshot);
	return ret;
}

static void a_memory_that_is_damaged(void **state)
{
	(void)state;
	read_good();
	free(bytes);
	write_byte("memory", 0x3210, 1);
	assert_int_equal(populates(), 0);	/* no sums: nobody can tell */
	make_sums();
	assert_int_equal(populates(), 0);
	write_byte("memory", 0x3777, 1);
	assert_int_equal(populates(), -EBADMSG);
	refused("the page at offset 0x3000 of the snapshot's memory: its checksum is wrong");
	write_byte("memory", 0x3777, 0);
	assert_int_equal(populates(), 0);
	/* What was there is a hole. */
	write_memory(MEMORY);
	assert_int_equal(populates(), -EBADMSG);
	refused("the page at offset 0x3000 of the snapshot's memory: its checksum is wrong");
	make_sums();
	assert_int_equal(populates(), 0);
	/* What was a hole is zeroes; or is something. */
	write_byte("memory", MEMORY - 1, 0);
	assert_int_equal(populates(), 0);
	write_byte("memory", MEMORY - 1, 7);
	assert_int_equal(populates(), -EBADMSG);
	refused("offset 0x1ff000 of");
	/* Sums that are none. */
	write_memory(MEMORY);
	write_byte("memory.sums", 40, 7);
	assert_int_equal(populates(), -EBADMSG);
	refused("its sums are cut short, too long or damaged");
}

static void options_that_make_no_sense(void **state)
{
	(void)state;
#define USAGE(words, ...) do {						\
	struct program *p = program_start("run", __VA_ARGS__, NULL);	\
									\
	wait_for_exit(p, EXIT_USAGE);					\
	must_have_said(p, words);					\
	programs_end(NULL);						\
} while (0)
	USAGE("restore: needs DIR", "restore");
	USAGE("--keep-on is for a --keep", "restore", "--snapshot", path, "--keep-on", "x");
	USAGE("cannot be kept yet", "restore", "--snapshot", path, "--keep", "/x", "--pager", "/y");
	USAGE("'c' is one argument too many", "restore", "a", "b", "c");
	USAGE("'b' is one argument too many", "restore", "a", "b", "--snapshot", "c");
	USAGE("--snapshot is for a --kernel", "run", "--snapshot", path);
	USAGE("--expose-private is for a --keep", "restore", "a", "--expose-private");
	USAGE("--snapshot-on is for", "run", "--kernel", "/dev/null", "--snapshot-on", "x");
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_state),
		TEST(a_state_cut_short_or_longer),
		TEST(a_state_with_any_bit_changed),
		TEST(a_memory_that_does_not_fit),
		TEST(what_no_guest_can_be),
		TEST(another_message),
		TEST(no_page_server),
		TEST(state_that_kvm_refuses),
		TEST(a_snapshot_that_fails_leaves_nothing),
		TEST(random_states),
		TEST(a_signal_while_kvm_waits),
		TEST(a_memory_that_is_damaged),
		TEST(options_that_make_no_sense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
