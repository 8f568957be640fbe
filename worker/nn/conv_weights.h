/* Weight gradient of 3x3 convolutions with padding 1; included behind conv_direct.h. In registers:
 * one kernel row's three taps times some input channels times a vector of output channels. dy
 * slides along a row through three registers, so that a broadcast of x meets all three taps. The
 * sums stay in registers over the rows and images of a strip, which the second-level cache holds.
 */

/* Channels of x and of dy that are worked on together, bytes of both in a strip. */
#define TILE_CHANNELS 64
#define STRIP_BYTES 131072

struct strip {
    const float *x, *dy; /* at the first image and the tile's first channels */
    const struct conv_shape *shape;
    size_t images, begin, end; /* rows of dy */
    size_t row;                /* of the kernel */
    float *dw;                 /* of tap 0 of that row */
    bool fresh;                /* dw holds nothing yet */
};

/* dy is that of the pixel itself and of its neighbours. */
INLINE void meet(lanes *acc, const float *x, int channels, int vectors, const lanes *next,
                 const lanes *here, const lanes *last)
{
    UNROLL
    for (int c = 0; c < channels; c++) {
        const lanes v = lanes_all(x[c]);
        UNROLL
        for (int j = 0; j < vectors; j++) {
            if (next)
                acc[c * vectors + j] = lanes_fma(v, next[j], acc[c * vectors + j]);
            if (here)
                acc[(channels + c) * vectors + j] =
                    lanes_fma(v, here[j], acc[(channels + c) * vectors + j]);
            if (last)
                acc[(2 * channels + c) * vectors + j] =
                    lanes_fma(v, last[j], acc[(2 * channels + c) * vectors + j]);
        }
    }
}

INLINE void load_vectors(lanes *to, const float *from, int vectors)
{
    UNROLL
    for (int j = 0; j < vectors; j++)
        to[j] = lanes_load(from + j * LANES);
}

/* One row: x [w, c] and dy [ow, out]. */
INLINE void strip_row(lanes *acc, const struct conv_shape *s, const float *x, const float *dy,
                      int stride, int channels, int vectors)
{
    lanes last[2] = {lanes_zero(), lanes_zero()}, here[2], next[2];
    const size_t c = s->c, out = s->out;

    load_vectors(here, dy, vectors);
    for (size_t q = 0; q + 1 < s->ow; q++) {
        load_vectors(next, dy + (q + 1) * out, vectors);
        if (stride == 1) {
            meet(acc, x + q * c, channels, vectors, next, here, last);
        } else {
            meet(acc, x + 2 * q * c, channels, vectors, NULL, here, NULL);
            meet(acc, x + (2 * q + 1) * c, channels, vectors, next, NULL, here);
        }
        UNROLL
        for (int j = 0; j < vectors; j++) {
            last[j] = here[j];
            here[j] = next[j];
        }
    }
    const size_t q = s->ow - 1;
    if (stride == 1) {
        meet(acc, x + q * c, channels, vectors, NULL, here, last);
        return;
    }
    meet(acc, x + 2 * q * c, channels, vectors, NULL, here, NULL);
    if (2 * q + 1 < s->w)
        meet(acc, x + (2 * q + 1) * c, channels, vectors, NULL, NULL, here);
}

INLINE void strip_run(const struct strip *t, int stride, int channels, int vectors)
{
    const struct conv_shape *s = t->shape;
    lanes acc[24];

    UNROLL
    for (int i = 0; i < 3 * channels * vectors; i++) {
        const float *dw = t->dw + (size_t)(i / vectors / channels) * s->c * s->out +
                          (size_t)(i / vectors % channels) * s->out + i % vectors * LANES;
        acc[i] = t->fresh ? lanes_zero() : lanes_load(dw);
    }
    for (size_t i = 0; i < t->images; i++) {
        for (size_t oy = t->begin; oy < t->end; oy++) {
            const size_t iy = oy * (size_t)stride + t->row; /* counted from the padding */
            if (iy < 1 || iy > s->h)
                continue;
            strip_row(acc, s, t->x + (i * s->h + iy - 1) * s->w * s->c,
                      t->dy + (i * s->oh + oy) * s->ow * s->out, stride, channels, vectors);
        }
    }
    UNROLL
    for (int i = 0; i < 3 * channels * vectors; i++) {
        float *dw = t->dw + (size_t)(i / vectors / channels) * s->c * s->out +
                    (size_t)(i / vectors % channels) * s->out + i % vectors * LANES;
        lanes_store(dw, acc[i]);
    }
}

