/* SPDX-License-Identifier: MIT */
/* The guest's way to a person: a byte a time through a port. */
#ifndef GUEST_PRINT_H
#define GUEST_PRINT_H

#include "layout.h"

void print(const char *text);
void print_number(uint64_t number);
void print_hex(uint64_t number);

/* The guest's end: 0 is good. */
void end(uint8_t status) __attribute__((noreturn));

#endif /* GUEST_PRINT_H */
