#include "tests/sim/program_epoch.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/hash.h"
#include "common/text.h"
#include "tests/sim/fields.h"
#include "tests/sim/journal.h"
#include "tests/sim/person_fields.h"
#include "tests/sim/world.h"

#define PIECE_MOST 20 /* samples of a piece */
#define TWICE 3       /* pieces that go out once more */

void program_epoch_begin(struct program_epoch *e, int64_t epoch, uint32_t world, bool probabilities)
{
    *e = (struct program_epoch){.epoch = epoch, .world = world, .probabilities = probabilities};
}

/* --- the order --- */

uint32_t program_epoch_lacks(const struct program_epoch *e)
{
    uint32_t rank = 0;

    while (rank < e->world && e->total > 0 && e->have[rank] == e->total)
        rank++;
    return rank;
}

/* The whole stream again, out of those of the ranks. */
static uint32_t join(const struct program_epoch *e, uint32_t batch, uint32_t *ids, float *weights)
{
    const uint32_t mine = batch / e->world;
    uint32_t n = 0;

    for (uint32_t first = 0; first < e->total; first += mine)
        for (uint32_t rank = 0; rank < e->world; rank++)
            for (uint32_t i = first; i < first + mine; i++, n++) {
                ids[n] = e->ids[rank][i];
                weights[n] = e->weights[rank][i];
            }
    return n;
}

static void check_order(const struct program_epoch *e, uint32_t batch, const struct message *m)
{
    const int64_t scheduled = fields_number(m, "scheduled", 0);
    uint32_t ids[RANKS_MOST * POSITIONS_MOST];
    float weights[RANKS_MOST * POSITIONS_MOST];
    const uint32_t n = join(e, batch, ids, weights);
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];
    struct sha256 h;
    bool seen[SCENARIO_SAMPLES] = {false};

    sha256_init(&h);
    sha256_add(&h, ids, n * sizeof(*ids));
    sha256_add(&h, weights, n * sizeof(*weights));
    sha256_end(&h, digest);
    text_hex(digest, sizeof(digest), hex);
    if (strcmp(hex, text(m->json, "stream_sha256")) != 0)
        note("violation what=\"the ranks together have another stream than the hash says\"");
    for (uint32_t i = 0; i < n; i++) {
        if (scheduled > 0 && i % scheduled == 0)
            memset(seen, 0, sizeof(seen));
        if (ids[i] >= SCENARIO_SAMPLES || seen[ids[i]]) {
            note("violation what=\"a sample is twice in the order\"");
            return;
        }
        seen[ids[i]] = true;
    }
}

void program_epoch_take(struct program_epoch *e, uint32_t rank, uint32_t batch,
                        const struct message *m)
{
    const struct tensor *ids = tensor_find(m->tensors, m->tensor_count, "ids");
    const struct tensor *weights = tensor_find(m->tensors, m->tensor_count, "weights");
    const int64_t total = fields_number(m, "total", 0), count = fields_number(m, "count", 0);
    const uint32_t at = e->have[rank];

    if (!ids || !weights || ids->bytes != (size_t)count * sizeof(uint32_t) ||
        weights->bytes != (size_t)count * sizeof(float) || total > POSITIONS_MOST ||
        at + count > total || (e->total > 0 && e->total != total)) {
        note("violation what=\"a piece of the order is not what it says\"");
        return;
    }
    memcpy(e->ids[rank] + at, ids->data, ids->bytes);
    memcpy(e->weights[rank] + at, weights->data, weights->bytes);
    e->have[rank] += (uint32_t)count;
    e->total = (uint32_t)total;
    if (program_epoch_lacks(e) == e->world)
        check_order(e, batch, m);
}

/* --- reports --- */

static void add_pieces(struct program_epoch *e, bool test, int group, uint32_t samples)
{
    uint32_t n;

    for (uint32_t first = 0; first < samples && e->piece_count < PIECES_MOST; first += n) {
        n = 1 + (uint32_t)world_draw(PIECE_MOST);
        n = n < samples - first ? n : samples - first;
        e->pieces[e->piece_count++] = (struct piece){test, group, first, n};
    }
}

/* In even epochs of every sample, in odd ones of those in the order. */
static void choose_samples(struct program_epoch *e)
{
    bool chosen[SCENARIO_SAMPLES] = {false};

    e->sample_count = 0;
    for (uint32_t rank = 0; rank < e->world; rank++)
        for (uint32_t i = 0; i < e->total; i++)
            chosen[e->ids[rank][i] % SCENARIO_SAMPLES] = true;
    for (uint32_t i = 0; i < SCENARIO_SAMPLES; i++)
        if (chosen[i] || e->epoch % 2 == 0)
            e->samples[e->sample_count++] = i;
}

