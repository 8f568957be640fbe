#include "proto/cli/import/npy.h"

#include <stdlib.h>

#include "common/file.h"
#include "tests/harness.h"

TEST(a_file_has_numpys_header_and_the_data)
{
    static const float weights[] = {1, 0.25f, -3};
    const char *path = test_path("w.npy");
    struct errbuf why;
    size_t bytes;
    char *text;

    ASSERT_OK(npy_write(path, DTYPE_F32, weights, 3, &why), why);
    ASSERT_OK(file_read(path, 4096, &text, &bytes, &why), why);
    ASSERT_EQ(128 + sizeof(weights), bytes);
    ASSERT_MEM("\x93NUMPY\x01\x00\x76\x00", text, 10);
    ASSERT_MEM("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), } ", text + 10, 58);
    ASSERT_EQ('\n', text[127]);
    ASSERT_MEM(weights, text + 128, sizeof(weights));
    free(text);
}

TEST(nothing_is_a_valid_array)
{
    const char *path = test_path("none.npy");
    struct errbuf why;
    size_t bytes;
    char *text;

    ASSERT_OK(npy_write(path, DTYPE_U32, NULL, 0, &why), why);
    ASSERT_OK(file_read(path, 4096, &text, &bytes, &why), why);
    ASSERT_EQ(128, bytes);
    ASSERT_HAS("'descr': '<u4'", text + 10);
    ASSERT_HAS("(0,)", text + 10);
    free(text);
}

TEST(a_folder_that_is_not_there_is_named)
{
    struct errbuf why;

    ASSERT(npy_write(test_path("no/such/w.npy"), DTYPE_U32, NULL, 0, &why) < 0);
    ASSERT_HAS("no/such/w.npy", why.text);
}
