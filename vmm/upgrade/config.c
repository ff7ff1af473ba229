// SPDX-License-Identifier: MIT
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/serve.h"
#include "common/write-all.h"
#include "helper/wire.h"
#include "machine/machine.h"
#include "net/port.h"
#include "upgrade/config.h"
#include "virtio/net.h"

#define MOST		(4U << 20)	/* bytes of all */
#define VERSION		1
#define CPUID_ENTRY	sizeof(struct kvm_cpuid_entry2)	/* the kernel's ABI */

#define SEALED		(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

/* A disk: flags, its serial, and the path, up to the end. */
enum { DISK_FLAGS = 0, DISK_SERIAL = 4, DISK_PATH = 32, DISK_READONLY = 1, DISK_DIRECT = 2 };

/* A card: whether it is passt's, vhost, MTU, address, and the interface, up to the end. */
enum { NET_VHOST = 0, NET_MTU = 4, NET_ADDRESS = 8, NET_TAP = 16 };

/* ---- Writing ---- */

/* struct output - room for all sections, and the first error */
struct output {
	char *bytes;
	size_t used;
	int error;
};

static void put_flagged(struct output *output, const char *name, unsigned int number,
			const void *content, size_t length, uint32_t flags)
{
	struct gmem_section section = {
		.version = VERSION, .number = number, .length = length, .content = content,
		.flags = flags,
	};

	strcpy(section.name, name);
	if (!output->error)
		output->error = gmem_section_put(output->bytes, MOST, &output->used, &section);
}

static void put(struct output *output, const char *name, unsigned int number,
		const void *content, size_t length)
{
	put_flagged(output, name, number, content, length, 0);
}

static void put_text(struct output *output, const char *name, const char *text)
{
	if (text)
		put(output, name, 0, text, strlen(text) + 1);
}

static void put_disk(struct output *output, unsigned int number, const struct block_options *disk)
{
	char content[DISK_PATH + 4096] = "";
	uint32_t flags = (disk->disk.readonly ? DISK_READONLY : 0) |
			 (disk->disk.direct ? DISK_DIRECT : 0);
	size_t length = strlen(disk->disk.path) + 1;

	if (length > sizeof(content) - DISK_PATH) {
		output->error = -ENAMETOOLONG;
		return;
	}
	flags = htole32(flags);
	memcpy(content + DISK_FLAGS, &flags, sizeof(flags));
	memcpy(content + DISK_SERIAL, disk->serial, sizeof(disk->serial));
	memcpy(content + DISK_PATH, disk->disk.path, length);
	put(output, "disk", number, content, DISK_PATH + length);
}

static void put_net(struct output *output, unsigned int number, const struct net_options *net,
		    uint16_t port_mtu)
{
	char content[NET_TAP + sizeof(net->tap)] = "";
	uint32_t vhost = htole32(net->vhost);
	/* Use the value that the guest was told: the interface may have another one by now. */
	uint16_t mtu = htole16(net->mtu ? net->mtu : port_mtu);

	memcpy(content + NET_VHOST, &vhost, sizeof(vhost));
	memcpy(content + NET_MTU, &mtu, sizeof(mtu));
	memcpy(content + NET_ADDRESS, net->mac, sizeof(net->mac));
	memcpy(content + NET_TAP, net->tap, sizeof(net->tap));
	put(output, "net", number, content, sizeof(content));
}

static void put_nets(struct output *output, const struct machine *machine,
		     const struct nets *nets)
{
	unsigned int i, first = machine->nr_virtio - nets->nr;

	/* The cards are the last devices on the bus. */
	for (i = 0; i < nets->nr; i++)
		put_net(output, i, &nets->all[i],
			net_port_of(machine->virtio[first + i])->mtu);
}

unsigned int upgrade_config_slots(const struct machine *machine, struct gmem_slot *slots)
{
	int view = machine_view(machine);
	unsigned int i;

	for (i = 0; i < machine->nr_memory; i++) {
		slots[i] = machine->memory[i].slot;
		slots[i].private_fd = slots[i].private_fd == view ? 0 : -1;
		slots[i].shared_fd = slots[i].shared_fd == view ? 0 : -1;
	}
	return machine->nr_memory;
}

