#include <sys/stat.h>
#include <unistd.h>

#include "common/safetensors.h"
#include "server/core/split.h"
#include "server/store/checkpoint.h"
#include "tests/unit/server/run_fixture.h"

static const struct drive plain = {.seed = 1, .want_max = 4};
#define ADAM_JOB ", \"optimizer\": {\"name\": \"adamw\", \"schedule\": \"step\", \"clip\": 0.5}"
#define FSAM_JOB ADAM_JOB ", \"sam\": {\"name\": \"fsam\"}"
#define BEST_JOB SWEEP_JOB ", \"validation\": {\"share\": 0.25}, \"keep\": \"best\""
#define AVERAGE ", \"average\": {\"from\": 0.5}"
#define AVERAGE_JOB SWEEP_JOB AVERAGE
static const char *const jobs[] = {SWEEP_JOB,      TRAIN_JOB, ADAM_JOB,    SWEEP_JOB,
                                   FORGETTING_JOB, FSAM_JOB,  AVERAGE_JOB, FSAM_JOB AVERAGE};
static const char *const middles[] = {"relu", "relu",      "relu", "batchnorm",
                                      "relu", "batchnorm", "relu", "batchnorm"};

static struct checkpoint_shape shape_of(const struct fixture *f)
{
    return (struct checkpoint_shape){.floats = f->model.floats,
                                     .samples = SAMPLES,
                                     .vectors = run_vectors(&f->spec),
                                     .lapses = curriculum_counts_lapses(&f->spec),
                                     .scores = f->spec.score_source == SOURCE_TRAIN,
                                     .chosen = f->spec.keep == KEEP_BEST};
}

/* A run that has closed `rounds` rounds; what it left behind is in o. */
static struct run *run_to(const struct fixture *f, int rounds, struct outcome *o)
{
    struct run *r = fixture_run(f, 1);
    struct run_epoch e;

    sha256_init(&o->epochs);
    ASSERT_EQ(0, run_start(r, 0));
    while (rounds-- > 0)
        if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
            outcome_add(o, &e);
    return r;
}

/* Takes, writes, frees and reads it again. */
static struct checkpoint *through_file(struct run *r, const struct fixture *f)
{
    const char *path = test_path("c.safetensors");
    const struct checkpoint_shape shape = shape_of(f);
    struct checkpoint *c = checkpoint_take(r, 0), *read;
    char sha256[SHA256_HEX];
    struct errbuf why;

    ASSERT(c);
    ASSERT_OK(checkpoint_write(c, path, NULL, sha256, &why), why);
    checkpoint_free(c);
    ASSERT_OK(checkpoint_read(path, sha256, &shape, NULL, &read, &why), why);
    return read;
}

static int rounds_of(const struct fixture *f)
{
    struct run *r = fixture_run(f, 1);
    struct run_epoch e;
    int rounds = 0;

    ASSERT_EQ(0, run_start(r, 0));
    for (; !run_finished(r); rounds++)
        if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
            run_epoch_done(&e);
    run_free(r);
    return rounds;
}

TEST(a_run_goes_on_from_any_round_to_the_same_bits)
{
    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        struct fixture *f = fixture_with(middles[j], jobs[j]);
        const struct outcome want = drive(f, &plain);
        int rounds = rounds_of(f);

        ASSERT(rounds > EPOCHS * (STEPS + 1));
        for (int at = 0; at <= rounds; at++) {
            struct outcome got;
            struct run *before = run_to(f, at, &got), *after = fixture_run(f, 2);
            struct checkpoint *c = through_file(before, f);

            checkpoint_restore(c, after);
            run_free(before);
            checkpoint_free(c);
            ASSERT_EQ(0, run_start(after, 0));
            ASSERT_EQ(at == rounds, run_finished(after));
            drive_on(after, f, &plain, &got);
            ASSERT_STR(want.theta_sha256, got.theta_sha256);
            ASSERT_STR(want.epochs_sha256, got.epochs_sha256);
            run_free(after);
        }
        fixture_free(f);
    }
}

