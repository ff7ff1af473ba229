/* SPDX-License-Identifier: MIT */
/* The VMs that have a name, as JSON objects, from which gmem ps makes its lines. */
#ifndef VMM_CMD_LISTED_H
#define VMM_CMD_LISTED_H

#include <json-c/json.h>

/*
 * Call @found with the row of each VM, in the order of their names; it may keep the row with
 * json_object_get(). A row has `name`, `state` and `crashes`, and the values that a VM has answered
 * about itself, which are of the right type but otherwise untrusted. Returns 0; or -errno, with the
 * reason in @why (NAMES_WHY bytes).
 */
int listed_each(void (*found)(struct json_object *row, void *data), void *data, char *why);

#endif /* VMM_CMD_LISTED_H */
