/* A message as it comes off the wire. What decodes, encodes to bytes that decode to the same. */
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

static void check_same(const struct message *m, const void *body, size_t bytes)
{
    struct errbuf why;
    struct message n;

    FUZZ_ASSERT(message_decode(body, bytes, JSON_REPLY_BYTES_MAX, &n, &why) == 0);
    FUZZ_ASSERT(cJSON_Compare(m->json, n.json, 1) && m->tensor_count == n.tensor_count);
    for (int i = 0; i < m->tensor_count; i++) {
        const struct tensor *a = &m->tensors[i], *b = &n.tensors[i];
        FUZZ_ASSERT(strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && a->dims == b->dims);
        FUZZ_ASSERT(a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0);
    }
    message_done(&n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct errbuf why = {""};
    struct message m;
    const struct tensor *t;
    void *body;
    size_t body_bytes;

    if (message_decode(data, bytes, JSON_REPLY_BYTES_MAX, &m, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    for (int i = 0; i < m.tensor_count; i++) {
        fuzz_touch(m.tensors[i].data, m.tensors[i].bytes);
        FUZZ_ASSERT(message_tensor(&m, m.tensors[i].name, m.tensors[i].dtype, m.tensors[i].dims,
                                   m.tensors[i].shape, &t, &why) == 0);
    }
    /* An object with a key of this name cannot be encoded: frames lose it when they are read. */
    if (!cJSON_GetObjectItemCaseSensitive(m.json, "tensors") &&
        message_encode(m.json, m.tensors, m.tensor_count, NULL, malloc, &body, &body_bytes, &why) ==
            0) {
        check_same(&m, body, body_bytes);
        free(body);
    }
    message_done(&m);
    return 0;
}