TEST(the_file_names_the_vectors_of_the_optimizer)
{
    static const struct {
        const char *job, *has[2], *lacks;
    } cases[] = {
        {SWEEP_JOB, {"velocity", "theta"}, "m"},
        {ADAM_JOB, {"m", "v"}, "velocity"},
        {ADAM_JOB, {"m", "v"}, "ascent_mean"},
        {FSAM_JOB, {"v", "ascent_mean"}, "velocity"},
        {FSAM_JOB AVERAGE, {"average", "ascent_mean"}, "velocity"},
        {AVERAGE_JOB, {"velocity", "average"}, "ascent_mean"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_create(cases[i].job);
        struct outcome o;
        struct run *r = run_to(f, 1, &o);
        struct safetensors st;
        struct errbuf why;

        checkpoint_free(through_file(r, f));
        ASSERT_OK(safetensors_open(test_path("c.safetensors"), &st, &why), why);
        ASSERT(safetensors_find(&st, cases[i].has[0]) && safetensors_find(&st, cases[i].has[1]));
        ASSERT(!safetensors_find(&st, cases[i].lacks));
        safetensors_close(&st);
        run_free(r);
        fixture_free(f);
    }
}

TEST(a_checkpoint_is_a_copy_that_the_run_leaves_behind)
{
    struct fixture *f = fixture_create(TRAIN_JOB);
    struct outcome want, got, thrown;
    struct run *r = run_to(f, STEPS + 3, &want), *again = fixture_run(f, 2);
    struct checkpoint *c = checkpoint_take(r, 0);

    got = want;
    thrown = want;
    drive_on(r, f, &plain, &want);
    checkpoint_restore(c, again);
    /* Restoring copies as well: two runs start from one checkpoint. */
    struct run *third = fixture_run(f, 3);
    ASSERT_EQ(0, run_start(again, 0));
    drive_on(again, f, &plain, &got);
    checkpoint_restore(c, third);
    ASSERT_EQ(0, run_start(third, 0));
    drive_on(third, f, &plain, &thrown);
    ASSERT_STR(want.theta_sha256, got.theta_sha256);
    ASSERT_STR(want.epochs_sha256, got.epochs_sha256);
    ASSERT_STR(want.theta_sha256, thrown.theta_sha256);
    ASSERT_STR(want.epochs_sha256, thrown.epochs_sha256);
    checkpoint_free(c);
    run_free(third);
    run_free(again);
    run_free(r);
    fixture_free(f);
}

TEST(it_says_where_it_is_and_which_model_it_holds)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct outcome o;
    struct run *r = run_to(f, STEPS + 2 + 1, &o); /* an epoch with its sweep and test, one step */
    struct checkpoint *c = through_file(r, f);
    char hash[SHA256_HEX], want[SHA256_HEX];
    int64_t epochs;

    ASSERT_EQ(1, checkpoint_epoch(c));
    ASSERT_EQ(STEPS + 1, checkpoint_step(c));
    checkpoint_model_hash(c, hash);
    sha256_hex_of(run_theta(r), f->model.floats * sizeof(float), want);
    ASSERT_STR(want, hash);
    ASSERT_MEM(run_theta(r), checkpoint_model(c, &epochs), f->model.floats * sizeof(float));
    ASSERT_EQ(1, epochs);
    checkpoint_free(c);
    run_free(r);
    fixture_free(f);
}

/* Whatever it is that goes on: the chosen epoch and its model are those of an undisturbed run. */
TEST(the_best_model_is_kept_from_round_to_round)
{
    struct fixture *f = fixture_create(BEST_JOB);
    uint8_t use[SAMPLES];
    struct outcome o;
    int64_t want_epochs, epochs;
    size_t bytes = f->model.floats * sizeof(float);
    float *piece = xmalloc(bytes);

    for (uint32_t i = 0; i < SAMPLES; i++)
        use[i] = i % 4 == 1 ? USE_VALIDATION : USE_TRAIN;
    f->in.use = use;
    int rounds = rounds_of(f);
    struct run *whole = run_to(f, rounds, &o);
    const float *want = run_model(whole, &want_epochs);
    ASSERT(want != run_theta(whole) && want_epochs >= 1);
    for (int at = 0; at <= rounds; at += 3) {
        struct run *before = run_to(f, at, &o), *after = fixture_run(f, 2);
        struct checkpoint *c = through_file(before, f);
        const struct checkpoint_shape shape = shape_of(f);
        struct errbuf why;
        int64_t had;

        const float *model = run_model(before, &had);
        ASSERT_MEM(model, checkpoint_model(c, &epochs), bytes);
        ASSERT_EQ(had, epochs);
        ASSERT_OK(checkpoint_read_model(test_path("c.safetensors"), &shape, 0, bytes, piece, &why),
                  why);
        ASSERT_MEM(model, piece, bytes);
        checkpoint_restore(c, after);
        ASSERT_EQ(0, run_start(after, 0));
        drive_on(after, f, &plain, &o);
        ASSERT_MEM(want, run_model(after, &epochs), bytes);
        ASSERT_EQ(want_epochs, epochs);
        checkpoint_free(c);
        run_free(before);
        run_free(after);
    }
    free(piece);
    run_free(whole);
    fixture_free(f);
}

