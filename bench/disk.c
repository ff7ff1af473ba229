// SPDX-License-Identifier: MIT
/*
 * How fast `gmem pager` gives a guest's memory from an image on a disk that takes its
 * time for each request: by io_uring past the page cache, and by pread(2) through it.
 * All of it when nobody asks; what a guest asks for, in order and at random; and how long
 * one read of a guest waits, alone and while the rest is given.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "paging.h"
#include "processes.h"

#define TIMEOUT 60000	/* ms */
#define MAX_SIZE (64 * MIB)

static const char *const ios[] = { "uring", "read" };
static const uint64_t sizes[] = { 16 * MIB, 32 * MIB, MAX_SIZE };
static const unsigned int windows[] = { 1, 4, 16, 64 };

#define NR(array) (sizeof(array) / sizeof((array)[0]))

/* What is read on demand, in order and at random. */
#define READ (8 * MIB)
#define NR_READ (READ / PAGE)

/*
 * Single reads: in the last quarter of the largest image, each in a window of its own, so
 * that none is there by another, nor, for a while, because all of it is given.
 */
#define SINGLE 128U
#define QUARTER (MAX_SIZE / 4 / PAGE)
#define STRIDE (QUARTER / SINGLE)

static char *socket_path;

/* The first word of a page: what the guest reads. */
static uint32_t word(uint64_t page)
{
	return page * 2654435761u + 1;
}

static char *make_image(const char *folder, uint64_t size)
{
	uint32_t content[PAGE / sizeof(uint32_t)];
	char *path;
	uint64_t page;
	unsigned int i;
	int fd;

	must(asprintf(&path, "%s/image.%llu", folder, (unsigned long long)(size / MIB)),
	     "a path");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd < 0 ? -errno : 0, path);
	for (page = 0; page < size / PAGE; page++) {
		for (i = 0; i < NR(content); i++)
			content[i] = word(page) + i;
		if (write(fd, content, PAGE) != PAGE)
			must(-EIO, path);
	}
	must(fsync(fd) ? -errno : 0, path);
	close(fd);
	make_sums(path);
	return path;
}

/* The next is to come from the disk. */
static void drop_page_cache(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		must(-errno, "drop_caches");
	close(fd);
}

static int connect_to_server(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		must(-errno, "connect to the page server");
	return fd;
}

/* Memory of a VM that a pager owes. */
static void set_up(struct paged *p, uint64_t size)
{
	*p = (struct paged){ .size = size, .vm = create_default_vm() };
	set_up_pager(p);
}

/* The page server has the pager from then on. Returns the connection. */
static int offer(const struct paged *p)
{
	struct gmem_pager_message message = {
		.kind = GMEM_PAGER_OFFER, .size = p->size, .pager = p->server,
	};
	int fd = connect_to_server();

	must(gmem_pager_send(fd, &message, TIMEOUT), "offer a pager");
	close(p->server);
	must(gmem_pager_receive(fd, &message, TIMEOUT) == 1 ? 0 : -EPIPE, "offer a pager");
	must(message.kind == GMEM_PAGER_ACCEPTED ? 0 : -EPROTO, "offer a pager");
	return fd;
}

static void withdraw(struct paged *p, int fd)
{
	close(fd);
	munmap(p->map, p->size);
	close(p->fd);
	close(p->vm);
}

/* All of it, when nobody asks. */
static void measure_all(const char *image, uint64_t size, const char *io)
{
	struct gmem_pager_message message;
	uint64_t start, given, asked;
	struct child server;
	struct paged p;
	int fd;

	set_up(&p, size);
	drop_page_cache();
	start_server(&server, image, socket_path, "--io", io, NULL);
	fd = offer(&p);
	start = now_ns();
	must(gmem_pager_receive(fd, &message, TIMEOUT) == 1 ? 0 : -ETIMEDOUT, "all of it");
	must(message.kind == GMEM_PAGER_DONE ? 0 : -EPROTO, "all of it");
	sample("disk-all", io, size, (now_ns() - start) / (size / PAGE));
	server_ended(&server, "done", &given, &asked);
	must(given == size / PAGE ? 0 : -ENODATA, "all of it");
	withdraw(&p, fd);
}

/*
 * struct readings - what a guest is to read, and what came of it
 * @pages: of the image, @nr of them
 * @cycles: of each, of a counter that makes @khz
 * @ns: all of them
 * @asked: how many of them the page server was asked for
 */
struct readings {
	uint32_t pages[NR_READ];
	uint32_t nr;
	uint32_t cycles[NR_READ];
	uint32_t khz;
	uint64_t ns;
	uint64_t asked;
};