/* The next VMM gets it by OFFER; the helper, which sends OFFER for a dead VMM, finds it here. */
static void put_machine(struct output *output, const struct machine *machine)
{
	uint64_t words[3 + 7 * MACHINE_SLOTS];
	struct gmem_slot slots[MACHINE_SLOTS];
	unsigned int i, nr = upgrade_config_slots(machine, slots);
	uint64_t *at = words;

	*at++ = htole64(machine->vm_type);
	*at++ = htole64(machine->nr_vcpus);
	*at++ = htole64(nr);
	for (i = 0; i < nr; i++) {
		*at++ = htole64(slots[i].slot);
		*at++ = htole64(slots[i].flags);
		*at++ = htole64(slots[i].gpa);
		*at++ = htole64(slots[i].size);
		*at++ = htole64(slots[i].private_offset);
		*at++ = htole64(slots[i].shared_offset);
		*at++ = htole64((slots[i].private_fd ? 0 : 1) | (slots[i].shared_fd ? 0 : 2));
	}
	put_flagged(output, "machine", 0, words, (char *)at - (char *)words,
		    GMEM_SECTION_OPTIONAL);
}

static void put_all(struct output *output, const struct machine *machine,
		    const struct serving *serving)
{
	const struct devices *devices = serving->devices;
	const uint32_t helper[2] = { htole32(HELPER_WIRE), htole32(serving->helper.nr_nets) };
	const uint32_t hang = htole32(serving->hang);
	unsigned int i;

	put(output, "helper", 0, helper, sizeof(helper));
	put_text(output, "name", serving->claim.name);
	put_text(output, "snapshot", serving->snapshot);
	put_text(output, "snapshot-on", serving->snapshot_on);
	for (i = 0; i < machine->nr_vcpus; i++)
		put(output, "cpuid", i, machine->cpuids[i]->entries,
		    machine->cpuids[i]->nent * CPUID_ENTRY);
	if (devices->rng)
		put(output, "rng", 0, NULL, 0);
	if (devices->balloon)
		put(output, "balloon", 0, NULL, 0);
	for (i = 0; i < devices->disks.nr; i++)
		put_disk(output, i, &devices->disks.all[i]);
	put_nets(output, machine, &devices->nets);
	put_machine(output, machine);
	/* A reader that does not know this section refuses such a snapshot, as without it. */
	if (serving->exposes)
		put_flagged(output, "exposes", 0, NULL, 0, GMEM_SECTION_OPTIONAL);
	if (serving->keeps)
		put_flagged(output, "keeper", 0, NULL, 0, GMEM_SECTION_OPTIONAL);
	if (serving->keeps && serving->hang)
		put_flagged(output, "hang", 0, &hang, sizeof(hang), GMEM_SECTION_OPTIONAL);
}

