/* review: the suspects of a job one after the other, and what a person says of their labels. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/answer.h"
#include "proto/cli/command.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/review.h"
#include "proto/cli/said.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/suspects.h"
#include "proto/cli/verdicts.h"
#include "proto/cli/worth.h"

#define EPOCHS_SHOWN 40 /* of a sample, the newest; they fit a line beside their words */

const struct option review_options[] = {
    SUSPECTS_BY_OPTION,
    SUSPECTS_FOLDS_OPTIONS,
    EPOCH_OPTION,
    CLASS_OPTION,
    {"limit", OPT_INT, ARG(limit), .def = "100", .arg = "N", .min = 1, .max = ROWS_MAX,
     .help = "review the N most suspicious labels"},
    FIRST_OPTION,
    {NULL},
};

struct session {
    struct cli *cli;
    int64_t job;
    bool live;    /* the job can take a revision */
    bool revised; /* it has trained on other labels than the dataset's own */
    char dataset[NAME_MAX_BYTES];
    struct class_names classes;
    struct message suspects;
    const cJSON **rows; /* [review.count], in suspects */
    int64_t *samples;   /* [review.count], their numbers */
    struct review review;
    struct review_said said; /* what counts for the sample that is shown, when it came */
    struct answers answers;
    int64_t counts[VERDICT_KINDS]; /* of this review */
};

static bool quiet(const struct session *s)
{
    return s->cli->args->json;
}

/* --- the server --- */

static int open_job(struct session *s, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *row, *spec;

    cJSON_AddNumberToObject(request, "job", (double)s->job);
    int rc = connection_call(s->cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0)
        rc = reply_object(reply.json, "spec", &spec, why);
    if (rc == 0) {
        const char *state = reply_text(row, "state");
        snprintf(s->dataset, sizeof(s->dataset), "%s", reply_text(row, "dataset"));
        s->revised = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(spec, "revisions")) > 0;
        s->live = (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0 ||
                   strcmp(state, "paused") == 0) &&
                  !cJSON_GetObjectItemCaseSensitive(reply.json, "study");
    }
    message_done(&reply);
    return rc == 0 ? class_names_fetch(s->cli, s->dataset, &s->classes, why) : rc;
}

static int open_suspects(struct session *s, struct errbuf *why)
{
    const cJSON *rows, *row;
    size_t n = 0;
    cJSON *request;
    bool done;
    int rc = suspects_request(s->cli, &request, &done, why);

    if (rc != 0 || !done)
        return rc;
    rc = connection_call(s->cli, MSG_SCORE_SUSPECTS, request, &s->suspects, why);
    if (rc == 0)
        rc = reply_array(s->suspects.json, "rows", &rows, why);
    if (rc == 0)
        rc = rows_measured(s->cli, rows, "value", reply_text(s->suspects.json, "by"), why);
    if (rc != 0)
        return rc;
    review_open(&s->review, (size_t)cJSON_GetArraySize(rows));
    s->rows = xcalloc(s->review.count + 1, sizeof(*s->rows));
    s->samples = xcalloc(s->review.count + 1, sizeof(*s->samples));
    cJSON_ArrayForEach(row, rows)
    {
        if (!reply_i64(row, "sample", &s->samples[n]))
            return err_set(why, -EBADMSG, "a row of the server's reply has no sample");
        s->rows[n++] = row;
    }
    return 0;
}

/* --- showing --- */

/* One line: how it went over the epochs. */
static int print_history(const struct session *s, int64_t sample, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    char marks[EPOCHS_SHOWN + 1] = "", spark[DRAW_LINE_BYTES];
    double losses[EPOCHS_SHOWN], loss, adm = 0;
    int64_t first = 0, last = 0;
    int count = 0, loss_count = 0, right = 0;
    struct message reply;
    const cJSON *rows, *row;

    cJSON_AddNumberToObject(request, "job", (double)s->job);
    cJSON_AddNumberToObject(request, "sample", (double)sample);
    cJSON_AddNumberToObject(request, "limit", EPOCHS_SHOWN);
    int rc = connection_call(s->cli, MSG_SCORE_TRAJECTORY, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0)
        cJSON_ArrayForEach(row, rows)
        {
            const cJSON *correct = cJSON_GetObjectItemCaseSensitive(row, "correct");
            const bool yes = cJSON_IsTrue(correct);
            if (count == EPOCHS_SHOWN)
                break;
            if (reply_f64(row, "loss", &loss))
                losses[loss_count++] = loss;
            right += yes;
            marks[count++] = yes ? '+' : '-';
            reply_i64(row, "epoch", &last);
            reply_f64(row, "adm", &adm);
            first = count == 1 ? last : first;
        }
    if (rc == 0 && count > 0) {
        marks[count] = '\0';
        print_text("  right in %d of %d scored epochs, %lld to %lld: %s   loss %s %.4g to %.4g   "
                   "adm %.4g",
                   right, count, (long long)first + 1, (long long)last + 1, marks,
                   draw_spark(losses, (size_t)loss_count, spark), loss_count ? losses[0] : 0.0,
                   loss_count ? losses[loss_count - 1] : 0.0, adm);
    }
    message_done(&reply);
    return rc;
}