/* A guest reads, with a page server of these options, which it finds as it begins. */
static void read_by(struct readings *r, const char *image, const char *io, unsigned int window,
		    const char *option)
{
	pthread_barrier_t barrier;
	struct reader reader;
	struct child server;
	uint32_t sum = 0, i;
	struct paged p;
	char number[16];
	uint64_t given;
	void *memory;
	int fd;

	set_up(&p, MAX_SIZE);
	memory = add_reader_memory(p.vm);
	create_reader(&reader, p.vm, memory, 0, r->nr);
	pthread_barrier_init(&barrier, NULL, 1);
	reader.barrier = &barrier;
	for (i = 0; i < r->nr; i++) {
		reader.pages[i] = PRIVATE_GPA + r->pages[i] * PAGE;
		sum += word(r->pages[i]);
	}
	drop_page_cache();
	snprintf(number, sizeof(number), "%u", window);
	start_server(&server, image, socket_path, "--io", io, "--prefetch", number, option, NULL);
	fd = offer(&p);

	start_reader(&reader);
	finish_reader(&reader);
	must(reader.sum == sum ? 0 : -EBADMSG, "what the guest has read");
	memcpy(r->cycles, reader.pages, r->nr * sizeof(r->cycles[0]));
	r->khz = reader.khz;
	r->ns = reader.end - reader.begin;

	gmem_vcpu_close(&reader.vcpu);
	pthread_barrier_destroy(&barrier);
	withdraw(&p, fd);
	remove_reader_memory(memory);
	server_ended(&server, "gone", &given, &r->asked);
}

static void measure_demand(const char *image, const char *io, unsigned int window, bool random)
{
	static struct readings r;
	char series[32];
	uint32_t i;

	r.nr = NR_READ;
	for (i = 0; i < r.nr; i++)	/* 1237: odd, so each once */
		r.pages[i] = random ? i * 1237 % NR_READ : i;
	read_by(&r, image, io, window, "--on-demand");
	snprintf(series, sizeof(series), "%s, %s", io, random ? "random" : "in order");
	sample("disk-demand", series, window, r.ns / r.nr);
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static void measure_single(const char *image, const char *io, const char *what,
			   const char *option)
{
	static struct readings r;
	uint32_t i, there;
	char series[64];

	r.nr = SINGLE;
	for (i = 0; i < SINGLE; i++)	/* 101: each once, none behind its neighbour */
		r.pages[i] = 3 * QUARTER + i * 101 % SINGLE * STRIDE;
	read_by(&r, image, io, option ? 1 : 16, option);
	/* Those that were there already, if any, are the quickest, and do not count. */
	must(r.asked && r.asked <= r.nr ? 0 : -ERANGE, "reads that had to wait");
	there = r.nr - r.asked;
	qsort(r.cycles, r.nr, sizeof(r.cycles[0]), compare);
	snprintf(series, sizeof(series), "%s, %s", io, what);
	sample("disk-p50", series, 1, r.cycles[there + r.asked / 2] * 1000000ULL / r.khz);
	sample("disk-p99", series, 1, r.cycles[there + r.asked * 99 / 100] * 1000000ULL / r.khz);
}

/* A read of the disk itself: what nothing can be faster than. */
static void measure_disk(const char *image)
{
	void *page = aligned_alloc(PAGE, PAGE);
	int fd = open(image, O_RDONLY | O_DIRECT | O_CLOEXEC);
	unsigned int i;

	must(fd < 0 ? -errno : 0, image);
	for (i = 0; i < 16; i++) {
		uint64_t start = now_ns();

		must(pread(fd, page, PAGE, i * 64 * PAGE) == PAGE ? 0 : -EIO, image);
		sample("disk-p50", "the disk itself", 1, now_ns() - start);
	}
	close(fd);
	free(page);
}

int main(void)
{
	char *images[NR(sizes)], *folder, *command, *script;
	const char *largest;
	unsigned int i, j;
	int random;

	/* Stock modules have nothing of it. */
	if (!kvm_is_gmem())
		return 0;

	make_folder();
	folder = in_folder("disk");
	socket_path = in_folder("pager");
	script = built("../../bench/slow-disk");
	must(mkdir(folder, 0755) ? -errno : 0, folder);
	must(asprintf(&command, "%s %s", script, folder), "a command");
	must(system(command) ? -EIO : 0, command);
	for (i = 0; i < NR(sizes); i++)
		images[i] = make_image(folder, sizes[i]);
	largest = images[NR(sizes) - 1];

	measure_disk(largest);
	for (j = 0; j < NR(ios); j++) {
		for (i = 0; i < NR(sizes); i++)
			measure_all(images[i], sizes[i], ios[j]);
	}
	for (i = 0; i < NR(windows); i++) {
		for (random = 0; random <= 1; random++) {
			for (j = 0; j < NR(ios); j++)
				measure_demand(largest, ios[j], windows[i], random);
		}
	}
	for (j = 0; j < NR(ios); j++)
		measure_single(largest, ios[j], "nothing else is read", "--on-demand");
	for (j = 0; j < NR(ios); j++)
		measure_single(largest, ios[j], "while all is given", NULL);
	/* The kernel lets go of an io_uring's file a little later. */
	must(umount2(folder, MNT_DETACH) ? -errno : 0, "umount");
	return 0;
}
