// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one place where trace.h's tracepoints are instantiated.
 */
#include "gmem.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
