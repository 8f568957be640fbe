/* A CSV file of verdicts, and the same bytes as the text of a revision. */
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "proto/cli/import/verdict_file.h"
#include "server/core/overlay.h"
#include "tests/fuzz/fuzz.h"

#define DATA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SAMPLES 100
#define CLASSES 9

static size_t told;

static void tell(void *arg, size_t line, const char *text)
{
    (void)arg;
    FUZZ_ASSERT(text[0]);
    told += line > 0;
}

static void find(void *arg, struct verdict_path *paths, int count)
{
    (void)arg;
    for (int i = 0; i < count; i++) {
        struct verdict_path *p = &paths[i];

        p->sample = (uint32_t)strlen(p->path);
        p->rc = p->sample < SAMPLES ? 0 : err_set(&p->why, -1, "no such sample");
    }
}

static void check_file(const char *path, enum verdict_kind issues, bool labels_only)
{
    static const char *const classes[] = {"cat", "dog", "7", NULL};
    const struct verdict_ask ask = {classes, 3, "pets", issues, labels_only, find, tell, NULL};
    struct verdict_file f;
    struct errbuf why = {""};

    told = 0;
    if (verdict_file_read(path, &ask, &f, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return;
    }
    FUZZ_ASSERT(f.bad == told);
    for (size_t i = 0; i < f.count; i++) {
        const struct verdict *v = &f.lines[i].verdict;
        FUZZ_ASSERT(v->sample < SAMPLES_MAX && v->kind < VERDICT_KINDS);
        FUZZ_ASSERT(v->label >= -1 && v->label < 3 && strlen(v->note) < sizeof(v->note));
        FUZZ_ASSERT(f.bad > 0 || i == 0 || v->sample > f.lines[i - 1].verdict.sample);
    }
    verdict_file_done(&f);
}

static void check_revision(const uint8_t *data, size_t bytes)
{
    struct errbuf why = {""};
    struct overlay o;
    size_t again;

    if (overlay_parse((const char *)data, bytes, DATA, SAMPLES, CLASSES, &o, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return;
    }
    for (uint32_t i = 0; i < o.count; i++)
        FUZZ_ASSERT(o.rows[i].sample < SAMPLES && o.rows[i].label < CLASSES);
    char *text = overlay_text(&o, DATA, &again);
    FUZZ_ASSERT(text && again <= bytes);
    free(text);
    overlay_done(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *path = fuzz_file(data, bytes);

    check_file(path, VERDICT_WRONG, false);
    check_file(path, VERDICT_UNSURE, true);
    check_revision(data, bytes);
    return 0;
}
