/* What a process gives up before it reads what a stranger sent. There is no way back. */
#ifndef STEPPE_COMMON_CONFINE_H
#define STEPPE_COMMON_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where memory is short, this process and its children are the first to go. */
void confine_die_first(void);
/* From now on: at most memory_bytes of address space beyond what it has, cpu_s seconds of
 * processor, no byte written to a file, no further process, no core file. A build with a sanitizer
 * has no limit on addresses: its shadow is terabytes. 0 or -errno. */
int confine_limits(int64_t memory_bytes, int cpu_s);
/* From now on: no new privileges, and of the system calls only calls[count] (__NR_…, at most 200);
 * mmap and mprotect among them only for pages whose content is not run. Any other kills the
 * process, or, without `kills`, fails with EPERM. 0, or -errno when the kernel (or this
 * architecture) has no filter. */
int confine_calls(const int *calls, size_t count, bool kills);

#endif
