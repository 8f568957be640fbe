#include "tests/sim/namer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/uris.h"
#include "tests/sim/fields.h"
#include "tests/sim/journal.h"
#include "tests/sim/net.h"
#include "tests/sim/person_fields.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define NAME_BYTES 32
#define LOOKS 3 /* at the names of a file, before the next one is brought */

enum saying { OFFER, PUT, NAME, LOOK };

static const char *const types[] = {"dataset.offer", "dataset.put", "dataset.name", "sample.uris"};

static struct {
    struct client client;
    enum saying saying;
    int file;  /* that is being brought, or was last */
    int asked; /* the newest file of which the server was told to take it; -1: none */
    int looks; /* since it was taken */
    bool test; /* the names of the test images are looked at */
    const struct person_file *files;
} namer;

static void say(void *arg, int64_t number);

static void later(int64_t us)
{
    world_after(us, say, NULL, 0);
}

/* --- names --- */

static const char *called(int which, bool test, uint32_t i, char buf[NAME_BYTES])
{
    snprintf(buf, NAME_BYTES, "%s/%s %" PRIu32 ".png", which ? "new" : "old",
             test ? "test" : "train", i * (which ? 10 : 1));
    return buf;
}

int namer_write(const char *path, const char *dataset_sha256, int which, struct errbuf *why)
{
    const uint32_t counts[2] = {SCENARIO_SAMPLES, SCENARIO_TESTS};
    struct uris splits[2] = {{0}};
    char buf[NAME_BYTES], sha256[SHA256_HEX];
    int rc = 0;

    for (int split = 0; split < 2; split++)
        for (uint32_t i = 0; rc == 0 && i < counts[split]; i++)
            rc = uris_add(&splits[split], called(which, split == 1, i, buf), why);
    if (rc == 0)
        rc = uris_write(path, dataset_sha256, &splits[0], &splits[1], sha256, why);
    uris_done(&splits[0]);
    uris_done(&splits[1]);
    return rc;
}

/* Is sample i called what this file says? */
static bool is_called(int which, uint32_t i, const char *bytes, size_t count)
{
    char buf[NAME_BYTES];

    called(which, namer.test, i, buf);
    return strlen(buf) == count && memcmp(buf, bytes, count) == 0;
}

static void check(const struct message *m)
{
    const struct tensor *ends = tensor_find(m->tensors, m->tensor_count, "ends");
    const struct tensor *bytes = tensor_find(m->tensors, m->tensor_count, "bytes");
    const uint32_t count = namer.test ? SCENARIO_TESTS : SCENARIO_SAMPLES;
    uint32_t from = 0, newer = 0;

    if (!ends || !bytes || ends->bytes != count * sizeof(uint32_t)) {
        note("violation what=\"not all samples have a name\"");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t end;
        memcpy(&end, (const char *)ends->data + i * sizeof(end), sizeof(end));
        const char *at = (const char *)bytes->data + from;
        const bool new = is_called(1, i, at, end - from);
        if (!new && !is_called(0, i, at, end - from))
            note("violation what=\"a sample lacks the name that was acknowledged\"");
        newer += new;
        from = end;
    }
    if (newer > 0 && newer < count)
        note("violation what=\"some names are of one file and some of another\"");
    if (newer > 0 && namer.asked == 0)
        note("violation what=\"a sample has a name that nobody gave\"");
    note("called test=%d newer=%" PRIu32, namer.test, newer);
}

/* --- asking --- */

static void say(void *arg, int64_t number)
{
    const struct person_file *file = &namer.files[namer.file];
    cJSON *fields = cJSON_CreateObject();
    struct tensor piece;

    (void)arg, (void)number;
    if (namer.saying == LOOK) {
        cJSON_AddStringToObject(fields, "dataset", "d");
        cJSON_AddStringToObject(fields, "split", namer.test ? "test" : "train");
    } else {
        cJSON_AddStringToObject(fields, "sha256", file->sha256);
    }
    if (namer.saying == OFFER || namer.saying == PUT)
        cJSON_AddNumberToObject(fields, "bytes", (double)file->bytes);
    if (namer.saying == PUT) {
        cJSON_AddNumberToObject(fields, "offset", 0);
        piece = tensor_1d("piece", DTYPE_U8, file->bytes, file->data);
    }
    if (namer.saying == NAME) {
        cJSON_AddStringToObject(fields, "name", "d");
        cJSON_AddBoolToObject(fields, "replace", namer.file > 0);
        if (namer.file > namer.asked)
            namer.asked = namer.file;
    }
    net_ask(&namer.client, types[namer.saying], fields, &piece, namer.saying == PUT ? 1 : 0,
            "names");
}

/* An upload may be lost or damaged, and the dataset may not be there yet: once more. */
static void take_error(const char *code)
{
    static const char *const fine[] = {"unavailable", "not_found", "gone", "bad_field", NULL};
    bool known = false;

    for (int i = 0; fine[i]; i++)
        known |= strcmp(code, fine[i]) == 0 && (namer.saying != LOOK || i == 0);
    if (!known)
        note("violation what=\"%s is refused with %s\"", types[namer.saying], code);
    if (namer.saying != LOOK)
        namer.saying = OFFER;
    later(world_delay(SECOND, 5 * SECOND));
}

static void on_reply(void *arg, const struct message *m)
{
    const char *code = text(m->json, "code");

    (void)arg;
    if (code[0]) {
        take_error(code);
        return;
    }
    if (namer.saying == NAME)
        note("named file=%d", namer.file);
    if (namer.saying == LOOK) {
        check(m);
        namer.test = !namer.test;
        if (++namer.looks == LOOKS && namer.file + 1 < NAMER_FILES) {
            namer.file++;
            namer.looks = 0;
            namer.saying = OFFER;
        }
    } else {
        namer.saying++;
    }
    later(world_delay(10 * MS, 5 * SECOND));
}

void namer_begin(const struct person_file files[NAMER_FILES])
{
    if (scenario_get()->undisturbed || scenario_get()->jobs == 0)
        return;
    namer.files = files;
    namer.asked = -1;
    namer.client = (struct client){.number = CLIENT_NAMER, .reply = on_reply};
    scenario_uuid(namer.client.sender);
    net_add(&namer.client);
    later(world_delay(SECOND, 5 * SECOND));
}
