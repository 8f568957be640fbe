/* How far a list of suspects can be trusted. The formulas are in deploy/docs/MATH.md. */
#include "server/query/query_trust.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"

/* Below half of the way from guessing to knowing all labels, what a model finds odd is mostly what
 * it has not learnt. */
#define LITTLE_LEARNT 0.5
/* Labels known by heart: nearly all, or this much more than of samples that were held out. */
#define BY_HEART 0.99
#define BY_HEART_LEAD 0.1
#define SUREST 8       /* one in so many predictions */
#define SURE_MAX 1e-12 /* nothing is surer than 1 less this: there a double ends */
/* Two counts of wrong labels that are so far apart, the larger one is mostly another thing. */
#define APART_TIMES 2
#define APART_SHARE 0.01 /* of all labels */
#define WARNING_BYTES 400

static bool is_known(const struct query_epoch *x, size_t i)
{
    return x->labels[i] < CLASSES_MAX && x->scores[i].predicted >= 0 &&
           x->scores[i].predicted < CLASSES_MAX;
}

void label_noise(const struct query_epoch *x, struct label_noise *ret)
{
    for (int c = 0; c < CLASSES_MAX; c++)
        ret[c] = (struct label_noise){0};
    for (size_t i = 0; i < x->count; i++)
        if (is_known(x, i)) {
            ret[x->labels[i]].samples++;
            ret[x->labels[i]].confidence += exp(-x->scores[i].loss);
        }
    for (int c = 0; c < CLASSES_MAX; c++)
        if (ret[c].samples)
            ret[c].confidence /= ret[c].samples;
    for (size_t i = 0; i < x->count; i++) {
        if (!is_known(x, i))
            continue;
        const struct score *s = &x->scores[i];
        struct label_noise *own = &ret[x->labels[i]];
        const struct label_noise *taken = &ret[s->predicted];
        /* A class that no sample is labelled as has no threshold. */
        const bool other =
            taken != own && taken->samples && score_rival(s->loss, s->el2n) >= taken->confidence;
        const bool agrees = !other && exp(-s->loss) >= own->confidence;
        own->counted += other || agrees;
        own->agree += agrees;
    }
    for (int c = 0; c < CLASSES_MAX; c++)
        if (ret[c].counted)
            ret[c].expected = ret[c].samples * (1 - (double)ret[c].agree / ret[c].counted);
}

/* The largest probability of a sample; below all others if it is not known. */
static double sureness(const struct query_epoch *x, size_t i)
{
    const struct score *s = &x->scores[i];

    if (!is_known(x, i))
        return -1;
    const double p = s->predicted == x->labels[i] ? exp(-s->loss) : score_rival(s->loss, s->el2n);
    return fmin(p, 1 - SURE_MAX);
}

int query_surest(const struct query_epoch *x, struct surest *ret, struct errbuf *why)
{
    double *sure = alloc_bytes(x->count, sizeof(*sure));
    uint32_t *order;
    size_t n;

    *ret = (struct surest){0};
    if (!sure)
        return err_set(why, -ENOMEM, "out of memory for %zu samples", x->count);
    for (size_t i = 0; i < x->count; i++) {
        sure[i] = sureness(x, i);
        ret->of += sure[i] >= 0;
    }
    const uint32_t eighth = (ret->of + SUREST - 1) / SUREST;
    int rc = query_order(sure, x->count, eighth, &order, &n, why);
    if (rc == 0) {
        for (uint32_t k = 0; k < ret->of && k < n; k++) {
            const uint32_t i = order[k];
            if (k >= eighth && sure[i] < sure[order[eighth - 1]])
                break;
            ret->samples++;
            ret->other += x->scores[i].predicted != x->labels[i];
        }
        for (uint32_t k = 0; k < ret->samples / 2; k++)
            ret->first += x->scores[order[k]].predicted != x->labels[order[k]];
    }
    free(order);
    free(sure);
    if (ret->samples) {
        const double each = (double)ret->of / ret->samples;
        const double error = sqrt(ret->other);
        ret->wrong = each * ret->other;
        ret->least = each * fmax(ret->other - 2 * error, 0);
        ret->most = fmin(each * (ret->other + 2 * error), ret->of);
        ret->fewer = ret->other - 2.0 * ret->first > 2 * error;
    }
    return rc;
}

/* Of the labels that the models have trained on, or of those that they have not. */
struct knowing {
    uint32_t samples, right;
    double accuracy;
    double guess; /* accuracy of always naming the largest class */
    uint16_t largest;
};

static struct knowing count_right(const struct query_epoch *x, bool unseen,
                                  const struct label_noise *classes)
{
    struct knowing k = {0};
    uint32_t all = 0;

    for (size_t i = 0; i < x->count; i++) {
        if (!is_known(x, i) || (!unseen && (x->scores[i].flags & SCORE_LEFT_OUT)))
            continue;
        k.samples++;
        k.right += x->scores[i].predicted == x->labels[i];
    }
    for (uint16_t c = 0; c < CLASSES_MAX; c++) {
        all += classes[c].samples;
        if (classes[c].samples > classes[k.largest].samples)
            k.largest = c;
    }
    k.accuracy = k.samples ? (double)k.right / k.samples : 0;
    k.guess = all ? (double)classes[k.largest].samples / all : 0;
    return k;
}

