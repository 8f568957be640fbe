/* A key file as somebody hands it over: whatever it holds, what is read of it is whole. */
#include <fcntl.h>
#include <unistd.h>

#include "proto/key.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *path = fuzz_path("keyfile");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct errbuf why = {""};
    struct keyring ring, server;
    struct key client;

    FUZZ_ASSERT(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && close(fd) == 0);
    if (keyring_load(path, &ring, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    FUZZ_ASSERT(ring.count > 0 && ring.count <= KEYRING_MAX);
    for (int i = 0; i < ring.count; i++)
        FUZZ_ASSERT(ring.keys[i].cluster || cert_proven(&ring.keys[i].cert, ring.keys[i].trusted));
    keyring_client_key(&ring, 5, &client);
    FUZZ_ASSERT(!client.cluster);
    keyring_server_keys(&ring, INT64_C(1) << 40, &server);
    for (int i = 0; i < server.count; i++)
        FUZZ_ASSERT(server.keys[i].cert.role == ROLE_SERVER);
    keyring_done(&ring);
    return 0;
}