static void print_keys(const struct session *s)
{
    char label[LABEL_BYTES], predicted[LABEL_BYTES];
    const cJSON *row = s->rows[s->review.at];

    label_text(row, "label", "label_name", label);
    label_text(row, "predicted", "predicted_name", predicted);
    print_text(
        "  r: right, it is %s   p: it is %s   w: it is another class   x: exclude   u: unsure",
        label, predicted);
    print_text("  s: skip   b: back   z: undo   q: quit");
}

static void print_item(const struct session *s, const char *words)
{
    const cJSON *row = s->rows[s->review.at];
    const char *uri = reply_text(row, "uri");
    char label[LABEL_BYTES], predicted[LABEL_BYTES];
    double value = 0, loss = 0, margin = 0;

    reply_f64(row, "value", &value);
    reply_f64(row, "loss", &loss);
    reply_f64(row, "margin_mean", &margin);
    putchar('\n');
    print_text("%zu of %zu   sample %lld%s%s", s->review.at + 1, s->review.count,
               (long long)s->samples[s->review.at], *uri ? "   " : "", uri);
    print_text("  label %s   taken for %s   %s %.4g   loss %.4g   mean margin %.4g",
               label_text(row, "label", "label_name", label),
               label_text(row, "predicted", "predicted_name", predicted),
               reply_text(s->suspects.json, "by"), value, loss, margin);
    if (*words)
        print_text("  judged before: %s", words);
}

/* Shows where the review stands. pass: what has a verdict is passed over, and what others said
 * meanwhile counts too. */
static int show(struct session *s, bool pass, struct errbuf *why)
{
    struct review *r = &s->review;
    char words[SAID_BYTES] = "";
    int rc = 0;

    for (bool stay = false; rc == 0 && !stay && r->at < r->count;) {
        if (!pass || !r->judged[r->at]) {
            rc = said_newest(s->cli, s->dataset, s->samples[r->at], &s->said, words, why);
            r->judged[r->at] = *words != '\0';
        }
        stay = !pass || !r->judged[r->at];
        if (!stay)
            review_forward(r);
    }
    if (rc != 0 || quiet(s))
        return rc;
    if (r->at == r->count) {
        putchar('\n');
        print_text("that was the last of %zu; b goes back, z undoes, q ends", r->count);
        return 0;
    }
    print_item(s, words);
    return print_history(s, s->samples[r->at], why);
}

/* --- answers --- */

/* A class by name or number; "": what the model predicts. */
static int find_class(const struct session *s, const char *text, int64_t predicted, int64_t *ret,
                      struct errbuf *why)
{
    const struct verdict_ask ask = {
        .classes = s->classes.at, .class_count = s->classes.count, .dataset = s->dataset};
    int32_t number = (int32_t)predicted;
    int rc = *text ? verdict_class(text, &ask, &number, why) : 0;

    if (rc == 0)
        *ret = number;
    return rc;
}

/* Asks which class it is until there is one; -1: the person thought better of it. */
static int ask_class(struct session *s, const char *text, int64_t predicted, int64_t *ret,
                     struct errbuf *why)
{
    char label[LABEL_BYTES];

    label_text(s->rows[s->review.at], "predicted", "predicted_name", label);
    for (;;) {
        if (!*text) {
            if (s->answers.keys)
                printf("  which class? a name or number, Enter for %s, Escape to go back: ", label);
            int rc = answers_next(&s->answers, true, &text, why);
            if (rc != 0)
                return rc;
        }
        if (!text || strcmp(text, ANSWER_AWAY) == 0) {
            *ret = -1;
            return 0;
        }
        int rc = find_class(s, text, predicted, ret, why);
        if (rc == 0 || !s->answers.keys)
            return rc;
        print_note("steppe: %s", why->text);
        text = "";
    }
}

