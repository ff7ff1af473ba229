# SPDX-License-Identifier: GPL-2.0-only
#
# How to compile and link a program on the library of upstream's KVM
# selftests, as `make upstream` leaves it. Needs TOP, the checkout's top.
#
#	$(CC) $(UPSTREAM_CFLAGS) -c test.c
#	$(CC) $(UPSTREAM_LDFLAGS) test.o $(UPSTREAM_LIB) -o test
#
# The flags are upstream's own: its guest code runs without an operating system, so that
# the compiler may neither call libc on its behalf nor place it at
# an address that the loader chooses.

UPSTREAM := $(TOP)/.cache/upstream
UPSTREAM_SOURCE := $(TOP)/.cache/kernel/source/tools/testing/selftests/kvm
UPSTREAM_TOOLS := $(TOP)/.cache/kernel/source/tools
UPSTREAM_LIB := $(UPSTREAM)/libkvm.a

UPSTREAM_CFLAGS := -Wall -Wstrict-prototypes -Wuninitialized -O2 -g -std=gnu99 \
	-D_GNU_SOURCE= -DCONFIG_64BIT -U_FORTIFY_SOURCE \
	-fno-builtin-memcmp -fno-builtin-memcpy -fno-builtin-memset -fno-builtin-strnlen \
	-fno-stack-protector -fno-PIE -fno-strict-aliasing -march=x86-64-v2 \
	-I$(UPSTREAM_TOOLS)/include -I$(UPSTREAM_TOOLS)/arch/x86/include \
	-I$(UPSTREAM)/usr/include \
	-I$(UPSTREAM_SOURCE)/include -I$(UPSTREAM_SOURCE)/include/x86_64 \
	-I$(UPSTREAM_TOOLS)/testing/selftests
UPSTREAM_LDFLAGS := -static -pthread -no-pie
