/* SPDX-License-Identifier: MIT */
/* Output of the guest: one byte at a time through a port. */
#ifndef GUEST_PRINT_H
#define GUEST_PRINT_H

#include "layout.h"

void print(const char *text);
void print_number(uint64_t number);
void print_hex(uint64_t number);

/* End the guest; status 0 means success. */
void end(uint8_t status) __attribute__((noreturn));

#endif /* GUEST_PRINT_H */
