// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "progress.h"
#include "say.h"
#include "serving.h"

#define CHUNK		64U	/* pages that are read and given in one go */
#define EVENTS		64	/* that are taken in one go */
#define RING		256U	/* events, answers, buffers */
#define VCPU_LOOKS_NS	50000	/* for an answer, before it sleeps */
#define LOOK_NS		20000	/* for the next event, before we do */
#define ROUNDS		64	/* before others are listened to */

/* ---- Which pages are settled ---- */

static bool is_settled(const struct serving *serving, uint32_t page)
{
	return serving->settled[page / 8] & 1 << page % 8;
}

static void settle(struct serving *serving, uint32_t first, uint64_t count)
{
	for (; count && first < serving->image->pages; first++, count--) {
		serving->left -= !is_settled(serving, first);
		serving->settled[first / 8] |= 1 << first % 8;
	}
}

static void unsettle(struct serving *serving, uint32_t page)
{
	serving->left += is_settled(serving, page);
	serving->settled[page / 8] &= ~(1 << page % 8);
}

/* What is there already: by a pager before us, or by who touched it before. */
static int survey(struct serving *serving)
{
	struct kvm_gmem_present_range ranges[64];
	uint64_t offset = 0, size = serving->image->size;
	int i, count;

	serving->left = serving->image->pages;
	memset(serving->settled, 0, serving->left / 8 + 1);
	while (size) {
		count = gmem_present(serving->pager, &offset, &size, ranges, 64);
		if (count < 0)
			return count;
		for (i = 0; i < count; i++)
			settle(serving, ranges[i].offset / IMAGE_PAGE,
			       ranges[i].size / IMAGE_PAGE);
	}
	return 0;
}

/* ---- Giving ---- */

/*
 * One answer, for all of its pages: where one is there already or is not owed,
 * it goes on behind that.
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
		if (ret == -EEXIST || ret == -ENOENT)
			done++;
		else if (ret < 0 && ret != -EINTR)
			return ret;
		if (done > count)
			return -EPROTO;
		settle(serving, first, done);
		first += done;
		count -= done;
		if (from)
			from += done * IMAGE_PAGE;
	}
	return 0;
}

static int fail(struct serving *serving, uint32_t page, int error)
{
	progress_failed(page * IMAGE_PAGE, error);
	serving->failed++;
	return put(serving, KVM_GMEM_ANSWER_FAIL, page, 1, NULL);
}

/* Pages of which none is settled, at most CHUNK. */
static int give_run(struct serving *serving, uint32_t first, uint32_t count)
{
	while (count) {
		int error, ret;
		uint32_t good = image_read(serving->image, first, count,
					   serving->buffer, &error);

		ret = put(serving, KVM_GMEM_ANSWER_COPY, first, good,
			  serving->buffer);
		first += good;
		count -= good;
		if (!ret && error) {
			ret = fail(serving, first, error);
			first++;
			count--;
		}
		if (ret)
			return ret;
	}
	return 0;
}

/* Those of @count pages that are not settled. */
static int give(struct serving *serving, uint32_t first, uint32_t count)
{
	uint32_t end = first + count, run;
	int ret = 0;

	while (!ret && first < end) {
		for (run = 0; run < CHUNK && first + run < end &&
		     !is_settled(serving, first + run); run++)
			;
		if (run)
			ret = give_run(serving, first, run);
		first += run ? run : 1;
	}
	return ret;
}

/* The aligned window around a page. */
static int give_window(struct serving *serving, uint32_t page)
{
	uint32_t first = page - page % serving->window;
	uint32_t count = serving->image->pages - first;

	if (count > serving->window)
		count = serving->window;
	return give(serving, first, count);
}

/* ---- By the ring: a page that somebody waits for ---- */

/*
 * What was carried out. What could not be, for a reason that passes, is left. The
 * VMM could write into the ring: it is looked at with care.
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
		if (answer.error == EINTR || answer.error == ENOMEM)
			unsettle(serving, answer.offset / IMAGE_PAGE);
		else if (answer.error == EPIPE)	/* its memory went meanwhile */
			return -EPIPE;
		else if (answer.error && answer.error != EEXIST &&
			 answer.error != ENOENT)
			return -EPROTO;
	}
	return ret;
}

/* Have answers carried out; @always: also those that nobody waits for. */
static int enter(struct serving *serving, bool always)
{
	int ret = gmem_pager_ring_enter(&serving->ring, always);

	return ret < 0 && ret != -EINTR ? ret : take_back(serving);
}

