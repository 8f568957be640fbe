/* A sealed frame: bytes of a stranger never open, nor does a true frame that the input changes; and
 * no number is taken twice. */
#include <sodium.h>
#include <string.h>

#include "proto/seal.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_BYTES = 24, FRAME_BYTES = TEXT_BYTES + SEAL_BYTES, COPY_BYTES_MAX = 4096 };

static struct seal side(bool server, enum cipher cipher)
{
    struct seal s = {.session = 0x1234567890ull, .cipher = cipher, .server = server};

    memset(server ? s.send_key : s.receive_key, 2, SEAL_KEY_BYTES);
    memset(server ? s.receive_key : s.send_key, 1, SEAL_KEY_BYTES);
    return s;
}

/* data[0]: where in the frame the rest is laid over it. */
static void changed(const uint8_t *data, size_t bytes, bool server, enum cipher cipher)
{
    struct seal from = side(!server, cipher), to = side(server, cipher), before = to;
    uint8_t frame[FRAME_BYTES], copy[FRAME_BYTES];
    struct errbuf why;
    uint64_t sequence;
    bool same = true;

    memset(frame + SEAL_HEAD_BYTES, 'x', TEXT_BYTES);
    seal_message(&from, 7, frame, TEXT_BYTES);
    memcpy(copy, frame, sizeof(copy));
    for (size_t i = 1; i < bytes && data[0] + i - 1 < sizeof(frame); i++) {
        frame[data[0] + i - 1] ^= data[i];
        same = same && !data[i];
    }
    int rc = seal_open(&to, frame, sizeof(frame), &sequence, &why);
    FUZZ_ASSERT((rc == 0) == same);
    FUZZ_ASSERT(rc == 0 || memcmp(&to, &before, sizeof(to)) == 0);
    if (rc < 0)
        FUZZ_ASSERT(seal_open(&to, copy, sizeof(copy), &sequence, &why) == 0);
    else
        FUZZ_ASSERT(seal_open(&to, copy, sizeof(copy), &sequence, &why) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static uint8_t copy[COPY_BYTES_MAX];
    struct errbuf why = {""};
    uint64_t sequence;

    FUZZ_ASSERT(sodium_init() >= 0);
    if (bytes == 0 || bytes > sizeof(copy))
        return 0;
    for (int i = 0; i < 2 * CIPHER_COUNT; i++) {
        const enum cipher cipher = (enum cipher)(i / 2);
        struct seal s = side(i % 2, cipher);
        if (!(seal_ciphers() & CIPHER_BIT(cipher)))
            continue;
        memcpy(copy, data, bytes);
        FUZZ_ASSERT(seal_flags(copy, bytes) >= -1);
        FUZZ_ASSERT(seal_open(&s, copy, bytes, &sequence, &why) < 0 && why.text[0]);
        changed(data, bytes, i % 2, cipher);
    }
    return 0;
}