int upgrade_config_write(const struct machine *machine, const struct serving *serving)
{
	struct output output = { .bytes = malloc(MOST) };
	int fd, ret;

	if (!output.bytes)
		return -ENOMEM;
	put_all(&output, machine, serving);
	ret = output.error;
	fd = ret ? ret : memfd_create("gmem-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!ret && fd < 0)
		ret = -errno;
	if (!ret)
		ret = write_all(fd, output.bytes, output.used);
	/*
	 * Seal it: if somebody takes control of the VMM later, that must not change what the next
	 * one begins with.
	 */
	if (!ret && fcntl(fd, F_ADD_SEALS, SEALED))
		ret = -errno;
	free(output.bytes);
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* ---- Reading ---- */

static uint32_t number_at(const struct gmem_section *section, size_t offset)
{
	uint32_t number;

	memcpy(&number, (const char *)section->content + offset, sizeof(number));
	return le32toh(number);
}

/* A string that ends with the section. */
static bool is_text(const struct gmem_section *section, size_t from)
{
	return section->length > from &&
	       strnlen((const char *)section->content + from, section->length - from) ==
	       section->length - from - 1;
}

static int read_helper(struct upgrade_config *config, const struct gmem_section *section)
{
	if (section->length != 8)
		return -EPROTO;
	config->nr_nets = number_at(section, 4);
	if (config->nr_nets > OPTION_VALUES)
		return -EPROTO;
	return number_at(section, 0) == HELPER_WIRE ? 0 : -EPROTONOSUPPORT;
}

static int read_name(struct upgrade_config *config, const struct gmem_section *section)
{
	char why[NAMES_WHY];

	if (!is_text(section, 0) || section->length > sizeof(config->name) ||
	    vm_name_check(section->content, why))
		return -EPROTO;
	strcpy(config->name, section->content);
	return 0;
}

static int read_text(char **text, const struct gmem_section *section)
{
	if (!is_text(section, 0) || *text)
		return -EPROTO;
	*text = strdup(section->content);
	return *text ? 0 : -ENOMEM;
}

static int read_snapshot(struct upgrade_config *config, const struct gmem_section *section)
{
	return read_text(&config->snapshot, section);
}

static int read_snapshot_on(struct upgrade_config *config, const struct gmem_section *section)
{
	return read_text(&config->snapshot_on, section);
}

static int read_cpuid(struct upgrade_config *config, const struct gmem_section *section)
{
	struct kvm_cpuid2 *cpuid;

	if (section->number != config->nr_cpuids || section->number >= MACHINE_VCPUS ||
	    section->length % CPUID_ENTRY || section->length / CPUID_ENTRY > GMEM_CPUID_ENTRIES)
		return -EPROTO;
	cpuid = calloc(1, sizeof(*cpuid) + section->length);
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = section->length / CPUID_ENTRY;
	memcpy(cpuid->entries, section->content, section->length);
	config->cpuids[config->nr_cpuids++] = cpuid;
	return 0;
}

static int read_rng(struct upgrade_config *config, const struct gmem_section *section)
{
	config->devices.rng = 1;
	return section->length ? -EPROTO : 0;
}

static int read_balloon(struct upgrade_config *config, const struct gmem_section *section)
{
	config->devices.balloon = 1;
	return section->length ? -EPROTO : 0;
}

static int read_disk(struct upgrade_config *config, const struct gmem_section *section)
{
	struct disks *disks = &config->devices.disks;
	struct block_options *disk = &disks->all[disks->nr];
	uint32_t flags;

	if (section->number != disks->nr || disks->nr == OPTION_VALUES ||
	    !is_text(section, DISK_PATH))
		return -EPROTO;
	flags = number_at(section, DISK_FLAGS);
	if (flags & ~(DISK_READONLY | DISK_DIRECT))
		return -EPROTONOSUPPORT;
	disks->paths[disks->nr] = strdup((const char *)section->content + DISK_PATH);
	if (!disks->paths[disks->nr])
		return -ENOMEM;
	disk->disk = (struct disk_options){
		.path = disks->paths[disks->nr], .readonly = flags & DISK_READONLY,
		.direct = flags & DISK_DIRECT, .given = true, .fd = -1,
	};
	memcpy(disk->serial, (const char *)section->content + DISK_SERIAL, BLOCK_SERIAL);
	disks->nr++;
	return 0;
}

static int read_net(struct upgrade_config *config, const struct gmem_section *section)
{
	struct nets *nets = &config->devices.nets;
	struct net_options *net = &nets->all[nets->nr];
	const char *content = section->content;
	uint16_t mtu;

	if (section->number != nets->nr || nets->nr == OPTION_VALUES ||
	    section->length != NET_TAP + sizeof(net->tap) || content[section->length - 1] ||
	    number_at(section, NET_VHOST) > VHOST_OFF)
		return -EPROTO;
	*net = (struct net_options){
		.given = true, .fd = -1, .vhost = number_at(section, NET_VHOST),
	};
	memcpy(&mtu, content + NET_MTU, sizeof(mtu));
	net->mtu = le16toh(mtu);
	memcpy(net->mac, content + NET_ADDRESS, sizeof(net->mac));
	memcpy(net->tap, content + NET_TAP, sizeof(net->tap));
	nets->nr++;
	return 0;
}

static int read_keeper(struct upgrade_config *config, const struct gmem_section *section)
{
	config->keeps = true;
	return section->length ? -EPROTO : 0;
}

static int read_hang(struct upgrade_config *config, const struct gmem_section *section)
{
	if (section->length != sizeof(config->hang))
		return -EPROTO;
	config->hang = number_at(section, 0);
	return 0;
}

static int read_exposes(struct upgrade_config *config, const struct gmem_section *section)
{
	config->exposes = true;
	return section->length ? -EPROTO : 0;
}

/* This section has come with OFFER. */
static int read_machine(struct upgrade_config *config, const struct gmem_section *section)
{
	(void)config;
	(void)section;
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct upgrade_config *config, const struct gmem_section *section);
} sections[] = {
	{ "machine", read_machine },
	{ "keeper", read_keeper },
	{ "hang", read_hang },
	{ "exposes", read_exposes },
	{ "helper", read_helper },
	{ "name", read_name },
	{ "snapshot", read_snapshot },
	{ "snapshot-on", read_snapshot_on },
	{ "cpuid", read_cpuid },
	{ "rng", read_rng },
	{ "balloon", read_balloon },
	{ "disk", read_disk },
	{ "net", read_net },
};

static int refuse(struct upgrade_config *config, int error, const struct gmem_section *section)
{
	snprintf(config->why, sizeof(config->why), error == -EPROTONOSUPPORT ?
		 "'%s' of version %u is not known to this gmem" :
		 "'%s' of version %u has a content that cannot be", section->name,
		 section->version);
	return error;
}

static int read_one(struct upgrade_config *config, const struct gmem_section *section)
{
	size_t i;
	int ret;

	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (strcmp(sections[i].name, section->name) || section->version != VERSION)
			continue;
		ret = sections[i].read(config, section);
		return ret ? refuse(config, ret, section) : 0;
	}
	return section->flags & GMEM_SECTION_OPTIONAL ? 0 :
	       refuse(config, -EPROTONOSUPPORT, section);
}

