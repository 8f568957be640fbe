/* An import's notes beside its result: what it left out, and how it read what is ambiguous. */
#ifndef STEPPE_PROTO_CLI_IMPORT_IMPORT_NOTES_H
#define STEPPE_PROTO_CLI_IMPORT_IMPORT_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define IMPORT_NOTES_MAX 8 /* a screen has room for more, a reader no patience */

struct import_notes {
    char *texts[IMPORT_NOTES_MAX];
    int count;
    size_t left_files, left_folders;
    char left[512]; /* the first of their names */
};

/* Adds a sentence; those beyond IMPORT_NOTES_MAX are dropped. n may be NULL here and below. */
__attribute__((format(printf, 2, 3))) void import_note(struct import_notes *n, const char *fmt,
                                                       ...);
/* root/name was left out; `below` is the caller's name for root: "", or a path with a '/' behind
 * it. For a folder, counts the pictures in it. */
void import_note_left(struct import_notes *n, const char *root, const char *below, const char *name,
                      bool is_folder);
/* A line each, with `prefix` before it. */
void import_notes_print(const struct import_notes *n, const char *prefix, FILE *out);
void import_notes_done(struct import_notes *n);

#endif
