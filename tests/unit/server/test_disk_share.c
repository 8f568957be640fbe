#include "server/jobs/disk_share.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "server/jobs/datasets_internal.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/store/state_dir.h"
#include "tests/unit/server/sha_fixture.h"
#include "tests/unit/server/store_fixture.h"

#define MIB (INT64_C(1) << 20)

static struct service service;
static struct jobs jobs;

/* As a server starts, with the disk of so many bytes. */
static void start(int64_t disk_bytes)
{
    struct errbuf why;

    jobs.list = NULL;
    service = (struct service){.store = fixture_open(), .jobs = &jobs};
    snprintf(service.dir, sizeof(service.dir), "%s", test_path("state"));
    ASSERT_OK(datasets_open(service.dir, service.store, &service.datasets, &why), why);
    incoming_open(service.dir, 1000 * MIB, 0, &service.incoming);
    if (disk_bytes)
        disk_watch_note(&service.disk, disk_bytes, disk_bytes);
}

static void stop(void)
{
    incoming_close(service.incoming);
    datasets_close(service.datasets);
    store_close(service.store);
}

static void restart(int64_t disk_bytes)
{
    stop();
    start(disk_bytes);
}

/* Until the next start only the table knows of it. */
static void name(const char *key, const char *dataset, char c, int64_t bytes)
{
    struct dataset_record rec = {.bytes = bytes};
    struct dataset d = {.samples = 0};
    struct errbuf why;

    snprintf(rec.name, sizeof(rec.name), "%s", dataset);
    snprintf(rec.key_name, sizeof(rec.key_name), "%s", key);
    snprintf(rec.sha256, sizeof(rec.sha256), "%s", sha(c));
    ASSERT_OK(store_dataset_add(service.store, &rec, &d, &why), why);
}

static void forget(const char *dataset)
{
    struct dataset_removal r;
    struct errbuf why;

    ASSERT_OK(datasets_remove_begin(service.datasets, dataset, &r, &why), why);
    ASSERT_OK(datasets_remove_work(service.dir, service.store, &r, &why), why);
    datasets_remove_done(service.datasets, &r, 0);
}

static void upload(const char *key, char c, int64_t bytes, size_t have)
{
    static const char data[MIB];
    const struct incoming_from from = {.key = key, .sender = "s", .what = ""};
    struct incoming_piece piece = {.bytes = bytes, .data = data, .data_bytes = have};
    struct errbuf why;

    snprintf(piece.sha256, sizeof(piece.sha256), "%s", sha(c));
    ASSERT_OK(incoming_put_begin(service.incoming, &from, &piece, 0, &why), why);
    int rc = incoming_put_write(service.dir, &piece, &why);
    ASSERT_OK(rc, why);
    incoming_put_end(service.incoming, &piece, rc, 0);
}

TEST(data_counts_once_for_each_key_that_has_a_name_for_it)
{
    start(0);
    name("ann", "a", 'a', 100);
    name("ann", "a2", 'a', 100);
    name("ann", "b", 'b', 20);
    name("ben", "a3", 'a', 100);
    name("", "c", 'c', 3);
    name("ben", "b", 'b', 20); /* it is ann's */
    restart(0);
    ASSERT_EQ(123, disk_share_used(&service, NULL));
    ASSERT_EQ(120, disk_share_used(&service, "ann"));
    ASSERT_EQ(100, disk_share_used(&service, "ben"));
    ASSERT_EQ(0, disk_share_used(&service, "eve"));
    ASSERT_EQ(120, disk_share_largest(&service));
    stop();
}

TEST(a_removal_frees_what_no_other_name_of_the_key_has)
{
    start(0);
    name("ann", "a", 'a', 100);
    name("ann", "a2", 'a', 100);
    name("ben", "a3", 'a', 100);
    restart(0);
    forget("a");
    ASSERT_EQ(100, disk_share_used(&service, "ann"));
    forget("a2");
    ASSERT_EQ(0, disk_share_used(&service, "ann"));
    ASSERT_EQ(100, disk_share_used(&service, "ben"));
    ASSERT_EQ(100, disk_share_used(&service, NULL));
    restart(0);
    ASSERT_EQ(0, disk_share_used(&service, "ann"));
    ASSERT_EQ(100, disk_share_used(&service, "ben"));
    stop();
}

/* As a names file is kept. */
static void name_samples(char of, char names, int64_t bytes)
{
    char path[STATE_PATH_BYTES], old[SHA256_HEX], of_sha[SHA256_HEX];
    struct errbuf why;

    snprintf(of_sha, sizeof(of_sha), "%s", sha(of));
    ASSERT_OK(store_names_put(service.store, of_sha, sha(names), old, &why), why);
    state_dir_names(path, service.dir, sha(names));
    FILE *f = fopen(path, "wb");
    ASSERT(f && fclose(f) == 0 && truncate(path, bytes) == 0);
}

TEST(the_names_of_samples_count_with_their_data)
{
    start(0);
    name("ann", "a", 'a', 100);
    name("ben", "a2", 'a', 100);
    name("ben", "b", 'b', 20);
    name("", "c", 'c', 3);
    name_samples('a', 'd', 7);
    name_samples('c', 'e', 1);
    restart(0);
    ASSERT_EQ(131, disk_share_used(&service, NULL));
    ASSERT_EQ(107, disk_share_used(&service, "ann"));
    ASSERT_EQ(127, disk_share_used(&service, "ben"));
    ASSERT_EQ(127, disk_share_largest(&service));
    ASSERT_EQ(107, datasets_size(service.datasets, sha('a')));

    name_samples('a', 'f', 17); /* they get others */
    struct stored *st = datasets_stored(service.datasets, sha('a'));
    snprintf(st->uris, sizeof(st->uris), "%s", sha('f'));
    stored_weigh_names(service.datasets, st);
    ASSERT_EQ(117, disk_share_used(&service, "ann"));
    ASSERT_EQ(137, disk_share_used(&service, "ben"));
    forget("a2");
    ASSERT_EQ(117, disk_share_used(&service, "ann"));
    ASSERT_EQ(20, disk_share_used(&service, "ben"));
    forget("a");
    ASSERT_EQ(0, disk_share_used(&service, "ann"));
    ASSERT_EQ(24, disk_share_used(&service, NULL));
    stop();
}

