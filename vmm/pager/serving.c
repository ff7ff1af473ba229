// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "common/page-bits.h"
#include "common/say.h"
#include "pager/serving.h"

#define EVENTS		64	/* that are taken in one go */
#define RING		256U	/* events, answers, buffers */
#define VCPU_LOOKS_NS	50000	/* how long a vCPU polls for an answer before it sleeps */
#define LOOK_NS		20000	/* how long we poll for the next event before we sleep */
#define ROUNDS		64	/* before others are listened to */
#define RETRY_EVERY	100	/* ms, when there is no memory */
#define SHORT_AT_MOST	20	/* s: then give up */

/* ---- Which pages are settled, and which are being read ---- */

static bool settle_page(struct serving *serving, uint32_t page)
{
	bool was = page_is_set(serving->settled, page);

	serving->left -= !was;
	page_set(serving->settled, page, true);
	return !was;
}

static void owe_one_less(struct serving *serving)
{
	serving->owed -= serving->owed > 0;
}

/* Pages that are owed no more. */
static void settle(struct serving *serving, uint32_t first, uint64_t count)
{
	for (; count && first < serving->image->pages; first++, count--)
		if (settle_page(serving, first))
			owe_one_less(serving);
}

/*
 * The page was not owed when an answer came: it never was, or a hole has removed it, which a later
 * event will tell.
 */
static void settle_unowed(struct serving *serving, uint32_t page)
{
	if (page < serving->image->pages && settle_page(serving, page))
		page_set(serving->unowed, page, true);
}

/*
 * A hole removed them. If the count of owed pages is too low, it is counted again before the end;
 * if it is too high, it is not.
 */
static void remove_pages(struct serving *serving, uint32_t first, uint64_t count)
{
	for (; count && first < serving->image->pages; first++, count--) {
		if (settle_page(serving, first) ||
		    page_is_set(serving->unowed, first))
			owe_one_less(serving);
		page_set(serving->unowed, first, false);
	}
}

static void unsettle(struct serving *serving, uint32_t page)
{
	ahead_look_again(&serving->ahead);
	serving->left += page_is_set(serving->settled, page);
	serving->owed += page_is_set(serving->settled, page);
	page_set(serving->settled, page, false);
}

/*
 * Only the kernel knows how many pages are missing and owed: pages that a hole took from an earlier
 * pager are missing, too. If there are none, this detaches the pager.
 */
static int count_owed(struct serving *serving)
{
	uint64_t missing;
	int ret = gmem_pager_detach(serving->pager, 0, &missing);

	if (ret && ret != -EBUSY && ret != -ENOMEM)
		return ret;
	serving->owed = missing;
	return 0;
}

/* Find the pages that are there already, from an earlier pager or from a touch before that. */
static int survey(struct serving *serving)
{
	struct kvm_gmem_present_range ranges[64];
	uint64_t offset = 0, size = serving->image->size;
	int i, count;

	ahead_look_again(&serving->ahead);
	serving->left = serving->image->pages;
	memset(serving->settled, 0, serving->left / 8 + 1);
	memset(serving->unowed, 0, serving->left / 8 + 1);
	while (size) {
		count = gmem_present(serving->pager, &offset, &size, ranges, 64);
		if (count < 0)
			return count;
		for (i = 0; i < count; i++)
			settle(serving, ranges[i].offset / IMAGE_PAGE,
			       ranges[i].size / IMAGE_PAGE);
	}
	return count_owed(serving);
}

/* ---- What could not be given now ---- */

/* The task that carried an answer out has reached its memory limit; that may pass. */
static int run_short(struct serving *serving)
{
	uint64_t now = now_ns();

	serving->again = true;
	if (!serving->short_since)
		serving->short_since = now;
	if (now - serving->short_since > SHORT_AT_MOST * 1000000000ULL)
		return -ENOMEM;
	if (!serving->said_short)
		say_failed(-ENOMEM, "giving pages: tries again, for up to %d s",
			   SHORT_AT_MOST);
	serving->said_short = true;
	return 0;
}

/* ---- Giving ---- */

/*
 * Give one answer for all of its pages, and skip those that are there already or are not owed.
 * Without memory the rest stays as it was.
 */
