/* predict: new pictures through a trained model. They are read here and sent batch by batch; the
 * workers compute. When the server was restarted meanwhile, all begins again: a running job may
 * have another model by then. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/predict_report.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"

#define REPLY "the server's reply"
#define TRIES 5
#define GET_MS 60000 /* the server holds a reply for up to 20 s */

static const char *const format_names[] = {"table", "csv", "jsonl", NULL};

#define ARG(field) offsetof(struct args, field)
const struct option predict_options[] = {
    {"format", OPT_ENUM, ARG(format), .arg = "FORMAT", .names = format_names,
     .help = "format of the rows (default: table, in a file csv)"},
    {"out", OPT_STR, ARG(out), .arg = "FILE",
     .help = "write the rows to FILE; FILE.npy: all probabilities, float32 [pictures, classes]"},
    {"adversarial", OPT_FLAG, ARG(adversarial),
     .help = "say whether the job's attack on a picture changes its class"},
    {"no-exif", OPT_FLAG, ARG(no_exif),
     .help = "take JPEGs as they are stored, not turned as EXIF says"},
    {"skip-bad", OPT_FLAG, ARG(skip_bad), .help = "leave out pictures that cannot be read"},
    {"relaxed", OPT_FLAG, ARG(relaxed),
     .help = "take workers of every numerics class, not only those of a strict job's"},
    {NULL},
};

struct prediction {
    char uuid[UUID_BYTES];
    cJSON *opened; /* the reply to predict.open, owned */
    struct predict_source source;
    uint32_t batch; /* pictures of a batch */
    float *logits;  /* [source.count, classes] */
    int32_t *twins; /* [source.count]; NULL: not asked for */
};

static void prediction_done(struct prediction *p)
{
    for (uint32_t i = 0; i < p->source.classes; i++)
        free(p->source.class_names[i]);
    free(p->source.class_names);
    predict_source_done(&p->source);
    cJSON_Delete(p->opened);
    free(p->logits);
    free(p->twins);
    *p = (struct prediction){.opened = NULL};
}

/* --- what the model is --- */

static int read_names(const cJSON *json, struct predict_source *s)
{
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(json, "class_names");

    s->class_names = xcalloc(s->classes, sizeof(*s->class_names));
    const cJSON *name = names ? names->child : NULL;
    for (uint32_t i = 0; i < s->classes; i++, name = name ? name->next : NULL) {
        s->class_names[i] = cJSON_IsString(name) ? xstrdup(name->valuestring) : xasprintf("%u", i);
    }
    return 0;
}

static int read_opened(const cJSON *json, struct prediction *p, struct errbuf *why)
{
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(json, "input");
    int64_t classes = 0, batch = 0, dims[3];

    for (int i = 0; i < 3; i++) {
        const cJSON *side = cJSON_GetArrayItem(input, i);
        dims[i] = cJSON_IsNumber(side) ? (int64_t)side->valuedouble : 0;
        if (dims[i] < 1 || dims[i] > (i < 2 ? IMAGE_SIDE_MAX : CHANNELS_MAX))
            return err_set(why, -EBADMSG, REPLY " has no valid input[%d]", i);
    }
    if (!reply_i64(json, "classes", &classes) || classes < 1 || classes > CLASSES_MAX)
        return err_set(why, -EBADMSG, REPLY " has no valid classes");
    if (!reply_i64(json, "batch", &batch) || batch < 1 || batch > PREDICT_PICTURES_MAX)
        return err_set(why, -EBADMSG, REPLY " has no valid batch");
    p->batch = (uint32_t)batch;
    p->source.dims = (struct dims){(uint32_t)dims[0], (uint32_t)dims[1], (uint32_t)dims[2]};
    p->source.classes = (uint32_t)classes;
    return read_names(json, &p->source);
}

static int open_prediction(struct cli *cli, struct prediction *p, struct errbuf *why)
{
    struct message reply;
    cJSON *request;
    int rc = command_job_request(cli, &request, why);

    if (rc != 0)
        return rc;
    text_uuid(p->uuid);
    cJSON_AddStringToObject(request, "uuid", p->uuid);
    cJSON_AddBoolToObject(request, "adversarial", cli->args->adversarial);
    cJSON_AddBoolToObject(request, "relaxed", cli->args->relaxed);
    rc = connection_call(cli, MSG_PREDICT_OPEN, request, &reply, why);
    if (rc != 0)
        return rc;
    p->opened = cJSON_Duplicate(reply.json, true);
    message_done(&reply);
    return read_opened(p->opened, p, why);
}

/* --- batches --- */

static cJSON *request_of(const struct prediction *p, uint32_t batch)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "uuid", p->uuid);
    cJSON_AddNumberToObject(request, "batch", batch);
    return request;
}

