/* SPDX-License-Identifier: MIT */
/* A machine whose private memory comes from a page server. */
#ifndef VMM_PAGER_CLIENT_H
#define VMM_PAGER_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * struct pager_client - memory that a page server owes
 * @path: where page servers listen
 * @helper: the channel to the helper, which connects there
 * @view: of the memory
 * @size: of it, in bytes
 * @socket: of the page server that serves it, or -1
 * @stop_fd: an eventfd, written to end the thread
 * @thread: finds the next page server when one dies
 * @going: there is a thread
 */
struct pager_client {
	const char *path;
	int helper;
	int view;
	uint64_t size;
	int socket;
	int stop_fd;
	pthread_t thread;
	bool going;
};

/*
 * Have the page server at @path serve all of @view: from then on, what is missing
 * is owed. Returns when it has accepted; 0, or the status to exit with, where it
 * was said what is wrong.
 */
int pager_client_start(struct pager_client *client, const char *path, int helper, int view);

/* Look for no other page server any more. The memory stays as it is. */
void pager_client_stop(struct pager_client *client);

#endif /* VMM_PAGER_CLIENT_H */