static int put(struct serving *serving, uint32_t op, uint32_t first,
	       uint32_t count, const char *from)
{
	while (count) {
		struct kvm_gmem_answer answer = {
			.op = op,
			.offset = first * IMAGE_PAGE,
			.size = count * IMAGE_PAGE,
			.from = (uintptr_t)from,
		};
		int ret = gmem_pager_answer(serving->pager, &answer, 1);
		uint32_t done = answer.done / IMAGE_PAGE;

		if (op == KVM_GMEM_ANSWER_COPY)
			serving->given += done;
		if (done)
			serving->short_since = 0;
		if (ret == -EEXIST || ret == -ENOENT)
			done++;
		else if (ret < 0 && ret != -EINTR && ret != -ENOMEM)
			return ret;
		if (done > count)
			return -EPROTO;
		if (ret == -ENOENT)
			settle_unowed(serving, first + done - 1);
		settle(serving, first, done);
		if (ret == -ENOMEM)
			return run_short(serving);
		first += done;
		count -= done;
		if (from)
			from += done * IMAGE_PAGE;
	}
	return 0;
}

static int fail(struct serving *serving, uint32_t page, int error)
{
	serving->on_failed(page * IMAGE_PAGE, error);
	serving->failed++;
	return put(serving, KVM_GMEM_ANSWER_FAIL, page, 1, NULL);
}

/* ---- By the ring: a page that somebody waits for ---- */

/*
 * Take back answers that were carried out. Those that failed for a temporary reason are kept. The
 * VMM could write into the ring, so check everything.
 */
static int take_back(struct serving *serving)
{
	struct kvm_gmem_answer answer;
	int ret;

	while ((ret = gmem_pager_ring_done(&serving->ring, &answer)) == 1) {
		serving->in_ring--;
		if (answer.offset >= serving->image->size ||
		    answer.done > IMAGE_PAGE)
			return -EPROTO;
		serving->given += answer.done / IMAGE_PAGE;
		if (answer.done)
			serving->short_since = 0;
		if (answer.error == EINTR || answer.error == ENOMEM) {
			unsettle(serving, answer.offset / IMAGE_PAGE);
			serving->again = true;
		}
		if (answer.error == ENOMEM && run_short(serving))
			return -ENOMEM;
		if (answer.error == EPIPE)	/* its memory has gone meanwhile */
			return -EPIPE;
		if (answer.error && answer.error != EEXIST &&
		    answer.error != ENOENT && answer.error != EINTR &&
		    answer.error != ENOMEM)
			return -EPROTO;
	}
	return ret;
}

/* Let the kernel carry out answers; @always: also those that nobody waits for. */
static int enter(struct serving *serving, bool always)
{
	int ret = gmem_pager_ring_enter(&serving->ring, always);

	if (ret == -ENOMEM)
		ret = run_short(serving);
	return ret < 0 && ret != -EINTR ? ret : take_back(serving);
}

/* There are as many buffers as answers: if there is room, the next buffer is free. */
static int give_by_ring(struct serving *serving, uint32_t page,
			const void *content)
{
	struct kvm_gmem_answer answer = {
		.op = KVM_GMEM_ANSWER_COPY, .offset = page * IMAGE_PAGE,
		.size = IMAGE_PAGE,
	};
	void *buffer;
	int ret;

	while (serving->in_ring == RING) {
		ret = enter(serving, true);
		if (ret)
			return ret;
	}
	buffer = gmem_pager_ring_buffer(&serving->ring,
					serving->ring.answer_head % RING);
	memcpy(buffer, content, IMAGE_PAGE);
	answer.from = (uintptr_t)buffer;
	ret = gmem_pager_ring_put(&serving->ring, &answer);
	if (ret)
		return ret;
	serving->in_ring++;
	settle(serving, page, 1);
	return 0;
}

int serving_rest(struct serving *serving)
{
	int ret = reader_go(serving->reader, false);

	return ret || !serving->in_ring ? ret : enter(serving, true);
}

/* ---- Giving what was read ---- */

