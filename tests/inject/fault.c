#include "tests/inject/fault.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/field.h"

static struct {
    struct fault fault;
    atomic_bool armed, struck;
    atomic_uint_fast64_t calls;
    atomic_int_fast64_t held;
    bool (*inside)(void);
    void (*hit)(void);
} state;

void fault_arm(const struct fault *f, bool (*inside)(void), void (*hit)(void))
{
    state.fault = *f;
    state.inside = inside;
    state.hit = hit;
    state.calls = 0;
    state.struck = false;
    state.armed = true;
}

void fault_disarm(void)
{
    state.armed = false;
}

uint64_t fault_calls(void)
{
    return state.calls;
}

bool fault_is_armed(void)
{
    return state.armed;
}

bool fault_struck(void)
{
    return state.struck;
}

int64_t fault_held(void)
{
    return state.held;
}

static bool strikes(enum fault_kind kind)
{
    if (!state.armed || state.fault.kind != kind || (state.inside && !state.inside()))
        return false;
    uint64_t n = atomic_fetch_add(&state.calls, 1) + 1;
    if (n < state.fault.nth || (n > state.fault.nth && !state.fault.lasting))
        return false;
    if (!atomic_exchange(&state.struck, true) && state.hit)
        state.hit();
    return true;
}

int fault_disk(void)
{
    return strikes(FAULT_DISK) ? state.fault.error : 0;
}

/* --- our own code's --- */

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

bool fault_memory(void)
{
    if (!strikes(FAULT_MEMORY))
        return false;
    errno = ENOMEM;
    return true;
}

void *fault_hold(void *p)
{
    state.held += p != NULL;
    return p;
}

void fault_let_go(void)
{
    state.held--;
}

WRAP(void *, malloc, size_t bytes)
{
    return fault_memory() ? NULL : fault_hold(__real_malloc(bytes));
}

WRAP(void *, calloc, size_t count, size_t bytes)
{
    return fault_memory() ? NULL : fault_hold(__real_calloc(count, bytes));
}

WRAP(void *, realloc, void *old, size_t bytes)
{
    if (fault_memory())
        return NULL;
    return old ? __real_realloc(old, bytes) : fault_hold(__real_realloc(old, bytes));
}

WRAP(int, posix_memalign, void **ret, size_t align, size_t bytes)
{
    if (fault_memory())
        return ENOMEM;
    int rc = __real_posix_memalign(ret, align, bytes);
    state.held += rc == 0;
    return rc;
}

WRAP(void, free, void *p)
{
    state.held -= p != NULL;
    __real_free(p);
}

/* What it leaves is the caller's to free, when it is closed. */
WRAP(FILE *, open_memstream, char **ret, size_t *ret_bytes)
{
    return fault_memory() ? NULL : fault_hold(__real_open_memstream(ret, ret_bytes));
}

/* --- SQLite's --- */

static sqlite3_mem_methods sqlite_memory; /* its own */

static void *sqlite_malloc(int bytes)
{
    return fault_memory() ? NULL : sqlite_memory.xMalloc(bytes);
}

static void *sqlite_realloc(void *old, int bytes)
{
    return fault_memory() ? NULL : sqlite_memory.xRealloc(old, bytes);
}

void fault_begin(void)
{
    field_own_memory(); /* cJSON's is our own, as in the server */
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
    sqlite3_mem_methods methods = sqlite_memory;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        abort();
}
