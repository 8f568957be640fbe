#include "tests/inject/fault.h"

#include <errno.h>
#include <execinfo.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/field.h"
#include "common/hash.h"

#define FRAMES_MAX 128

static struct {
    struct fault fault;
    atomic_bool armed, struck;
    atomic_uint_fast64_t calls;
    atomic_int_fast64_t held;
    bool (*inside)(void);
    void (*hit)(void);
    struct fault_record *record;
    struct fault_place place; /* where it struck first */
    void *armed_by[FRAMES_MAX];
    int armed_by_count;
} state;

struct fault_record *fault_record_create(void)
{
    void *map = mmap(NULL, sizeof(struct fault_record), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return map == MAP_FAILED ? NULL : map;
}

void fault_record_free(struct fault_record *r)
{
    munmap(r, sizeof(*r));
}

void fault_write_down(struct fault_record *r)
{
    void *frame;

    backtrace(&frame, 1); /* the first one asks for memory */
    if (r)
        r->calls = 0;
    state.record = r;
}

void fault_arm(const struct fault *f, bool (*inside)(void), void (*hit)(void))
{
    state.fault = *f;
    state.inside = inside;
    state.hit = hit;
    state.calls = 0;
    state.struck = false;
    state.armed_by_count = backtrace(state.armed_by, FRAMES_MAX);
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

struct fault_place fault_struck_place(void)
{
    return state.place;
}

int64_t fault_held(void)
{
    return state.held;
}

/* Of the program's own code, which the linker names. */
extern const char __executable_start, etext;

static bool is_ours(const void *frame)
{
    return (const char *)frame >= &__executable_start && (const char *)frame < &etext;
}

/* A number that stands for these callers, however often one of them comes: a function that calls
 * itself counts once. */
static uint64_t number_of(void *const *frames, int count)
{
    void *kept[FRAMES_MAX];
    uint8_t digest[BLAKE2B_BYTES];
    uint64_t number;
    int kept_count = 0;

    for (int i = 0; i < count; i++) {
        int before = 0;
        while (before < kept_count && kept[before] != frames[i])
            before++;
        if (before == kept_count)
            kept[kept_count++] = frames[i];
    }
    blake2b_of(kept, (size_t)kept_count * sizeof(kept[0]), digest);
    memcpy(&number, digest, sizeof(number));
    return number == FAULT_OWN ? !FAULT_OWN : number;
}

/* caller: of the function here that SQLite calls; NULL: our own code asks. */
static struct fault_place place_of(const void *caller)
{
    void *frames[FRAMES_MAX];
    int count = caller ? backtrace(frames, FRAMES_MAX) : 0, first = 0, by = state.armed_by_count;

    if (!caller)
        return (struct fault_place){FAULT_OWN, FAULT_OWN};
    while (by > 0 && count > 0 && frames[count - 1] == state.armed_by[by - 1])
        count--, by--; /* who called both is the test */
    while (first < count && frames[first] != caller)
        first++;
    int ours = first;
    while (ours < count && !is_ours(frames[ours]))
        ours++;
    return (struct fault_place){number_of(frames + first, ours - first + (ours < count)),
                                number_of(frames + ours, count - ours)};
}

static void write_down(uint64_t n, const void *caller)
{
    if (n > FAULT_CALLS_MAX)
        abort();
    state.record->places[n - 1] = place_of(caller);
    state.record->calls++;
}

static void strike_first(const void *caller)
{
    state.place = place_of(caller);
    if (state.hit)
        state.hit();
}

static bool strikes(enum fault_kind kind, const void *caller)
{
    if (!state.armed || state.fault.kind != kind || (state.inside && !state.inside()))
        return false;
    uint64_t n = atomic_fetch_add(&state.calls, 1) + 1;
    if (state.record)
        write_down(n, caller);
    if (n < state.fault.nth || (n > state.fault.nth && !state.fault.lasting))
        return false;
    if (!atomic_exchange(&state.struck, true))
        strike_first(caller);
    return true;
}

int fault_disk(void)
{
    return strikes(FAULT_DISK, NULL) ? state.fault.error : 0;
}

/* --- our own code's --- */

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

static bool lacks_memory(const void *caller)
{
    if (!strikes(FAULT_MEMORY, caller))
        return false;
    errno = ENOMEM;
    return true;
}

bool fault_memory(void)
{
    return lacks_memory(NULL);
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
    return lacks_memory(__builtin_return_address(0)) ? NULL : sqlite_memory.xMalloc(bytes);
}

static void *sqlite_realloc(void *old, int bytes)
{
    return lacks_memory(__builtin_return_address(0)) ? NULL : sqlite_memory.xRealloc(old, bytes);
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
