/* SPDX-License-Identifier: MIT */
/* gmem_memfd_facts() in a program linked with --wrap=gmem_memfd_facts. */
#ifndef TESTS_LIB_VIEW_H
#define TESTS_LIB_VIEW_H

#include <gmem.h>

/* The library's. */
int __real_gmem_memfd_facts(pid_t pid, int fd, struct gmem_facts *facts);

/* The test's, which the library calls. */
int __wrap_gmem_memfd_facts(pid_t pid, int fd, struct gmem_facts *facts);

#endif /* TESTS_LIB_VIEW_H */
