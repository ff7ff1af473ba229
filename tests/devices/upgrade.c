// SPDX-License-Identifier: MIT
/*
 * The data that one VMM writes for the next: its options, and what goes along with the devices. The
 * next one must be able to read it from any writer.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/serve.h"
#include "helper/wire.h"
#include "machine/machine.h"
#include "net/port.h"
#include "unit.h"
#include "upgrade/config.h"
#include "upgrade/state.h"

static struct machine machine;
static struct serving serving;
static struct devices devices;
static struct upgrade_config config;
static char bytes[1 << 20];
static size_t used;

static void make_cpuid(unsigned int id)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 2 * sizeof(cpuid->entries[0]));

	cpuid->nent = 2;
	cpuid->entries[1].function = 0x80000001;
	cpuid->entries[1].ebx = id;
	machine.cpuids[id] = cpuid;
}

static int set_up(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	memset(&devices, 0, sizeof(devices));
	serving = (struct serving){ .devices = &devices, .snapshot = "here",
		.exposes = true, .keeps = true, .hang = 77, .helper.nr_nets = 0 };
	strcpy(serving.claim.name, "web");
	machine.nr_vcpus = 2;
	make_cpuid(0);
	make_cpuid(1);
	devices.balloon = 1;
	devices.disks.nr = 2;
	devices.disks.all[0].disk = (struct disk_options){ .path = "/a", .direct = true };
	strcpy(devices.disks.all[0].serial, "disk0");
	devices.disks.all[1].disk = (struct disk_options){ .path = "b,c", .readonly = true };
	memset(devices.disks.all[1].serial, 's', BLOCK_SERIAL);
	used = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(machine.cpuids[0]);
	free(machine.cpuids[1]);
	return 0;
}

static void what_is_written_is_read(void **state)
{
	int fd = upgrade_config_write(&machine, &serving);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(upgrade_config_read(&config, fd), 0);
	assert_string_equal(config.name, "web");
	assert_string_equal(config.snapshot, "here");
	assert_null(config.snapshot_on);
	assert_true(config.exposes);
	assert_true(config.keeps);
	assert_int_equal(config.hang, 77);
	assert_int_equal(config.devices.balloon, 1);
	assert_int_equal(config.devices.rng, 0);
	assert_int_equal(config.devices.disks.nr, 2);
	assert_string_equal(config.devices.disks.all[0].disk.path, "/a");
	assert_true(config.devices.disks.all[0].disk.direct);
	assert_true(config.devices.disks.all[0].disk.given);
	assert_string_equal(config.devices.disks.all[1].disk.path, "b,c");
	assert_true(config.devices.disks.all[1].disk.readonly);
	assert_memory_equal(config.devices.disks.all[1].serial, "ssssssssssssssssssss", 21);
	assert_int_equal(config.nr_cpuids, 2);
	assert_int_equal(config.cpuids[1]->nent, 2);
	assert_memory_equal(config.cpuids[1]->entries, machine.cpuids[1]->entries,
			    2 * sizeof(struct kvm_cpuid_entry2));
	upgrade_config_free(&config);
	close(fd);
}

/* ---- From anybody ---- */

static void put(const char *name, uint32_t version, uint32_t number, const void *content,
		size_t length)
{
	struct gmem_section section = {
		.version = version, .number = number, .length = length, .content = content,
	};

	strcpy(section.name, name);
	assert_int_equal(gmem_section_put(bytes, sizeof(bytes), &used, &section), 0);
}

/* The sections that must be there, before those under test. */
static void begin(void)
{
	const uint32_t helper[2] = { HELPER_WIRE, 0 };
	const struct kvm_cpuid_entry2 entry = { .function = 1 };

	used = 0;
	put("helper", 1, 0, helper, sizeof(helper));
	put("name", 1, 0, "web", 4);
	put("cpuid", 1, 0, &entry, sizeof(entry));
}

static int read_it(void)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	int ret;

	assert_int_equal(write(fd, bytes, used), used);
	ret = upgrade_config_read(&config, fd);
	assert_true(!ret || *config.why);
	upgrade_config_free(&config);
	close(fd);
	return ret;
}

static void wrong(int error, const char *name, const void *content, size_t length)
{
	begin();
	put(name, 1, 0, content, length);
	assert_int_equal(read_it(), error);
}