/* -EREMCHG: the server no longer knows the prediction. */
static int call(struct cli *cli, enum message_type type, cJSON *request,
                const struct tensor *tensors, int count, struct message *ret, struct errbuf *why)
{
    enum error_code code = ERR_INTERNAL;
    int rc = connection_call_tensors(cli, type, request, tensors, count, GET_MS, ret, &code, why);

    return rc == -EREMOTEIO && code == ERR_NOT_FOUND ? -EREMCHG : rc;
}

/* *ret: how many pictures it has; 0: there are none any more. */
static int put_batch(struct cli *cli, struct prediction *p, uint32_t batch, uint32_t first,
                     uint8_t *images, uint32_t *ret, struct errbuf *why)
{
    const struct dims in = p->source.dims;
    struct message reply;
    int rc = predict_source_read(&p->source, first, p->batch, cli->stop, images, ret, why);

    if (rc != 0 || *ret == 0)
        return rc;
    const uint64_t shape[] = {*ret, in.h, in.w, in.c};
    struct tensor t = tensor_make("images", DTYPE_U8, 4, shape, images);
    rc = call(cli, MSG_PREDICT_PUT, request_of(p, batch), &t, 1, &reply, why);
    if (rc == 0)
        message_done(&reply);
    return rc;
}

static int take_result(struct prediction *p, const struct message *m, uint32_t first,
                       uint32_t count, struct errbuf *why)
{
    const uint64_t shape[] = {count, p->source.classes};
    const struct tensor *t;
    int rc = message_tensor(m, "logits", DTYPE_F32, 2, shape, &t, why);

    if (rc == 0)
        memcpy(p->logits + (size_t)first * p->source.classes, t->data, t->bytes);
    if (rc == 0 && p->twins)
        rc = message_tensor(m, "twins", DTYPE_I32, 1, shape, &t, why);
    if (rc == 0 && p->twins)
        memcpy(p->twins + first, t->data, t->bytes);
    for (uint32_t i = first; rc == 0 && p->twins && i < first + count; i++)
        if (p->twins[i] < 0 || (uint32_t)p->twins[i] >= p->source.classes)
            rc = err_set(why, -EBADMSG, REPLY " has a twin of class %d", p->twins[i]);
    return rc;
}

static int get_batch(struct cli *cli, struct prediction *p, uint32_t batch, uint32_t first,
                     uint32_t count, struct errbuf *why)
{
    bool done = false, told = false;
    int rc = 0;

    while (rc == 0 && !done) {
        struct message reply;
        rc = call(cli, MSG_PREDICT_GET, request_of(p, batch), NULL, 0, &reply, why);
        if (rc != 0)
            break;
        done = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.json, "done"));
        const char *waits = reply_text(reply.json, "waiting");
        if (done)
            rc = take_result(p, &reply, first, count, why);
        else if (waits[0] && !told)
            print_note("steppe: waiting: %s", waits);
        told = told || waits[0];
        message_done(&reply);
    }
    return rc;
}

static int send_all(struct cli *cli, struct prediction *p, struct errbuf *why)
{
    const struct dims in = p->source.dims;
    uint8_t *images = alloc_bytes(p->batch, (size_t)in.h * in.w * in.c);
    int rc = images ? 0 : err_set(why, -ENOMEM, "no memory for a batch of pictures");

    for (uint32_t first = 0, b = 0, count = 1; rc == 0 && count > 0; first += count, b++) {
        rc = put_batch(cli, p, b, first, images, &count, why);
        if (rc == 0 && count > 0)
            rc = get_batch(cli, p, b, first, count, why);
    }
    free(images);
    return rc;
}

static void close_prediction(struct cli *cli, const struct prediction *p)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;

    if (!cli->client || !p->opened) {
        cJSON_Delete(request);
        return;
    }
    cJSON_AddStringToObject(request, "uuid", p->uuid);
    if (connection_call(cli, MSG_PREDICT_CLOSE, request, &reply, NULL) == 0)
        message_done(&reply);
}

/* --- the command --- */

static int list_pictures(struct cli *cli, struct prediction *p, struct errbuf *why)
{
    int rc = 0;

    for (int i = 1; rc == 0 && i < cli->word_count; i++)
        rc = predict_source_add(&p->source, cli->words[i], why);
    if (rc != 0)
        return rc;
    p->logits = alloc_bytes((size_t)p->source.count * p->source.classes, sizeof(*p->logits));
    if (cli->args->adversarial)
        p->twins = alloc_bytes(p->source.count, sizeof(*p->twins));
    if (!p->logits || (cli->args->adversarial && !p->twins))
        return err_set(why, -ENOMEM, "no memory for the results of %u pictures", p->source.count);
    return 0;
}

static int predict_once(struct cli *cli, struct prediction *p, struct errbuf *why)
{
    int rc = open_prediction(cli, p, why);

    p->source.stored = cli->args->no_exif;
    p->source.skip_bad = cli->args->skip_bad;
    if (rc == 0)
        rc = list_pictures(cli, p, why);
    if (rc == 0)
        rc = send_all(cli, p, why);
    if (rc != -EREMCHG)
        close_prediction(cli, p);
    return rc;
}