static int read_all(struct upgrade_config *config, const char *bytes, size_t size)
{
	struct gmem_section section;
	size_t at = 0;
	int ret;

	while ((ret = gmem_section_next(bytes, size, &at, &section)) > 0) {
		ret = read_one(config, &section);
		if (ret)
			return ret;
	}
	if (ret || !*config->name || !config->nr_cpuids) {
		snprintf(config->why, sizeof(config->why), "it is cut short, or damaged");
		return ret ? ret : -EPROTO;
	}
	return 0;
}

/* For free(). 0 or -errno. */
static int read_file(int fd, char **bytes, size_t *size)
{
	struct stat st;

	if (fstat(fd, &st) || st.st_size < 0 || st.st_size > MOST)
		return -EBADMSG;
	*size = st.st_size;
	*bytes = malloc(*size + 1);
	if (!*bytes)
		return -ENOMEM;
	if (pread(fd, *bytes, *size, 0) == st.st_size)
		return 0;
	free(*bytes);
	return -EBADMSG;
}

int upgrade_config_read(struct upgrade_config *config, int fd)
{
	size_t size;
	char *bytes;
	int ret;

	*config = (struct upgrade_config){ .nr_nets = 0 };
	snprintf(config->why, sizeof(config->why), "it can't be read");
	ret = read_file(fd, &bytes, &size);
	if (ret)
		return ret;
	ret = read_all(config, bytes, size);
	free(bytes);
	return ret;
}

static uint64_t word_at(const struct gmem_section *section, size_t index)
{
	uint64_t word = 0;

	if ((index + 1) * sizeof(word) <= section->length)
		memcpy(&word, (const char *)section->content + index * sizeof(word), sizeof(word));
	return le64toh(word);
}

static int read_offer(const struct gmem_section *section, struct gmem_offer *offer,
		      struct gmem_slot *slots)
{
	uint64_t i, nr = word_at(section, 2);

	if (nr > MACHINE_SLOTS || section->length != (3 + 7 * nr) * sizeof(uint64_t))
		return -EPROTO;
	offer->vm_type = word_at(section, 0);
	offer->nr_vcpus = word_at(section, 1);
	offer->nr_slots = nr;
	offer->slots = slots;
	for (i = 0; i < nr; i++)
		slots[i] = (struct gmem_slot){
			.slot = word_at(section, 3 + 7 * i),
			.flags = word_at(section, 4 + 7 * i),
			.gpa = word_at(section, 5 + 7 * i),
			.size = word_at(section, 6 + 7 * i),
			.private_offset = word_at(section, 7 + 7 * i),
			.shared_offset = word_at(section, 8 + 7 * i),
			.private_fd = word_at(section, 9 + 7 * i) & 1 ? 0 : -1,
			.shared_fd = word_at(section, 9 + 7 * i) & 2 ? 0 : -1,
		};
	return 0;
}

int upgrade_config_offer(int fd, struct gmem_offer *offer, struct gmem_slot *slots)
{
	struct gmem_section section;
	size_t size, at = 0;
	char *bytes;
	int ret = read_file(fd, &bytes, &size);

	if (ret)
		return ret;
	ret = -EPROTO;
	while (gmem_section_next(bytes, size, &at, &section) > 0)
		if (!strcmp(section.name, "machine"))
			ret = read_offer(&section, offer, slots);
	free(bytes);
	return ret;
}

void upgrade_config_free(struct upgrade_config *config)
{
	while (config->nr_cpuids)
		free(config->cpuids[--config->nr_cpuids]);
	devices_free(&config->devices);
	free(config->snapshot);
	free(config->snapshot_on);
}
