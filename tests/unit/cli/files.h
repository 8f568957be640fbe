/* What the tests of the importers share: files of given bytes, and imports that fail as they
 * should. */
#ifndef STEPPE_TESTS_UNIT_CLI_FILES_H
#define STEPPE_TESTS_UNIT_CLI_FILES_H

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/cli/import/import.h"
#include "tests/harness.h"

/* Writes the file of the test's folder. */
static inline void file_put(const char *name, const void *data, size_t bytes)
{
    FILE *f = fopen(test_path(name), "wb");

    ASSERT(f);
    ASSERT_EQ(bytes, bytes ? fwrite(data, 1, bytes, f) : 0);
    ASSERT_EQ(0, fclose(f));
}

static inline void file_cut(const char *name, size_t bytes)
{
    ASSERT_EQ(0, truncate(test_path(name), (off_t)bytes));
}

/* Or an empty folder. */
static inline void file_remove(const char *name)
{
    ASSERT_EQ(0, remove(test_path(name)));
}

static inline void folder_put(const char *name)
{
    ASSERT_EQ(0, mkdir(test_path(name), 0700));
}

/* What the last import said beside its result. */
static struct import_notes here_notes;
/* Options of the imports to come. */
static const char *here_train, *here_test;
static enum npy_layout here_layout;

/* Imports the folder of the test. */
static inline int import_here(const char *labels, uint32_t size, struct dataset_draft *ret,
                              struct errbuf *why)
{
    struct import_request r = {.path = test_dir(),
                               .labels_path = labels ? test_path(labels) : NULL,
                               .size = size,
                               .train = here_train,
                               .test = here_test,
                               .layout = here_layout,
                               .notes = &here_notes};

    import_notes_done(&here_notes);
    return import_files(&r, ret, why);
}

/* The next imports are told so. */
static inline void here_choose(const char *train, const char *test)
{
    here_train = train;
    here_test = test;
}

/* The sentence names the file and has the part. */
#define ASSERT_REFUSED(code, labels, size, file, part)                                             \
    do {                                                                                           \
        struct dataset_draft draft_;                                                               \
        struct errbuf why_ = {""};                                                                 \
        ASSERT_EQ(code, import_here(labels, size, &draft_, &why_));                                \
        ASSERT_HAS(file, why_.text);                                                               \
        ASSERT_HAS(part, why_.text);                                                               \
    } while (0)

#endif
