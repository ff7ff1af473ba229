// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/inflight.h"

void inflight_clear(struct inflight *table, uint16_t used)
{
	memset(table, 0, sizeof(*table));
	table->used = used;
}

bool inflight_begin(struct inflight *table, uint16_t head)
{
	struct inflight_entry *entry = &table->entries[head];

	if (entry->in_flight)
		return false;
	entry->counter = ++table->counter;
	__atomic_store_n(&entry->in_flight, 1, __ATOMIC_RELEASE);
	return true;
}

/*
 * A reader that finds the ring's index ahead of @used knows that @last was pushed, whatever its
 * entry says.
 */
void inflight_push(struct inflight *table, struct virtq *queue, uint16_t head,
		   uint32_t written)
{
	__atomic_store_n(&table->last, head, __ATOMIC_RELEASE);
	virtq_push(queue, head, written);
	__atomic_store_n(&table->entries[head].in_flight, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&table->used, queue->now.next_used, __ATOMIC_RELEASE);
}

void inflight_drop(struct inflight *table, uint16_t head)
{
	__atomic_store_n(&table->entries[head].in_flight, 0, __ATOMIC_RELEASE);
}

/* ---- By a successor ---- */

static int by_counter(const void *a, const void *b, void *data)
{
	const struct inflight *table = data;
	uint64_t first = table->entries[*(const uint16_t *)a].counter;
	uint64_t second = table->entries[*(const uint16_t *)b].counter;

	return (first > second) - (first < second);
}

int inflight_recover(struct inflight *table, uint16_t used, uint16_t heads[VIRTQ_SIZE])
{
	uint16_t ahead = used - table->used;
	uint32_t i, nr = 0;

	if (ahead > 1 || table->last >= VIRTQ_SIZE)
		return -EPROTO;
	if (ahead)
		table->entries[table->last].in_flight = 0;
	table->used = used;
	for (i = 0; i < VIRTQ_SIZE; i++)
		if (table->entries[i].in_flight)
			heads[nr++] = i;
	qsort_r(heads, nr, sizeof(*heads), by_counter, table);
	return nr;
}