/* Give the valid pages of a read; the invalid ones fail, one at a time. */
static int give_pages(struct serving *serving, const struct image_read *read)
{
	uint32_t first = read->first, count = read->count, good = read->good;
	char *from = read->buffer;
	int error = read->error, ret;

	for (;;) {
		ret = put(serving, KVM_GMEM_ANSWER_COPY, first, good, from);
		if (!ret && error)
			ret = fail(serving, first + good++, error);
		if (ret || good >= count)
			return ret;
		first += good;
		count -= good;
		from += good * IMAGE_PAGE;
		/* The pages after it were not checked. */
		good = image_read(serving->image, first, count, from, &error);
	}
}

static int give(struct serving *serving, struct image_read *read)
{
	uint32_t i;
	int ret;

	for (i = 0; i < read->count; i++)
		page_set(serving->reading, read->first + i, false);
	if (read->count == 1 && read->good && read->urgent && serving->ring.map)
		ret = page_is_set(serving->settled, read->first) ? 0 :
		      give_by_ring(serving, read->first, read->buffer);
	else
		ret = give_pages(serving, read);
	reader_drop(serving->reader, read);
	ahead_look_again(&serving->ahead);
	return ret;
}

/* Give everything that has been read, but only a limited number of pages that nobody waits for. */
static int give_ended(struct serving *serving, unsigned int others)
{
	struct image_read *read;
	int ret = 0;

	while (!ret && (read = reader_take(serving->reader, !others))) {
		others -= !read->urgent;
		ret = give(serving, read);
	}
	if (!ret && serving->ring.map)
		ret = enter(serving, false);
	return ret;
}

/* ---- Reading ---- */

static void begin(struct serving *serving, uint32_t first, uint32_t count,
		  bool urgent)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		page_set(serving->reading, first + i, true);
	reader_begin(serving->reader, first, count, urgent);
}

/* A page that somebody waits for. */
static int ask(struct serving *serving, uint32_t page)
{
	int ret = 0;

	if (page_is_set(serving->reading, page)) {
		reader_hurry(serving->reader, page);
		return 0;
	}
	while (!ret && !reader_has_room(serving->reader, true)) {
		ret = reader_go(serving->reader, true);
		if (!ret)
			ret = give_ended(serving, 0);
	}
	if (!ret)
		begin(serving, page, 1, true);
	return ret;
}

/* Begin as many reads ahead as there is room for. */
static int read_ahead(struct serving *serving)
{
	uint32_t first, count;

	while (serving->left && reader_has_room(serving->reader, false)) {
		count = ahead_next(&serving->ahead, !serving->reader->under_way,
				   &first);
		if (!count)
			break;
		begin(serving, first, count, false);
	}
	return reader_go(serving->reader, false);
}

/* ---- Events ---- */

static int take_event(struct serving *serving,
		      const struct kvm_gmem_event *event)
{
	uint32_t page = event->offset / IMAGE_PAGE;

	if (event->offset >= serving->image->size)
		return -EPROTO;
	if (event->type == KVM_GMEM_EVENT_REMOVE) {
		/* The answers will tell which of them. */
		if (!(event->flags & KVM_GMEM_REMOVE_PARTLY))
			remove_pages(serving, page, event->size / IMAGE_PAGE);
		return 0;
	}
	serving->faults++;
	page_set(serving->asked, page, true);
	ahead_want_window(&serving->ahead, page);
	if (page_is_set(serving->settled, page))
		return 0;
	working_set_add(serving->set, page);
	return ask(serving, page);
}

/* Record the pages before they are given, so that they are recorded even if we are killed. */
static void record(struct serving *serving)
{
	int ret = working_set_write(serving->set);

	if (ret)
		say_failed(ret, "writing the working set, which ends here");
}

/* Take all events that are there now; none is no error. */
static int take_events(struct serving *serving, struct kvm_gmem_event *events)
{
	int count = 0, ret = 0;
	uint64_t limit;

	if (!serving->ring.map) {
		count = gmem_pager_read(serving->pager, events, EVENTS);
		return count == -EAGAIN || count == -EINTR ? 0 : count;
	}
	limit = now_ns() + LOOK_NS;
	do {
		while (count < EVENTS && ret >= 0 &&
		       (ret = gmem_pager_ring_next(&serving->ring,
						   &events[count])) == 1)
			count++;
	} while (!count && !ret && !reader_has_ended(serving->reader) &&
		 now_ns() < limit);
	return ret < 0 ? ret : count;
}

/*
 * First handle all pages that somebody waits for, then those around them. Without a ring, other
 * reads ahead cost time, so do them only when nobody asks.
 */
