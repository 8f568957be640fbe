#include "server/store/state_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TENSORS ".safetensors"
#define NAMES ".names"
#define UPLOAD ".part"
#define GONE ".gone"
#define MADE ".tmp"

static const char *const folder_names[] = {[STATE_DATASETS] = "datasets",
                                           [STATE_ATTACHED] = "attached",
                                           [STATE_JOBS] = "jobs",
                                           [STATE_BACKUPS] = "backups"};

void state_dir_file(char out[STATE_PATH_BYTES], const char *dir, const char *name)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s", dir, name);
}

void state_dir_db(char out[STATE_PATH_BYTES], const char *dir, const char *name, const char *suffix)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s%s", dir, name, suffix);
}

void state_dir_folder(char out[STATE_PATH_BYTES], const char *dir, enum state_folder folder)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s", dir, folder_names[folder]);
}

void state_dir_entry(char out[STATE_PATH_BYTES], const char *dir, enum state_folder folder,
                     const char *name)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s/%s", dir, folder_names[folder], name);
}

static void data_path(char out[STATE_PATH_BYTES], const char *dir, const char *sha256,
                      const char *suffix)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s/%s%s", dir, folder_names[STATE_DATASETS], sha256,
             suffix);
}

void state_dir_dataset(char out[STATE_PATH_BYTES], const char *dir, const char *sha256)
{
    data_path(out, dir, sha256, TENSORS);
}

void state_dir_names(char out[STATE_PATH_BYTES], const char *dir, const char *sha256)
{
    data_path(out, dir, sha256, NAMES);
}

static void upload_path(char out[STATE_PATH_BYTES], const char *dir, const char *key,
                        const char *sha256, const char *suffix)
{
    char end[NAME_MAX_BYTES + 16];

    snprintf(end, sizeof(end), "%s%s%s", key[0] ? "." : "", key, suffix);
    data_path(out, dir, sha256, end);
}

void state_dir_upload(char out[STATE_PATH_BYTES], const char *dir, const char *key,
                      const char *sha256)
{
    upload_path(out, dir, key, sha256, UPLOAD);
}

void state_dir_gone(char out[STATE_PATH_BYTES], const char *dir, const char *key,
                    const char *sha256)
{
    upload_path(out, dir, key, sha256, GONE);
}

void state_dir_attached(char out[STATE_PATH_BYTES], const char *dir, const char *uuid,
                        const char *sha256)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s/%s-%s" TENSORS, dir, folder_names[STATE_ATTACHED], uuid,
             sha256);
}

void state_dir_job(char out[STATE_PATH_BYTES], const char *dir, int64_t job)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s/%" PRId64, dir, folder_names[STATE_JOBS], job);
}

void state_dir_checkpoint(char out[STATE_PATH_BYTES], const char *dir, int64_t job,
                          const char *file)
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s/%" PRId64 "/%s", dir, folder_names[STATE_JOBS], job,
             file);
}

void state_dir_damaged(char out[STATE_PATH_BYTES], const char *checkpoint)
{
    snprintf(out, STATE_PATH_BYTES, "%s.damaged", checkpoint);
}

void state_dir_backup(char out[STATE_PATH_BYTES], const char *dir, int64_t unix_s, int n)
{
    const time_t at = (time_t)unix_s;
    char stamp[32], number[16] = "";
    struct tm tm;

    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&at, &tm));
    if (n > 1)
        snprintf(number, sizeof(number), "-%d", n);
    snprintf(out, STATE_PATH_BYTES, "%s/%s/%s%s", dir, folder_names[STATE_BACKUPS], stamp, number);
}

void state_dir_backup_made(char out[STATE_PATH_BYTES], const char *folder)
{
    snprintf(out, STATE_PATH_BYTES, "%s" MADE, folder);
}

/* --- names --- */

/* A SHA-256 as hex digits could be, then the suffix. */
static bool is_data(const char *name, const char *suffix, char ret_sha256[SHA256_HEX])
{
    snprintf(ret_sha256, SHA256_HEX, "%s", name);
    return strlen(ret_sha256) == SHA256_HEX - 1 && strcmp(name + SHA256_HEX - 1, suffix) == 0;
}

bool state_dir_is_dataset(const char *name, char ret_sha256[SHA256_HEX])
{
    return is_data(name, TENSORS, ret_sha256);
}

bool state_dir_is_names(const char *name, char ret_sha256[SHA256_HEX])
{
    return is_data(name, NAMES, ret_sha256);
}

bool state_dir_is_upload(const char *name, char ret_key[NAME_MAX_BYTES],
                         char ret_sha256[SHA256_HEX])
{
    const size_t hash = SHA256_HEX - 1, bytes = strlen(name), end = strlen(UPLOAD);

    ret_key[0] = 0;
    if (is_data(name, UPLOAD, ret_sha256))
        return true;
    if (bytes <= hash + 1 + end || bytes >= hash + 1 + NAME_MAX_BYTES + end || name[hash] != '.' ||
        strcmp(name + bytes - end, UPLOAD) != 0)
        return false;
    snprintf(ret_key, NAME_MAX_BYTES, "%.*s", (int)(bytes - hash - 1 - end), name + hash + 1);
    return text_is_name(ret_key) && strlen(ret_sha256) == hash;
}

bool state_dir_is_gone(const char *name)
{
    const size_t bytes = strlen(name), suffix = strlen(GONE);

    return bytes >= suffix && strcmp(name + bytes - suffix, GONE) == 0;
}

bool state_dir_is_attached(const char *name, char ret_uuid[UUID_BYTES])
{
    snprintf(ret_uuid, UUID_BYTES, "%s", name);
    return text_is_uuid(ret_uuid);
}

bool state_dir_is_backup_made(const char *name)
{
    return strstr(name, MADE) != NULL;
}
