/* model export: the server's theta, in a form that other programs read. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/field.h"
#include "common/hash.h"
#include "common/model.h"
#include "common/safetensors.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/onnx.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"

#define REPLY "the server's reply"
#define TRIES 5 /* a checkpoint may be replaced by a newer one during the transfer */

enum { FORMAT_SAFETENSORS, FORMAT_ONNX };
static const char *const format_names[] = {"safetensors", "onnx", NULL};

#define ARG(field) offsetof(struct args, field)
const struct option model_export_options[] = {
    {"format", OPT_ENUM, ARG(format), .def = "safetensors", .arg = "FORMAT", .names = format_names,
     .help = "safetensors: PyTorch's names and layouts; onnx: the whole network (opset 13)"},
    {NULL},
};

/* A name that promises another format than the one that is written. */
static const struct {
    const char *end;
    int format; /* the one that it promises; -1: one that is not written here */
    const char *advice;
} endings[] = {
    {".pt", -1,
     "PyTorch's own files are pickles; write a .safetensors file, which PyTorch loads "
     "(deploy/examples/predict.py)"},
    {".pth", -1,
     "PyTorch's own files are pickles; write a .safetensors file, which PyTorch loads "
     "(deploy/examples/predict.py)"},
    {".h5", -1, "Keras's files are HDF5; write a .safetensors file, or .onnx with --format onnx"},
    {".onnx", FORMAT_ONNX, "say --format onnx to write one"},
    {".safetensors", FORMAT_SAFETENSORS, "leave --format onnx out to write one"},
};

static bool ends_with(const char *name, const char *end)
{
    size_t a = strlen(name), b = strlen(end);

    return a >= b && strcasecmp(name + a - b, end) == 0;
}

static int check_name(const char *name, int format, struct errbuf *why)
{
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (ends_with(name, endings[i].end) && endings[i].format != format)
            return err_set(why, EXIT_USAGE, "FILE is %s, and its content would be %s: %s", name,
                           format_names[format], endings[i].advice);
    return 0;
}

/* input [h, w, c]. */
static int read_dims(const cJSON *json, struct dims *ret, struct errbuf *why)
{
    static const uint32_t most[] = {IMAGE_SIDE_MAX, IMAGE_SIDE_MAX, CHANNELS_MAX};
    const cJSON *array, *entry;
    uint32_t dims[3];
    int n = 0;

    int rc = field_arr(json, REPLY, "input", true, 3, &array, why);
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(entry, array)
    {
        if (!cJSON_IsNumber(entry) || !(entry->valuedouble >= 1 && entry->valuedouble <= most[n]))
            return err_set(why, -EBADMSG, REPLY " has no valid input[%d]", n);
        dims[n++] = (uint32_t)entry->valuedouble;
    }
    if (n != 3)
        return err_set(why, -EBADMSG, REPLY " has %d dims of the input, expected 3", n);
    *ret = (struct dims){dims[0], dims[1], dims[2]};
    return 0;
}

/* An array of `count` decimal strings. */
static int read_floats(const cJSON *json, const char *name, uint32_t count, float *ret,
                       struct errbuf *why)
{
    const cJSON *array, *entry;
    uint32_t n = 0;
    double value;

    int rc = field_arr(json, REPLY, name, true, CHANNELS_MAX, &array, why);
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(entry, array)
    {
        if (!cJSON_IsString(entry) || !text_f64(entry->valuestring, -1e30, 1e30, &value))
            return err_set(why, -EBADMSG, REPLY " has no number in %s[%u]", name, n);
        ret[n++] = (float)value;
    }
    if (n != count)
        return err_set(why, -EBADMSG, REPLY " has %u entries in %s, expected %u", n, name, count);
    return 0;
}

static int read_model(const cJSON *json, struct model *ret, struct errbuf *why)
{
    const cJSON *description = cJSON_GetObjectItemCaseSensitive(json, "model");
    float mean[CHANNELS_MAX], std[CHANNELS_MAX];
    struct dims dims;
    int64_t classes = 0;

    int rc = read_dims(json, &dims, why);
    if (rc == 0)
        rc = field_i64(json, REPLY, "classes", true, 1, CLASSES_MAX, &classes, why);
    if (rc == 0)
        rc = read_floats(json, "mean", dims.c, mean, why);
    if (rc == 0)
        rc = read_floats(json, "std", dims.c, std, why);
    if (rc == 0 && !description)
        rc = err_set(why, -EBADMSG, REPLY " has no model");
    if (rc == 0)
        rc = model_parse(description, dims, (uint32_t)classes, mean, std, ret, why);
    return rc;
}

/* One piece of theta, to out. -ESTALE: a newer checkpoint has replaced it. */
static int get_piece(struct cli *cli, const cJSON *json, size_t offset, size_t bytes, void *out,
                     struct errbuf *why)
{
    const uint64_t shape[] = {bytes};
    const struct tensor *view;
    enum error_code code = ERR_INTERNAL;
    struct message reply;
    cJSON *request;
    int64_t step = 0;

    reply_i64(json, "step", &step);
    int rc = command_job_request(cli, &request, why);
    if (rc != 0)
        return rc;
    cJSON_AddNumberToObject(request, "step", (double)step);
    cJSON_AddNumberToObject(request, "offset", (double)offset);
    cJSON_AddNumberToObject(request, "bytes", (double)bytes);
    rc = connection_call_tensors(cli, MSG_MODEL_GET, request, NULL, 0, CALL_DEADLINE_MS, &reply,
                                 &code, why);
    if (rc != 0)
        return rc == -EREMOTEIO && code == ERR_GONE ? -ESTALE : rc;
    rc = message_tensor(&reply, "piece", DTYPE_U8, 1, shape, &view, why);
    if (rc == 0)
        memcpy(out, view->data, bytes);
    message_done(&reply);
    return rc;
}

