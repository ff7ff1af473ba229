/* SPDX-License-Identifier: MIT */
/* The commands of the gmem program: one file each, cmd/<name>.c. */
#ifndef VMM_COMMANDS_H
#define VMM_COMMANDS_H

/*
 * Each function takes the command's name as argv[0] and returns an exit status of common/status.h.
 */
int cmd_run(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_upgrade(int argc, char **argv);
int cmd_incoming(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_takeover(int argc, char **argv);
int cmd_pager(int argc, char **argv);
int cmd_demo(int argc, char **argv);

#endif /* VMM_COMMANDS_H */
