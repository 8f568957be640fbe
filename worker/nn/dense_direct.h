/* The matrix products of a dense layer for one instruction set; included by the file that defines
 *   LANES, lanes, lanes_load, lanes_store, lanes_all, lanes_fma, lanes_clamp
 *   TILE_ROWS   rows of a tile; twice as many sums as that fill the registers
 * A tile is TILE_ROWS rows by two vectors of the result. Its left factor is read an entry at a time
 * where it lies, its right factor from panels two vectors wide. Every entry of a result is one
 * chain of fused multiply-adds over the inner index in its order, beginning with the bias or 0: it
 * depends neither on its place nor on how many rows there are. */
#include <string.h>

#define PANEL (2 * (size_t)LANES)
#define AHEAD 12 /* rows that are asked for before they are copied */

struct factor {
    const float *at;
    size_t row, depth; /* from entry to entry */
};

/* c [rows, PANEL] = init + a b, clamped at 0 if relu; the rows of b are b_row apart. They are
 * copied to `panel` on the way, unless that is NULL. */
__attribute__((always_inline)) static inline void
tile_rows(const size_t rows, size_t depth, struct factor a, const float *b, size_t b_row,
          float *panel, const float *init, size_t init_row, bool relu, float *c, size_t c_row)
{
    lanes sum[TILE_ROWS][2];

#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++) {
        sum[i][0] = lanes_load(init + i * init_row);
        sum[i][1] = lanes_load(init + i * init_row + LANES);
    }
    for (size_t k = 0; k < depth; k++, b += b_row) {
        const lanes b0 = lanes_load(b), b1 = lanes_load(b + LANES);
        const float *at = a.at + k * a.depth;
        if (panel) {
            lanes_store(panel + k * PANEL, b0);
            lanes_store(panel + k * PANEL + LANES, b1);
            __builtin_prefetch(b + AHEAD * b_row);
            __builtin_prefetch(b + AHEAD * b_row + LANES);
        }
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; i++) {
            const lanes one = lanes_all(at[i * a.row]);
            sum[i][0] = lanes_fma(one, b0, sum[i][0]);
            sum[i][1] = lanes_fma(one, b1, sum[i][1]);
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++) {
        lanes_store(c + i * c_row, relu ? lanes_clamp(sum[i][0]) : sum[i][0]);
        lanes_store(c + i * c_row + LANES, relu ? lanes_clamp(sum[i][1]) : sum[i][1]);
    }
}

static void tile(size_t rows, size_t depth, struct factor a, const float *panel, const float *init,
                 size_t init_row, bool relu, float *c, size_t c_row)
{
    if (rows == TILE_ROWS) {
        tile_rows(TILE_ROWS, depth, a, panel, PANEL, NULL, init, init_row, relu, c, c_row);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        const struct factor one = {a.at + i * a.row, a.row, a.depth};
        tile_rows(1, depth, one, panel, PANEL, NULL, init + i * init_row, init_row, relu,
                  c + i * c_row, c_row);
    }
}

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

