/* SPDX-License-Identifier: MIT */
/*
 * Where the program passt listens: a socket in a folder that no other user can reach. Its path is
 * removed as soon as it has been found there; what is held of the socket leads to it from then on,
 * and nothing is left behind, whoever is killed.
 */
#ifndef VMM_HELPER_PASST_PLACE_H
#define VMM_HELPER_PASST_PLACE_H

#define PASST_NAME	"socket"	/* in the folder where passt begins */
#define PASST_NOBODY	65534		/* whom passt is where root starts it */

/*
 * struct passt_place - where it is
 * @dir: the folder that is ours alone, while there is one; passt's is in it
 * @socket: an O_PATH descriptor of the socket, or -1: it was not found yet
 */
struct passt_place {
	char dir[32];
	int socket;
};

#define PASST_PLACE_NONE { .socket = -1 }

/* Make the folders. 0 or -errno. */
int passt_place_make(struct passt_place *place);

/* Of the process that will be passt: be in its folder. 0 or -errno. */
int passt_place_enter(const struct passt_place *place);

/* A connection, or -errno: passt does not listen yet. Its other end may close it at once. */
int passt_place_connect(struct passt_place *place);

void passt_place_drop(struct passt_place *place);

#endif /* VMM_HELPER_PASST_PLACE_H */