static void add_warning(cJSON *warnings, const char *text)
{
    cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
}

/* The columns of unseen_of, of epoch e and its job j. */
#define UNSEEN                                                                                     \
    "e.validation_accuracy, e.test_accuracy, instr(j.config_json, '\"engine\":\"external\"')"

static struct unseen_accuracy unseen_of(sqlite3_stmt *stmt, int first)
{
    return (struct unseen_accuracy){.validation = db_real(stmt, first),
                                    .test = db_real(stmt, first + 1),
                                    .external = sqlite3_column_int(stmt, first + 2) > 0};
}

int query_unseen_accuracy(struct query *q, const struct query_epoch *x, struct unseen_accuracy *ret,
                          struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT " UNSEEN " FROM epoch e, job j"
                      " WHERE e.job_id = ?1 AND e.epoch = ?2 AND j.job_id = e.job_id",
                      DB_ARGS(DB_I(x->job), DB_I(x->epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&q->difficulty, stmt, why);
    *ret = rc > 0 ? unseen_of(stmt, 0) : (struct unseen_accuracy){NAN, NAN, false};
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

/* NAN: nothing was held out. The test, which may be of another kind, counts where nothing
 * validates. */
static double unseen(const struct unseen_accuracy *other)
{
    return isnan(other->validation) ? other->test : other->validation;
}

/* By how much the model knows more of the labels that it was trained on than of others, or NAN. */
static double lead(double accuracy, const struct unseen_accuracy *other)
{
    return accuracy - unseen(other);
}

/* Its surest predictions are then the labels that it was given. */
static bool knows_by_heart(double accuracy, const struct unseen_accuracy *other)
{
    return other && (accuracy >= BY_HEART || lead(accuracy, other) > BY_HEART_LEAD);
}

static bool says_lead(double accuracy, const struct unseen_accuracy *other,
                      char text[WARNING_BYTES])
{
    char own[TEXT_F64_BYTES], others[TEXT_F64_BYTES];

    if (!(lead(accuracy, other) > BY_HEART_LEAD))
        return false;
    snprintf(text, WARNING_BYTES,
             "the model is right on %s of the labels that it was trained on and on %s of "
             "those %s: it knows some by heart, wrong ones too",
             text_of_share(accuracy, own), text_of_share(unseen(other), others),
             isnan(other->validation) ? "of the test (nothing validates)" : "held out to validate");
    return true;
}

static void add_advice(char text[WARNING_BYTES], int64_t job, const struct unseen_accuracy *other)
{
    const size_t used = strlen(text);

    if (other->external)
        snprintf(text + used, WARNING_BYTES - used,
                 "; report what models say that have not seen them (cross-validation)");
    else
        snprintf(text + used, WARNING_BYTES - used,
                 "; steppe suspects %lld --out-of-sample 5 asks models that have not seen them",
                 (long long)job);
}

/* What the confident joint counts beyond the surest predictions is mostly what was not learnt. */
static void add_surest(const struct surest *s, double expected, cJSON *out, cJSON *warnings)
{
    char text[WARNING_BYTES];

    cJSON_AddNumberToObject(out, "surest", s->wrong);
    cJSON_AddNumberToObject(out, "least", fmin(s->least, expected));
    cJSON_AddNumberToObject(out, "most", fmax(s->most, expected));
    if (s->fewer) {
        snprintf(text, sizeof(text),
                 "of the %u surest predictions the surer half contradicts %u labels and the other "
                 "half %u: what is not learnt is in both numbers, and they are too high",
                 s->samples, s->first, s->other - s->first);
        add_warning(warnings, text);
    }
    if (expected <= APART_TIMES * s->wrong || expected - s->wrong <= APART_SHARE * s->of)
        return;
    snprintf(text, sizeof(text),
             "most of the %.0f may be right labels that are not learnt: %u of the %u surest "
             "predictions contradict their label, and at that rate %.0f of %u are wrong",
             expected, s->other, s->samples, s->wrong, s->of);
    add_warning(warnings, text);
}

static void add_warnings(const struct knowing *k, const struct unseen_accuracy *other, int64_t job,
                         cJSON *warnings)
{
    char text[WARNING_BYTES], share[TEXT_F64_BYTES], guess[TEXT_F64_BYTES];

    if (k->accuracy - k->guess < LITTLE_LEARNT * (1 - k->guess)) {
        snprintf(text, sizeof(text),
                 "the model is right on %s of the labels, and always naming the largest class "
                 "would be on %s: a model that has learnt little says little about labels",
                 text_of_share(k->accuracy, share), text_of_share(k->guess, guess));
        add_warning(warnings, text);
    }
    if (!knows_by_heart(k->accuracy, other))
        return;
    if (!says_lead(k->accuracy, other, text))
        snprintf(text, sizeof(text), "the model knows %s of the labels by heart, wrong ones too",
                 text_of_share(k->accuracy, share));
    add_advice(text, job, other);
    add_warning(warnings, text);
}

/* train_accuracy, of the steps of the epoch, with what augmentation made of the pictures. */
static int last_figures(struct query *q, int64_t job, double *ret_train,
                        struct unseen_accuracy *ret, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT e.train_accuracy, " UNSEEN " FROM epoch e, job j"
                      " WHERE e.job_id = ?1 AND e.state = 'committed' AND j.job_id = e.job_id"
                      " ORDER BY e.epoch DESC LIMIT 1",
                      DB_ARGS(DB_I(job)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&q->difficulty, stmt, why);
    if (rc > 0) {
        *ret_train = db_real(stmt, 0);
        *ret = unseen_of(stmt, 1);
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int query_note_by_heart(struct query *q, int64_t job, cJSON *notes, struct errbuf *why)
{
    struct unseen_accuracy other = {NAN, NAN, false};
    double train = NAN;
    char text[WARNING_BYTES];
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = last_figures(q, job, &train, &other, why);
    if (rc == 0 && says_lead(train, &other, text)) {
        add_advice(text, job, &other);
        add_warning(notes, text);
    }
    return query_end(&q->difficulty, rc, NULL, NULL);
}

/* Marks the classes of which a reply has room: those with the largest expected. -ENOMEM. */
static int mark_listed(const struct label_noise *classes, bool *listed, struct errbuf *why)
{
    double *expected = alloc_bytes(CLASSES_MAX, sizeof(*expected));
    uint32_t *order = NULL;
    size_t count = 0;

    if (!expected)
        return err_set(why, -ENOMEM, "out of memory for the classes");
    for (int c = 0; c < CLASSES_MAX; c++)
        expected[c] = classes[c].samples ? classes[c].expected : NAN;
    int rc = query_order(expected, CLASSES_MAX, CLASS_ROWS_MAX, &order, &count, why);
    for (size_t i = 0; rc == 0 && i < count && i < CLASS_ROWS_MAX; i++)
        listed[order[i]] = !isnan(expected[order[i]]);
    free(order);
    free(expected);
    return rc;
}

static int add_classes(struct query *q, const struct query_epoch *x,
                       const struct label_noise *classes, cJSON *out, struct errbuf *why)
{
    cJSON *rows = cJSON_AddArrayToObject(out, "classes");
    bool *listed = xcalloc(CLASSES_MAX, sizeof(*listed));
    uint32_t left = 0;
    int rc = mark_listed(classes, listed, why);

    for (uint16_t c = 0; rc == 0 && c < CLASSES_MAX; c++) {
        left += classes[c].samples && !listed[c];
        if (!listed[c])
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(rows, row);
        cJSON_AddNumberToObject(row, "class", c);
        query_add_class_name(q, x->dataset, c, "name", row);
        cJSON_AddNumberToObject(row, "samples", classes[c].samples);
        cJSON_AddNumberToObject(row, "counted", classes[c].counted);
        cJSON_AddNumberToObject(row, "expected", classes[c].expected);
    }
    if (left)
        cJSON_AddNumberToObject(out, "classes_left", left);
    free(listed);
    return rc;
}

int query_add_worth(struct query *q, const struct query_epoch *x,
                    const struct unseen_accuracy *other, cJSON *out, struct errbuf *why)
{
    struct label_noise *classes = alloc_bytes(CLASSES_MAX, sizeof(*classes));
    struct surest surest;
    double expected = 0;
    uint32_t samples = 0, counted = 0;

    if (!classes)
        return err_set(why, -ENOMEM, "out of memory for the classes");
    label_noise(x, classes);
    for (int c = 0; c < CLASSES_MAX; c++) {
        samples += classes[c].samples;
        counted += classes[c].counted;
        expected += classes[c].expected;
    }
    const struct knowing k = count_right(x, !other, classes);
    const bool by_heart = knows_by_heart(k.accuracy, other);
    int rc = samples > 0 && !by_heart ? query_surest(x, &surest, why) : 0;
    if (rc == 0 && samples > 0) {
        cJSON *worth = cJSON_AddObjectToObject(out, "worth");
        cJSON_AddBoolToObject(worth, "out_of_sample", !other);
        cJSON_AddNumberToObject(worth, "accuracy", k.accuracy);
        if (other && !isnan(other->validation))
            cJSON_AddNumberToObject(worth, "validation_accuracy", other->validation);
        else if (other && !isnan(other->test))
            cJSON_AddNumberToObject(worth, "test_accuracy", other->test);
        cJSON_AddNumberToObject(worth, "guess_accuracy", k.guess);
        cJSON_AddNumberToObject(worth, "samples", samples);
        cJSON_AddNumberToObject(worth, "counted", counted);
        cJSON_AddNumberToObject(worth, "expected", expected);
        cJSON *warnings = cJSON_CreateArray();
        if (!by_heart)
            add_surest(&surest, expected, worth, warnings);
        add_warnings(&k, other, x->job, warnings);
        cJSON_AddItemToObject(worth, "warnings", warnings);
        rc = add_classes(q, x, classes, worth, why);
    }
    free(classes);
    return rc;
}
