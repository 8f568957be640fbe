#include "worker/share.h"

#include <errno.h>
#include <unistd.h>

#include "common/bounds.h"
#include "common/field.h"
#include "proto/address.h"
#include "proto/pass.h"

#define PLACES 2

static int read_share(const struct message *m, size_t floats, struct share *ret, struct errbuf *why)
{
    const int64_t bytes = (int64_t)(floats * sizeof(float));
    int64_t got = 0, place = 0;
    int rc =
        field_i64(m->json, "task.share", "share", true, 1, INT64_C(1) << 50, &ret->number, why);

    if (rc == 0)
        rc = field_i64(m->json, "task.share", "incarnation", true, 0, INT64_C(1) << 50,
                       &ret->incarnation, why);
    if (rc == 0)
        rc = field_i64(m->json, "task.share", "bytes", true, bytes, bytes, &got, why);
    if (rc == 0)
        rc = field_i64(m->json, "task.share", "place_bytes", true, bytes, 2 * bytes, &place, why);
    if (rc == 0 && place % (int64_t)sizeof(float) != 0)
        rc = err_set(why, -EINVAL, "task.share.place_bytes is no multiple of a float");
    ret->place_bytes = (size_t)place;
    return rc;
}

int share_open(const char *url, const struct client *client, int64_t job, size_t floats,
               struct share *ret, struct errbuf *why)
{
    struct share s = {.theta = SHARED_NONE, .grad = SHARED_NONE};
    struct message reply = {.json = NULL};
    cJSON *request;
    int files[2];

    *ret = (struct share){.number = 0};
    if (!address_is_ipc(url) || floats < SHARED_FLOATS_MIN)
        return err_set(why, -ENOTSUP, "the server is not on this machine, or the model is small");
    request = cJSON_CreateObject();
    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = pass_call(url, client_sender(client), MSG_TASK_SHARE, request, files, 2, &reply, why);
    if (rc < 0)
        return rc;
    rc = read_share(&reply, floats, &s, why);
    if (rc == 0)
        rc = shared_take(files[0], PLACES * s.place_bytes, false, &s.theta);
    if (rc == 0)
        rc = shared_take(files[1], floats * sizeof(float), true, &s.grad);
    message_done(&reply);
    close(files[0]);
    close(files[1]);
    s.theta.fd = s.grad.fd = -1;
    if (rc < 0) {
        shared_done(&s.theta);
        shared_done(&s.grad);
        return err_set(why, rc, "task.share: what came is no memory of that size");
    }
    *ret = s;
    return 0;
}

void share_close(struct share *s)
{
    if (s->number) {
        shared_done(&s->theta);
        shared_done(&s->grad);
    }
    *s = (struct share){.number = 0};
}

const float *share_theta(const struct share *s, int64_t place)
{
    return (const float *)(const void *)((const char *)s->theta.base +
                                         (size_t)place * s->place_bytes);
}

float *share_gradient(const struct share *s)
{
    return s->grad.base;
}
