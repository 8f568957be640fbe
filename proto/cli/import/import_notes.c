#include "proto/cli/import/import_notes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"

#define NAMES_MAX 8       /* of what was left out; the others are counted */
#define NAME_SHOWN_MAX 50 /* bytes of one */

void import_note(struct import_notes *n, const char *fmt, ...)
{
    char text[400];
    va_list args;

    if (!n || n->count == IMPORT_NOTES_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    text_make_printable(text);
    n->texts[n->count++] = xstrdup(text);
}

void import_note_left(struct import_notes *n, const char *root, const char *below, const char *name,
                      bool is_folder)
{
    char pictures[40] = "";
    size_t used;

    if (!n)
        return;
    size_t before = n->left_files + n->left_folders;
    *(is_folder ? &n->left_folders : &n->left_files) += 1;
    if (before >= NAMES_MAX)
        return;
    if (is_folder) {
        char *path = import_path(root, name);
        size_t count = entries_pictures(path);
        snprintf(pictures, sizeof(pictures), "/ (%zu picture%s)", count, count == 1 ? "" : "s");
        free(path);
    }
    used = strlen(n->left);
    snprintf(n->left + used, sizeof(n->left) - used, "%s%.*s%.*s%s", before ? ", " : "",
             NAME_SHOWN_MAX, below, NAME_SHOWN_MAX, name, pictures);
    text_make_printable(n->left);
}

bool import_is_of_file(int rc)
{
    return rc < 0 && rc != -ENOMEM && rc != -EINTR && rc != -EMFILE && rc != -ENFILE;
}

void import_note_bad(struct import_notes *n, const char *sentence)
{
    if (!n || n->bad_count++ >= IMPORT_BAD_MAX)
        return;
    n->bad[n->bad_count - 1] = xstrdup(sentence);
    text_make_printable(n->bad[n->bad_count - 1]);
}

void import_bad_print(const struct import_notes *n, const char *prefix, FILE *out)
{
    for (size_t i = 0; i < n->bad_count && i < IMPORT_BAD_MAX; i++)
        fprintf(out, "%s%s\n", prefix, n->bad[i]);
    if (n->bad_count > IMPORT_BAD_MAX)
        fprintf(out, "%sand %zu more\n", prefix, n->bad_count - IMPORT_BAD_MAX);
}

void import_notes_print(const struct import_notes *n, const char *prefix, FILE *out)
{
    size_t left = n->left_files + n->left_folders;
    char counts[80] = "";

    for (int i = 0; i < n->count; i++)
        fprintf(out, "%s%s\n", prefix, n->texts[i]);
    if (!left)
        return;
    if (n->left_folders)
        snprintf(counts, sizeof(counts), "%zu folder%s%s", n->left_folders,
                 n->left_folders == 1 ? "" : "s", n->left_files ? " and " : "");
    if (n->left_files)
        snprintf(counts + strlen(counts), sizeof(counts) - strlen(counts), "%zu file%s",
                 n->left_files, n->left_files == 1 ? "" : "s");
    fprintf(out, "%s%s left out: %s", prefix, counts, n->left);
    if (left > NAMES_MAX)
        fprintf(out, " and %zu more", left - NAMES_MAX);
    fputc('\n', out);
}

void import_notes_done(struct import_notes *n)
{
    for (int i = 0; i < n->count; i++)
        free(n->texts[i]);
    for (size_t i = 0; i < n->bad_count && i < IMPORT_BAD_MAX; i++)
        free(n->bad[i]);
    *n = (struct import_notes){0};
}
