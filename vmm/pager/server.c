// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "common/say.h"
#include "common/status.h"
#include "pager/progress.h"
#include "pager/server.h"
#include "pager/serving.h"

#define OFFER_TIMEOUT	5000	/* ms: for a VMM that has connected */
#define PAGER_FILE	"anon_inode:[gmem-pager]"

/* How serving a guest has ended. */
enum end { REFUSED, DONE, GONE, STOPPED, BROKEN };

/* ---- A VMM's offer ---- */

/*
 * Is it a pager? Check the kind of file first: an ioctl or a read of any other
 * file might do anything, and never end.
 */
static const char *check_pager(int pager, uint64_t size)
{
	struct kvm_gmem_present_range range;
	uint64_t offset = 0, rest = size;
	char path[32], file[64];
	ssize_t length;
	int ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", pager);
	length = readlink(path, file, sizeof(file));
	if (length != (ssize_t)strlen(PAGER_FILE) ||
	    memcmp(file, PAGER_FILE, length))
		return "what it sent is not a pager";
	ret = gmem_present(pager, &offset, &rest, &range, 1);
	if (ret == -EPIPE)
		return "its memory is gone";
	if (ret < 0)
		return "its memory is smaller than it says";
	offset = size;
	rest = IMAGE_PAGE;
	ret = gmem_present(pager, &offset, &rest, &range, 1);
	if (ret != -EINVAL)
		return "its memory is larger than it says";
	return fcntl(pager, F_SETFL, O_NONBLOCK) ? strerror(errno) : NULL;
}

static const char *check_offer(const struct page_server *server,
			       const struct gmem_pager_message *offer)
{
	if (offer->kind != GMEM_PAGER_OFFER)
		return "it offers nothing";
	if (offer->size != server->image.size)
		return "its memory and the image are not of the same size";
	return check_pager(offer->pager, offer->size);
}

static int reply(int socket, enum gmem_pager_message_kind kind,
		 const char *why)
{
	struct gmem_pager_message message = { .kind = kind, .pager = -1 };

	if (why) {
		message.error = EINVAL;
		snprintf(message.text, sizeof(message.text), "%s", why);
	}
	return gmem_pager_send(socket, &message, OFFER_TIMEOUT);
}

static void refuse(int socket, const char *why)
{
	progress_refused(why);
	reply(socket, GMEM_PAGER_REFUSED, why);
}

/* True: @offer has a valid pager. False: an error message says why not. */
static bool receive_offer(const struct page_server *server, int socket,
			  struct gmem_pager_message *offer)
{
	int ret = gmem_pager_receive(socket, offer, OFFER_TIMEOUT);
	const char *why;

	if (ret <= 0) {
		progress_refused(ret ? strerror(-ret) : "it has gone away");
		return false;
	}
	why = check_offer(server, offer);
	if (!why)
		return true;
	refuse(socket, why);
	if (offer->pager >= 0)
		close(offer->pager);
	return false;
}

/* ---- Serving ---- */

static enum end end_of(int error)
{
	return error == -EPIPE ? GONE : BROKEN;
}

/* Ignore what the VMM says now, and only notice that it has gone. */
static void listen_to_vmm(struct serving *serving)
{
	char ignored[256];

	if (read(serving->socket, ignored, sizeof(ignored)) > 0)
		return;
	close(serving->socket);
	serving->socket = -1;
}

/* Do what can be done now. Returns 0, or -errno. */
static int serve_once(struct serving *serving, const struct pollfd *wait)
{
	int ret = 0;

	if (wait[1].revents & POLLIN)
		ret = serving_answer(serving);
	else if (wait[1].revents & POLLHUP)
		ret = -EPIPE;
	else if (serving_has_more(serving))
		ret = serving_give_more(serving);
	else
		ret = serving_rest(serving);
	if (wait[3].revents)
		listen_to_vmm(serving);
	return ret;
}

/* Must it stop? If not, wait until it is time to try again, and do so. */
static bool stopped_or_again(struct serving *serving, struct pollfd *signals,
			     int *ret)
{
	if (poll(signals, 1, serving_wait(serving)) > 0)
		return true;
	*ret = serving_try_again(serving);
	return false;
}

