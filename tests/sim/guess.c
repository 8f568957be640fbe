#include "tests/sim/guess.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/hash.h"
#include "tests/sim/fields.h"
#include "tests/sim/journal.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define GUEST (CLIENTS_MAX - 1) /* its number among the clients */
#define PICTURES 14             /* of a batch: four shards, the last one short */
#define BATCHES 2
#define SEEN_MAX 256

/* --- a worker --- */

static void ask(const struct guess *g, struct client *c)
{
    cJSON *fields = cJSON_CreateObject();

    cJSON_AddNumberToObject(fields, "prediction", (double)g->prediction);
    cJSON_AddNumberToObject(fields, "offset", 0);
    cJSON_AddNumberToObject(fields, "bytes", PIECE_BYTES_MAX);
    net_ask(c, "predict.load", fields, NULL, 0, "");
}

bool guess_take(struct guess *g, const struct message *m, struct client *c)
{
    free(g->images);
    g->images = fields_copy(m, "images", &g->bytes);
    g->busy = true;
    g->prediction = fields_number(m, "prediction", 0);
    g->batch = fields_number(m, "batch", 0);
    g->lo = fields_number(m, "lo", 0);
    g->hi = fields_number(m, "hi", 0);
    g->count = fields_number(m, "count", 1);
    if (g->loaded != g->prediction)
        ask(g, c);
    return g->loaded == g->prediction;
}

void guess_load(struct guess *g, const struct message *m)
{
    size_t bytes = 0;

    free(g->theta);
    g->theta = fields_copy(m, "piece", &bytes);
    g->floats = bytes / sizeof(float);
    g->classes = (uint32_t)fields_number(m, "classes", 1);
    g->adversarial = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->json, "adversarial"));
    g->loaded = g->prediction;
}

/* Every entry of theta and every pixel matters. */
static float response(const struct guess *g, const uint8_t *image, size_t pixels, uint32_t class)
{
    double sum = class;

    for (size_t i = 0; i < g->floats; i++)
        sum += g->theta[i] * (double)(i % 7 + 1);
    for (size_t i = 0; i < pixels; i++)
        sum += image[i] * (double)(i % 5 + class + 1);
    return (float)sum;
}

void guess_send(struct guess *g, struct client *c)
{
    const uint64_t shape[] = {(uint64_t)g->count, g->classes};
    const size_t pixels = g->bytes / (size_t)g->count;
    float *logits = xcalloc((size_t)g->count * g->classes, sizeof(*logits));
    int32_t *twins = xcalloc((size_t)g->count, sizeof(*twins));
    struct tensor tensors[2];
    cJSON *fields = cJSON_CreateObject();
    int n = 1;

    for (size_t i = 0; i < (size_t)g->count; i++) {
        for (uint32_t j = 0; j < g->classes; j++)
            logits[i * g->classes + j] = response(g, g->images + i * pixels, pixels, j);
        twins[i] = g->images[i * pixels] % (int32_t)g->classes;
    }
    tensors[0] = tensor_make("logits", DTYPE_F32, 2, shape, logits);
    if (g->adversarial)
        tensors[n++] = tensor_1d("twins", DTYPE_I32, (uint64_t)g->count, twins);
    cJSON_AddNumberToObject(fields, "prediction", (double)g->prediction);
    cJSON_AddNumberToObject(fields, "batch", (double)g->batch);
    cJSON_AddNumberToObject(fields, "lo", (double)g->lo);
    cJSON_AddNumberToObject(fields, "hi", (double)g->hi);
    net_ask(c, "predict.result", fields, tensors, n, "");
    g->busy = false;
    free(logits);
    free(twins);
}

void guess_forget(struct guess *g)
{
    free(g->theta);
    free(g->images);
    *g = (struct guess){.loaded = 0};
}

/* --- the guest --- */

enum saying { OPEN, PUT, GET, CLOSE };

static struct {
    struct client client;
    enum saying saying;
    char uuid[UUID_BYTES], model[SHA256_HEX];
    uint32_t classes, pixels, sides[3];
    int batch;
    struct {
        char model[SHA256_HEX];
        int batch;
        char logits[SHA256_HEX];
    } seen[SEEN_MAX];
    int seen_count;
} guest;

static void say(void *arg, int64_t number);

static void later(int64_t us)
{
    world_after(us, say, NULL, 0);
}

/* Picture i of batch b: its first pixel tells it from the others. */
static uint8_t *pictures(int b)
{
    uint8_t *images = xcalloc((size_t)PICTURES * guest.pixels, 1);

    for (size_t i = 0; i < (size_t)PICTURES * guest.pixels; i++)
        images[i] = (uint8_t)(i / guest.pixels * 3 + i % guest.pixels + (size_t)b * 11);
    return images;
}

