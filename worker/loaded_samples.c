/* The samples of a task, as its message has them. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "worker/loaded.h"

static int copy_tensor(const struct message *m, const char *name, enum dtype d, uint64_t n,
                       void *out, struct errbuf *why)
{
    const struct tensor *t;
    int rc = message_tensor(m, name, d, 1, &n, &t, why);

    if (rc == 0)
        memcpy(out, t->data, t->bytes);
    return rc;
}

/* The weights of places may be 0, but for the first of a shard. */
static int check_weights(const struct loaded *p, uint32_t count, struct errbuf *why)
{
    const bool online = jobspec_online(&p->spec);

    for (uint32_t i = 0; i < count; i++) {
        const bool zero = online && i % (uint32_t)p->spec.shard > 0;
        const float v = p->weights[i];
        if (!(zero ? v >= 0 : v > 0))
            return err_set(why, -EINVAL, "weight %u is %g, allowed is %s", i, (double)v,
                           zero ? "0 and above" : "above 0");
    }
    return 0;
}

/* Does the message name each sample with its label, that of a revision of the dataset? */
static bool has_labels(const struct message *m)
{
    const struct tensor *t = tensor_find(m->tensors, m->tensor_count, "ids");

    return t && t->dims == 2;
}

/* The same as ids and labels. */
static int read_pairs(struct loaded *p, const struct message *m, uint32_t count, struct errbuf *why)
{
    const struct dataset *d = &p->data.dataset;
    const uint64_t shape[] = {count, 2};
    const struct tensor *t;
    uint32_t pair[2];
    int rc = message_tensor(m, "ids", DTYPE_U32, 2, shape, &t, why);

    if (rc == 0 && !p->labels && !(p->labels = alloc_bytes(d->samples, sizeof(*p->labels))))
        rc = err_set(why, -ENOMEM, "no memory for the labels of %u samples", d->samples);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        memcpy(pair, (const char *)t->data + sizeof(pair) * i, sizeof(pair));
        p->ids[i] = pair[0];
        if (pair[1] >= d->classes)
            rc = err_set(why, -EINVAL, "the task has label %u, the dataset has %u classes", pair[1],
                         d->classes);
        else if (pair[0] < d->samples)
            p->labels[pair[0]] = (uint16_t)pair[1];
    }
    return rc;
}

int loaded_samples(struct loaded *p, const struct message *m, const struct task *t,
                   struct errbuf *why)
{
    uint32_t count = (uint32_t)t->count;
    const struct dataset *d = &p->data.dataset;
    uint32_t limit = t->kind == TASK_TEST ? d->test_samples : d->samples;
    int rc = loaded_room(p, count, why);

    if (rc == 0 && t->shard != p->spec.shard)
        rc = err_set(why, -EINVAL, "the task's shard is %lld, the job's is %lld",
                     (long long)t->shard, (long long)p->spec.shard);
    p->labelled = t->first < 0 && has_labels(m);
    if (rc == 0 && t->first < 0)
        rc = p->labelled ? read_pairs(p, m, count, why)
                         : copy_tensor(m, "ids", DTYPE_U32, count, p->ids, why);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        uint64_t id = t->first < 0 ? p->ids[i] : (uint64_t)t->first + i;

        if (id >= limit)
            rc = err_set(why, -EINVAL, "the task names sample %llu, the split has %u",
                         (unsigned long long)id, limit);
        p->ids[i] = (uint32_t)id;
    }
    if (rc == 0 && t->kind == TASK_TRAIN)
        rc = copy_tensor(m, "weights", DTYPE_F32, count, p->weights, why);
    return rc == 0 && t->kind == TASK_TRAIN ? check_weights(p, count, why) : rc;
}
