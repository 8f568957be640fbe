#include "worker/nn/kernels.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker/nn/winograd.h"

/* Vector kernels work in float and need x86. */
#if defined(__x86_64__) && !defined(STEPPE_REAL_DOUBLE)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}
#else
static bool has_avx2(void)
{
    return false;
}

static bool has_avx512(void)
{
    return false;
}
#endif

static bool always(void)
{
    return true;
}

static const struct kernels sets[] = {
    {"reference", always, {conv_reference}, NULL},
    {"avx2", has_avx2, {winograd_avx2, conv_avx2}, &dense_avx2},
    /* Channels that do not fill its vectors may fill shorter ones. */
    {"avx512", has_avx512, {winograd_avx512, winograd_avx2, conv_avx512, conv_avx2}, &dense_avx512},
};

#define SETS (sizeof(sets) / sizeof(sets[0]))

const struct kernels *kernels_at(size_t index)
{
    return index < SETS ? &sets[index] : NULL;
}

const struct kernels *kernels_best(void)
{
    size_t i = SETS - 1;

    while (!sets[i].supported())
        i--;
    return &sets[i];
}

/* " a, b or c": the sets this CPU runs. */
static void list_supported(char *out, size_t bytes)
{
    size_t last = SETS, at = 0;

    for (size_t i = 0; i < SETS; i++)
        if (sets[i].supported())
            last = i;
    out[0] = '\0';
    for (size_t i = 0; i <= last; i++) {
        const char *join = i == 0 ? "" : i == last ? " or " : ", ";
        if (!sets[i].supported() || at >= bytes)
            continue;
        at += (size_t)snprintf(out + at, bytes - at, "%s%s", join, sets[i].name);
    }
}

int kernels_choose(const char *name, const struct kernels **ret, struct errbuf *why)
{
    char allowed[64];

    if (!name || !name[0]) {
        *ret = kernels_best();
        return 0;
    }
    list_supported(allowed, sizeof(allowed));
    for (size_t i = 0; i < SETS; i++) {
        if (strcmp(sets[i].name, name) != 0)
            continue;
        if (!sets[i].supported())
            return err_set(why, -EINVAL, "this CPU cannot run kernel set %s; it runs %s", name,
                           allowed);
        *ret = &sets[i];
        return 0;
    }
    return err_set(why, -EINVAL, "there is no kernel set \"%.64s\"; this CPU runs %s", name,
                   allowed);
}

const struct kernel *kernels_find(const struct kernels *set, enum conv_op op,
                                  const struct conv_shape *s)
{
    for (size_t t = 0; t < sizeof(set->tables) / sizeof(set->tables[0]); t++)
        for (const struct kernel *k = set->tables[t]; k && k->name; k++)
            if (k->op == op && k->takes(s))
                return k;
    return NULL;
}

size_t kernels_scratch(const struct conv_shape *s)
{
    size_t most = 0;

    for (size_t i = 0; i < SETS; i++) {
        for (int op = 0; op < CONV_OPS; op++) {
            const struct kernel *k = kernels_find(&sets[i], (enum conv_op)op, s);
            const size_t needs = k && k->scratch ? k->scratch(s) : 0;
            most = needs > most ? needs : most;
        }
    }
    return most;
}
