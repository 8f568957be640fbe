#include "tests/sim/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "tests/sim/disk.h"
#include "tests/sim/journal.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define STATE DISK_ROOT "/state"
#define SUFFIX ".safetensors"

static struct {
    const uint8_t *data;
    size_t bytes;
    char path[256];
} right;

void damage_begin(const void *data, size_t bytes, const char *sha256)
{
    right.data = data;
    right.bytes = bytes;
    snprintf(right.path, sizeof(right.path), STATE "/datasets/%s" SUFFIX, sha256);
}

bool damage_is_right(uint64_t offset, const void *data, size_t bytes)
{
    return offset <= right.bytes && bytes <= right.bytes - offset &&
           memcmp(right.data + offset, data, bytes) == 0;
}

/* One byte, or some here and there, or all behind a place. False: there was none. */
static bool spoil(struct inode *f)
{
    size_t bytes = disk_bytes(f);

    if (bytes == 0)
        return false;
    if (world_chance(250)) {
        disk_cut(f, (size_t)world_draw(bytes));
        return true;
    }
    size_t at = (size_t)world_draw(bytes), step = 1 + (size_t)world_draw(bytes);
    for (; at < bytes; at += step)
        disk_damage(f, at);
    return true;
}

void damage_dataset(void)
{
    struct inode *f = disk_find(right.path);

    if (!f)
        return;
    if (world_chance(150))
        disk_remove(right.path);
    else if (!spoil(f))
        return;
    note("dataset_damaged gone=%d", disk_find(right.path) == NULL);
}

void damage_put_back(void)
{
    struct inode *f = disk_find(right.path);

    if (!f && disk_create(right.path, false, &f) < 0)
        return;
    disk_resize(f, right.bytes);
    memcpy(f->live, right.data, right.bytes);
    disk_touch(f, 0, right.bytes);
    disk_sync(f);
    disk_sync(disk_folder_of(right.path)); /* else a power failure brings back another */
    note("dataset_put_back");
}

void damage_attached(void)
{
    const struct inode *folder = disk_find(STATE "/attached");
    const char *name;
    char path[400];
    int count = 0;

    while (folder && disk_name(folder, count))
        count++;
    if (count == 0)
        return;
    name = disk_name(folder, (int)world_draw((uint64_t)count));
    snprintf(path, sizeof(path), STATE "/attached/%.200s", name);
    if (world_chance(150))
        disk_remove(path);
    else if (!spoil(disk_find(path)))
        return;
    note("attached_damaged gone=%d", disk_find(path) == NULL);
}

/* "step-N.safetensors" or "step-N-b.safetensors"; -1: it is none. */
static int step_of(const char *name)
{
    int step;
    size_t n = strlen(name);

    if (n < strlen(SUFFIX) || strcmp(name + n - strlen(SUFFIX), SUFFIX) != 0)
        return -1;
    return sscanf(name, "step-%d", &step) == 1 ? step : -1;
}

/* The newest of a job's checkpoints; ret_count: how many steps have one. */
static struct inode *newest_of(int job, int *ret_step, int *ret_count)
{
    char folder_path[128], path[400];
    struct inode *newest = NULL;
    const char *name;
    int last = -1;

    snprintf(folder_path, sizeof(folder_path), STATE "/jobs/%d", job);
    const struct inode *folder = disk_find(folder_path);
    *ret_step = -1;
    *ret_count = 0;
    for (int i = 0; folder && (name = disk_name(folder, i)) != NULL; i++) {
        int step = step_of(name);
        snprintf(path, sizeof(path), "%s/%.200s", folder_path, name);
        if (step < 0 || disk_bytes(disk_find(path)) == 0)
            continue;
        *ret_count += step != last;
        last = step;
        if (step >= *ret_step) {
            *ret_step = step;
            newest = disk_find(path);
        }
    }
    return newest;
}

void damage_checkpoint(bool other)
{
    int first = (int)world_draw(SCENARIO_JOBS_MAX), step, count;

    for (int i = 0; i < SCENARIO_JOBS_MAX; i++) {
        int job = 1 + (first + i) % SCENARIO_JOBS_MAX;
        struct inode *newest = newest_of(job, &step, &count);
        if (!newest || (other && count < 2) || !spoil(newest))
            continue;
        note("damaged job=%d step=%d", job, step);
        return;
    }
}