/* to [8 columns, 8 rows] = from [8 rows, 8 columns] turned around. */
static inline void turn(const float *from, size_t from_row, float *to, size_t to_row)
{
    __m256 a[8], b[8];

#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps(from + i * from_row);
#pragma GCC unroll 4
    for (size_t i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * to_row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * to_row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

/* to [columns, rows] = from [rows, columns] turned around. */
static void turn_all(size_t rows, size_t columns, const float *from, size_t from_row, float *to,
                     size_t to_row)
{
    const size_t whole_rows = rows / 8 * 8, whole_columns = columns / 8 * 8;

    for (size_t i = 0; i < whole_rows; i += 8)
        for (size_t j = 0; j < whole_columns; j += 8)
            turn(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            to[j * to_row + i] = from[i * from_row + j];
}

/* Columns [0, width) of b [depth, width] as a panel, 0 in those that are left. */
static void pack(size_t depth, size_t width, const float *b, size_t b_row, float *panel)
{
    for (size_t k = 0; k < depth; k++, panel += PANEL, b += b_row) {
        memcpy(panel, b, width * sizeof(*panel));
        memset(panel + width, 0, (PANEL - width) * sizeof(*panel));
    }
}

/* y = relu?(x w + b), a panel of w at a time and so much of its depth as stays in the cache. */
static void dense_forward(const struct dense_call *d)
{
    float edge[TILE_ROWS * PANEL], first[PANEL];

    for (size_t j = 0; j < d->out; j += PANEL) {
        const size_t width = at_most(d->out - j, PANEL);
        memset(first, 0, sizeof(first));
        if (d->b)
            memcpy(first, d->b + j, width * sizeof(*first));
        for (size_t k = 0; k < d->in; k += DENSE_DEPTH) {
            const size_t depth = at_most(d->in - k, DENSE_DEPTH);
            const bool relu = d->relu && k + depth == d->in;
            const float *w = d->w + k * d->out + j;
            size_t i = 0;
            if (width == PANEL && d->n >= TILE_ROWS) {
                const struct factor a = {d->x + k, d->in, 1};
                tile_rows(TILE_ROWS, depth, a, w, d->out, d->scratch, k ? d->y + j : first,
                          k ? d->out : 0, relu, d->y + j, d->out);
                i = TILE_ROWS;
            } else {
                pack(depth, width, w, d->out, d->scratch);
            }
            for (; i < d->n; i += TILE_ROWS) {
                const size_t rows = at_most(d->n - i, TILE_ROWS);
                const struct factor a = {d->x + i * d->in + k, d->in, 1};
                float *y = d->y + i * d->out + j;
                if (width == PANEL) {
                    tile(rows, depth, a, d->scratch, k ? y : first, k ? d->out : 0, relu, y,
                         d->out);
                    continue;
                }
                for (size_t r = 0; k && r < rows; r++)
                    memcpy(edge + r * PANEL, y + r * d->out, width * sizeof(*edge));
                tile(rows, depth, a, d->scratch, k ? edge : first, k ? PANEL : 0, relu, edge,
                     PANEL);
                for (size_t r = 0; r < rows; r++)
                    memcpy(y + r * d->out, edge + r * PANEL, width * sizeof(*edge));
            }
        }
    }
}

/* dw = x^T dy. */
static void dense_weight_gradient(const struct dense_call *d)
{
    static const float zeros[PANEL];
    float edge[TILE_ROWS * PANEL];

    for (size_t j = 0; j < d->out; j += PANEL)
        pack(d->n, at_most(d->out - j, PANEL), d->dy + j, d->out, d->scratch + j * d->n);
    for (size_t i = 0; i < d->in; i += TILE_ROWS) {
        const size_t rows = at_most(d->in - i, TILE_ROWS);
        const struct factor a = {d->x + i, 1, d->in};
        for (size_t j = 0; j < d->out; j += PANEL) {
            const size_t width = at_most(d->out - j, PANEL);
            float *dw = d->dw + i * d->out + j;
            if (width == PANEL) {
                tile(rows, d->n, a, d->scratch + j * d->n, zeros, 0, false, dw, d->out);
                continue;
            }
            tile(rows, d->n, a, d->scratch + j * d->n, zeros, 0, false, edge, PANEL);
            for (size_t r = 0; r < rows; r++)
                memcpy(dw + r * d->out, edge + r * PANEL, width * sizeof(*edge));
        }
    }
}

/* dx (+)= dy w^T as its transpose, w dy^T: turning the short dy and the result around costs less
 * than turning w. */
static void dense_data_gradient(const struct dense_call *d)
{
    static const float zeros[PANEL];
    float turned[TILE_ROWS * PANEL];

    for (size_t s = 0; s < d->n; s += PANEL) {
        const size_t width = at_most(d->n - s, PANEL);
        float *panel = d->scratch + s * d->out;
        if (width < PANEL)
            memset(panel, 0, d->out * PANEL * sizeof(*panel));
        turn_all(width, d->out, d->dy + s * d->out, d->out, panel, PANEL);
    }
    for (size_t j = 0; j < d->in; j += TILE_ROWS) {
        const size_t rows = at_most(d->in - j, TILE_ROWS);
        const struct factor a = {d->w + j * d->out, d->out, 1};
        for (size_t s = 0; s < d->n; s += PANEL) {
            const size_t width = at_most(d->n - s, PANEL);
            float *dx = d->dx + s * d->in + j;
            tile(rows, d->out, a, d->scratch + s * d->out, zeros, 0, false, turned, PANEL);
            if (!d->add) {
                turn_all(rows, width, turned, PANEL, dx, d->in);
                continue;
            }
            for (size_t i = 0; i < width; i++)
                for (size_t r = 0; r < rows; r++)
                    dx[i * d->in + r] += turned[r * PANEL + i];
        }
    }
}
