#include <stdio.h>
#include <string.h>

#include "server/store/state_dir.h"
#include "tests/harness.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UUID "8c1f2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b"

TEST(files_lie_where_they_always_lay)
{
    char path[STATE_PATH_BYTES];

    state_dir_file(path, "/s", STATE_LOCK);
    ASSERT_STR("/s/lock", path);
    state_dir_db(path, "/s", DIFFICULTY_DB, "-wal");
    ASSERT_STR("/s/difficulty.db-wal", path);
    state_dir_folder(path, "/s", STATE_BACKUPS);
    ASSERT_STR("/s/backups", path);
    state_dir_entry(path, "/s", STATE_DATASETS, "x.gone");
    ASSERT_STR("/s/datasets/x.gone", path);
    state_dir_dataset(path, "/s", SHA);
    ASSERT_STR("/s/datasets/" SHA ".safetensors", path);
    state_dir_upload(path, "/s", "", SHA);
    ASSERT_STR("/s/datasets/" SHA ".part", path);
    state_dir_upload(path, "/s", "anna", SHA);
    ASSERT_STR("/s/datasets/" SHA ".anna.part", path);
    state_dir_gone(path, "/s", "", SHA);
    ASSERT_STR("/s/datasets/" SHA ".gone", path);
    state_dir_gone(path, "/s", "anna", SHA);
    ASSERT_STR("/s/datasets/" SHA ".anna.gone", path);
    state_dir_attached(path, "/s", UUID, SHA);
    ASSERT_STR("/s/attached/" UUID "-" SHA ".safetensors", path);
    state_dir_job(path, "/s", 7);
    ASSERT_STR("/s/jobs/7", path);
    state_dir_checkpoint(path, "/s", 7, "step-40.safetensors");
    ASSERT_STR("/s/jobs/7/step-40.safetensors", path);
}

TEST(a_second_backup_of_a_second_has_its_number)
{
    char path[STATE_PATH_BYTES], made[STATE_PATH_BYTES];

    state_dir_backup(path, "/s", 1769903999, 1);
    ASSERT_STR("/s/backups/20260131T235959Z", path);
    state_dir_backup(path, "/s", 1769903999, 2);
    ASSERT_STR("/s/backups/20260131T235959Z-2", path);
    state_dir_backup_made(made, path);
    ASSERT_STR("/s/backups/20260131T235959Z-2.tmp", made);
    ASSERT(state_dir_is_backup_made(made));
    ASSERT(!state_dir_is_backup_made(path));
}

TEST(the_longest_names_fit)
{
    char dir[STATE_DIR_BYTES], name[256], path[STATE_PATH_BYTES];

    memset(dir, 'd', sizeof(dir));
    dir[sizeof(dir) - 1] = 0;
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = 0;
    state_dir_entry(path, dir, STATE_DATASETS, name);
    ASSERT_STR(name, strrchr(path, '/') + 1);
}

TEST(a_name_says_what_it_is)
{
    char sha256[SHA256_HEX], uuid[UUID_BYTES], key[NAME_MAX_BYTES];

    ASSERT(state_dir_is_dataset(SHA ".safetensors", sha256));
    ASSERT_STR(SHA, sha256);
    ASSERT(state_dir_is_upload(SHA ".part", key, sha256));
    ASSERT_STR(SHA, sha256);
    ASSERT_STR("", key);
    ASSERT(state_dir_is_upload(SHA ".anna.b-2.part", key, sha256));
    ASSERT_STR(SHA, sha256);
    ASSERT_STR("anna.b-2", key);
    ASSERT(!state_dir_is_upload(SHA "..part", key, sha256));
    ASSERT(!state_dir_is_upload(SHA ".an a.part", key, sha256));
    ASSERT(!state_dir_is_upload("short.anna.part", key, sha256));
    ASSERT(!state_dir_is_upload(SHA ".safetensors", key, sha256));
    ASSERT(!state_dir_is_dataset("short.safetensors", sha256));
    ASSERT(!state_dir_is_dataset(SHA, sha256));
    ASSERT(state_dir_is_gone(SHA ".gone"));
    ASSERT(!state_dir_is_gone("one"));
    ASSERT(!state_dir_is_gone(SHA ".gone2"));
    ASSERT(state_dir_is_attached(UUID "-" SHA ".safetensors", uuid));
    ASSERT_STR(UUID, uuid);
    ASSERT(!state_dir_is_attached("..", uuid));
}