/* What the answer says of the sample that is shown. *ret_says: it says anything. */
static int judge(struct session *s, enum review_act act, const char *text, struct verdict *ret,
                 bool *ret_says, struct errbuf *why)
{
    static const enum verdict_kind kinds[] = {[REVIEW_RIGHT] = VERDICT_RIGHT,
                                              [REVIEW_PREDICTED] = VERDICT_RIGHT,
                                              [REVIEW_WRONG] = VERDICT_RIGHT,
                                              [REVIEW_EXCLUDE] = VERDICT_EXCLUDE,
                                              [REVIEW_UNSURE] = VERDICT_UNSURE};
    const cJSON *row = s->rows[s->review.at];
    int64_t label = -1, predicted = -1, is = -1;
    int rc = 0;

    reply_i64(row, "label", &label);
    reply_i64(row, "predicted", &predicted);
    if (act == REVIEW_RIGHT)
        is = label;
    else if (act == REVIEW_PREDICTED)
        is = predicted;
    else if (act == REVIEW_WRONG)
        rc = ask_class(s, text, predicted, &is, why);
    *ret_says = rc == 0 && (is >= 0 || act == REVIEW_EXCLUDE || act == REVIEW_UNSURE);
    *ret = (struct verdict){
        .sample = (uint32_t)s->samples[s->review.at], .kind = kinds[act], .label = (int32_t)is};
    return rc;
}

static void print_said(const struct session *s, const struct verdict *v)
{
    char number[16], text[LABEL_BYTES] = "";
    int64_t label = -1;

    reply_i64(s->rows[s->review.at], "label", &label);
    if (v->label >= 0 && v->label < s->classes.count) {
        snprintf(number, sizeof(number), "%d", v->label);
        const char *name = s->classes.at[v->label];
        snprintf(text, sizeof(text), "%s%s%s%.100s%s",
                 v->label == label ? "right, " : "wrong, it is ", number,
                 strcmp(name, number) ? " (" : "", strcmp(name, number) ? name : "",
                 strcmp(name, number) ? ")" : "");
    }
    print_text("  kept: %s   %zu to go", *text ? text : verdict_names[v->kind],
               review_left(&s->review));
}

static enum verdict_kind counted_as(const struct session *s, const struct review_step *step)
{
    int64_t label = -1;

    reply_i64(s->rows[step->at], "label", &label);
    return step->verdict.kind != VERDICT_RIGHT || step->verdict.label == label ? step->verdict.kind
                                                                               : VERDICT_WRONG;
}

static int say(struct session *s, const struct verdict *v, struct errbuf *why)
{
    struct review_step step = {.at = s->review.at, .before = s->said, .verdict = *v};
    int64_t shown = -1;

    reply_i64(s->rows[s->review.at], "label", &shown);
    int rc =
        said_put(s->cli, s->dataset, v, s->revised ? -1 : shown, s->said.number, &step.number, why);
    if (rc != 0)
        return rc;
    review_keep(&s->review, &step);
    s->counts[counted_as(s, &step)]++;
    if (!quiet(s))
        print_said(s, v);
    review_forward(&s->review);
    return show(s, true, why);
}

/* What counted before counts again, unless somebody has said something since. */
static int undo(struct session *s, struct errbuf *why)
{
    const struct review_step *step = review_undo(&s->review);
    char words[SAID_BYTES];
    struct review_said now;
    int rc = 0;

    if (!step) {
        print_note("steppe: nothing was said in this review that could be undone");
        return 0;
    }
    s->counts[counted_as(s, step)]--;
    if (step->number > 0) {
        rc = said_newest(s->cli, s->dataset, step->verdict.sample, &now, words, why);
        if (rc == 0 && now.number != step->number) {
            print_note("steppe: sample %u was judged again since, which counts: %s",
                       step->verdict.sample, *words ? words : "withdrawn");
        } else if (rc == 0) {
            struct verdict before = step->before.verdict;
            before.sample = step->verdict.sample;
            rc = said_put(s->cli, s->dataset, &before, -1, now.number, &now.number, why);
            if (rc == 0 && !quiet(s))
                print_text("  undone: sample %u", step->verdict.sample);
        }
    }
    return rc == 0 ? show(s, false, why) : rc;
}

/* *ret_done: the review ends. */
static int act_on(struct session *s, enum review_act act, const char *text, bool *ret_done,
                  struct errbuf *why)
{
    struct verdict v;
    bool says;
    int rc;

    switch (act) {
    case REVIEW_QUIT:
        *ret_done = true;
        return 0;
    case REVIEW_UNDO:
        return undo(s, why);
    case REVIEW_BACK:
        if (review_back(&s->review))
            return show(s, false, why);
        print_note("steppe: this is the first of them");
        return 0;
    default:
        break;
    }
    if (s->review.at == s->review.count)
        return err_set(why, -EINVAL, "all %zu were shown, there is none left to judge",
                       s->review.count);
    if (act == REVIEW_HELP) {
        print_keys(s);
        return 0;
    }
    if (act == REVIEW_SKIP) {
        review_forward(&s->review);
        return show(s, true, why);
    }
    rc = judge(s, act, text, &v, &says, why);
    return rc == 0 && says ? say(s, &v, why) : rc;
}

