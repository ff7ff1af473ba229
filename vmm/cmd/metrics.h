/* SPDX-License-Identifier: MIT */
/* VMs as metrics, in Prometheus' text format (version 0.0.4). */
#ifndef VMM_CMD_METRICS_H
#define VMM_CMD_METRICS_H

#include <json-c/json.h>

/*
 * Print what is known about the VMs in @rows, an array of rows from listed_each(). A VM's own text
 * never goes into a name, and only into one label.
 */
void metrics_print(struct json_object *rows);

#endif /* VMM_CMD_METRICS_H */
