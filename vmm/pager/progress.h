/* SPDX-License-Identifier: MIT */
/* The output of gmem pager: for a person, or one JSON object in each line for a program. */
#ifndef VMM_PAGER_PROGRESS_H
#define VMM_PAGER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct serving;

/* To be called first. @json: for a program; else for a person. */
void progress_begin(bool json);

/* Ready for a VMM. */
void progress_listening(const char *image, uint64_t size);

/* A VMM was turned away, or went away before it offered anything. */
void progress_refused(const char *why);

/* A guest is served from now on; says how much of its memory is there already. */
void progress_serving(const struct serving *serving);

/* A page does not match its sum, and was not given. */
void progress_failed(uint64_t offset, int error);

/* Report progress, if it is time to do that again. */
void progress_show(const struct serving *serving);

/* Report how serving ended: "done", "gone" or "stopped". */
void progress_ended(const struct serving *serving, const char *how);

#endif /* VMM_PAGER_PROGRESS_H */