static enum end serve(const struct page_server *server, struct serving *serving)
{
	struct pollfd wait[4] = {
		{ .fd = server->signals, .events = POLLIN },
		{ .fd = serving->pager, .events = POLLIN },
		{ .fd = reader_fd(&server->reader), .events = POLLIN },
	};
	int ret;

	for (;;) {
		wait[3] = (struct pollfd){ serving->socket, POLLIN, 0 };
		ret = serving_is_over(serving) ? serving_detach(serving) : -EAGAIN;
		if (!ret)
			return DONE;
		if (ret && ret != -EAGAIN)
			break;
		ret = 0;
		if (serving_wait(serving) >= 0 &&
		    stopped_or_again(serving, wait, &ret))
			return STOPPED;
		if (ret)
			break;
		if (poll(wait, 4, serving_has_more(serving) ? 0 : 1000) < 0)
			continue;
		if (wait[0].revents)
			return STOPPED;
		ret = serve_once(serving, wait);
		if (ret)
			break;
		progress_show(serving);
	}
	if (end_of(ret) == BROKEN)
		say_failed(ret, "serving the guest");
	return end_of(ret);
}

/* Serve until the end, and report how it ended. */
static enum end serve_to_end(struct page_server *server, struct serving *serving)
{
	static const char *const names[] = {
		[DONE] = "done", [GONE] = "gone", [STOPPED] = "stopped",
		[BROKEN] = "broken",
	};
	enum end end;
	int ret;

	progress_serving(serving);
	report("serving", "left=%u", serving->owed);
	end = serve(server, serving);
	server->failed |= serving->failed;
	if (end == DONE && serving->socket >= 0)
		reply(serving->socket, GMEM_PAGER_DONE, NULL);
	progress_ended(serving, names[end]);
	/* The process that stops us starts another page server for this guest. */
	if (end == DONE || end == GONE)
		ret = working_set_end(&server->set);
	else
		ret = working_set_write(&server->set);
	if (ret)
		say_failed(ret, "writing the working set");
	return end;
}

/* Handle a VMM that has connected. */
static enum end serve_vmm(struct page_server *server, int socket)
{
	struct serving serving = {
		.image = &server->image, .reader = &server->reader,
		.set = &server->set,
		.ahead = { .window = server->prefetch, .fill = !server->on_demand },
		.socket = socket, .on_failed = progress_failed,
	};
	struct gmem_pager_message offer;
	enum end end = REFUSED;
	int ret;

	if (!receive_offer(server, socket, &offer)) {
		close(socket);
		return REFUSED;
	}
	serving.pager = offer.pager;
	ret = working_set_begin(&server->set, &server->image,
				offer.flags & GMEM_PAGER_SUCCEEDS);
	if (ret)
		say_failed(ret, "writing the working set");
	ret = serving_begin(&serving);
	if (ret == -EBUSY)
		refuse(socket, "its pager has a ring already");
	else if (ret)
		refuse(socket, strerror(-ret));
	else if (reply(socket, GMEM_PAGER_ACCEPTED, NULL))
		progress_refused("it has gone away");
	else
		end = serve_to_end(server, &serving);
	serving_end(&serving);
	return end;
}

/* Wait for a VMM, and serve its guest. */
static enum end serve_next(struct page_server *server)
{
	struct pollfd wait[] = {
		{ .fd = server->signals, .events = POLLIN },
		{ .fd = server->listener, .events = POLLIN },
	};
	enum end end = REFUSED;

	while (end == REFUSED) {
		int socket;

		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[0].revents)
			return STOPPED;
		socket = gmem_accept(server->listener);
		if (socket >= 0) {
			end = serve_vmm(server, socket);
		} else if (socket != -EAGAIN) {
			progress_refused(strerror(-socket));
			if (socket != -EPERM && socket != -ECONNABORTED)
				return BROKEN;
		}
	}
	return end;
}

int page_server_run(struct page_server *server)
{
	enum end end;

	do {
		end = serve_next(server);
	} while (server->stay && (end == DONE || end == GONE));
	return end == BROKEN || server->failed ? EXIT_FAILED : EXIT_DONE;
}
