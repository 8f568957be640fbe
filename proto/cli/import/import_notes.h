/* An import's notes beside its result: what it left out, and how it read what is ambiguous. */
#ifndef STEPPE_PROTO_CLI_IMPORT_IMPORT_NOTES_H
#define STEPPE_PROTO_CLI_IMPORT_IMPORT_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define IMPORT_NOTES_MAX 8 /* a screen has room for more, a reader no patience */

/* Pictures that cannot be read: somebody may well put 20 right by hand. */
#define IMPORT_BAD_MAX 20

struct import_notes {
    char *texts[IMPORT_NOTES_MAX];
    int count;
    size_t left_files, left_folders;
    char left[512]; /* the first of their names */
    char *bad[IMPORT_BAD_MAX];
    size_t bad_count; /* the first of them are in bad */
};

/* Adds a sentence; those beyond IMPORT_NOTES_MAX are dropped. n may be NULL here and below. */
__attribute__((format(printf, 2, 3))) void import_note(struct import_notes *n, const char *fmt,
                                                       ...);
/* root/name was left out; `below` is the caller's name for root: "", or a path with a '/' behind
 * it. For a folder, counts the pictures in it. */
void import_note_left(struct import_notes *n, const char *root, const char *below, const char *name,
                      bool is_folder);
/* Is the fault that of the one file, and not of memory, descriptors or Ctrl-C? */
bool import_is_of_file(int rc);
/* A file cannot be read, for the reason in the sentence. */
void import_note_bad(struct import_notes *n, const char *sentence);
/* A line for each of those (beyond IMPORT_BAD_MAX their number), with `prefix` before it. */
void import_bad_print(const struct import_notes *n, const char *prefix, FILE *out);
/* A line for each of the others, with `prefix` before it. */
void import_notes_print(const struct import_notes *n, const char *prefix, FILE *out);
void import_notes_done(struct import_notes *n);

#endif
