/* A file is made beside its place or uploaded like a dataset, checked by its hash and renamed. A
 * file with its final name is whole, and because the name has the hash, no other submission can
 * replace it. */
#include "server/jobs/attached.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "common/log.h"
#include "common/safetensors.h"
#include "common/text.h"
#include "server/jobs/incoming.h"
#include "server/store/state_dir.h"

static int make_folder(const char *dir, struct errbuf *why)
{
    char path[STATE_PATH_BYTES];

    state_dir_folder(path, dir, STATE_ATTACHED);
    return file_mkdirs(path, 0700, why);
}

static int hash_file(const char *path, const _Atomic bool *stop, char hex[SHA256_HEX],
                     struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    int rc = sha256_file_until(path, stop, digest, why);

    if (rc == -EINTR)
        return err_set(why, -ESHUTDOWN, "the server is stopping; try again in a moment");
    if (rc == 0)
        text_hex(digest, sizeof(digest), hex);
    return rc;
}

static int adopt(const char *dir, const _Atomic bool *stop, const char *key, const char *uuid,
                 enum attached_kind kind, const struct given *g, unsigned *io_new,
                 struct errbuf *why)
{
    char path[STATE_PATH_BYTES];
    int rc;

    if (!g->sha256[0])
        return err_set(why, -EINVAL,
                       "%s names the file \"%s\" without the sha256 of its content; steppe submit "
                       "uploads it",
                       jobspec_attached_names[kind], g->file);
    state_dir_attached(path, dir, uuid, g->sha256);
    if (access(path, F_OK) == 0)
        return 0;
    rc = make_folder(dir, why);
    if (rc == 0)
        rc = incoming_take(dir, stop, key, g->sha256, path, why);
    if (rc < 0)
        return err_prefix(why, rc, "%s", jobspec_attached_names[kind]);
    *io_new |= 1u << kind;
    return 0;
}

int attached_adopt(const char *dir, const _Atomic bool *stop, const char *key, const char *uuid,
                   struct jobspec *spec, unsigned *io_new, struct errbuf *why)
{
    int rc = 0;

    for (enum attached_kind kind = 0; rc == 0 && kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);
        if (g && g->kind == GIVEN_FILE)
            rc = adopt(dir, stop, key, uuid, kind, g, io_new, why);
    }
    return rc;
}

/* Gives a new file its name and notes its hash, which must equal one that the job file already
 * has. */
static int keep_made(const char *made, const char *dir, const char *uuid, enum attached_kind kind,
                     struct given *g, unsigned *io_new, struct errbuf *why)
{
    char path[STATE_PATH_BYTES], hex[SHA256_HEX];
    int rc = hash_file(made, NULL, hex, why);

    if (rc == 0 && g->sha256[0] && strcmp(g->sha256, hex) != 0)
        rc = err_set(why, -EINVAL,
                     "%s: job %lld no longer has what the job file names: its sha256 is %.16s..., "
                     "not %.16s...",
                     jobspec_attached_names[kind], (long long)g->job, hex, g->sha256);
    state_dir_attached(path, dir, uuid, hex);
    bool new = rc == 0 && access(path, F_OK) != 0;
    if (rc == 0 && rename(made, path) < 0)
        rc = err_set(why, -errno, "cannot write %s: %s", path, err_text(-errno));
    if (rc < 0) {
        unlink(made);
        return rc;
    }
    memcpy(g->sha256, hex, sizeof(hex));
    if (new)
        *io_new |= 1u << kind;
    return file_sync_parent(path, why);
}

int attached_write_order(const char *dir, const char *uuid, struct given *given, const double *key,
                         uint32_t n, unsigned *io_new, struct errbuf *why)
{
    const struct safetensors_meta meta[] = {{"format", "steppe-order-1"}};
    uint32_t *sample = alloc_bytes(n, sizeof(*sample)), count = 0;
    double *score = alloc_bytes(n, sizeof(*score));
    char path[STATE_PATH_BYTES];
    int rc = sample && score ? make_folder(dir, why)
                             : err_set(why, -ENOMEM, "no memory for %u scores", n);

    for (uint32_t i = 0; rc == 0 && i < n; i++)
        if (!isnan(key[i])) {
            sample[count] = i;
            score[count++] = key[i];
        }
    state_dir_attached(path, dir, uuid, "order");
    if (rc == 0) {
        const struct tensor tensors[] = {tensor_1d("score", DTYPE_F64, count, score),
                                         tensor_1d("sample", DTYPE_U32, count, sample)};
        rc = safetensors_write(path, tensors, 2, meta, 1, why);
    }
    if (rc == 0)
        rc = keep_made(path, dir, uuid, ATTACHED_ORDER, given, io_new, why);
    free(sample);
    free(score);
    return rc;
}

