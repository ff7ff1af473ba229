// SPDX-License-Identifier: MIT
/*
 * The VMM's side of paging. It only hands a pager over: to the first page
 * server, and to the next one when that has died. Meanwhile a guest that needs
 * a missing page waits.
 */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <gmem.h>

#include "common/landlock.h"
#include "common/peer.h"
#include "common/rights.h"
#include "common/say.h"
#include "common/status.h"
#include "helper/helper.h"
#include "machine/machine.h"
#include "pager/client.h"

#define REPLY_TIMEOUT	10000	/* ms */
#define RETRY_EVERY	10	/* ms: a service manager restarts a page server at once */
#define REFUSED_RETRY	1000	/* ms */
#define SAY_AFTER	2000	/* ms without one: then a person should know */
#define CONNECT_PATIENCE 10000	/* ms: it has others to accept */
#define CONNECT_EVERY	20	/* ms */

/* Offer a pager, and close it here in any case. */
static int offer(struct pager_client *client, int socket, int pager, uint32_t flags)
{
	struct gmem_pager_message message = {
		.kind = GMEM_PAGER_OFFER, .flags = flags,
		.size = client->size, .pager = pager,
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
		   client->path, message.text);
	return -ECANCELED;
}

/* One try with a page server that succeeds another. */
static int succeed(struct pager_client *client)
{
	int socket = helper_connect(client->helper);
	int pager, ret;

	if (socket < 0)
		return socket;
	pager = gmem_pager_takeover(client->view, 0);
	ret = pager < 0 ? pager :
			  offer(client, socket, pager, GMEM_PAGER_SUCCEEDS);
	if (!ret)
		client->socket = socket;
	else
		close(socket);
	return ret;
}

/* Sleep for @timeout ms. True: the thread must end. */
static bool stopped_within(const struct pager_client *client, int timeout)
{
	struct pollfd stop = { .fd = client->stop_fd, .events = POLLIN };

	return poll(&stop, 1, timeout) > 0;
}

/* Wait for the next page server, however long that takes. False: the thread must end. */
static bool find_successor(struct pager_client *client)
{
	uint64_t since = now_ns();
	bool said = false;
	int ret;

	report("pager-lost", "size=%llu", (unsigned long long)client->size);
	for (;;) {
		ret = succeed(client);
		if (!ret)
			break;
		if (!said && now_ns() - since > SAY_AFTER * 1000000ULL) {
			say_failed(ret, "there is no page server at %s: the guest waits for one",
				   client->path);
			said = true;
		}
		if (stopped_within(client, ret == -ECANCELED ? REFUSED_RETRY :
							      RETRY_EVERY))
			return false;
	}
	report("pager-found", "size=%llu", (unsigned long long)client->size);
	if (said)
		say("a page server at %s goes on", client->path);
	return true;
}

/* Wait until the page server says that it is done (true) or goes away. */
static bool all_is_there(struct pager_client *client)
{
	struct gmem_pager_message message;
	int ret = gmem_pager_receive(client->socket, &message, REPLY_TIMEOUT);

	close(client->socket);
	client->socket = -1;
	if (message.pager >= 0)
		close(message.pager);
	return ret > 0 && message.kind == GMEM_PAGER_DONE;
}

static void *client_loop(void *data)
{
	struct pager_client *client = data;

	/* This thread exists before the VMM gives up files, so give them up here. */
	landlock_no_files();
	rights_drop();
	for (;;) {
		struct pollfd wait[] = {
			{ .fd = client->stop_fd, .events = POLLIN },
			{ .fd = client->socket, .events = POLLIN },
		};

		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[0].revents)
			return NULL;
		if (all_is_there(client)) {
			report("pager-done", "size=%llu",
			       (unsigned long long)client->size);
			return NULL;
		}
		if (!find_successor(client))
			return NULL;
	}
}

/* A page server may have others to accept first. A connection or -errno. */
static int connect_first(struct pager_client *client)
{
	uint64_t until = now_ns() + CONNECT_PATIENCE * 1000000ULL;
	int ret;

	for (;;) {
		ret = helper_connect(client->helper);
		if (ret != -EAGAIN || now_ns() > until)
			return ret;
		poll(NULL, 0, CONNECT_EVERY);
	}
}

static int start(struct pager_client *client, const char **step)
{
	struct gmem_facts facts;
	int pager, ret;

	*step = "finding out the size of its memory";
	ret = gmem_memfd_facts(0, client->view, &facts);
	if (ret)
		return ret;
	client->size = facts.size;
	*step = "connecting to the page server";
	client->socket = connect_first(client);
	if (client->socket < 0)
		return client->socket;
	*step = "making a pager";
	pager = gmem_pager_create(client->view, 0, client->size, 0);
	if (pager < 0)
		return pager;
	*step = "giving the pager to the page server";
	ret = offer(client, client->socket, pager, 0);
	if (ret)
		return ret;
	*step = "starting a thread";
	client->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (client->stop_fd < 0)
		return -errno;
	ret = pthread_create(&client->thread, NULL, client_loop, client);
	client->going = !ret;
	return -ret;
}

int pager_client_start(struct pager_client *client, const char *path, int helper, int view)
{
	const char *step;
	int ret;

	*client = (struct pager_client){
		.path = path, .helper = helper, .view = view, .socket = -1, .stop_fd = -1,
	};
	ret = start(client, &step);
	if (!ret)
		return 0;
	pager_client_stop(client);
	if (ret != -ECANCELED) {	/* that was said */
		say_failed(ret, "%s: %s", path, step);
		/* The only one that KVM gives. */
		say_todo(ret == -ENOTTY ? kvm_todo(ret) : peer_todo(ret));
	}
	return EXIT_FAILED;
}

void pager_client_stop(struct pager_client *client)
{
	uint64_t one = 1;

	if (client->going && write(client->stop_fd, &one, sizeof(one)) > 0)
		pthread_join(client->thread, NULL);
	client->going = false;
	if (client->stop_fd >= 0)
		close(client->stop_fd);
	if (client->socket >= 0)
		close(client->socket);
	client->socket = -1;
	client->stop_fd = -1;
}
