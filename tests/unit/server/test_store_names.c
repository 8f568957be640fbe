/* The names of samples in both databases, and questions about them. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "server/query/query.h"
#include "tests/unit/server/store_fixture.h"

#define SAMPLES 20000 /* more than a slice */
#define FIRST_NAMES "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER_NAMES "2222222222222222222222222222222222222222222222222222222222222222"

/* A names file in memory. */
struct names {
    struct file_part part;
    struct file_source from;
    struct uris_file file;
};

static int memory_read(void *arg, uint64_t offset, size_t count, void *out, struct errbuf *why)
{
    const struct file_part *part = arg;

    (void)why;
    memcpy(out, (const char *)part->data + offset, count);
    return 0;
}

/* "PREFIX/0.png".., a name in two lines, and one that two samples have. */
static void names_make(struct names *n, const char *prefix, uint32_t samples)
{
    struct uris train = {0}, test = {0};
    char path[300], name[64], sha256[SHA256_HEX], *bytes;
    struct errbuf why;

    for (uint32_t i = 0; i < samples; i++) {
        snprintf(name, sizeof(name), i == 7 ? "%s/7\n.png" : "%s/%u.png", prefix, i == 11 ? 10 : i);
        ASSERT_OK(uris_add(&train, name, &why), why);
    }
    snprintf(name, sizeof(name), "%s-test[0]", prefix);
    ASSERT_OK(uris_add(&test, name, &why), why);
    snprintf(path, sizeof(path), "%s/names", test_dir());
    ASSERT_OK(uris_write(path, FIXTURE_SHA, &train, &test, sha256, &why), why);
    ASSERT_OK(file_read(path, 1 << 24, &bytes, &n->part.bytes, &why), why);
    n->part.data = bytes;
    n->from = (struct file_source){n->part.bytes, memory_read, &n->part};
    ASSERT_OK(uris_open(&n->from, &n->file, &why), why);
    uris_done(&train);
    uris_done(&test);
}

static void names_done(struct names *n)
{
    uris_close(&n->file);
    free((void *)n->part.data);
}

static int show(struct store *s, const char *sha256, const struct names *n, struct errbuf *why)
{
    struct names_show at = {0};
    int rc;

    while ((rc = store_names_show(s, FIXTURE_SHA, sha256, &n->file, &at, why)) == 1)
        ;
    return rc;
}

static void put(struct store *s, const char *sha256, const char *old)
{
    char was[SHA256_HEX];
    struct errbuf why;

    ASSERT_OK(store_names_put(s, FIXTURE_SHA, sha256, was, &why), why);
    ASSERT_STR(old, was);
}

struct loaded {
    int count;
    char names[SHA256_HEX];
    bool shown;
};

static void keep(void *arg, const char *sha256, const char *names_sha256, bool shown)
{
    struct loaded *l = arg;

    ASSERT_STR(FIXTURE_SHA, sha256);
    snprintf(l->names, sizeof(l->names), "%s", names_sha256);
    l->shown = shown;
    l->count++;
}

static struct loaded load(struct store *s)
{
    struct loaded l = {0};
    struct errbuf why;

    ASSERT_OK(store_names_load(s, keep, &l, &why), why);
    return l;
}

TEST(names_fill_the_rows_and_go_with_the_data)
{
    struct store *s = fixture_open();
    struct names first, other;
    struct errbuf why;
    bool last;

    names_make(&first, "a", SAMPLES);
    names_make(&other, "b", SAMPLES);
    fixture_dataset(s, SAMPLES);
    ASSERT_EQ(0, load(s).count);
    put(s, FIRST_NAMES, "");
    ASSERT(!load(s).shown);
    ASSERT_OK(show(s, FIRST_NAMES, &first, &why), why);
    ASSERT(load(s).shown);
    ASSERT_SELECT("20000|a/0.png|a/19999.png\n",
                  "SELECT count(uri), (SELECT uri FROM sample WHERE sample_id = 0),"
                  " (SELECT uri FROM sample WHERE sample_id = 19999) FROM sample");
    ASSERT_SELECT("0|a-test[0]\n", "SELECT sample_id, uri FROM test_sample");
    ASSERT_SELECT(FIRST_NAMES "\n", "SELECT names_sha256 FROM dataset");
    put(s, OTHER_NAMES, FIRST_NAMES);
    ASSERT(!load(s).shown);
    ASSERT_OK(show(s, OTHER_NAMES, &other, &why), why);
    ASSERT_SELECT("20000\n", "SELECT count(*) FROM sample WHERE uri LIKE 'b/%'");
    ASSERT_SELECT("b-test[0]\n", "SELECT uri FROM test_sample");
    ASSERT_OK(store_dataset_remove(s, "digits", &last, &why), why);
    ASSERT_EQ(0, load(s).count);
    ASSERT_SELECT("0|0\n", "SELECT (SELECT count(*) FROM sample), count(*) FROM test_sample");
    store_close(s);
    names_done(&first);
    names_done(&other);
}