int attached_write_weights(const char *dir, const char *uuid, struct given *given,
                           const struct model *m, const float *theta,
                           const struct weights_said *said, unsigned *io_new, struct errbuf *why)
{
    struct safetensors_meta meta[2];
    struct model as = *m;
    int count = 0;
    char path[STATE_PATH_BYTES];
    int rc = make_folder(dir, why);

    memcpy(as.mean, said->scaling.mean, sizeof(as.mean));
    memcpy(as.std, said->scaling.std, sizeof(as.std));
    state_dir_attached(path, dir, uuid, "weights");
    if (said->class_names)
        meta[count++] = (struct safetensors_meta){"class_names", said->class_names};
    if (said->layers)
        meta[count++] = (struct safetensors_meta){"layers", said->layers};
    if (rc == 0)
        rc = model_export(&as, theta, 0, meta, count, path, why);
    return rc < 0 ? rc : keep_made(path, dir, uuid, ATTACHED_WEIGHTS, given, io_new, why);
}

void attached_undo(const char *dir, const char *key, const char *uuid, struct jobspec *spec,
                   unsigned new)
{
    char path[STATE_PATH_BYTES];

    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);
        if (!g || !(new >> kind & 1))
            continue;
        state_dir_attached(path, dir, uuid, g->sha256);
        if (g->kind == GIVEN_FILE)
            incoming_put_back(dir, key, g->sha256, path);
        else
            unlink(path);
    }
}

/* --- reading --- */

/* The tensor `sample` of a file: numbers below `samples`, ascending. */
static int read_samples(const struct safetensors *st, uint32_t samples, const struct tensor **ret,
                        struct errbuf *why)
{
    const struct tensor *t;
    uint32_t before = 0, id;
    int rc = safetensors_need(st, "sample", DTYPE_U32, 1, &t, why);

    if (rc < 0)
        return rc;
    if (t->shape[0] > samples)
        return err_set(why, -EINVAL, "it names %llu samples, the dataset has %u",
                       (unsigned long long)t->shape[0], samples);
    for (uint32_t i = 0; i < t->shape[0]; i++, before = id) {
        memcpy(&id, (const char *)t->data + sizeof(id) * i, sizeof(id));
        if (id >= samples)
            return err_set(why, -EINVAL, "it names sample %u, the dataset has samples 0 to %u", id,
                           samples - 1);
        if (i > 0 && id <= before)
            return err_set(why, -EINVAL, "sample %u follows %u; each comes once, in rising order",
                           id, before);
    }
    *ret = t;
    return 0;
}

/* count: of a file without sample numbers; 0: it has them. */
static int read_order(const struct safetensors *st, uint32_t samples, uint32_t count,
                      struct attached *a, struct errbuf *why)
{
    const struct tensor *ids, *scores;
    uint32_t id;
    double score;
    int rc = read_samples(st, samples, &ids, why);

    if (rc == 0)
        rc = safetensors_need(st, "score", DTYPE_F64, 1, &scores, why);
    if (rc < 0)
        return rc;
    if (scores->shape[0] != ids->shape[0] || ids->shape[0] == 0)
        return err_set(why, -EINVAL, "it has %llu scores of %llu samples",
                       (unsigned long long)scores->shape[0], (unsigned long long)ids->shape[0]);
    if (count && ids->shape[0] != count)
        return err_set(why, -EINVAL, "it has %llu scores, the job file says %u",
                       (unsigned long long)ids->shape[0], count);
    a->order = alloc_bytes(samples, sizeof(*a->order));
    if (!a->order)
        return err_set(why, -ENOMEM, "no memory for %u scores", samples);
    for (uint32_t i = 0; i < samples; i++)
        a->order[i] = NAN;
    for (uint32_t i = 0; i < ids->shape[0]; i++) {
        memcpy(&id, (const char *)ids->data + sizeof(id) * i, sizeof(id));
        memcpy(&score, (const char *)scores->data + sizeof(score) * i, sizeof(score));
        if (!isfinite(score))
            return err_set(why, -EINVAL, "the score of sample %u is not finite", id);
        a->order[id] = score;
    }
    return 0;
}

static int keep_excluded(const void *ids, uint32_t count, struct attached *a, struct errbuf *why)
{
    a->excluded = alloc_bytes(count ? count : 1, sizeof(*a->excluded));
    if (!a->excluded)
        return err_set(why, -ENOMEM, "no memory for %u samples", count);
    memcpy(a->excluded, ids, count * sizeof(*a->excluded));
    a->excluded_count = count;
    return 0;
}