/* There are as many buffers as answers: the next is free where there is room. */
static int give_by_ring(struct serving *serving, uint32_t page)
{
	struct kvm_gmem_answer answer = {
		.op = KVM_GMEM_ANSWER_COPY, .offset = page * IMAGE_PAGE,
		.size = IMAGE_PAGE,
	};
	void *buffer;
	int error, ret;

	while (serving->in_ring == RING) {
		ret = enter(serving, true);
		if (ret)
			return ret;
	}
	buffer = gmem_pager_ring_buffer(&serving->ring,
					serving->ring.answer_head % RING);
	if (!image_read(serving->image, page, 1, buffer, &error))
		return fail(serving, page, error);
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
	return serving->in_ring ? enter(serving, true) : 0;
}

/* ---- Events ---- */

static int take_event(struct serving *serving,
		      const struct kvm_gmem_event *event)
{
	uint32_t page = event->offset / IMAGE_PAGE;

	if (event->offset >= serving->image->size)
		return -EPROTO;
	if (event->type == KVM_GMEM_EVENT_REMOVE) {
		settle(serving, page, event->size / IMAGE_PAGE);
		return 0;
	}
	serving->faults++;
	if (is_settled(serving, page))
		return 0;
	working_set_add(serving->set, page);
	return serving->ring.map ? give_by_ring(serving, page) :
				   give(serving, page, 1);
}

/* As many as there are now; none is no error. */
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
	} while (!count && !ret && now_ns() < limit);
	return ret < 0 ? ret : count;
}

/* First what somebody waits for, of all of them, then what is around that. */
static int answer_events(struct serving *serving,
			 const struct kvm_gmem_event *events, int count)
{
	int i, ret = 0;

	for (i = 0; !ret && i < count; i++)
		ret = take_event(serving, &events[i]);
	if (!ret && serving->ring.map)
		ret = enter(serving, false);
	for (i = 0; !ret && i < count; i++)
		if (events[i].type == KVM_GMEM_EVENT_FAULT)
			ret = give_window(serving,
					  events[i].offset / IMAGE_PAGE);
	return ret;
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

/* ---- What nobody has asked for ---- */

static bool set_has_more(const struct serving *serving)
{
	return !serving->set->recording &&
	       serving->at_set < serving->set->count;
}

bool serving_has_more(const struct serving *serving)
{
	return serving->left && (set_has_more(serving) || serving->fill);
}

/* The next of the set, as it was asked for; its neighbours as they were given. */
static int give_of_set(struct serving *serving)
{
	uint32_t page = serving->set->pages[serving->at_set++];

	return is_settled(serving, page) ? 0 : give_window(serving, page);
}

int serving_give_more(struct serving *serving)
{
	uint32_t left = serving->image->pages - serving->at_page;
	uint32_t first = serving->at_page;

	if (set_has_more(serving))
		return give_of_set(serving);
	if (!left)	/* all was looked at: what is left has come since */
		return serving->at_page = 0;
	if (left > CHUNK)
		left = CHUNK;
	serving->at_page += left;
	return give(serving, first, left);
}

/* ---- Begin and end ---- */

/* The kernel is to read ahead what will be read in this order. */
static void read_set_ahead(const struct serving *serving)
{
	uint32_t i;

	for (i = 0; set_has_more(serving) && i < serving->set->count; i++)
		image_will_need(serving->image, serving->set->pages[i], 1);
}

int serving_begin(struct serving *serving)
{
	int ret;

	serving->settled = malloc(serving->image->pages / 8 + 1);
	serving->buffer = malloc(CHUNK * IMAGE_PAGE);
	if (!serving->settled || !serving->buffer)
		return -ENOMEM;
	ret = gmem_pager_ring_open(serving->pager, RING, RING, VCPU_LOOKS_NS,
				   &serving->ring);
	if (ret && ret != -ENOTTY)
		return ret;
	read_set_ahead(serving);
	return survey(serving);
}

int serving_detach(struct serving *serving)
{
	uint64_t missing;
	int ret;

	ret = serving_rest(serving);
	if (ret || serving->left)
		return ret ? ret : -EAGAIN;
	ret = gmem_pager_detach(serving->pager, serving->failed, &missing);
	if (ret != -EBUSY)
		return ret;
	/* Somebody's pages have gone without an event: count anew. */
	ret = survey(serving);
	return ret ? ret : -EAGAIN;
}

void serving_end(struct serving *serving)
{
	gmem_pager_ring_close(&serving->ring);
	if (serving->pager >= 0)
		close(serving->pager);
	if (serving->socket >= 0)
		close(serving->socket);
	free(serving->settled);
	free(serving->buffer);
	*serving = (struct serving){ .pager = -1, .socket = -1 };
}