static int answer_events(struct serving *serving,
			 const struct kvm_gmem_event *events, int count)
{
	int i, ret = 0;

	for (i = 0; !ret && i < count; i++)
		ret = take_event(serving, &events[i]);
	if (!ret)
		ret = reader_go(serving->reader, false);
	record(serving);
	if (!ret)
		ret = give_ended(serving, 0);
	if (ret || !(ahead_wants_window(&serving->ahead) ||
		     serving->reader->by_ring))
		return ret;
	ret = read_ahead(serving);
	return ret ? ret : give_ended(serving, 1);
}

int serving_answer(struct serving *serving)
{
	struct kvm_gmem_event events[EVENTS];
	int count, round = 0, ret = 0;

	while (!ret && round++ < ROUNDS) {
		count = take_events(serving, events);
		if (count < 0)
			return count;
		ret = answer_events(serving, events, count);
		if (!count || !serving->ring.map)
			break;
	}
	return ret;
}

int serving_wait(const struct serving *serving)
{
	if (!serving->again)
		return -1;
	return serving->short_since ? RETRY_EVERY : 0;
}

/* There is no other event for a page that was asked for once. */
int serving_try_again(struct serving *serving)
{
	uint32_t page;
	int ret = 0;

	serving->again = false;
	ahead_look_again(&serving->ahead);
	for (page = 0; !ret && page < serving->image->pages; page++)
		if (page_is_set(serving->asked, page) &&
		    !ahead_is_taken(&serving->ahead, page))
			ret = ask(serving, page);
	if (!ret)
		ret = reader_go(serving->reader, false);
	return ret ? ret : give_ended(serving, 0);
}

/* ---- What nobody has asked for ---- */

bool serving_has_more(struct serving *serving)
{
	return reader_has_ended(serving->reader) ||
	       (serving->left && !serving->ahead.dry &&
		reader_has_room(serving->reader, false));
}

int serving_give_more(struct serving *serving)
{
	int ret = give_ended(serving, 1);

	return ret ? ret : read_ahead(serving);
}

/* ---- Begin and end ---- */

int serving_begin(struct serving *serving)
{
	int ret;

	serving->settled = malloc(serving->image->pages / 8 + 1);
	serving->reading = calloc(1, serving->image->pages / 8 + 1);
	serving->asked = calloc(1, serving->image->pages / 8 + 1);
	serving->unowed = malloc(serving->image->pages / 8 + 1);
	if (!serving->settled || !serving->reading || !serving->asked ||
	    !serving->unowed)
		return -ENOMEM;
	serving->ahead.image = serving->image;
	serving->ahead.set = serving->set;
	serving->ahead.settled = serving->settled;
	serving->ahead.reading = serving->reading;
	ret = gmem_pager_ring_open(serving->pager, RING, RING, VCPU_LOOKS_NS,
				   &serving->ring);
	if (ret && ret != -ENOTTY)
		return ret;
	if (!serving->reader->by_ring)
		ahead_hint(&serving->ahead);
	return survey(serving);
}

bool serving_is_over(const struct serving *serving)
{
	return !serving->left || !serving->owed;
}

int serving_detach(struct serving *serving)
{
	uint64_t missing;
	int ret;

	ret = serving_rest(serving);
	if (ret || !serving_is_over(serving))
		return ret ? ret : -EAGAIN;
	/* Pages that were not tried yet must not fail just because others did. */
	ret = gmem_pager_detach(serving->pager, serving->failed && !serving->left,
				&missing);
	if (ret == -ENOMEM) {
		ret = run_short(serving);
		return ret ? ret : -EAGAIN;
	}
	if (ret != -EBUSY)
		return ret;
	/* Some pages have gone without an event, or were not owed: count again. */
	ret = survey(serving);
	return ret ? ret : -EAGAIN;
}

void serving_end(struct serving *serving)
{
	reader_drain(serving->reader);
	gmem_pager_ring_close(&serving->ring);
	if (serving->pager >= 0)
		close(serving->pager);
	if (serving->socket >= 0)
		close(serving->socket);
	free(serving->settled);
	free(serving->reading);
	free(serving->asked);
	free(serving->unowed);
	*serving = (struct serving){ .pager = -1, .socket = -1 };
}
