// SPDX-License-Identifier: MIT
/* gmem pager: a page server, for a VMM that connects and offers its pager. */
#include <errno.h>
#include <fcntl.h>
#include <gmem.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "common/say.h"
#include "common/status.h"
#include "options.h"
#include "pager/confine.h"
#include "pager/progress.h"
#include "pager/server.h"

struct pager_options {
	const char *image;
	const char *working_set;
	const char *socket;
	const char *user;
	const char *io;
	long socket_fd;
	long make_sums;
	long prefetch;
	long on_demand;
	long stay;
	long json;
	long report_fd;
};

static bool is_socket(const char *path)
{
	struct stat stat;

	return !lstat(path, &stat) && S_ISSOCK(stat.st_mode);
}

/* A pager that was killed has left its socket behind. */
static int listen_again(const char *path)
{
	int listener = gmem_listen(path), other;

	if (listener != -EADDRINUSE || !is_socket(path))
		return listener;
	other = gmem_connect(path);
	if (other >= 0)
		close(other);
	if (other != -ECONNREFUSED || unlink(path))
		return listener;
	return gmem_listen(path);
}

/* The program that started us may have made it; and a client that connected may have gone again. */
static int check_listener(int listener)
{
	socklen_t size = sizeof(int);
	int listens = 0;

	if (getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) ||
	    !listens || fcntl(listener, F_SETFL, O_NONBLOCK)) {
		fprintf(stderr, "gmem: descriptor %d: not a socket that listens\n",
			listener);
		return EXIT_FAILED;
	}
	return 0;
}

/*
 * Use io_uring if this host and this process may have one. If not, it depends on the option whether
 * that is an error.
 */
static int open_reader(struct page_server *server, const char *io)
{
	bool by_ring = !io || !strcmp(io, "uring");
	const char *why;
	int ret = reader_open(&server->reader, &server->image, by_ring, &why);

	if (ret && !io && why) {
		say_failed(ret, "an io_uring, %s: pages are read one after another",
			   why);
		ret = reader_open(&server->reader, &server->image, false, &why);
	}
	return ret ? say_failed(ret, "reading the image%s%s",
				why ? " by an io_uring: " : "", why ? why : "") : 0;
}

static int open_files(struct page_server *server,
		      const struct pager_options *options)
{
	sigset_t set;
	int ret;

	ret = image_open(&server->image, options->image);
	if (ret)
		return say_failed(ret, "the image %s: %s", options->image,
				  server->image.why);
	ret = working_set_open(&server->set, options->working_set,
			       &server->image);
	if (ret)
		return say_failed(ret, "the working set %s (remove it, to have it recorded anew)",
				  options->working_set);
	ret = open_reader(server, options->io);
	if (ret)
		return ret;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (server->signals < 0)
		return say_failed(-errno, "watching for signals");
	server->listener = options->socket ? listen_again(options->socket) :
					     options->socket_fd;
	if (server->listener < 0) {
		say_failed(server->listener, "listening on %s", options->socket);
		if (server->listener == -EADDRINUSE)
			say_todo(is_socket(options->socket) ? "another gmem is listening there" :
				 "it is no socket: name a path where nothing is");
		return EXIT_FAILED;
	}
	return check_listener(server->listener);
}

static int run_server(const struct pager_options *options)
{
	struct page_server server = {
		.image.fd = -1, .set.fd = -1, .listener = -1, .signals = -1,
		.prefetch = options->prefetch,
		.on_demand = options->on_demand, .stay = options->stay,
	};
	struct confinement confinement = { .user = options->user };
	int status = open_files(&server, options), ret;

	if (status)
		return status;
	/* Do this before we give up the files that the first message needs. */
	progress_listening(options->image, server.image.size);
	report("listening", "pages=%u", server.image.pages);
	confinement.fds[confinement.nr_fds++] = server.image.fd;
	confinement.fds[confinement.nr_fds++] = reader_fd(&server.reader);
	confinement.fds[confinement.nr_fds++] = server.set.fd;
	confinement.fds[confinement.nr_fds++] = server.listener;
	confinement.fds[confinement.nr_fds++] = server.signals;
	confinement.fds[confinement.nr_fds++] = options->report_fd;
	ret = confine(&confinement);
	if (ret)
		return say_failed(ret, "giving up rights: %s",
				  confinement.step);
	return page_server_run(&server);
}

static int make_sums(const char *image)
{
	const char *why;
	int ret = image_make_sums(image, &why);

	if (ret)
		return say_failed(ret, "the image %s: %s", image, why);
	say("wrote %s.sums", image);
	return EXIT_DONE;
}

static int wrong_usage(const char *what)
{
	fprintf(stderr, "gmem: %s: 'gmem pager --help' lists the options\n", what);
	return EXIT_USAGE;
}

int cmd_pager(int argc, char **argv)
{
	struct pager_options options = {
		.socket_fd = -1, .prefetch = 16, .report_fd = -1,
	};
	const struct option_row rows[] = {
		{ .name = "image", .argument = "FILE", .text = &options.image,
		  .help = "the memory: as many bytes as the guest has" },
		{ .name = "make-sums", .number = &options.make_sums,
		  .help = "write FILE.sums, which is needed to serve it, and end" },
		{ .name = "socket", .argument = "PATH", .text = &options.socket,
		  .help = "listen here for a VMM" },
		{ .name = "socket-fd", .argument = "FD", .number = &options.socket_fd,
		  .least = 0, .most = 1 << 20,
		  .help = "or on this descriptor, a unix socket that listens" },
		{ .name = "user", .argument = "NAME", .text = &options.user,
		  .help = "become this user; needed if started as root" },
		{ .name = "working-set", .argument = "FILE", .text = &options.working_set,
		  .help = "record which pages are asked for; or give them, if it is written" },
		{ .name = "prefetch", .argument = "PAGES", .number = &options.prefetch,
		  .least = 1, .most = 4096,
		  .help = "give so many, aligned, when one of them is asked for (16)" },
		{ .name = "io", .argument = "HOW", .text = &options.io,
		  .help = "read the image by 'uring', many pages at once, or 'read' (uring)" },
		{ .name = "on-demand", .number = &options.on_demand,
		  .help = "do not give the rest of the image when nobody asks" },
		{ .name = "stay", .number = &options.stay,
		  .help = "then serve the next guest" },
		{ .name = "json", .number = &options.json,
		  .help = "say on stdout what happens, a JSON object a line" },
		{ .name = "report", .argument = "FD", .number = &options.report_fd,
		  .least = 0, .most = 1 << 20,
		  .help = "write events for a program to this descriptor" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows,
				  "Give a guest its memory from an image, when it is needed.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	if (!options.image)
		return wrong_usage("needs --image");
	if (options.make_sums)
		return make_sums(options.image);
	if (options.socket ? options.socket_fd >= 0 : options.socket_fd < 0)
		return wrong_usage("needs --socket or --socket-fd");
	if (options.io && strcmp(options.io, "uring") && strcmp(options.io, "read"))
		return wrong_usage("--io is 'uring' or 'read'");
	progress_begin(options.json);
	report_to(options.report_fd);
	return run_server(&options);
}
