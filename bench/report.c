// SPDX-License-Identifier: MIT
/* report [--json | --check FLOORS] [--plots DIRECTORY] SAMPLES: what bench/run measured. */
#include <err.h>
#include <getopt.h>

#include "samples.h"

static const char usage[] =
	"usage: report [--json | --check FLOORS] [--plots DIRECTORY] SAMPLES";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "check", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "plots", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 }
	};
	const char *plots = NULL, *floors = NULL;
	int json = 0, status = 0, option;
	struct samples samples;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'j')
			json = 1;
		else if (option == 'c')
			floors = optarg;
		else if (option == 'p')
			plots = optarg;
		else
			errx(2, "%s", usage);
	}
	if (optind != argc - 1 || (json && floors))
		errx(2, "%s", usage);
	samples_read(&samples, argv[optind]);
	if (plots)
		plot_all(&samples, plots);
	if (json)
		json_print(&samples, stdout);
	else if (floors)
		status = check_floors(&samples, floors, stdout) ? 1 : 0;
	else
		table_print(&samples, stdout);
	if (ferror(stdout) | fflush(stdout))
		err(1, "report: write");
	return status;
}