TEST(the_time_of_an_open_epoch_is_kept)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct run *r = fixture_run(f, 1), *after = fixture_run(f, 2);

    ASSERT_EQ(0, run_start(r, 1000));
    struct checkpoint *c = checkpoint_take(r, 3500);
    checkpoint_restore(c, after);
    ASSERT_EQ(0, run_start(after, 100000));
    ASSERT_NEAR(2.5 + 1, run_cursor(after, 101000).seconds, 1e-9);
    checkpoint_free(c);
    run_free(after);
    run_free(r);
    fixture_free(f);
}

/* A checkpoint file of the first steps and its hash. */
static void write_one(const struct fixture *f, const char *path, char sha256[SHA256_HEX])
{
    struct outcome o;
    struct run *r = run_to(f, 2, &o);
    struct checkpoint *c = checkpoint_take(r, 0);
    struct errbuf why;

    ASSERT_OK(checkpoint_write(c, path, NULL, sha256, &why), why);
    checkpoint_free(c);
    run_free(r);
}

static void refused(const char *path, const char *sha256, const struct checkpoint_shape *shape,
                    int want, const char *part)
{
    struct checkpoint *untouched = (void *)path, *c = untouched;
    struct errbuf why = {""};

    ASSERT_EQ(want, checkpoint_read(path, sha256, shape, NULL, &c, &why));
    ASSERT(c == untouched);
    ASSERT_HAS(path, why.text);
    ASSERT_HAS(part, why.text);
}

#define RESHAPED(f, n)                                                                             \
    (&(struct checkpoint_shape){.floats = (f), .samples = (n), .vectors = shape.vectors})

TEST(a_file_of_another_hash_or_size_is_refused)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const char *path = test_path("c.safetensors");
    struct fixture *adam = fixture_create(ADAM_JOB);
    const struct checkpoint_shape shape = shape_of(f), other_rule = shape_of(adam);
    char sha256[SHA256_HEX], other[SHA256_HEX];

    write_one(f, path, sha256);
    memcpy(other, sha256, sizeof(other));
    other[63] = other[63] == '0' ? '1' : '0';
    refused(path, other, &shape, -EUCLEAN, "is damaged: its SHA-256 is not the recorded one");
    refused(path, "", &shape, -EUCLEAN, "is damaged");
    refused(path, sha256, RESHAPED(shape.floats + 16, SAMPLES), -EUCLEAN, "tensor theta has ");
    refused(path, sha256, RESHAPED(shape.floats - 16, SAMPLES), -EUCLEAN, "tensor theta has ");
    refused(path, sha256, RESHAPED(shape.floats, SAMPLES + 1), -EUCLEAN,
            "tensor rank has 37 rows, expected 38");
    refused(path, sha256, RESHAPED(shape.floats, SAMPLES - 1), -EUCLEAN,
            "tensor rank has 37 rows, expected 36");
    refused(test_path("none"), sha256, &shape, -ENOENT, "");
    refused(path, sha256, &other_rule, -EUCLEAN, "tensor \"m\" is missing");
    fixture_free(f);
    fixture_free(adam);
}

