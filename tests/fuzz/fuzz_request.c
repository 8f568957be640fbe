/* Requests to a whole server that has a dataset, a running job and a key: the parts of the input
 * are messages, one after another; one that begins with '@' comes by the sealed address. Every
 * answer must be a message. Every INPUTS_MAX inputs the server begins anew, from an empty state
 * folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/glyphs.h"
#include "common/log.h"
#include "common/text.h"
#include "proto/key.h"
#include "server/http/http.h"
#include "server/net/lane.h"
#include "server/server.h"
#include "tests/fuzz/fuzz.h"

#define INPUTS_MAX 256
#define WHO "\"v\":1,\"id\":1,\"sender\":\"aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa\""

static struct server server;
static bool is_open;

static void settle(void)
{
    uv_run(&server.net.loop, UV_RUN_NOWAIT);
    while (lane_pending(server.net.store_lane) || lane_pending(server.net.query_lane) ||
           lane_pending(server.net.scan_lane) || lane_pending(server.net.replay_lane))
        uv_run(&server.net.loop, UV_RUN_ONCE);
    uv_run(&server.net.loop, UV_RUN_NOWAIT);
}

static void hand_in(const void *data, size_t bytes, bool sealed)
{
    const struct token from = {.count = 8};
    void *body = transport_alloc(bytes);

    memcpy(body, data, bytes);
    socket_message(sealed ? &server.sealed : &server.plain, &from, body, bytes);
    settle();
}

static void send_json(const char *text, const struct tensor *tensors, int count)
{
    cJSON *json = cJSON_Parse(text);
    struct errbuf why;
    void *body;
    size_t bytes;

    FUZZ_ASSERT(json &&
                message_encode(json, tensors, count, NULL, malloc, &body, &bytes, &why) == 0);
    hand_in(body, bytes, false);
    free(body);
    cJSON_Delete(json);
}

/* Hands in the dataset g: 20 + 10 digits. */
static void give_dataset(void)
{
    struct glyphs_spec spec = glyphs_defaults();
    struct dataset_draft draft;
    uint8_t digest[SHA256_BYTES];
    char sha256[SHA256_HEX], text[512], *data;
    struct errbuf why;
    size_t bytes;

    spec.samples = 20;
    spec.test_samples = 10;
    FUZZ_ASSERT(glyphs_draw(&spec, &draft, &why) == 0);
    FUZZ_ASSERT(dataset_write(&draft, fuzz_path("g"), digest, &why) == 0);
    dataset_draft_done(&draft);
    FUZZ_ASSERT(file_read(fuzz_path("g"), 1 << 20, &data, &bytes, &why) == 0);
    text_hex(digest, sizeof(digest), sha256);
    snprintf(text, sizeof(text),
             "{\"type\":\"dataset.put\"," WHO ",\"sha256\":\"%s\",\"bytes\":%zu,\"offset\":0}",
             sha256, bytes);
    const struct tensor piece = tensor_1d("piece", DTYPE_U8, bytes, data);
    send_json(text, &piece, 1);
    snprintf(text, sizeof(text),
             "{\"type\":\"dataset.commit\"," WHO ",\"name\":\"g\",\"sha256\":\"%s\"}", sha256);
    send_json(text, NULL, 0);
    free(data);
}

static void open_server(void)
{
    const struct server_options options = {.state = fuzz_path("state"),
                                           .uploads_bytes = UPLOADS_BYTES_DEFAULT,
                                           .listen = "tcp://127.0.0.1:1",
                                           .key = fuzz_path("key"),
                                           .http = HTTP_NONE,
                                           .memory_bytes = 256 << 20};
    struct errbuf why = {""};
    struct keyring ring = {.count = 1};

    log_set_level(LOG_ERROR);
    char *command = xasprintf("rm -rf %s %s", fuzz_path("state"), options.key);
    FUZZ_ASSERT(system(command) == 0);
    free(command);
    FUZZ_ASSERT(key_new(&ring.keys[0], &why) == 0);
    FUZZ_ASSERT(keyring_create(options.key, &ring, &why) == 0);
    if (server_open(&server, &options, &why) < 0)
        fuzz_failed(__FILE__, __LINE__, why.text);
    is_open = true;
    give_dataset();
    send_json("{\"type\":\"job.submit\"," WHO
              ",\"uuid\":\"bbbbbbbb-1111-4111-8111-bbbbbbbbbbbb\",\"spec\":{\"dataset\":\"g\","
              "\"model\":{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"dense\"}]},\"epochs\":2,"
              "\"batch\":8,\"shard\":4}}",
              NULL, 0);
}

static void close_server(void)
{
    if (is_open)
        server_close(&server);
    is_open = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static int inputs;

    if (is_open && inputs % INPUTS_MAX == 0)
        close_server();
    if (!inputs++)
        atexit(close_server);
    if (!is_open)
        open_server();
    while (bytes > 0) {
        size_t skip, part = fuzz_part(data, bytes, &skip);
        bool sealed = part > 0 && data[0] == '@';
        if (part > (size_t)sealed)
            hand_in(data + sealed, part - sealed, sealed);
        data += skip;
        bytes -= skip;
    }
    return 0;
}