static void say(void *arg, int64_t number)
{
    static const char *const types[] = {"predict.open", "predict.put", "predict.get",
                                        "predict.close"};
    const uint64_t shape[] = {PICTURES, guest.sides[0], guest.sides[1], guest.sides[2]};
    cJSON *fields = cJSON_CreateObject();
    uint8_t *images = guest.saying == PUT ? pictures(guest.batch) : NULL;
    struct tensor t;

    (void)arg, (void)number;
    if (guest.saying == OPEN)
        scenario_uuid(guest.uuid);
    cJSON_AddStringToObject(fields, "uuid", guest.uuid);
    if (guest.saying == OPEN) {
        cJSON_AddNumberToObject(fields, "job", 1);
        cJSON_AddTrueToObject(fields, "adversarial");
    } else if (guest.saying != CLOSE) {
        cJSON_AddNumberToObject(fields, "batch", guest.batch);
    }
    if (images)
        t = tensor_make("images", DTYPE_U8, 4, shape, images);
    net_ask(&guest.client, types[guest.saying], fields, &t, images ? 1 : 0, "");
    free(images);
}

static void take_opened(const struct message *m)
{
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(m->json, "input");
    const cJSON *sha256 = cJSON_GetObjectItemCaseSensitive(m->json, "sha256");

    guest.pixels = 1;
    for (int i = 0; i < 3; i++) {
        guest.sides[i] = (uint32_t)cJSON_GetArrayItem(input, i)->valuedouble;
        guest.pixels *= guest.sides[i];
    }
    guest.classes = (uint32_t)fields_number(m, "classes", 1);
    snprintf(guest.model, sizeof(guest.model), "%s", sha256->valuestring);
    guest.batch = 0;
}

/* The same bits as the last time, and the twins of the right pictures. */
static void check(const struct message *m)
{
    const struct tensor *logits = tensor_find(m->tensors, m->tensor_count, "logits");
    const struct tensor *twins = tensor_find(m->tensors, m->tensor_count, "twins");
    uint8_t *images = pictures(guest.batch);
    bool right = logits && twins && twins->bytes == PICTURES * sizeof(int32_t) &&
                 logits->bytes == PICTURES * guest.classes * sizeof(float);
    char hash[SHA256_HEX];
    int i = 0;

    for (size_t k = 0; right && k < PICTURES; k++) {
        int32_t twin;
        memcpy(&twin, (const char *)twins->data + k * sizeof(twin), sizeof(twin));
        right = twin == images[k * guest.pixels] % (int32_t)guest.classes;
    }
    free(images);
    if (!right) {
        note("violation what=\"a prediction has results of other pictures\"");
        return;
    }
    sha256_hex_of(logits->data, logits->bytes, hash);
    while (i < guest.seen_count &&
           (strcmp(guest.seen[i].model, guest.model) != 0 || guest.seen[i].batch != guest.batch))
        i++;
    if (i < guest.seen_count && strcmp(guest.seen[i].logits, hash) != 0)
        note("violation what=\"the same model predicts other bits\"");
    note("predicted batch=%d logits=%.8s again=%d", guest.batch, hash, i < guest.seen_count);
    if (i < guest.seen_count || i == SEEN_MAX)
        return;
    memcpy(guest.seen[i].model, guest.model, sizeof(guest.model));
    memcpy(guest.seen[i].logits, hash, sizeof(hash));
    guest.seen[i].batch = guest.batch;
    guest.seen_count++;
}

static void on_reply(void *arg, const struct message *m)
{
    (void)arg;
    if (cJSON_GetObjectItemCaseSensitive(m->json, "code")) {
        guest.saying = OPEN;
        later(world_delay(SECOND, 5 * SECOND));
    } else if (guest.saying == OPEN) {
        take_opened(m);
        guest.saying = PUT;
        later(0);
    } else if (guest.saying == PUT) {
        guest.saying = GET;
        later(0);
    } else if (guest.saying == GET &&
               cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->json, "done"))) {
        check(m);
        guest.saying = ++guest.batch < BATCHES ? PUT : CLOSE;
        later(0);
    } else if (guest.saying == GET) {
        later(0);
    } else {
        guest.saying = OPEN;
        later(world_delay(SECOND, 10 * SECOND));
    }
}

void guest_begin(void)
{
    if (scenario_get()->undisturbed || scenario_get()->jobs == 0)
        return;
    guest.client = (struct client){.number = GUEST, .reply = on_reply};
    scenario_uuid(guest.client.sender);
    net_add(&guest.client);
    later(world_delay(SECOND, 5 * SECOND));
}
