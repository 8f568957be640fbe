/* Both texts are made of one description of a key, so that they say the same. */
#include "common/jobspec_help.h"

#include <string.h>

#include "common/jobspec_internal.h"
#include "common/manual.h"
#include "common/model.h"
#include "common/text.h"

static const char *const types[] = {
    [ROW_SECTION] = "object", [ROW_NAME] = "name",      [ROW_MODEL] = "model",
    [ROW_INT] = "integer",    [ROW_SEED] = "integer",   [ROW_F64] = "number",
    [ROW_RATIO] = "ratio",    [ROW_BOOL] = "bool",      [ROW_ENUM] = "word",
    [ROW_SHARES] = "list",    [ROW_MEASURE] = "word",   [ROW_EXCLUDE] = "list",
    [ROW_WEIGHTS] = "object", [ROW_CHANNELS] = "list",  [ROW_NAMES] = "list",
    [ROW_DATASET] = "name",   [ROW_REVISIONS] = "list", [ROW_CLASS_WEIGHTS] = "weights",
    [ROW_CONFIG] = "object",
};

const char *jobspec_key_at(int index, const char **help, bool *section)
{
    const struct row *row = &jobspec_rows[index];

    *help = row->help;
    *section = row->type == ROW_SECTION;
    return row->path;
}

/* The default as a person would write it. */
static const char *default_of(const struct row *row)
{
    return row->def ? row->def : row->type == ROW_SECTION ? "" : "required";
}

static const char *allowed_of(const struct row *row, char buf[RANGE_BYTES])
{
    if (row->type == ROW_MODEL)
        return text_list(model_presets, buf, RANGE_BYTES);
    if (row->names)
        return text_list(row->names, buf, RANGE_BYTES);
    if (row_ranged(row))
        return row_range(row, buf);
    return "";
}

void jobspec_help(FILE *out)
{
    char buf[RANGE_BYTES];

    fprintf(out, "%-23s %-8s %-11s %s\n", "key", "type", "default", "meaning [allowed]");
    for (const struct row *row = jobspec_rows; row->path; row++) {
        const char *allowed = allowed_of(row, buf);
        fprintf(out, "%-23s %-8s %-11s %s%s%s%s", row->path, types[row->type], default_of(row),
                row->help, *allowed ? " [" : "", allowed, *allowed ? "]" : "");
        if (row->only)
            fprintf(out, "; %s %s only", row->only->path, row->only->word);
        if (row->other)
            fprintf(out, "; default of %s %s: %s", row->other->path, row->other->word,
                    row->other_def);
        fputc('\n', out);
    }
}

/* "(number, 0 to 1; default 0.05; of optimizer.name adamw 0.001; optimizer.name sgd only)" */
static void manual_limits(const struct row *row, FILE *out)
{
    char buf[RANGE_BYTES];
    const char *allowed = allowed_of(row, buf), *def = default_of(row);

    fprintf(out, "(%s", types[row->type]);
    if (*allowed) {
        fputs(", ", out);
        manual_text(allowed, out);
    }
    if (*def) {
        fputs(row->def ? "; default " : "; ", out);
        manual_text(def, out);
    }
    if (row->other) {
        fprintf(out, "; of %s ", row->other->path);
        manual_text(row->other->word, out);
        fputc(' ', out);
        manual_text(row->other_def, out);
    }
    if (row->only) {
        fprintf(out, "; %s ", row->only->path);
        manual_text(row->only->word, out);
        fputs(" only", out);
    }
    fputs(")\n", out);
}

void jobspec_manual(FILE *out)
{
    bool inside = false;

    for (const struct row *row = jobspec_rows; row->path; row++) {
        const bool section = row->type == ROW_SECTION;
        if (inside && !section && !strchr(row->path, '.'))
            fputs(".SS The job, further keys\n", out);
        inside = section || strchr(row->path, '.');
        fputs(section ? ".SS " : ".TP\n\\fB", out);
        manual_text(row->path, out);
        fputs(section ? "\n" : "\\fR\n", out);
        manual_line(row->help, out);
        if (!section)
            manual_limits(row, out);
    }
}
