/* What a process gives up before it works: so that whoever makes it do something else finds little
 * in it and can do little with it. Nothing of this can be taken back, and what it starts inherits
 * most of it. */
#ifndef STEPPE_COMMON_PROCESS_H
#define STEPPE_COMMON_PROCESS_H

/* This program, for execve and posix_spawn. */
extern const char process_self[];
/* The path of the program `name` that lies beside this one, whether it is there or not; in memory
 * that cannot be written, for the life of the process. NULL: it cannot be found out. */
const char *process_beside(const char *name);

/* Nothing that it starts gets more rights than it has (a set-user-id program). For every program.
 */
void process_forgo_rights(void);
/* From now on its memory is its own: no core file, and no other process of the same user may look
 * into it (a debugger, /proc/PID/mem). Whoever holds keys calls it. */
void process_hide(void);
/* For daemons, before they open anything: both of the above; files that are made are their owner's
 * alone, whatever the umask was; and the filter of filter.h for all threads, which lets it start
 * the programs of this list only (NULL-terminated), each by this very pointer. 0, or -errno when
 * the kernel permits no filter; all else holds then as well. */
int process_enclose(const char *const *programs);

#endif