#define STRIP_FN(stride, channels, vectors)                                                        \
    static void strip_##stride##_##channels##_##vectors(const struct strip *t)                     \
    {                                                                                              \
        strip_run(t, stride, channels, vectors);                                                   \
    }
#define STRIP_FNS(channels, vectors) STRIP_FN(1, channels, vectors) STRIP_FN(2, channels, vectors)
#define STRIP_ROW(channels, vectors)                                                               \
    {channels, vectors, {strip_1_##channels##_##vectors, strip_2_##channels##_##vectors}},

STRIPS(STRIP_FNS)
static const struct strip_kind {
    size_t channels, vectors;
    void (*run[2])(const struct strip *); /* by stride */
} strip_kinds[] = {STRIPS(STRIP_ROW)};

/* The first that fits: the table is in order of preference. */
static const struct strip_kind *strip_kind_of(size_t channels, size_t outs)
{
    const struct strip_kind *k = strip_kinds;

    while (k->channels > channels || k->vectors * LANES > outs)
        k++;
    return k;
}

/* The strip's part of dw for `channels` and `outs` of each from where x and dy point. */
static void strip_all(const struct strip *t, size_t channels, size_t outs)
{
    const struct conv_shape *s = t->shape;

    for (size_t c = 0, wide; c < channels; c += wide) {
        for (size_t k = 0, deep; k < outs; k += deep) {
            const struct strip_kind *kind = strip_kind_of(channels - c, outs - k);
            struct strip part = *t;
            wide = kind->channels;
            deep = kind->vectors * LANES;
            part.x += c;
            part.dy += k;
            for (part.row = 0; part.row < 3; part.row++) {
                part.dw = t->dw + (part.row * 3 * s->c + c) * s->out + k;
                kind->run[s->stride - 1](&part);
            }
        }
    }
}

/* Whole images when some fit a strip, else rows of one. */
static void weight_tile(const struct conv_call *call, size_t c, size_t channels, size_t k,
                        size_t outs)
{
    const struct conv_shape *s = &call->shape;
    const size_t row = (s->stride * s->w * channels + s->ow * outs) * sizeof(float);
    const size_t fit = STRIP_BYTES / row + 1;
    const size_t images = fit / s->oh > 1 ? fit / s->oh : 1, rows = fit < s->oh ? fit : s->oh;
    struct strip t = {.shape = s, .fresh = !call->add, .dw = call->dw + c * s->out + k};

    for (size_t i = 0; i < call->n; i += images) {
        t.images = call->n - i < images ? call->n - i : images;
        t.x = call->x + i * s->h * s->w * s->c + c;
        t.dy = call->dy + i * s->oh * s->ow * s->out + k;
        for (t.begin = 0; t.begin < s->oh; t.begin = t.end) {
            t.end = s->oh - t.begin < rows ? s->oh : t.begin + rows;
            strip_all(&t, channels, outs);
            t.fresh = false;
        }
    }
}

static void weight_gradient(const struct conv_call *call)
{
    const struct conv_shape *s = &call->shape;

    for (size_t k = 0; k < s->out; k += TILE_CHANNELS) {
        const size_t outs = s->out - k < TILE_CHANNELS ? s->out - k : TILE_CHANNELS;
        for (size_t c = 0; c < s->c; c += TILE_CHANNELS)
            weight_tile(call, c, s->c - c < TILE_CHANNELS ? s->c - c : TILE_CHANNELS, k, outs);
    }
}
