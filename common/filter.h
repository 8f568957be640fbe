/* A filter of system calls (seccomp): what neither server nor worker ever needs, and what an
 * intruder wants first. It is a list of what is denied, not of what is allowed: the libraries
 * beneath may call what they like, and a later version of them what is new. */
#ifndef STEPPE_COMMON_FILTER_H
#define STEPPE_COMMON_FILTER_H

#define FILTER_PROGRAMS_MAX 4

/* From now on, for all threads of this process and all that it starts, the calls of filter.c fail
 * with EPERM. programs: execve is possible with these very pointers only (NULL-terminated, at most
 * FILTER_PROGRAMS_MAX), whose texts must lie in memory that cannot be written: no filter can read a
 * path. What was started can start nothing more. Calls PR_SET_NO_NEW_PRIVS. 0, or -errno: the
 * kernel has no filters, -ENOTSUP: none is known for this processor, or a sanitizer is built in,
 * which needs some of these calls. */
int filter_set(const char *const *programs);

#endif