TEST(one_key_may_have_half_of_the_disk)
{
    struct errbuf why;

    start(20 * MIB);
    name("ann", "a", 'a', 6 * MIB);
    restart(20 * MIB);
    ASSERT_EQ(10 * MIB, disk_share_most(&service));
    ASSERT_OK(disk_share_room(&service, "ann", sha('b'), 4 * MIB, &why), why);
    ASSERT_EQ(-ERANGE, disk_share_room(&service, "ann", sha('b'), 4 * MIB + 1, &why));
    ASSERT_OK(disk_share_room(&service, "ben", sha('b'), 10 * MIB, &why), why);
    ASSERT_EQ(-ERANGE, disk_share_room(&service, "ann", sha('b'), 5 * MIB, &why));
    ASSERT_STR(
        "the datasets, uploads and jobs of the key ann take 6 MiB of the server's disk, this takes "
        "5 MiB more, and one key may take 10 MiB, half of the disk (steppe limits); steppe "
        "dataset rm and steppe uploads rm make room, and so does steppe rm, which is an "
        "administrator's",
        why.text);
    ASSERT_EQ(-ERANGE, disk_share_room(&service, "ben", sha('a'), INT64_MAX, &why));
    stop();
}

TEST(what_a_key_has_already_takes_no_more)
{
    struct errbuf why;

    start(20 * MIB);
    name("ann", "a", 'a', 6 * MIB);
    restart(20 * MIB);
    ASSERT_OK(disk_share_room(&service, "ann", sha('a'), 6 * MIB, &why), why);
    upload("ann", 'b', 4 * MIB, MIB);
    ASSERT_EQ(7 * MIB, disk_share_used(&service, "ann"));
    ASSERT_OK(disk_share_room(&service, "ann", sha('b'), 4 * MIB, &why), why);
    ASSERT_EQ(-ERANGE, disk_share_room(&service, "ann", sha('c'), 3 * MIB + 1, &why));
    stop();
}

TEST(who_needs_no_key_and_a_disk_of_unknown_size_have_no_bound)
{
    struct errbuf why;

    start(20 * MIB);
    ASSERT_OK(disk_share_room(&service, "", sha('a'), 19 * MIB, &why), why);
    restart(0);
    ASSERT_EQ(-1, disk_share_most(&service));
    ASSERT_OK(disk_share_room(&service, "ann", sha('a'), 19 * MIB, &why), why);
    stop();
}

TEST(a_dataset_of_an_earlier_version_is_nobodys)
{
    start(0);
    name("ann", "a", 'a', 100);
    stop();
    fixture_older(12);
    start(0);
    ASSERT_EQ(100, disk_share_used(&service, NULL));
    ASSERT_EQ(0, disk_share_used(&service, "ann"));
    name("ann", "a", 'a', 100); /* the name stays as it was */
    restart(0);
    ASSERT_EQ(0, disk_share_used(&service, "ann"));
    stop();
}

static void add_job(struct job *job, const char *key, int64_t checkpoints, int64_t attached)
{
    *job = (struct job){.checkpoint_bytes = checkpoints, .attached_bytes = attached};
    snprintf(job->rec.key_name, sizeof(job->rec.key_name), "%s", key);
    job->next = jobs.list;
    jobs.list = job;
}

TEST(what_jobs_keep_counts_for_the_key_that_sent_them)
{
    struct job anns, another, bens, nobodys, new = {.model.floats = MIB / sizeof(float)};
    static const struct dataset data = {.samples = 1};
    struct errbuf why;

    start(20 * MIB);
    name("ann", "a", 'a', MIB);
    restart(20 * MIB);
    add_job(&anns, "ann", 2 * MIB, MIB);
    add_job(&another, "ann", 0, MIB);
    add_job(&bens, "ben", 5 * MIB, 0);
    add_job(&nobodys, "", 3 * MIB, 0);
    ASSERT_EQ(5 * MIB, disk_share_used(&service, "ann"));
    ASSERT_EQ(5 * MIB, disk_share_used(&service, "ben"));
    ASSERT_EQ(13 * MIB, disk_share_used(&service, NULL));
    ASSERT_EQ(5 * MIB, disk_share_largest(&service));
    upload("ben", 'b', MIB, MIB);
    ASSERT_EQ(6 * MIB, disk_share_largest(&service));
    job_note_checkpoints(&anns, -1); /* it could not be told */
    ASSERT_EQ(5 * MIB, disk_share_used(&service, "ann"));
    ASSERT_EQ(-ERANGE, disk_share_room(&service, "ann", sha('b'), 5 * MIB + 1, &why));

    new.data = &data;
    const int64_t need = job_disk_need(&new);
    ASSERT(need >= 2 * MIB && need < 10 * MIB);
    job_note_checkpoints(&anns, 7 * MIB - need);
    ASSERT_OK(disk_share_jobs(&service, "ann", need, &why), why);
    job_note_checkpoints(&anns, 7 * MIB - need + 1);
    ASSERT_EQ(-ERANGE, disk_share_jobs(&service, "ann", need, &why));
    ASSERT_HAS("jobs of the key ann take ", why.text);
    ASSERT_OK(disk_share_jobs(&service, "", need, &why), why);
    stop();
}
