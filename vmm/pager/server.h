/* SPDX-License-Identifier: MIT */
/* Waiting for VMMs, and serving the guest of one after another. */
#ifndef VMM_PAGER_SERVER_H
#define VMM_PAGER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/reader.h"
#include "image/working-set.h"

/*
 * struct page_server - the state that is common to all guests
 * @image: the memory of each guest
 * @reader: reads the image
 * @set: the working set
 * @prefetch: pages that are given when one of them is asked for
 * @on_demand: give no other pages, except the working set
 * @stay: when a guest is served or gone, wait for the next
 * @failed: a page could not be given, because the image is damaged
 * @listener: where VMMs connect, O_NONBLOCK
 * @signals: a signalfd: readable when the server must end
 */
struct page_server {
	struct image image;
	struct image_reader reader;
	struct working_set set;
	uint32_t prefetch;
	bool on_demand;
	bool stay;
	bool failed;
	int listener;
	int signals;
};

/*
 * Serve until there is nothing more to do. Returns the exit status. Needs no system calls except
 * those that confine() leaves.
 */
int page_server_run(struct page_server *server);

#endif /* VMM_PAGER_SERVER_H */