static void what_cannot_be_is_refused(void **state)
{
	static char much[65000];
	const uint32_t other[2] = { HELPER_WIRE + 1, 0 }, many[2] = { HELPER_WIRE, 17 };
	char disk[64] = "", net[32] = "";

	(void)state;
	begin();
	assert_int_equal(read_it(), 0);
	wrong(-EPROTONOSUPPORT, "helper", other, sizeof(other));
	wrong(-EPROTO, "helper", many, sizeof(many));
	wrong(-EPROTO, "helper", many, 4);
	wrong(-EPROTO, "name", "web", 3);
	wrong(-EPROTO, "name", "../web", 7);
	wrong(-EPROTO, "name", "a\0b", 4);
	wrong(-EPROTO, "snapshot", "", 0);
	wrong(-EPROTO, "cpuid", much, sizeof(struct kvm_cpuid_entry2));	/* number 0, again */
	wrong(-EPROTO, "rng", "x", 1);
	wrong(-EPROTO, "balloon", "x", 1);
	wrong(-EPROTO, "disk", disk, 32);
	wrong(-EPROTO, "disk", disk, 40);
	*disk = 4;
	disk[32] = 'p';
	wrong(-EPROTONOSUPPORT, "disk", disk, 34);
	wrong(-EPROTO, "net", net, 31);
	net[31] = 'x';
	wrong(-EPROTO, "net", net, 32);
	net[31] = '\0';
	*net = 3;
	wrong(-EPROTO, "net", net, 32);
	wrong(-EPROTONOSUPPORT, "gpu", "", 0);
	begin();
	put("rng", 2, 0, "", 0);
	assert_int_equal(read_it(), -EPROTONOSUPPORT);
	begin();
	used -= 8;
	assert_int_equal(read_it(), -EBADMSG);
	used = 0;
	assert_int_equal(read_it(), -EPROTO);
	assert_int_equal(upgrade_config_read(&config, -1), -EBADMSG);
	upgrade_config_free(&config);
}

/* ---- What OFFER says of a VM whose process died ---- */

static void an_offer_is_in_it(void **state)
{
	const struct gmem_slot low = {
		.slot = 0, .flags = 4, .size = 1 << 30, .private_fd = 9, .shared_fd = 9,
	};
	struct gmem_slot slots[MACHINE_SLOTS];
	struct gmem_offer offer = { .nr_fds = 0 };
	int fd;

	(void)state;
	machine.vm_type = 1;
	machine.nr_memory = 2;
	machine.memory[0].slot = low;
	machine.memory[1].slot = low;
	machine.memory[1].slot.slot = 1;
	machine.memory[1].slot.gpa = 1ULL << 32;
	machine.memory[1].slot.private_offset = 1 << 30;
	machine.memory[1].slot.shared_fd = -1;
	serving.keeps = true;
	fd = upgrade_config_write(&machine, &serving);
	assert_int_equal(upgrade_config_offer(fd, &offer, slots), 0);
	assert_int_equal(offer.vm_type, 1);
	assert_int_equal(offer.nr_vcpus, 2);
	assert_int_equal(offer.nr_slots, 2);
	assert_ptr_equal(offer.slots, slots);
	assert_int_equal(slots[0].flags, 4);
	assert_int_equal(slots[0].size, 1 << 30);
	assert_int_equal(slots[0].private_fd, 0);
	assert_int_equal(slots[0].shared_fd, 0);
	assert_int_equal(slots[1].slot, 1);
	assert_int_equal(slots[1].gpa, 1ULL << 32);
	assert_int_equal(slots[1].private_offset, 1 << 30);
	assert_int_equal(slots[1].private_fd, 0);
	assert_int_equal(slots[1].shared_fd, -1);
	assert_int_equal(upgrade_config_read(&config, fd), 0);
	assert_true(config.keeps);
	upgrade_config_free(&config);
	/* A VMM that is taken over cannot write another. */
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	close(fd);
}

static int read_offer_of(const void *content, size_t length)
{
	struct gmem_slot slots[MACHINE_SLOTS];
	struct gmem_offer offer = { .nr_fds = 0 };
	int fd = memfd_create("config", MFD_CLOEXEC), ret;

	begin();
	put("machine", 1, 0, content, length);
	assert_int_equal(write(fd, bytes, used), used);
	ret = upgrade_config_offer(fd, &offer, slots);
	close(fd);
	return ret;
}