TEST(a_file_carries_what_belongs_to_the_weights)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const char *path = test_path("c.safetensors");
    struct checkpoint_shape shape = shape_of(f);
    char sha256[SHA256_HEX], list[SCALING_LIST_BYTES];
    struct checkpoint *c;
    struct safetensors st;
    struct errbuf why;

    f->data.class_names_json = "[\"cat\",\"dog\"]";
    write_one(f, path, sha256);
    ASSERT_OK(safetensors_open(path, &st, &why), why);
    ASSERT_STR(scaling_list(f->model.mean, f->model.in.c, list), safetensors_meta_get(&st, "mean"));
    ASSERT_STR(scaling_list(f->model.std, f->model.in.c, list), safetensors_meta_get(&st, "std"));
    safetensors_close(&st);
    shape.scaling = scaling_of_model(&f->model);
    ASSERT_OK(checkpoint_read(path, sha256, &shape, NULL, &c, &why), why);
    ASSERT_STR("[\"cat\",\"dog\"]", checkpoint_class_names(c));
    checkpoint_free(c);
    shape.scaling.std[0] *= 2;
    refused(path, sha256, &shape, -EUCLEAN, "the job's is \"");
    f->data.class_names_json = NULL;
    fixture_free(f);
}

TEST(the_file_has_lapses_where_the_measure_needs_them)
{
    static const char *const of[] = {SWEEP_JOB, FORGETTING_JOB};

    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_create(of[i]);
        const struct checkpoint_shape shape = shape_of(f);
        struct checkpoint_shape other = shape;
        char sha256[SHA256_HEX];
        struct safetensors st;
        struct errbuf why;

        write_one(f, test_path("c.safetensors"), sha256);
        ASSERT_OK(safetensors_open(test_path("c.safetensors"), &st, &why), why);
        ASSERT_EQ(i == 1, safetensors_find(&st, "lapses") != NULL);
        safetensors_close(&st);
        other.lapses = !other.lapses;
        ASSERT(checkpoint_memory(&shape) != checkpoint_memory(&other));
        if (i == 0)
            refused(test_path("c.safetensors"), sha256, &other, -EUCLEAN,
                    "tensor \"lapses\" is missing");
        fixture_free(f);
    }
}

static void hash_of(const char *path, char hex[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];
    struct errbuf why;

    ASSERT_OK(sha256_file(path, digest, &why), why);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

TEST(a_file_that_is_cut_short_is_refused_whatever_its_hash)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const struct checkpoint_shape shape = shape_of(f);
    const char *path = test_path("c.safetensors");
    char sha256[SHA256_HEX], now[SHA256_HEX];
    struct stat st;

    write_one(f, path, sha256);
    ASSERT_EQ(0, stat(path, &st));
    for (off_t bytes = st.st_size - 1; bytes > 0; bytes = bytes * 3 / 4) {
        ASSERT_EQ(0, truncate(path, bytes));
        refused(path, sha256, &shape, -EUCLEAN, "is damaged");
        hash_of(path, now);
        refused(path, now, &shape, -EUCLEAN, "");
    }
    ASSERT_EQ(0, truncate(path, 0));
    hash_of(path, now);
    refused(path, now, &shape, -EUCLEAN, "");
    fixture_free(f);
}

TEST(a_byte_that_flipped_is_found)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const struct checkpoint_shape shape = shape_of(f);
    const char *path = test_path("c.safetensors");
    char sha256[SHA256_HEX];
    struct stat st;

    write_one(f, path, sha256);
    ASSERT_EQ(0, stat(path, &st));
    for (long at = 0; at < st.st_size; at += 97) {
        FILE *file = fopen(path, "r+b");
        ASSERT_EQ(0, fseek(file, at, SEEK_SET));
        int byte = fgetc(file);
        ASSERT_EQ(0, fseek(file, at, SEEK_SET));
        fputc(byte ^ 1, file);
        ASSERT_EQ(0, fclose(file));
        refused(path, sha256, &shape, -EUCLEAN, "is damaged");
        file = fopen(path, "r+b");
        ASSERT_EQ(0, fseek(file, at, SEEK_SET));
        fputc(byte, file);
        ASSERT_EQ(0, fclose(file));
    }
    fixture_free(f);
}

/* Where the cursor lies in a checkpoint. */
static long cursor_offset(const char *path)
{
    struct safetensors st;
    struct errbuf why;

    ASSERT_OK(safetensors_open(path, &st, &why), why);
    long at = (long)((const char *)safetensors_find(&st, "cursor")->data - (const char *)st.map);
    safetensors_close(&st);
    return at;
}

