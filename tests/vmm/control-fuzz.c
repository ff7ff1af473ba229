// SPDX-License-Identifier: MIT
/*
 * The reader of requests, built with the address sanitizer, on invalid lines: random mixtures of
 * good ones and of JSON's words, for GMEM_TEST_SECONDS seconds. Anything that it accepts as a
 * request must keep the promises of request.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/request.h"

static const char *const words[] = {
	"{", "}", "[", "]", ":", ",", "\"", "\\", "\"command\"", "\"path\"", "\"status\"",
	"\"pause\"", "\"resume\"", "\"stop\"", "\"kill\"", "\"console\"", "\"snapshot\"",
	"\"/tmp/a\"", "\"\\u0000\"", "\\ud800", "\xf0\x9f\x98\x80", "\xff", "1e999", "-0", "null",
	"true", "NaN", "Infinity", " ", "\t", "//", "/*", "'", "\"/\"", "18446744073709551616",
	"{\"command\":\"status\"}", "{\"command\":\"snapshot\",\"path\":\"/tmp/a\"}",
};

#define NR_WORDS (sizeof(words) / sizeof(words[0]))

static unsigned int seed = 1;

static unsigned int chance(unsigned int of)
{
	return rand_r(&seed) % of;
}

static size_t make_line(char *line)
{
	size_t used = 0, count = 1 + chance(chance(8) ? 12 : 600), i;

	for (i = 0; i < count; i++) {
		const char *word = words[chance(NR_WORDS)];
		size_t length = strlen(word);

		if (used + length >= CONTROL_LINE)
			break;
		memcpy(line + used, word, length);
		used += length;
	}
	for (i = chance(4); i && used; i--)
		line[chance(used)] = chance(256);
	if (!chance(16))
		used = chance(used + 1);
	return used;
}

/* In memory of its own length: what is read behind it is found. */
static int try_line(const char *made, size_t length)
{
	char *line = malloc(length ? length : 1);
	struct request request;
	char why[CONTROL_WHY] = "";
	int ret, wrong;

	memcpy(line, made, length);
	ret = request_read(line, length, &request, why);
	if (ret)
		wrong = !*why || !memchr(why, '\0', sizeof(why));
	else
		wrong = request.kind > REQUEST_SNAPSHOT ||
			!memchr(request.path, '\0', sizeof(request.path)) ||
			(request.kind == REQUEST_SNAPSHOT) != (request.path[0] == '/');
	if (wrong)
		printf("# wrong: %.*s\n", (int)length, line);
	free(line);
	return wrong ? -1 : !ret;
}

int main(void)
{
	const char *seconds = getenv("GMEM_TEST_SECONDS");
	time_t limit = time(NULL) + (seconds ? atoi(seconds) : 3);
	unsigned long lines = 0, taken = 0, wrong = 0;
	static char line[CONTROL_LINE];
	int ret;

	printf("1..1\n");
	while (time(NULL) < limit || !taken) {
		ret = try_line(line, make_line(line));
		wrong += ret < 0;
		taken += ret > 0;
		lines++;
	}
	printf("# %lu lines, %lu of them requests\n", lines, taken);
	printf("%s 1 - whatever a line is, it is a request or refused\n", wrong ? "not ok" : "ok");
	return wrong ? 1 : 0;
}
