/* model export: theta as the server holds it, written as PyTorch reads it. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/field.h"
#include "common/model.h"
#include "common/safetensors.h"
#include "common/text.h"
#include "proto/cli/session.h"

#define REPLY "the server's reply"

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
        return err_set(why, -EBADMSG, REPLY " has %d dims of the input, needed are 3", n);
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
        return err_set(why, -EBADMSG, REPLY " has %u entries in %s, needed are %u", n, name, count);
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

/* The view of a message may be unaligned. */
static int copy_theta(const struct message *reply, const struct model *model, float **ret,
                      struct errbuf *why)
{
    const uint64_t shape[] = {model->floats};
    const struct tensor *view;

    int rc = message_tensor(reply, "theta", DTYPE_F32, 1, shape, &view, why);
    if (rc != 0)
        return rc;
    float *theta = alloc_bytes(model->floats, sizeof(*theta));
    if (!theta)
        return err_set(why, -ENOMEM, "out of memory for %zu parameters", model->floats);
    memcpy(theta, view->data, view->bytes);
    *ret = theta;
    return 0;
}

static void print_exported(const struct cli *cli, const cJSON *json, const struct model *model)
{
    int64_t epoch = 0, step = 0;
    bool final = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "final"));

    value_i64(json, "epoch", &epoch);
    value_i64(json, "step", &step);
    if (!cli->args->json) {
        cli_print_text("%s: %s, %zu parameters, after epoch %lld, step %lld%s", cli->words[1],
                       model->name, model->param_total, (long long)epoch, (long long)step,
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
    cJSON_AddStringToObject(out, "sha256", value_text(json, "sha256"));
    cli_print_value(out);
    cJSON_Delete(out);
}

static int export_model(const struct cli *cli, const struct model *model, const float *theta,
                        const cJSON *json, struct errbuf *why)
{
    int64_t epoch = 0, step = 0;

    value_i64(json, "epoch", &epoch);
    value_i64(json, "step", &step);
    char *epoch_text = xasprintf("%lld", (long long)epoch);
    char *step_text = xasprintf("%lld", (long long)step);
    const struct safetensors_meta meta[] = {
        {"job", cli->words[0]},
        {"epoch", epoch_text},
        {"step", step_text},
        {"sha256", value_text(json, "sha256")},
    };
    int rc = model_export(model, theta, step, meta, 4, cli->words[1], why);
    free(step_text);
    free(epoch_text);
    return rc;
}

int cmd_model_export(struct cli *cli, struct errbuf *why)
{
    struct model model = {.layer_count = 0};
    struct message reply;
    float *theta = NULL;
    cJSON *request;

    int rc = cli_job_request(cli, &request, why);
    if (rc == 0)
        rc = cli_call(cli, MSG_MODEL_GET, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = read_model(reply.json, &model, why);
    if (rc == 0)
        rc = copy_theta(&reply, &model, &theta, why);
    if (rc == 0)
        rc = export_model(cli, &model, theta, reply.json, why);
    if (rc == 0)
        print_exported(cli, reply.json, &model);
    free(theta);
    model_done(&model);
    message_done(&reply);
    return rc;
}
