/* SPDX-License-Identifier: MIT */
/* What is known of the VMs that have a name: JSON objects, of which gmem ps makes its lines. */
#ifndef VMM_CMD_LISTED_H
#define VMM_CMD_LISTED_H

#include <json-c/json.h>

/*
 * Call @found with each, in the order of their names, the row of which it may keep by
 * json_object_get(). A row has `name`, `state` and `crashes`; of a VM that answers what it says of
 * itself, in numbers and text of the right type but not believed otherwise. 0; or -errno, and
 * says in @why (NAMES_WHY bytes) what is wrong.
 */
int listed_each(void (*found)(struct json_object *row, void *data), void *data, char *why);

#endif /* VMM_CMD_LISTED_H */
