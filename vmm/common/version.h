/* SPDX-License-Identifier: MIT */
#ifndef VMM_COMMON_VERSION_H
#define VMM_COMMON_VERSION_H

/* Of the gmem program; libgmem's symbols have one of their own (lib/libgmem.map). */
#define VMM_VERSION	"0.1"

#endif /* VMM_COMMON_VERSION_H */
