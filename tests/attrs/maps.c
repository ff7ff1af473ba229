// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps of ranges with values, changed at random and compared with an array, at any place
 * of the index space, and with each allocation failing now and then: then nothing has
 * changed, and nothing is left over. GMEM_TEST_SEED repeats a run.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node.h"

#define PAGES		(3 * 64UL * GMEM_BLOCK_SIZE + 1000)
#define CHANGES		2000
#define FAILING		8	/* no change allocates more often */

long objects;
int failing;

static unsigned char model[PAGES];
static struct gmem_ranges *ranges;
static unsigned long base, mask;
static const char *wrong;

static bool check(bool holds, const char *what)
{
	if (!holds && !wrong)
		wrong = what;
	return holds;
}

/* No node or block below @node has one value. */
static void check_node(struct gmem_node *node)
{
	unsigned long value;

	for (unsigned int i = 0; i < GMEM_NODE_SLOTS; i++) {
		struct gmem_node *child = gmem_node_entry(node, i);

		if (!gmem_entry_is_pointer(child))
			continue;
		if (!node->shift) {
			check(!gmem_block_is_uniform((void *)child, ranges->field, &value),
			      "a block has one value");
			continue;
		}
		check(child->parent == node, "a node has another parent");
		check(gmem_entry_is_pointer(gmem_node_entry(child, 0)) ||
		      !gmem_node_is_uniform(child, gmem_node_entry(child, 0)),
		      "a node has one value");
		check_node(child);
	}
}

static void check_all(void)
{
	unsigned long page = 0, last, value;
	struct gmem_ranges_walk walk;
	bool empty = true;

	while (page < PAGES) {
		value = gmem_ranges_get_run(ranges, base + page, &last);
		for (; page < PAGES && base + page <= last; page++) {
			if (!check(model[page] == value, "a run has another value"))
				return;
			empty &= !value;
			if (base + page == ULONG_MAX) {
				page++;
				break;
			}
		}
	}
	check(gmem_ranges_empty(ranges) == empty, "empty, or not");

	page = 0;
	gmem_ranges_walk_begin(&walk, ranges, base, base + PAGES - 1);
	while (gmem_ranges_walk_next(&walk)) {
		check(walk.first == base + page, "a walk leaves something out");
		for (; page <= walk.last - base; page++)
			check(walk.mixed || model[page] == walk.value, "a piece has another value");
	}
	check(page == PAGES, "a walk ends too early");
}

static void check_page(unsigned long page)
{
	if (page < PAGES)
		check(gmem_ranges_get(ranges, base + page) == model[page],
		      "a page has another value");
}

static void choose(unsigned long *first, unsigned long *last)
{
	unsigned long size = random() % 2 ? GMEM_BLOCK_SIZE : 64 * GMEM_BLOCK_SIZE;

	*first = random() % PAGES;
	switch (random() % 6) {
	case 0:
		*last = *first + random() % (PAGES - *first);
		break;
	case 1:
		*first -= (base + *first) % size % (*first + 1);
		*last = *first + size * (1 + random() % 3) - 1;
		break;
	case 2:
		*last = *first + size - 1 - (base + *first) % size;
		break;
	case 3:
		*first = 0;
		*last = PAGES - 1;
		break;
	default:
		*last = *first + random() % 8;
	}
	*last = min(*last, PAGES - 1);
}

static void change(unsigned long first, unsigned long last, unsigned long value)
{
	struct gmem_ranges_change change;
	bool same = true;
	long before;
	int r;

	for (unsigned long page = first; page <= last && same; page++)
		same = model[page] == value;
	check(gmem_ranges_match(ranges, base + first, base + last, ~0UL, value) == same,
	      "matches, or not");

	before = objects;
	failing = random() % FAILING;
	r = gmem_ranges_prepare(&change, ranges, base + first, base + last, value);
	failing = 0;
	if (r) {
		/* The root may have grown. */
		check(objects - before < 4, "one that failed left something");
	} else {
		gmem_ranges_commit(&change);
		gmem_ranges_finish(&change);
		memset(model + first, value, last - first + 1);
	}
	check_page(first - 1);
	check_page(first);
	check_page(last);
	check_page(last + 1);
	if (ranges->root)
		check_node(ranges->root);
}

static void change_some(void)
{
	unsigned long first, last;

	choose(&first, &last);
	change(first, last, random() & mask);
}

/* At 0 it fills the root, above which comes another one then. */
static void fill_and_grow(void)
{
	change(0, 64 * GMEM_BLOCK_SIZE - 1, mask);
	change(PAGES - 1, PAGES - 1, mask);
	check_all();
}

static void try(unsigned long at, unsigned long bits)
{
	base = at;
	mask = bits;
	memset(model, 0, sizeof(model));
	ranges = gmem_ranges_alloc(mask);
	fill_and_grow();
	for (int i = 0; i < CHANGES && !wrong; i++) {
		change_some();
		if (i % 32 == 0)
			check_all();
	}
	gmem_ranges_free(ranges);
	check(!objects, "a map leaves objects");
}

int main(void)
{
	static const unsigned long bases[] = { 0, 1UL << 20, 33 * GMEM_BLOCK_SIZE, 0UL - PAGES };
	const char *given = getenv("GMEM_TEST_SEED");
	unsigned int seed = given ? atoi(given) : time(NULL), n = 0;
	bool failed = false;

	printf("# GMEM_TEST_SEED=%u\n", seed);
	srandom(seed);
	if (gmem_ranges_init())
		return 1;
	for (unsigned int i = 0; i < 8; i++) {
		wrong = NULL;
		try(bases[i / 2], i & 1 ? 3UL : 8UL);
		printf("%sok %u - maps of %s from index %#lx on\n", wrong ? "not " : "", ++n,
		       i & 1 ? "two bits" : "one bit", base);
		if (wrong)
			printf("# %s\n", wrong);
		failed |= !!wrong;
	}
	printf("1..%u\n", n);
	gmem_ranges_exit();
	return failed;
}
