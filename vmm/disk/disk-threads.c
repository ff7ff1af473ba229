// SPDX-License-Identifier: MIT
/* Carries out steps in threads that wait in the host's kernel, if there is no io_uring. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/landlock.h"
#include "common/rights.h"
#include "disk/disk.h"

#define WORKERS		8U	/* steps that are carried out at the same time */
#define STACK		(64U << 10)

/* struct list - requests, first in, first out */
struct list {
	struct disk_request *first;
	struct disk_request *last;
};

/*
 * struct threads - an engine
 * @lock: guards the following members; its holder never waits
 * @come: signalled when a request was put, or the workers must end
 * @todo, @ended: requests before and after their step
 * @over: the workers must end
 */
struct threads {
	int fd;
	int eventfd;
	pthread_mutex_t lock;
	pthread_cond_t come;
	struct list todo;
	struct list ended;
	bool over;
	unsigned int nr;
	pthread_t workers[WORKERS];
};

static void append(struct list *list, struct disk_request *request)
{
	request->next = NULL;
	if (list->first)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

static struct disk_request *take_first(struct list *list)
{
	struct disk_request *request = list->first;

	if (request)
		list->first = request->next;
	return request;
}

/* ---- A worker ---- */

static int64_t carry_out(int fd, const struct disk_step *step)
{
	int64_t ret = -EINVAL;

	switch (step->what) {
	case STEP_READ:
		ret = preadv(fd, step->iov, step->nr_iov, step->offset);
		break;
	case STEP_WRITE:
		ret = pwritev(fd, step->iov, step->nr_iov, step->offset);
		break;
	case STEP_SYNC:
		ret = fdatasync(fd);
		break;
	case STEP_ALLOCATE:
		ret = fallocate(fd, step->mode, step->offset, step->size);
		break;
	}
	return ret < 0 ? -errno : ret;
}

/* The next request, or NULL at the end. */
static struct disk_request *next_request(struct threads *threads)
{
	struct disk_request *request;

	pthread_mutex_lock(&threads->lock);
	while (!(request = take_first(&threads->todo)) && !threads->over)
		pthread_cond_wait(&threads->come, &threads->lock);
	pthread_mutex_unlock(&threads->lock);
	return request;
}

static void *work(void *data)
{
	struct threads *threads = data;
	struct disk_request *request;
	uint64_t one = 1;
	bool first;

	/* The workers exist before the VMM gives up files; they need only this one. */
	landlock_no_files();
	rights_drop();
	while ((request = next_request(threads))) {
		request->step.result = carry_out(threads->fd, &request->step);
		pthread_mutex_lock(&threads->lock);
		first = !threads->ended.first;
		append(&threads->ended, request);
		pthread_mutex_unlock(&threads->lock);
		/* The eventfd is never full: it is emptied before the list. */
		if (first && write(threads->eventfd, &one, sizeof(one)) < 0)
			abort();
	}
	return NULL;
}

/* ---- The disk's thread ---- */

static void threads_put(struct disk *disk, struct disk_request *request)
{
	struct threads *threads = disk->engine_data;

	pthread_mutex_lock(&threads->lock);
	append(&threads->todo, request);
	pthread_cond_signal(&threads->come);
	pthread_mutex_unlock(&threads->lock);
}

static void threads_go(struct disk *disk)
{
	(void)disk;
}

/* Empty the eventfd first: a request that ends after the list was looked at signals it again. */
static struct disk_request *threads_take(struct disk *disk)
{
	struct threads *threads = disk->engine_data;
	struct disk_request *request;
	uint64_t told;

	pthread_mutex_lock(&threads->lock);
	request = take_first(&threads->ended);
	pthread_mutex_unlock(&threads->lock);
	if (request)
		return request;
	if (read(threads->eventfd, &told, sizeof(told)) < 0)
		return NULL;
	pthread_mutex_lock(&threads->lock);
	request = take_first(&threads->ended);
	pthread_mutex_unlock(&threads->lock);
	return request;
}

static void threads_close(struct disk *disk)
{
	struct threads *threads = disk->engine_data;

	pthread_mutex_lock(&threads->lock);
	threads->over = true;
	pthread_cond_broadcast(&threads->come);
	pthread_mutex_unlock(&threads->lock);
	while (threads->nr)
		pthread_join(threads->workers[--threads->nr], NULL);
	pthread_cond_destroy(&threads->come);
	pthread_mutex_destroy(&threads->lock);
	close(threads->eventfd);
	free(threads);
	disk->engine_data = NULL;
}

/* Other threads handle signals. One worker is enough to go on. */
static int start_workers(struct threads *threads)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int ret = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	while (!ret && threads->nr < WORKERS) {
		ret = -pthread_create(&threads->workers[threads->nr], &attributes, work,
				      threads);
		threads->nr += !ret;
	}
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return threads->nr ? 0 : ret;
}

int disk_threads_open(struct disk *disk)
{
	static const struct disk_engine engine = {
		.name = "threads", .put = threads_put, .go = threads_go,
		.take = threads_take, .close = threads_close,
	};
	struct threads *threads = calloc(1, sizeof(*threads));
	int ret;

	if (!threads)
		return -ENOMEM;
	pthread_mutex_init(&threads->lock, NULL);
	pthread_cond_init(&threads->come, NULL);
	threads->fd = disk->fd;
	threads->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	disk->engine_data = threads;
	ret = threads->eventfd < 0 ? -errno : start_workers(threads);
	if (ret) {
		threads_close(disk);
		return ret;
	}
	disk->engine = &engine;
	disk->event.fd = threads->eventfd;
	return 0;
}
