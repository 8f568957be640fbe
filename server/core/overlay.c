#include "server/core/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "server/core/curriculum.h"

#define HEAD "steppe-revision-1\n"
#define LINE_BYTES 24 /* of a row, at most */

void overlay_done(struct overlay *o)
{
    free(o->rows);
    *o = (struct overlay){0};
}

int overlay_copy(const struct overlay *from, struct overlay *ret)
{
    struct overlay_row *rows = alloc_bytes(from->count ? from->count : 1, sizeof(*rows));

    if (!rows)
        return -ENOMEM;
    if (from->count)
        memcpy(rows, from->rows, from->count * sizeof(*rows));
    *ret = *from;
    ret->rows = rows;
    return 0;
}

char *overlay_text(const struct overlay *o, const char *data_sha256, size_t *ret_bytes)
{
    const size_t room = sizeof(HEAD) + SHA256_HEX + 1 + (size_t)o->count * LINE_BYTES;
    char *text = alloc_bytes(room, 1);

    if (!text)
        return NULL;
    size_t used = (size_t)snprintf(text, room, HEAD "%s\n", data_sha256);
    for (uint32_t i = 0; i < o->count; i++) {
        const struct overlay_row *row = &o->rows[i];
        int n = row->label == OVERLAY_EXCLUDED
                    ? snprintf(text + used, room - used, "%u -\n", row->sample)
                    : snprintf(text + used, room - used, "%u %d\n", row->sample, row->label);
        used += (size_t)n;
    }
    *ret_bytes = used;
    return text;
}

void overlay_apply(const struct overlay *o, const bool *own, const uint16_t *imported, uint32_t n,
                   double *rank, uint16_t *labels)
{
    for (uint32_t i = 0, at = 0; i < n; i++) {
        while (at < o->count && o->rows[at].sample < i)
            at++;
        const struct overlay_row *row =
            at < o->count && o->rows[at].sample == i ? &o->rows[at] : NULL;
        const bool out = own[i] || (row && row->label == OVERLAY_EXCLUDED);
        labels[i] = row && row->label != OVERLAY_EXCLUDED ? (uint16_t)row->label : imported[i];
        if (out)
            rank[i] = CURRICULUM_EXCLUDED;
        else if (rank[i] == CURRICULUM_EXCLUDED)
            rank[i] = CURRICULUM_UNRANKED;
    }
}

/* The number that stands at *io_at before `end`. */
static int read_number(const char **io_at, const char *stop, char end, int64_t max, int64_t *ret)
{
    char digits[12];
    const char *at = memchr(*io_at, end, (size_t)(stop - *io_at));
    size_t bytes = at ? (size_t)(at - *io_at) : 0;

    if (bytes == 0 || bytes >= sizeof(digits))
        return -EINVAL;
    memcpy(digits, *io_at, bytes);
    digits[bytes] = '\0';
    *io_at = at + 1;
    return text_i64(digits, 0, max, ret) ? 0 : -EINVAL;
}

static int read_row(const char **io_at, const char *stop, uint32_t samples, uint32_t classes,
                    struct overlay_row *ret)
{
    int64_t sample, label = OVERLAY_EXCLUDED;
    int rc = read_number(io_at, stop, ' ', (int64_t)samples - 1, &sample);

    if (rc == 0 && stop - *io_at >= 2 && memcmp(*io_at, "-\n", 2) == 0)
        *io_at += 2;
    else if (rc == 0)
        rc = read_number(io_at, stop, '\n', (int64_t)classes - 1, &label);
    if (rc == 0)
        *ret = (struct overlay_row){(uint32_t)sample, (int32_t)label};
    return rc;
}

int overlay_parse(const char *text, size_t bytes, const char *data_sha256, uint32_t samples,
                  uint32_t classes, struct overlay *ret, struct errbuf *why)
{
    const size_t head = sizeof(HEAD) - 1, hash = SHA256_HEX - 1;
    const char *at = text + head + hash + 1, *stop = text + bytes;
    struct overlay o = {0};
    uint32_t lines = 0;

    if (bytes < head + hash + 1 || memcmp(text, HEAD, head) != 0 || text[head + hash] != '\n')
        return err_set(why, -EINVAL, "it does not begin as a revision does");
    if (memcmp(text + head, data_sha256, hash) != 0)
        return err_set(why, -EINVAL, "it is a revision of other data");
    for (const char *p = at; p < stop; p++)
        lines += *p == '\n';
    o.rows = alloc_bytes(lines ? lines : 1, sizeof(*o.rows));
    if (!o.rows)
        return err_set(why, -ENOMEM, "no memory for a revision of %u samples", lines);
    while (at < stop) {
        struct overlay_row *row = &o.rows[o.count];
        if (o.count == lines || read_row(&at, stop, samples, classes, row) < 0 ||
            (o.count > 0 && row->sample <= row[-1].sample)) {
            overlay_done(&o);
            return err_set(why, -EINVAL, "line %u of the revision is damaged", o.count + 3);
        }
        o.count++;
        o.excluded += row->label == OVERLAY_EXCLUDED;
    }
    *ret = o;
    return 0;
}
