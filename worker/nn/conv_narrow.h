/* Data gradient of 3x3 convolutions with stride 1 and padding 1 whose input channels fill no vector
 * (those of images); included behind conv_direct.h. Vectors run over the channels of dy instead:
 * every vector of dy meets the three taps of a kernel row, and the sums' lanes are added at the
 * end. */

struct narrow {
    const float *dy[3]; /* the rows it reads, at its first pixel */
    const float *w[3];  /* of the kernel row that reads each: [vectors][tap][LANES] */
    size_t rows, vectors;
    float *dx;
    size_t step; /* floats from pixel to pixel of dx */
    bool add;
};

INLINE void narrow_run(const struct narrow *a, int width, int edge)
{
    const int first = edge & 1 ? 1 : 0, end = width + 2 - (edge & 2 ? 1 : 0);
    const size_t out = a->vectors * LANES;
    lanes acc[16];

    UNROLL
    for (int i = 0; i < width; i++)
        acc[i] = lanes_zero();
    for (size_t r = 0; r < a->rows; r++) {
        const float *w = a->w[r], *dy = a->dy[r];
        for (size_t k = 0; k < a->vectors; k++, w += 3 * LANES, dy += LANES) {
            const lanes taps[3] = {lanes_load(w), lanes_load(w + LANES), lanes_load(w + 2 * LANES)};
            UNROLL
            for (int q = first; q < end; q++) {
                const lanes v = lanes_load(dy + (q - 1) * (long)out);
                UNROLL
                for (int s = 0; s < 3; s++) {
                    const int o = reach(SAME, width, q, s);
                    if (o >= 0)
                        acc[o] = lanes_fma(v, taps[s], acc[o]);
                }
            }
        }
    }
    UNROLL
    for (int i = 0; i < width; i++) {
        float *to = a->dx + (size_t)i * a->step;
        *to = a->add ? *to + lanes_sum(acc[i]) : lanes_sum(acc[i]);
    }
}

#define NARROW_FN(width, edge)                                                                     \
    static void narrow_##width##_##edge(const struct narrow *a)                                    \
    {                                                                                              \
        narrow_run(a, width, edge);                                                                \
    }
#define NARROW_FNS(width)                                                                          \
    NARROW_FN(width, 0) NARROW_FN(width, 1) NARROW_FN(width, 2) NARROW_FN(width, 3)
#define NARROW_ROW(width)                                                                          \
    {width, {narrow_##width##_0, narrow_##width##_1, narrow_##width##_2, narrow_##width##_3}},

NARROWS(NARROW_FNS)
static const struct narrow_kind {
    size_t width;
    void (*edge[4])(const struct narrow *);
} narrow_kinds[] = {NARROWS(NARROW_ROW)};

/* The widest block that fits; the table goes from wide to one pixel. */
static void narrow_row(const struct narrow *row, size_t w)
{
    for (size_t at = 0; at < w;) {
        const struct narrow_kind *k = narrow_kinds;
        struct narrow part = *row;
        while (k->width > w - at || (k->width > 8 && w % k->width != 0))
            k++;
        for (size_t r = 0; r < row->rows; r++)
            part.dy[r] += at * row->vectors * LANES;
        part.dx += at * row->step;
        k->edge[(at == 0 ? 1 : 0) + (k->width == w - at ? 2 : 0)](&part);
        at += k->width;
    }
}

/* The weights of one input channel, the kernel turned around. */
static void pack_narrow(const struct conv_shape *s, const float *w, float *to)
{
    for (size_t r = 0; r < 3; r++)
        for (size_t k = 0; k < s->out; k += LANES)
            for (size_t tap = 0; tap < 3; tap++, to += LANES)
                memcpy(to, w + (8 - 3 * r - tap) * s->c * s->out + k, LANES * sizeof(*to));
}

static void narrow_gradient(const struct conv_call *call)
{
    const struct conv_shape *s = &call->shape;
    const size_t row = s->w * s->out;
    struct narrow a = {.vectors = s->out / LANES, .step = s->c, .add = call->add};

    for (size_t c = 0; c < s->c && !call->again; c++)
        pack_narrow(s, call->w + c * s->out, call->scratch + c * 9 * s->out);
    for (size_t i = 0; i < call->n * s->h; i++) {
        const size_t y = i % s->h, top = y > 0 ? 0 : 1, end = y + 1 < s->h ? 3 : 2;
        for (size_t c = 0; c < s->c; c++) {
            a.rows = 0;
            for (size_t r = top; r < end; r++) {
                a.dy[a.rows] = call->dy + (i + r - 1) * row;
                a.w[a.rows++] = call->scratch + (c * 9 + r * 3) * s->out;
            }
            a.dx = call->dx + i * s->w * s->c + c;
            narrow_row(&a, s->w);
        }
    }
}

/* y's channels fill vectors and the stride is 1. */
static bool fills_dy(const struct conv_shape *s)
{
    return fills_y(s) && s->stride == 1;
}