static int read_excluded(const struct safetensors *st, uint32_t samples, struct attached *a,
                         struct errbuf *why)
{
    const struct tensor *ids;
    int rc = read_samples(st, samples, &ids, why);

    return rc < 0 ? rc : keep_excluded(ids->data, (uint32_t)ids->shape[0], a, why);
}

static int read_weights(const char *path, const char *called, const struct model *m,
                        struct attached *a, struct errbuf *why)
{
    if (!m)
        return 0;
    a->theta = alloc_bytes(m->floats, sizeof(*a->theta));
    return a->theta ? model_import(m, path, called, a->theta, &a->said, why)
                    : err_set(why, -ENOMEM, "no memory for %zu parameters", m->floats);
}

/* Its name for people: that in the job file, or its job. */
static const char *call(const struct given *g, char buf[GIVEN_FILE_BYTES])
{
    if (g->kind == GIVEN_FILE)
        snprintf(buf, GIVEN_FILE_BYTES, "%s", g->file);
    else
        snprintf(buf, GIVEN_FILE_BYTES, "those of job %lld", (long long)g->job);
    return buf;
}

static int read_kind(const char *path, enum attached_kind kind, const struct given *g,
                     const struct model *m, uint32_t samples, struct attached *a,
                     struct errbuf *why)
{
    char called[GIVEN_FILE_BYTES];
    struct safetensors st = {0};

    if (kind == ATTACHED_WEIGHTS)
        return read_weights(path, call(g, called), m, a, why);
    int rc = safetensors_open_as(path, call(g, called), &st, why);
    if (rc == 0)
        rc = kind == ATTACHED_ORDER ? read_order(&st, samples, g->count, a, why)
                                    : read_excluded(&st, samples, a, why);
    safetensors_close(&st);
    return rc;
}

/* Reads and judges the job's file of one kind. */
static int load_kind(const char *dir, const _Atomic bool *stop, const char *uuid,
                     enum attached_kind kind, const struct given *g, const struct model *m,
                     uint32_t samples, struct attached *a, struct errbuf *why)
{
    char path[STATE_PATH_BYTES], hex[SHA256_HEX], called[GIVEN_FILE_BYTES];

    state_dir_attached(path, dir, uuid, g->sha256);
    int rc = hash_file(path, stop, hex, why);
    if (rc < 0 && rc != -ESHUTDOWN)
        err_set(why, rc, "the server's copy of %s cannot be read: %s (%s)", call(g, called),
                err_text(rc), path);
    else if (rc == 0 && strcmp(hex, g->sha256) != 0)
        rc = err_set(why, -EUCLEAN,
                     "the server's copy of %s is damaged: its SHA-256 is not that of the job "
                     "file (%s)",
                     call(g, called), path);
    if (rc == 0)
        rc = read_kind(path, kind, g, m, samples, a, why);
    return rc < 0 ? err_prefix(why, rc, "%s", jobspec_attached_names[kind]) : 0;
}

int attached_load_excluded(const char *dir, const char *uuid, const struct given *from,
                           struct attached *ret, struct errbuf *why)
{
    struct attached a = {0};
    int rc = load_kind(dir, NULL, uuid, ATTACHED_EXCLUDE, from, NULL, SAMPLES_MAX, &a, why);

    if (rc < 0)
        attached_done(&a);
    else
        *ret = a;
    return rc;
}

int attached_load(const char *dir, const _Atomic bool *stop, const char *uuid, struct jobspec *spec,
                  const struct model *m, uint32_t samples, struct attached *ret, struct errbuf *why)
{
    struct attached a = {0};
    int rc = 0;

    for (enum attached_kind kind = 0; rc == 0 && kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);
        if (g)
            rc = load_kind(dir, stop, uuid, kind, g, m, samples, &a, why);
    }
    if (rc == 0 && spec->exclude.ids)
        rc = keep_excluded(spec->exclude.ids, spec->exclude.count, &a, why);
    if (rc < 0) {
        attached_done(&a);
        return rc;
    }
    if (spec->exclude.count != a.excluded_count)
        spec->exclude.count = a.excluded_count;
    *ret = a;
    return 0;
}

/* --- mending --- */

/* The largest file: a score and a number for each sample. */
#define FILE_BYTES_MAX ((size_t)SAMPLES_MAX * 12 + (1u << 20))

static bool is_right(const char *path, const char *sha256)
{
    char hex[SHA256_HEX];

    return hash_file(path, NULL, hex, NULL) == 0 && strcmp(hex, sha256) == 0;
}

