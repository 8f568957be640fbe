/* Where things lie in the state folder, and what their names say. Nobody else knows; nothing here
 * touches a file.
 *
 *     state.db  difficulty.db  lock  steppe.sock
 *     datasets/<sha256>.safetensors         a dataset
 *     datasets/<sha256>.names               the names of its samples, by a hash of their own
 *     datasets/<sha256>.part                an upload of somebody without a key
 *     datasets/<sha256>.<key>.part          one that came with the key of this name
 *     datasets/<sha256>.gone                an upload that was dropped, on its way out
 *     attached/<uuid>-<sha256>.safetensors  what came with the job of that UUID
 *     jobs/<number>/<file>                  checkpoints; <file>.damaged is put away
 *     backups/<time>, <time>-2, ...         <time>.tmp is in the making
 *
 * dir is the state folder, shorter than STATE_DIR_BYTES. */
#ifndef STEPPE_SERVER_STORE_STATE_DIR_H
#define STEPPE_SERVER_STORE_STATE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/hash.h"
#include "common/text.h"

#define STATE_DB "state.db"
#define DIFFICULTY_DB "difficulty.db"
#define STATE_LOCK "lock"

enum state_folder { STATE_DATASETS, STATE_ATTACHED, STATE_JOBS, STATE_BACKUPS };

/* A file right in the folder. */
void state_dir_file(char out[STATE_PATH_BYTES], const char *dir, const char *name);
/* A file of a database; suffix "", "-wal" or "-shm". dir may be the folder of a backup. */
void state_dir_db(char out[STATE_PATH_BYTES], const char *dir, const char *name,
                  const char *suffix);
void state_dir_folder(char out[STATE_PATH_BYTES], const char *dir, enum state_folder folder);
/* Something in it, by its name there. */
void state_dir_entry(char out[STATE_PATH_BYTES], const char *dir, enum state_folder folder,
                     const char *name);

void state_dir_dataset(char out[STATE_PATH_BYTES], const char *dir, const char *sha256);
void state_dir_names(char out[STATE_PATH_BYTES], const char *dir, const char *sha256);
/* key: the name of the sender's; "": none. */
void state_dir_upload(char out[STATE_PATH_BYTES], const char *dir, const char *key,
                      const char *sha256);
void state_dir_gone(char out[STATE_PATH_BYTES], const char *dir, const char *key,
                    const char *sha256);
void state_dir_attached(char out[STATE_PATH_BYTES], const char *dir, const char *uuid,
                        const char *sha256);
/* The folder of a job, and a file in it. */
void state_dir_job(char out[STATE_PATH_BYTES], const char *dir, int64_t job);
void state_dir_checkpoint(char out[STATE_PATH_BYTES], const char *dir, int64_t job,
                          const char *file);
/* Where a checkpoint is put away. */
void state_dir_damaged(char out[STATE_PATH_BYTES], const char *checkpoint);
/* The n-th backup of that second, from 1 on. */
void state_dir_backup(char out[STATE_PATH_BYTES], const char *dir, int64_t unix_s, int n);
/* Where the backup `folder` is made. */
void state_dir_backup_made(char out[STATE_PATH_BYTES], const char *folder);

/* What a name in one of the folders says; false: it is none of that kind. */
bool state_dir_is_dataset(const char *name, char ret_sha256[SHA256_HEX]);
bool state_dir_is_names(const char *name, char ret_sha256[SHA256_HEX]);
bool state_dir_is_upload(const char *name, char ret_key[NAME_MAX_BYTES],
                         char ret_sha256[SHA256_HEX]);
bool state_dir_is_gone(const char *name);
bool state_dir_is_attached(const char *name, char ret_uuid[UUID_BYTES]);
bool state_dir_is_backup_made(const char *name);

#endif
