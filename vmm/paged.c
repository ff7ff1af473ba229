// SPDX-License-Identifier: MIT
/*
 * The VMM's side of paging. All that it does is to hand a pager over: to the
 * first page server, and when that has died to the next. The guest meanwhile
 * waits where it needs a page that is not there.
 */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gmem.h>

#include "commands.h"
#include "paged.h"
#include "say.h"

#define REPLY_TIMEOUT	10000	/* ms */
#define RETRY_EVERY	10	/* ms: who restarts a page server does so at once */
#define REFUSED_RETRY	1000	/* ms */
#define SAY_AFTER	2000	/* ms without one: then a person should know */

/*
 * Not gmem_connect(): a page server may well be another user, and gets a pager,
 * which reads nothing.
 */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* Offer a pager, which is closed here whatever becomes of it. */
static int offer(struct paged *paged, int socket, int pager, uint32_t flags)
{
	struct gmem_pager_message message = {
		.kind = GMEM_PAGER_OFFER, .flags = flags,
		.size = paged->size, .pager = pager,
	};
	int ret = gmem_pager_send(socket, &message, REPLY_TIMEOUT);

	close(pager);
	if (!ret)
		ret = gmem_pager_receive(socket, &message, REPLY_TIMEOUT);
	if (ret <= 0)
		return ret ? ret : -EPIPE;
	if (message.kind == GMEM_PAGER_ACCEPTED)
		return 0;
	if (message.kind != GMEM_PAGER_REFUSED)
		return -EPROTO;
	make_printable(message.text);
	say_failed(-message.error, "the page server at %s does not take the pager: %s",
		   paged->path, message.text);
	return -ECANCELED;
}

/* One try with a page server that succeeds another. */
static int succeed(struct paged *paged)
{
	int socket = connect_to(paged->path);
	int pager, ret;

	if (socket < 0)
		return socket;
	pager = gmem_pager_takeover(paged->view, 0);
	ret = pager < 0 ? pager :
			  offer(paged, socket, pager, GMEM_PAGER_SUCCEEDS);
	if (!ret)
		paged->socket = socket;
	else
		close(socket);
	return ret;
}

/* Sleep for @timeout ms; true: the thread is to end. */
static bool stopped_within(const struct paged *paged, int timeout)
{
	struct pollfd stop = { .fd = paged->stop_fd, .events = POLLIN };

	return poll(&stop, 1, timeout) > 0;
}

/* The next page server, however long that takes. False: to be ended. */
static bool find_successor(struct paged *paged)
{
	uint64_t since = now_ns();
	bool said = false;
	int ret;

	report("pager-lost", "size=%llu", (unsigned long long)paged->size);
	for (;;) {
		ret = succeed(paged);
		if (!ret)
			break;
		if (!said && now_ns() - since > SAY_AFTER * 1000000ULL) {
			say_failed(ret, "there is no page server at %s: the guest waits for one",
				   paged->path);
			said = true;
		}
		if (stopped_within(paged, ret == -ECANCELED ? REFUSED_RETRY :
							      RETRY_EVERY))
			return false;
	}
	report("pager-found", "size=%llu", (unsigned long long)paged->size);
	if (said)
		say("a page server at %s goes on", paged->path);
	return true;
}

/* Until the page server says that it is done (true) or goes away. */
static bool all_is_there(struct paged *paged)
{
	struct gmem_pager_message message;
	int ret = gmem_pager_receive(paged->socket, &message, REPLY_TIMEOUT);

	close(paged->socket);
	paged->socket = -1;
	if (message.pager >= 0)
		close(message.pager);
	return ret > 0 && message.kind == GMEM_PAGER_DONE;
}

static void *paged_loop(void *data)
{
	struct paged *paged = data;

	for (;;) {
		struct pollfd wait[] = {
			{ .fd = paged->stop_fd, .events = POLLIN },
			{ .fd = paged->socket, .events = POLLIN },
		};

		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[0].revents)
			return NULL;
		if (all_is_there(paged)) {
			report("pager-done", "size=%llu",
			       (unsigned long long)paged->size);
			return NULL;
		}
		if (!find_successor(paged))
			return NULL;
	}
}

static int start(struct paged *paged, const char **step)
{
	struct gmem_facts facts;
	int pager, ret;

	*step = "finding out the size of its memory";
	ret = gmem_memfd_facts(0, paged->view, &facts);
	if (ret)
		return ret;
	paged->size = facts.size;
	*step = "connecting to the page server";
	paged->socket = connect_to(paged->path);
	if (paged->socket < 0)
		return paged->socket;
	*step = "making a pager";
	pager = gmem_pager_create(paged->view, 0, paged->size, 0);
	if (pager < 0)
		return pager;
	*step = "giving the pager to the page server";
	ret = offer(paged, paged->socket, pager, 0);
	if (ret)
		return ret;
	*step = "starting a thread";
	paged->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (paged->stop_fd < 0)
		return -errno;
	ret = pthread_create(&paged->thread, NULL, paged_loop, paged);
	paged->going = !ret;
	return -ret;
}

int paged_start(struct paged *paged, const char *path, int view)
{
	const char *step;
	int ret;

	*paged = (struct paged){
		.path = path, .view = view, .socket = -1, .stop_fd = -1,
	};
	ret = start(paged, &step);
	if (!ret)
		return 0;
	paged_stop(paged);
	if (ret != -ECANCELED)	/* that was said */
		say_failed(ret, "%s: %s", path, step);
	return EXIT_FAILED;
}

void paged_stop(struct paged *paged)
{
	uint64_t one = 1;

	if (paged->going && write(paged->stop_fd, &one, sizeof(one)) > 0)
		pthread_join(paged->thread, NULL);
	paged->going = false;
	if (paged->stop_fd >= 0)
		close(paged->stop_fd);
	if (paged->socket >= 0)
		close(paged->socket);
	paged->socket = -1;
	paged->stop_fd = -1;
}