static int next_answer(struct session *s, bool *ret_done, struct errbuf *why)
{
    enum review_act act;
    const char *text, *rest;

    if (s->answers.keys)
        printf("> ");
    int rc = answers_next(&s->answers, false, &text, why);
    if (rc != 0)
        return rc;
    *ret_done = !text;
    if (s->answers.keys)
        print_text("%s", text ? text : "");
    if (!text)
        return 0;
    rc = review_read(s->answers.keys && !*text ? "?" : text, &act, &rest, why);
    if (rc == 0)
        rc = act_on(s, act, rest, ret_done, why);
    /* A person is asked again; answers of a file would be taken for other samples. */
    if ((rc == -EINVAL || rc == -ENOENT) && s->answers.keys) {
        print_note("steppe: %s", why->text);
        return 0;
    }
    return (rc == -EINVAL || rc == -ENOENT)
               ? err_prefix(why, rc, "line %lld of the answers", (long long)s->answers.line)
               : rc;
}

/* --- the end --- */

static void print_end(const struct session *s)
{
    const int64_t *n = s->counts;
    const int64_t all =
        n[VERDICT_RIGHT] + n[VERDICT_WRONG] + n[VERDICT_EXCLUDE] + n[VERDICT_UNSURE];
    const size_t left = review_left(&s->review);

    putchar('\n');
    print_text(
        "%lld judged: %lld right, %lld wrong, %lld to exclude, %lld unsure; %zu of %zu left%s",
        (long long)all, (long long)n[VERDICT_RIGHT], (long long)n[VERDICT_WRONG],
        (long long)n[VERDICT_EXCLUDE], (long long)n[VERDICT_UNSURE], left, s->review.count,
        left ? ": the same command goes on" : "");
    if (n[VERDICT_WRONG] + n[VERDICT_EXCLUDE] == 0)
        return;
    print_text("next:");
    print_text("  steppe dataset revise %s", s->dataset);
    if (s->live)
        print_text("  steppe apply %lld", (long long)s->job);
    else
        print_text("  steppe submit FILE --set dataset=%s@latest", s->dataset);
}

static void print_end_json(const struct session *s)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddStringToObject(out, "dataset", s->dataset);
    for (int i = VERDICT_RIGHT; i < VERDICT_KINDS; i++)
        cJSON_AddNumberToObject(out, verdict_names[i], (double)s->counts[i]);
    cJSON_AddNumberToObject(out, "samples", (double)s->review.count);
    cJSON_AddNumberToObject(out, "left", (double)review_left(&s->review));
    print_json(out);
    cJSON_Delete(out);
}

static int run(struct session *s, struct errbuf *why)
{
    bool done = false;

    if (!quiet(s)) {
        worth_print(s->suspects.json);
        const size_t count = s->review.count, judged = count - review_left(&s->review);
        if (count == 1)
            print_text("job %s: the most suspicious label", s->cli->words[0]);
        else
            print_text("job %s: the %zu most suspicious labels, one after the other",
                       s->cli->words[0], count);
        if (judged > 0)
            print_text("%zu of them %s a verdict; b goes back to %s", judged,
                       judged == 1 ? "has" : "have", judged == 1 ? "it" : "them");
    }
    int rc = show(s, true, why);
    if (rc == 0 && s->answers.keys && s->review.at < s->review.count)
        print_keys(s);
    while (rc == 0 && !done)
        rc = next_answer(s, &done, why);
    if (quiet(s))
        print_end_json(s);
    else
        print_end(s);
    return rc;
}

int cmd_review(struct cli *cli, struct errbuf *why)
{
    struct session s = {.cli = cli};
    int rc = command_job(cli, &s.job, why);

    answers_open(&s.answers, cli);
    if (rc == 0)
        rc = open_job(&s, why);
    if (rc == 0)
        rc = open_suspects(&s, why);
    if (rc == 0 && s.rows)
        rc = said_mark(cli, s.dataset, s.samples, &s.review, why);
    if (rc == 0 && s.rows)
        rc = run(&s, why);
    answers_close(&s.answers);
    review_close(&s.review);
    free(s.rows);
    free(s.samples);
    message_done(&s.suspects);
    class_names_done(&s.classes);
    return rc;
}