static void what_is_no_offer(void **state)
{
	uint64_t words[3 + 7 * (MACHINE_SLOTS + 1)] = { 0, 1, 0 };
	struct gmem_slot slots[MACHINE_SLOTS];
	struct gmem_offer offer;

	(void)state;
	assert_int_equal(read_offer_of(words, 24), 0);
	assert_int_equal(read_offer_of(words, 0), -EPROTO);
	assert_int_equal(read_offer_of(words, 16), -EPROTO);
	assert_int_equal(read_offer_of(words, 32), -EPROTO);
	words[2] = MACHINE_SLOTS + 1;
	assert_int_equal(read_offer_of(words, sizeof(words)), -EPROTO);
	words[2] = UINT64_MAX;
	assert_int_equal(read_offer_of(words, sizeof(words)), -EPROTO);
	words[2] = 1;
	assert_int_equal(read_offer_of(words, 24), -EPROTO);
	assert_int_equal(upgrade_config_offer(-1, &offer, slots), -EBADMSG);
}

static void unknown_sections_may_be_optional(void **state)
{
	struct gmem_section section = {
		.name = "later", .version = 9, .flags = GMEM_SECTION_OPTIONAL,
	};

	(void)state;
	begin();
	assert_int_equal(gmem_section_put(bytes, sizeof(bytes), &used, &section), 0);
	assert_int_equal(read_it(), 0);
}

/* ---- What goes along with the devices ---- */

static int read_state(void)
{
	static struct upgrade_run run;
	size_t at;

	*machine.why = '\0';
	return upgrade_state_read(&machine, bytes, used, &run, &at);
}

static void states_are_checked(void **state)
{
	static char typed[UPGRADE_TYPED + 8];
	const uint32_t passt[2 * OPTION_VALUES] = { 0 };

	(void)state;
	used = 0;
	assert_int_equal(read_state(), -EPROTO);
	put("run", 1, 0, passt, 8);
	assert_int_equal(read_state(), -EPROTO);
	put("typed", 1, 0, typed, UPGRADE_TYPED);
	put("passt", 1, 0, passt, sizeof(passt));
	assert_int_equal(read_state(), 0);
	used = 0;
	put("run", 1, 0, passt, 8);
	put("typed", 1, 0, typed, UPGRADE_TYPED + 1);
	put("passt", 1, 0, passt, sizeof(passt));
	assert_int_equal(read_state(), -EPROTONOSUPPORT);
	used = 0;
	put("run", 1, 0, passt, 4);
	put("typed", 1, 0, typed, 0);
	put("passt", 1, 0, passt, sizeof(passt));
	assert_int_equal(read_state(), -EPROTONOSUPPORT);
	used = 0;
	put("run", 2, 0, passt, 8);
	put("typed", 1, 0, typed, 0);
	put("passt", 1, 0, passt, sizeof(passt));
	assert_int_equal(read_state(), -EPROTONOSUPPORT);
	assert_non_null(strstr(machine.why, "'run' of version 2"));
}

/* Whether the awaited line has come goes along, and is known to be new. */
static void it_is_awaited_once_in_a_life(void **state)
{
	const uint32_t words[2 * OPTION_VALUES] = { 0 };
	struct gmem_section fired = { .name = "fired", .version = 1 };
	struct upgrade_run run = { .fired = 1 };
	size_t at, size;
	void *saved;

	(void)state;
	used = 0;
	put("run", 1, 0, words, 8);
	put("typed", 1, 0, words, 0);
	put("passt", 1, 0, words, sizeof(words));
	assert_int_equal(upgrade_state_read(&machine, bytes, used, &run, &at), 0);
	assert_false(run.fired);
	assert_int_equal(at, used);
	assert_int_equal(gmem_section_put(bytes, sizeof(bytes), &used, &fired), 0);
	assert_int_equal(upgrade_state_read(&machine, bytes, used, &run, &at), 0);
	assert_true(run.fired);
	assert_int_equal(at, used);
	assert_int_equal(upgrade_state_save(&machine, &run, &saved, &size), 0);
	run.fired = 0;
	assert_int_equal(upgrade_state_read(&machine, saved, size, &run, &at), 0);
	assert_true(run.fired);
	free(saved);
}

static void the_line_comes_once(void **state)
{
	struct console console = { .awaited = "ready" };

	(void)state;
	console_write(&console, "not yet\n", 8);
	assert_false(console.came || console.fired);
	console_write(&console, "it is ready\n", 12);
	assert_true(console.came && console.fired);
	console.came = false;
	console_write(&console, "it is ready\n", 12);
	assert_false(console.came);
	/* In the next process. */
	console = (struct console){ .awaited = "ready", .fired = true };
	console_write(&console, "it is ready\n", 12);
	assert_false(console.came);
}