TEST(names_of_another_number_of_samples_are_refused)
{
    struct store *s = fixture_open();
    struct names n;
    struct errbuf why;

    names_make(&n, "a", 22);
    fixture_dataset(s, 23);
    ASSERT_EQ(-EINVAL, show(s, FIRST_NAMES, &n, &why));
    ASSERT_HAS("names for 22 training samples, but there are 23", why.text);
    ASSERT_SELECT("0\n", "SELECT count(uri) FROM sample");
    store_close(s);
    names_done(&n);
}

/* difficulty.db was lost: its rows come back with an import of the data, and the names after them.
 */
TEST(data_without_rows_has_no_names)
{
    struct store *s = fixture_open();
    struct names n;
    struct errbuf why;

    names_make(&n, "a", 23);
    ASSERT_EQ(-ENOENT, show(s, FIRST_NAMES, &n, &why));
    ASSERT_HAS("import the data again", why.text);
    fixture_dataset(s, 23);
    ASSERT_OK(show(s, FIRST_NAMES, &n, &why), why);
    ASSERT_SELECT("23\n", "SELECT count(uri) FROM sample");
    store_close(s);
    names_done(&n);
}

/* Killed while names are replaced: nobody ever reads some of each, and the rest follows. */
TEST(a_kill_while_names_are_replaced_leaves_no_mixture)
{
    struct names first, other;
    struct errbuf why;
    int status;

    names_make(&first, "a", SAMPLES);
    names_make(&other, "b", SAMPLES);
    struct store *s = fixture_open();
    fixture_dataset(s, SAMPLES);
    put(s, FIRST_NAMES, "");
    ASSERT_OK(show(s, FIRST_NAMES, &first, &why), why);
    store_close(s);
    /* Slices: two that clear, one of the test, two of names, one of the test; then a run to the
     * end. */
    for (int hit = 1; hit <= 6; hit++) {
        pid_t pid = fork();
        ASSERT(pid >= 0);
        if (pid == 0) {
            char failpoint[32];
            snprintf(failpoint, sizeof(failpoint), "names.slice:%d", hit);
            setenv("STEPPE_FAILPOINT", failpoint, 1);
            s = fixture_open();
            store_names_put(s, FIXTURE_SHA, OTHER_NAMES, (char[SHA256_HEX]){0}, NULL);
            show(s, OTHER_NAMES, &other, NULL);
            _exit(0);
        }
        ASSERT_EQ(pid, waitpid(pid, &status, 0));
        ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        s = fixture_open();
        struct loaded l = load(s);
        ASSERT_STR(OTHER_NAMES, l.names);
        ASSERT(!l.shown);
        char *kinds =
            fixture_select("difficulty.db", "SELECT count(DISTINCT substr(uri, 1, 1)) FROM sample");
        ASSERT(strcmp(kinds, "0\n") == 0 || strcmp(kinds, "1\n") == 0);
        free(kinds);
        /* Back, so that the next kill comes at another place. */
        if (hit < 6)
            ASSERT_OK(show(s, FIRST_NAMES, &first, &why), why);
        store_close(s);
    }
    s = fixture_open();
    ASSERT_OK(show(s, OTHER_NAMES, &other, &why), why);
    ASSERT(load(s).shown);
    ASSERT_SELECT(
        "20000|b-test[0]\n",
        "SELECT count(*), (SELECT uri FROM test_sample) FROM sample WHERE uri LIKE 'b/%'");
    store_close(s);
    names_done(&first);
    names_done(&other);
}

