/* SPDX-License-Identifier: MIT */
/*
 * The version of gmem: of its modules, of libgmem and of the gmem program, which are released
 * together. No other file defines it.
 */
#ifndef GMEM_VERSION_H
#define GMEM_VERSION_H

#define GMEM_VERSION	"0.1"

#endif /* GMEM_VERSION_H */