/* "job 3: the model after epoch 8 (step 200), the average of its last epochs". Returns buf. */
static const char *model_text(const struct cli *cli, const struct prediction *p, char *buf,
                              size_t bytes)
{
    const cJSON *json = p->opened;
    int64_t epoch = 0, step = 0;
    bool best = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "best"));
    bool final = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "final"));
    bool averaged = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "averaged"));

    reply_i64(json, "epoch", &epoch);
    reply_i64(json, "step", &step);
    snprintf(buf, bytes, "job %s: the model after epoch %lld (step %lld)%s%s%s", cli->words[0],
             (long long)epoch, (long long)step,
             best ? final ? ", the best epoch" : ", the best epoch so far" : "",
             averaged && !best ? ", the average of its last epochs" : "",
             final ? "" : "; the job is not done");
    return buf;
}

static void print_notes(const struct prediction *p)
{
    const struct predict_source *s = &p->source;

    import_bad_print(&s->notes, "steppe: note: left out: ", stderr);
    if (s->scaled)
        print_note("steppe: note: %u picture%s of another size %s scaled to %u x %u", s->scaled,
                   text_s(s->scaled), s->scaled == 1 ? "was" : "were", s->dims.w, s->dims.h);
    if (s->left_out)
        print_note(s->left_out == 1
                       ? "steppe: note: %u file in the folders is no picture and was left out"
                       : "steppe: note: %u files in the folders are no pictures and were left out",
                   s->left_out);
    if (s->unknown[0])
        print_note("steppe: note: no class of the model is called %s; what lies there is predicted "
                   "and not judged",
                   s->unknown);
}

static void print_all_json(const struct cli *cli, const struct prediction *p,
                           const struct predict_report *r)
{
    static const char *const kept[] = {"job",  "epoch",    "step",   "final",
                                       "best", "averaged", "sha256", NULL};
    cJSON *out = cJSON_CreateObject();

    (void)cli;
    for (int i = 0; kept[i]; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(p->opened, kept[i]);
        if (item)
            cJSON_AddItemToObject(out, kept[i], cJSON_Duplicate(item, true));
    }
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    for (uint32_t i = 0; i < p->source.count; i++)
        cJSON_AddItemToArray(rows, predict_row(r, i));
    predict_add_confusion(r, out);
    print_json(out);
    cJSON_Delete(out);
}

static bool ends_in_npy(const char *name)
{
    size_t bytes = name ? strlen(name) : 0;

    return bytes > 4 && strcasecmp(name + bytes - 4, ".npy") == 0;
}

static int write_rows(const struct cli *cli, const struct predict_report *r, struct errbuf *why)
{
    const int format = cli->args->format == NOT_GIVEN ? PREDICT_CSV : cli->args->format;
    struct file_draft draft;
    int rc = file_draft_open(cli->args->out, 0644, &draft, why);

    if (rc < 0)
        return rc;
    predict_print(r, (enum predict_format)format, false, draft.out);
    return file_draft_close(&draft, 0, why);
}

static int report(struct cli *cli, const struct prediction *p, struct errbuf *why)
{
    const struct predict_report r = {&p->source, p->logits, p->twins};
    const char *out = cli->args->out;
    const bool npy = ends_in_npy(out);
    const int format = cli->args->format == NOT_GIVEN ? PREDICT_TABLE : cli->args->format;
    char text[200];
    int rc = npy ? predict_write_npy(&r, out, why) : out ? write_rows(cli, &r, why) : 0;

    if (rc < 0)
        return rc;
    print_notes(p);
    if (cli->args->json) {
        print_all_json(cli, p, &r);
        return 0;
    }
    model_text(cli, p, text, sizeof(text));
    if (format == PREDICT_TABLE || (out && !npy))
        print_text("%s", text);
    else
        print_note("steppe: %s", text);
    if (!out || npy)
        predict_print(&r, (enum predict_format)format, cli->colour, stdout);
    if (format == PREDICT_TABLE || out)
        predict_print_confusion(&r, cli->colour, format == PREDICT_TABLE ? stdout : stderr);
    return 0;
}

int cmd_predict(struct cli *cli, struct errbuf *why)
{
    struct prediction p = {.opened = NULL};
    int rc = -EREMCHG;

    for (int i = 0; rc == -EREMCHG && i < TRIES; i++) {
        prediction_done(&p);
        rc = predict_once(cli, &p, why);
    }
    if (rc == 0)
        rc = report(cli, &p, why);
    else if (p.source.notes.bad_count > (p.source.skip_bad ? 0 : 1))
        import_bad_print(&p.source.notes, "steppe: ", stderr);
    prediction_done(&p);
    return rc;
}
