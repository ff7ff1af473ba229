// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes, slots, holes, links, moves, populating, conversion, seals, at random, by the
 * modules and by a plain model of them: nobody ever sees anything else than the
 * model says, and no call returns anything else.
 *
 * GMEM_FUZZ_SECONDS says how long (a minute). Seeds are first the same each time,
 * then those of the clock. A failure prints its seed and its script, with what can
 * be left out left out:
 *
 *	GMEM_FUZZ_SEED=N	begins with seed N; alone, if there is no time given
 *	GMEM_FUZZ_REPLAY=FILE	runs the script in FILE
 */
#include <fcntl.h>
#include <time.h>

#include "claims.h"
#include "machine.h"
#include "moving.h"
#include "script.h"
#include "sealing.h"

#define SECONDS		60
#define FIXED_SEEDS	12
/* What a failure takes beyond the time: to end, and to be shrunk. */
#define MORE_SECONDS	300

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* If the kernel dies of it, its log has the seed. */
static void mark_kernel_log(uint64_t seed)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "gmem tests: GMEM_FUZZ_SEED=%lu\n", seed);
	close(fd);
}

static void give_script(struct script *s, uint64_t seed)
{
	unsigned int all = s->nr;

	printf("to repeat it: GMEM_FUZZ_SEED=%lu; or the script, with GMEM_FUZZ_REPLAY=FILE:\n",
	       seed);
	script_shrink(s);
	script_print(s, stdout);
	printf("%u operations, of %u; the last one: %s\n", s->nr, all, s->why);
	TEST_FAIL("seed %lu: model and modules differ", seed);
}

static void require_all(void)
{
	require_link();
	require_move();
	require_seals();
}

/* Each kind of operation has happened, in all of the first seeds together. */
static void check_counts(const struct script *s)
{
	for (enum operation_kind kind = 0; kind < OPERATIONS; kind++) {
		const struct script_count *count = &s->counts[kind];

		printf("%s: %lu done, %lu failed\n", operation_name(kind), count->done,
		       count->failed);
		TEST_ASSERT(count->done || kind == OP_FACTS, "%s has never happened",
			    operation_name(kind));
	}
}

static void agrees_with_a_model(void)
{
	uint64_t clock = (uint64_t)time(NULL) * 1000, seed = number("GMEM_FUZZ_SEED", 0);
	bool once = seed && !getenv("GMEM_FUZZ_SECONDS");
	time_t end = time(NULL) + number("GMEM_FUZZ_SECONDS", SECONDS);
	unsigned long runs = 0, operations = 0;
	struct script *s;

	require_all();
	s = script_create();
	if (getenv("GMEM_FUZZ_REPLAY")) {
		script_read(s, getenv("GMEM_FUZZ_REPLAY"));
		TEST_ASSERT(script_run(s), "%s", s->why);
		return;
	}

	if (!seed)
		printf("seeds 1 to %u, then %lu and on\n", FIXED_SEEDS, clock);
	do {
		uint64_t this = seed ? seed + runs : runs < FIXED_SEEDS ? runs + 1 :
				clock + runs - FIXED_SEEDS;

		mark_kernel_log(this);
		if (!script_run_seed(s, this))
			give_script(s, this);
		operations += s->nr;
		runs++;
	} while (!once && time(NULL) < end);
	printf("%lu scripts, %lu operations\n", runs, operations);
	if (runs >= FIXED_SEEDS)
		check_counts(s);
}

static const struct claim claims[] = {
	SLOW_CLAIM(agrees_with_a_model, SECONDS + MORE_SECONDS,
		   "random operations do, return and show what a plain model says"),
};

CLAIMS_MAIN(claims);