static void a_line_goes_on_where_its_reader_is(void **state)
{
	const struct console_state half = { .used = 5, .line = "guest" };
	struct console console = { .shown = 0 };

	(void)state;
	assert_int_equal(console_restore(&console, &half, sizeof(half)), 0);
	assert_int_equal(console_go_on(&console, 6), -EINVAL);
	assert_int_equal(console.shown, 0);
	assert_int_equal(console_go_on(&console, 5), 0);
	assert_int_equal(console.shown, 5);
}

/* ---- passt's connection, between two frames ---- */

static struct events loop_events;
static struct net_port *port;
static int far;

static void plug(void)
{
	int ends[2], none = -1, least = 1;
	char why[NET_WHY];

	assert_int_equal(events_open(&loop_events), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	port = passt_adopt(&loop_events, &none, why);
	assert_non_null(port);
	assert_false(port->up);
	assert_true(passt_settle(port));
	assert_int_equal(passt_resume(port, ends[0], 7), 0);
	assert_true(port->up && passt_is(port));
	assert_int_equal(passt_ends(port).socket, ends[0]);
	assert_int_equal(passt_ends(port).number, 7);
	assert_int_equal(passt_ends(port).channel, -1);
	far = ends[1];
}

static void unplug(void)
{
	port->ops->close(port);
	events_close(&loop_events);
	if (far >= 0)
		close(far);
}

/* So many frames of 60 bytes, without the last @missing bytes. */
static void say_frames(unsigned int nr, unsigned int missing)
{
	unsigned char frames[10 * 64] = "";
	unsigned int i;

	for (i = 0; i < nr; i++)
		frames[64 * i + 3] = 60;
	assert_int_equal(send(far, frames, 64 * nr - missing, 0), 64 * nr - missing);
}

static void say_rest(unsigned int nr)
{
	unsigned char rest[64] = "";

	assert_int_equal(send(far, rest, nr, 0), nr);
}

static void drop(struct net_card *card)
{
	(void)card;
}

/* The end of a frame is missing, and what there is has been read. */
static void hear_torn(unsigned int nr)
{
	static struct net_card card = { .frames = drop };

	port->card = &card;
	port->ops->want(port, true);
	say_frames(nr, 60);
	assert_int_equal(events_wait(&loop_events, 1000), 0);
	port->ops->want(port, false);
}

/* Its frames may have been read in part: as the card does, by one that wants them. */
static void no_frame_that_comes_is_torn(void **state)
{
	static struct net_card card;

	(void)state;
	plug();
	port->card = &card;
	assert_true(passt_settle(port));
	say_frames(3, 0);
	assert_true(passt_settle(port));
	unplug();
	plug();
	hear_torn(2);
	assert_false(passt_settle(port));
	say_rest(59);
	assert_false(passt_settle(port));
	say_rest(1);
	assert_true(passt_settle(port));
	hear_torn(1);
	close(far);
	far = -1;
	assert_true(passt_settle(port));
	unplug();
}

static void no_frame_that_goes_is_torn(void **state)
{
	static char frame[NET_HEADER + 60000], got[1 << 16];
	const struct iovec iov = { frame, sizeof(frame) };
	uint64_t all = 0, sent = 0;
	ssize_t part;

	(void)state;
	plug();
	while (!port->ops->send(port, &iov, 1, sizeof(frame)))
		sent += 4 + 60000;
	assert_false(passt_settle(port));
	while (!passt_settle(port)) {
		part = recv(far, got, sizeof(got), MSG_DONTWAIT);
		all += part > 0 ? part : 0;
	}
	while ((part = recv(far, got, sizeof(got), MSG_DONTWAIT)) > 0)
		all += part;
	assert_int_equal(all, sent);
	unplug();
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest claims[] = {
		WITH(what_is_written_is_read),
		WITH(what_cannot_be_is_refused),
		WITH(an_offer_is_in_it),
		WITH(what_is_no_offer),
		WITH(unknown_sections_may_be_optional),
		WITH(states_are_checked),
		cmocka_unit_test(it_is_awaited_once_in_a_life),
		cmocka_unit_test(the_line_comes_once),
		cmocka_unit_test(a_line_goes_on_where_its_reader_is),
		WITH(no_frame_that_comes_is_torn),
		WITH(no_frame_that_goes_is_torn),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