TEST(a_cursor_that_is_none_is_refused_whatever_its_hash)
{
    static const struct {
        long entry;
        double value;
        const char *sentence;
    } cases[] = {
        {0, -1, "epoch is -1, allowed is 0 to 100000"},
        {0, 1e300, "epoch is 1e+300"},
        {0, NAN, "epoch is nan"},
        {1, NAN, "step is nan"},
        {1, 0x1p60, "step is 1.15292e+18"},
        {2, 0x1p32, "step_in_epoch is 4.29497e+09"},
    };
    struct fixture *f = fixture_create(SWEEP_JOB);
    const struct checkpoint_shape shape = shape_of(f);
    const char *path = test_path("c.safetensors");
    char sha256[SHA256_HEX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_one(f, path, sha256);
        FILE *file = fopen(path, "r+b");
        ASSERT_EQ(0, fseek(file, cursor_offset(path) + 8 * cases[i].entry, SEEK_SET));
        ASSERT_EQ(1, fwrite(&cases[i].value, 8, 1, file));
        ASSERT_EQ(0, fclose(file));
        hash_of(path, sha256);
        refused(path, sha256, &shape, -EUCLEAN, cases[i].sentence);
    }
    fixture_free(f);
}

TEST(a_file_of_another_format_is_refused)
{
    static const struct {
        const char *format, *sentence;
        int rc;
    } cases[] = {
        {"pt", "format is \"pt\", expected \"steppe-checkpoint-1\"", -EUCLEAN},
        {"steppe-checkpoint-0", "format is \"steppe-checkpoint-0\", expected", -EUCLEAN},
        {"steppe-checkpoint-2",
         "a newer Steppe wrote it (its format is \"steppe-checkpoint-2\", this one knows "
         "\"steppe-checkpoint-1\"); it was not touched",
         -ENOTSUP},
    };
    struct fixture *f = fixture_create(SWEEP_JOB);
    const char *path = test_path("model.safetensors");
    const struct checkpoint_shape shape = shape_of(f);
    const uint64_t floats = f->model.floats;
    float *theta = xcalloc(f->model.floats, sizeof(*theta));
    const struct tensor t = tensor_make("theta", DTYPE_F32, 1, &floats, theta);
    char now[SHA256_HEX];
    struct errbuf why;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct safetensors_meta meta[] = {{"format", cases[i].format}};

        ASSERT_OK(safetensors_write(path, &t, 1, meta, 1, &why), why);
        hash_of(path, now);
        refused(path, now, &shape, cases[i].rc, cases[i].sentence);
        ASSERT_EQ(cases[i].rc, checkpoint_read_model(path, &shape, 0, 4, theta, &why));
        ASSERT_HAS(cases[i].sentence, why.text);
    }
    free(theta);
    fixture_free(f);
}

TEST(a_write_that_fails_leaves_what_was_there)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const struct checkpoint_shape shape = shape_of(f);
    static const _Atomic bool stop = true;
    char sha256[SHA256_HEX], again[SHA256_HEX] = "unwritten";
    struct outcome o;
    struct run *r = run_to(f, 1, &o);
    struct checkpoint *c = checkpoint_take(r, 0), *read;
    struct errbuf why = {""};

    ASSERT(checkpoint_write(c, test_path("none/c.safetensors"), NULL, again, &why) < 0);
    ASSERT_HAS("none", why.text);
    ASSERT_STR("unwritten", again);
    ASSERT(access(test_path("none"), F_OK) < 0);
    /* Twice the same state: the same bytes in the place of the first. */
    ASSERT_OK(checkpoint_write(c, test_path("c.safetensors"), NULL, sha256, &why), why);
    ASSERT_OK(checkpoint_write(c, test_path("c.safetensors"), NULL, again, &why), why);
    ASSERT_STR(sha256, again);
    /* The server stops: neither is done, and the file stays. */
    ASSERT_EQ(-ESHUTDOWN, checkpoint_write(c, test_path("c.safetensors"), &stop, sha256, &why));
    ASSERT_HAS("stopping", why.text);
    ASSERT_EQ(-ESHUTDOWN,
              checkpoint_read(test_path("c.safetensors"), again, &shape, &stop, &read, &why));
    ASSERT_OK(checkpoint_read(test_path("c.safetensors"), again, &shape, NULL, &read, &why), why);
    checkpoint_free(read);
    checkpoint_free(c);
    run_free(r);
    fixture_free(f);
}