static bool copy_right(const char *from, const char *to, const char *sha256)
{
    struct file_part part = {0};
    char hex[SHA256_HEX], *data = NULL;
    int rc = file_read(from, FILE_BYTES_MAX, &data, &part.bytes, NULL);

    if (rc < 0)
        return false;
    part.data = data;
    sha256_hex_of(data, part.bytes, hex);
    rc = strcmp(hex, sha256) == 0 ? file_write_atomic(to, 0600, &part, 1, NULL) : -EUCLEAN;
    free(data);
    return rc == 0;
}

/* From another job's file. */
static bool copy_of_others(const char *dir, const char *path, const char *sha256)
{
    char folder_path[STATE_PATH_BYTES], from[STATE_PATH_BYTES], uuid[UUID_BYTES];
    struct dirent *entry;
    bool good = false;

    state_dir_folder(folder_path, dir, STATE_ATTACHED);
    DIR *folder = opendir(folder_path);
    while (folder && !good && (entry = readdir(folder)) != NULL) {
        if (!state_dir_is_attached(entry->d_name, uuid))
            continue;
        state_dir_attached(from, dir, uuid, sha256);
        const char *name = strrchr(from, '/') + 1;
        good = strcmp(name, entry->d_name) == 0 && strcmp(from, path) != 0 &&
               copy_right(from, path, sha256);
    }
    if (folder)
        closedir(folder);
    return good;
}

/* From an upload, whoever sent it. A wrong one may be incomplete, and stays. */
static bool take_right(const char *dir, const char *path, const char *sha256)
{
    char folder_path[STATE_PATH_BYTES], part[STATE_PATH_BYTES], key[NAME_MAX_BYTES],
        hash[SHA256_HEX];
    struct dirent *entry;
    bool good = false;

    state_dir_folder(folder_path, dir, STATE_DATASETS);
    DIR *folder = opendir(folder_path);
    while (folder && !good && (entry = readdir(folder)) != NULL) {
        if (!state_dir_is_upload(entry->d_name, key, hash) || strcmp(hash, sha256) != 0)
            continue;
        state_dir_upload(part, dir, key, sha256);
        good = is_right(part, sha256) && incoming_rename(dir, key, sha256, path, NULL) == 0;
    }
    if (folder)
        closedir(folder);
    return good;
}

int attached_mend(const char *dir, const char *uuid, struct jobspec *spec)
{
    char path[STATE_PATH_BYTES];
    int mended = 0;

    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);

        if (!g)
            continue;
        state_dir_attached(path, dir, uuid, g->sha256);
        if (is_right(path, g->sha256))
            continue;
        if (copy_of_others(dir, path, g->sha256) || take_right(dir, path, g->sha256)) {
            log_info("attached.whole", "file=%s", path);
            mended++;
        }
    }
    return mended;
}

void attached_done(struct attached *a)
{
    free(a->order);
    free(a->excluded);
    free(a->theta);
    weights_said_done(&a->said);
    *a = (struct attached){0};
}

struct run_inputs attached_inputs(const struct attached *a)
{
    return (struct run_inputs){.order = a->order,
                               .excluded = a->excluded,
                               .excluded_count = a->excluded_count,
                               .theta = a->theta,
                               .class_names = a->said.class_names};
}

/* --- removing --- */

int64_t attached_bytes(const char *dir, const char *uuid, struct jobspec *spec)
{
    char path[STATE_PATH_BYTES];
    int64_t bytes = 0;
    struct stat st;

    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);
        if (!g)
            continue;
        state_dir_attached(path, dir, uuid, g->sha256);
        bytes += stat(path, &st) == 0 ? st.st_size : 0;
    }
    return bytes;
}

void attached_remove(const char *dir, const char *uuid, struct jobspec *spec)
{
    char path[STATE_PATH_BYTES];

    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);
        if (!g)
            continue;
        state_dir_attached(path, dir, uuid, g->sha256);
        if (unlink(path) < 0 && errno != ENOENT)
            log_warn("attached.remove", "file=%s error=\"%s\"", path, err_text(-errno));
    }
}

void attached_sweep(const char *dir, bool (*is_job)(void *arg, const char *uuid), void *arg)
{
    char path[STATE_PATH_BYTES], uuid[UUID_BYTES];
    struct dirent *entry;

    state_dir_folder(path, dir, STATE_ATTACHED);
    DIR *folder = opendir(path);
    while (folder && (entry = readdir(folder)) != NULL) {
        if (!state_dir_is_attached(entry->d_name, uuid) || is_job(arg, uuid))
            continue;
        state_dir_entry(path, dir, STATE_ATTACHED, entry->d_name);
        unlink(path);
    }
    if (folder)
        closedir(folder);
}