/* --- questions --- */

static int64_t find(struct query *q, const struct uri_of *of, const char *uri, const char *part)
{
    cJSON *out = NULL;
    struct errbuf why = {""};
    int64_t sample = -1;
    int rc = query_uri_find(q, of, &uri, 1, &out, &why);

    if (part) {
        ASSERT(rc < 0);
        ASSERT_HAS(part, why.text);
        return rc;
    }
    ASSERT_OK(rc, why);
    const cJSON *samples = cJSON_GetObjectItem(out, "samples");
    ASSERT_EQ(1, cJSON_GetArraySize(samples));
    sample = (int64_t)cJSON_GetArrayItem(samples, 0)->valuedouble;
    cJSON_Delete(out);
    return sample;
}

TEST(a_sample_is_found_by_its_name)
{
    struct store *s = fixture_open();
    const struct uri_of data = {.dataset = "digits", .sha256 = FIXTURE_SHA};
    struct uri_of job = {.job = fixture_job(s, 1)};
    struct query *q;
    struct names n;
    struct errbuf why;

    names_make(&n, "train/dog", 1000);
    fixture_dataset(s, 1000);
    job.job = fixture_job(s, 2);
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    find(q, &data, "train/dog/3.png", "the samples of dataset digits have no names");
    ASSERT_OK(show(s, FIRST_NAMES, &n, &why), why);
    ASSERT_EQ(3, find(q, &data, "train/dog/3.png", NULL));
    ASSERT_EQ(999, find(q, &job, "train/dog/999.png", NULL));
    ASSERT_EQ(7, find(q, &job, "train/dog/7\n.png", NULL));
    ASSERT_EQ(-EINVAL, find(q, &job, "train/dog/10.png",
                            "several samples of job 2 are called \"train/dog/10.png\": 10, 11;"
                            " give the number"));
    /* With too many folders, with too few, misspelt, quite another. */
    ASSERT_EQ(-ENOENT, find(q, &job, "/else/train/dog/3.png",
                            "job 2 has no sample called \"/else/train/dog/3.png\"; did you mean "
                            "\"train/dog/3.png\"?"));
    find(q, &job, "3.png", "did you mean \"train/dog/3.png\"?");
    find(q, &job, "dog/3.png", "did you mean \"train/dog/3.png\"?");
    find(q, &job, "train/dog/3.jpg", "did you mean \"train/dog/3");
    find(q, &job, "train/dog/7\n.pnh", "called \"train/dog/7?.pnh\"; did you mean \"train/dog/7");
    ASSERT_EQ(-ENOENT, find(q, &job, "zebra", "job 2 has no sample called \"zebra\""));
    const struct uri_of test = {.job = job.job, .test = true};
    ASSERT_EQ(0, find(q, &test, "train/dog-test[0]", NULL));
    find(q, &test, "train/dog/3.png", "has no test sample called");
    query_close(q);
    store_close(s);
    names_done(&n);
}

TEST(names_come_page_by_page)
{
    struct store *s = fixture_open();
    const struct uri_of data = {.dataset = "digits", .sha256 = FIXTURE_SHA};
    struct uri_rows r;
    struct query *q;
    struct names n;
    struct errbuf why;

    names_make(&n, "a", 100);
    fixture_dataset(s, 100);
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    ASSERT_OK(query_uris(q, &data, 90, 20, &r, &why), why);
    ASSERT_EQ(10, r.count); /* without names */
    ASSERT_EQ(0, r.ends[9]);
    uri_rows_done(&r);
    ASSERT_OK(show(s, FIRST_NAMES, &n, &why), why);
    ASSERT_OK(query_uris(q, &data, 98, 20, &r, &why), why);
    ASSERT_EQ(100, r.total);
    ASSERT_EQ(2, r.count);
    ASSERT_EQ(8, r.ends[0]);
    ASSERT_EQ(16, r.ends[1]);
    ASSERT(memcmp(r.bytes, "a/98.pnga/99.png", 16) == 0);
    uri_rows_done(&r);
    query_close(q);
    store_close(s);
    names_done(&n);
}
