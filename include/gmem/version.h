/* SPDX-License-Identifier: MIT */
/*
 * The version of gmem: of its modules, of libgmem and of the gmem program, which are
 * released together. It stands here and nowhere else.
 */
#ifndef GMEM_VERSION_H
#define GMEM_VERSION_H

#define GMEM_VERSION	"0.1"

#endif /* GMEM_VERSION_H */