void program_epoch_cut(struct program_epoch *e)
{
    choose_samples(e);
    e->piece_count = e->sent = 0;
    for (int group = 0; group < PIECE_GROUPS; group++) {
        const bool probabilities = group == PIECE_GROUP_PROBABILITIES;
        if (!probabilities || e->probabilities)
            add_pieces(e, false, group, e->sample_count);
        if (!probabilities)
            add_pieces(e, true, group, SCENARIO_TESTS);
    }
    for (int i = e->piece_count; i > 1; i--) {
        const int j = (int)world_draw((uint64_t)i);
        const struct piece piece = e->pieces[i - 1];
        e->pieces[i - 1] = e->pieces[j];
        e->pieces[j] = piece;
    }
    const int once = e->piece_count;
    for (int i = 0; i < TWICE && !scenario_get()->undisturbed && once + i < PIECES_MOST; i++)
        e->pieces[e->piece_count++] = e->pieces[world_draw((uint64_t)once)];
}

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t bits_of(const struct program_epoch *e, bool test, uint32_t sample, int measure)
{
    return mix(mix(mix((uint64_t)e->epoch * 2 + test) + sample) + (uint64_t)measure);
}

/* The first is the smallest; where it is wrong, the largest. */
static int rows(const struct program_epoch *e, const struct piece *piece, bool wrong,
                struct piece_values *values, struct tensor *tensors)
{
    const int classes = SCENARIO_CLASSES;

    for (uint32_t i = 0; i < piece->count; i++) {
        const uint32_t sample = e->samples[piece->first + i];
        const float share = (float)(bits_of(e, false, sample, 8) >> 40) * 0x1p-24F / classes;
        float *row = values->f32 + (size_t)i * classes;
        values->ids[i] = sample;
        for (int k = 0; k < classes; k++)
            row[k] = share;
        row[wrong ? 0 : classes - 1] = 1 - (float)(classes - 1) * share;
    }
    tensors[0] = tensor_1d("ids", DTYPE_U32, piece->count, values->ids);
    tensors[1] = tensor_make("probabilities", DTYPE_F32, 2,
                             (const uint64_t[]){piece->count, SCENARIO_CLASSES}, values->f32);
    return 2;
}

void program_epoch_break(const struct piece *piece, struct piece_values *values)
{
    if (piece->group == PIECE_GROUP_PROBABILITIES)
        values->f32[piece->count * SCENARIO_CLASSES - 1] = NAN;
    else
        values->reals[0][piece->count - 1] = NAN;
}

int program_epoch_values(const struct program_epoch *e, const struct piece *piece, bool wrong,
                         struct piece_values *values, struct tensor *tensors)
{
    if (piece->group == PIECE_GROUP_PROBABILITIES)
        return rows(e, piece, wrong, values, tensors);

    static const char *const names[2][3] = {{"loss", "adv_loss", "predicted"},
                                            {"margin", "grad_norm", "adv_predicted"}};
    const char *const *name = names[piece->group];
    const uint32_t n = piece->count;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t sample = piece->test ? piece->first + i : e->samples[piece->first + i];
        double v[2];
        for (int k = 0; k < 2; k++)
            v[k] = 100 * wrong +
                   (double)(bits_of(e, piece->test, sample, 4 * piece->group + k) >> 11) * 0x1p-53;
        values->ids[i] = sample;
        values->reals[0][i] = v[0];
        values->reals[1][i] = v[0] + v[1];
        values->f32[i] = (float)v[1];
        values->classes[i] = wrong
                                 ? 0
                                 : (int32_t)(bits_of(e, piece->test, sample, 4 * piece->group + 2) %
                                             (SCENARIO_CLASSES + 1)) -
                                       1;
    }
    tensors[0] = tensor_1d("ids", DTYPE_U32, n, values->ids);
    tensors[1] = tensor_1d(name[0], DTYPE_F64, n, values->reals[0]);
    tensors[2] = piece->group == 0 ? tensor_1d(name[1], DTYPE_F64, n, values->reals[1])
                                   : tensor_1d(name[1], DTYPE_F32, n, values->f32);
    tensors[3] = tensor_1d(name[2], DTYPE_I32, n, values->classes);
    return PIECE_TENSORS;
}
