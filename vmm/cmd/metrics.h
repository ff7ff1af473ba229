/* SPDX-License-Identifier: MIT */
/* VMs as metrics, in Prometheus' text format (version 0.0.4). */
#ifndef VMM_CMD_METRICS_H
#define VMM_CMD_METRICS_H

#include <json-c/json.h>

/*
 * Print what is known of the VMs in @rows, an array of what listed_each() gives. What a VM
 * says of itself goes into no name, and into one label alone.
 */
void metrics_print(struct json_object *rows);

#endif /* VMM_CMD_METRICS_H */
