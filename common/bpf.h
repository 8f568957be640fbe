/* The words of which filters of system calls are written (seccomp, in classic BPF): for confine.c
 * and filter.c alone. */
#ifndef STEPPE_COMMON_BPF_H
#define STEPPE_COMMON_BPF_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* Not defined: no filter is known for this processor. */
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define AT(field) ((uint32_t)offsetof(struct seccomp_data, field))
/* Halves of an argument: both processors have the low one first. */
#define LOW(arg) (AT(args) + 8u * (arg))
#define HIGH(arg) (LOW(arg) + 4u)

#define LOAD(at) ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at)))
/* How many instructions are left out when what was loaded meets the test, and when it does not. */
#define JUMP(test, value, yes, no)                                                                 \
    ((struct sock_filter)BPF_JUMP(BPF_JMP | (test) | BPF_K, (uint32_t)(value), (uint8_t)(yes),     \
                                  (uint8_t)(no)))
#define RETURN(value) ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (value)))

#endif