static int get_pieces(struct cli *cli, const cJSON *json, float *theta, size_t bytes,
                      struct errbuf *why)
{
    char hash[SHA256_HEX];
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < bytes; at += PIECE_BYTES_MAX) {
        size_t n = bytes - at < PIECE_BYTES_MAX ? bytes - at : PIECE_BYTES_MAX;

        rc = get_piece(cli, json, at, n, (char *)theta + at, why);
    }
    if (rc != 0)
        return rc;
    sha256_hex_of(theta, bytes, hash);
    return strcmp(hash, reply_text(json, "sha256")) == 0
               ? 0
               : err_set(why, -EBADMSG,
                         "the parameters came with another SHA-256 than " REPLY " names");
}

/* From the reply (whose view may be unaligned), or in pieces when they are too long for a reply. */
static int get_theta(struct cli *cli, const struct message *reply, const struct model *model,
                     float **ret, struct errbuf *why)
{
    const uint64_t shape[] = {model->floats};
    const struct tensor *view;
    const size_t bytes = model->floats * sizeof(float);
    int64_t whole = 0;
    bool pieces = reply_i64(reply->json, "theta_bytes", &whole);
    int rc = 0;

    if (pieces && (uint64_t)whole != bytes)
        return err_set(why, -EBADMSG, REPLY " announces %lld bytes, the model has %zu",
                       (long long)whole, bytes);
    if (!pieces)
        rc = message_tensor(reply, "theta", DTYPE_F32, 1, shape, &view, why);
    if (rc != 0)
        return rc;
    float *theta = alloc_bytes(model->floats, sizeof(*theta));
    if (!theta)
        return err_set(why, -ENOMEM, "out of memory for %zu parameters", model->floats);
    if (pieces)
        rc = get_pieces(cli, reply->json, theta, bytes, why);
    else
        memcpy(theta, view->data, view->bytes);
    if (rc == 0)
        *ret = theta;
    else
        free(theta);
    return rc;
}

static void print_exported(const struct cli *cli, const cJSON *json, const struct model *model)
{
    int64_t epoch = 0, step = 0;
    bool final = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "final"));
    bool best = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "best"));

    reply_i64(json, "epoch", &epoch);
    reply_i64(json, "step", &step);
    if (!cli->args->json) {
        char after[64] = ", the best so far";
        if (!best)
            snprintf(after, sizeof(after), ", step %lld", (long long)step);
        print_text("%s: %s, %zu parameters, after epoch %lld%s%s", cli->words[1], model->name,
                   model->param_total, (long long)epoch, final && best ? ", the best" : after,
                   final ? "" : " (the job is not done)");
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "file", cli->words[1]);
    cJSON_AddStringToObject(out, "model", model->name);
    cJSON_AddNumberToObject(out, "parameters", (double)model->param_total);
    cJSON_AddNumberToObject(out, "epoch", (double)epoch);
    cJSON_AddNumberToObject(out, "step", (double)step);
    cJSON_AddBoolToObject(out, "final", final);
    cJSON_AddStringToObject(out, "sha256", reply_text(json, "sha256"));
    print_json(out);
    cJSON_Delete(out);
}

static int export_model(const struct cli *cli, const struct model *model, const float *theta,
                        const cJSON *json, struct errbuf *why)
{
    int64_t epoch = 0, step = 0;

    reply_i64(json, "epoch", &epoch);
    reply_i64(json, "step", &step);
    char *epoch_text = xasprintf("%lld", (long long)epoch);
    char *step_text = xasprintf("%lld", (long long)step);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "class_names");
    char *names = cJSON_IsArray(list) ? cJSON_PrintUnformatted(list) : NULL;
    const struct safetensors_meta meta[] = {
        {"job", cli->words[0]}, {"epoch", epoch_text},
        {"step", step_text},    {"sha256", reply_text(json, "sha256")},
        {"class_names", names},
    };
    const int count = names ? 5 : 4;
    int rc = cli->args->format == FORMAT_ONNX
                 ? onnx_write(model, theta, meta, count, cli->words[1], why)
                 : model_export(model, theta, step, meta, count, cli->words[1], why);
    cJSON_free(names);
    free(step_text);
    free(epoch_text);
    return rc;
}

static int export_once(struct cli *cli, struct errbuf *why)
{
    struct model model = {.layer_count = 0};
    struct message reply;
    float *theta = NULL;
    cJSON *request;

    int rc = command_job_request(cli, &request, why);
    if (rc == 0)
        rc = connection_call(cli, MSG_MODEL_GET, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = read_model(reply.json, &model, why);
    if (rc == 0)
        rc = get_theta(cli, &reply, &model, &theta, why);
    if (rc == 0)
        rc = export_model(cli, &model, theta, reply.json, why);
    if (rc == 0)
        print_exported(cli, reply.json, &model);
    free(theta);
    model_done(&model);
    message_done(&reply);
    return rc;
}

int cmd_model_export(struct cli *cli, struct errbuf *why)
{
    int rc = check_name(cli->words[1], cli->args->format, why);

    if (rc != 0)
        return rc;
    rc = -ESTALE;
    for (int i = 0; rc == -ESTALE && i < TRIES; i++)
        rc = export_once(cli, why);
    return rc;
}
