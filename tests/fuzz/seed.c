/* Writes the seeds, a folder a target: small inputs that its reader accepts, made by the very code
 * that writes such files and messages.   seed FOLDER */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include <jpeglib.h>
#include <webp/encode.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/glyphs.h"
#include "common/png.h"
#include "common/text.h"
#include "proto/frame.h"
#include "proto/handshake.h"
#include "proto/result.h"
#include "tests/fuzz/requests.h"
#include "tests/fuzz/small_run.h"

static const char *folder;

static void put(const char *target, const char *name, const void *data, size_t bytes)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", folder, target);
    FUZZ_ASSERT(mkdir(path, 0777) == 0 || errno == EEXIST);
    snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
    FILE *f = fopen(path, "wb");
    FUZZ_ASSERT(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

static void put_text(const char *target, const char *name, const char *text)
{
    put(target, name, text, strlen(text));
}

/* --- requests --- */

#define WHO "\"v\":1,\"id\":1,\"sender\":\"aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa\""
#define HELLO                                                                                      \
    "{\"type\":\"worker.hello\"," WHO ",\"name\":\"w\",\"threads\":2,\"class\":\"c\"}\n--\n"

static void make_requests(void)
{
    put_text("request", "ping", "{\"type\":\"ping\"}");
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        const char *type = requests[i].type, *fields = requests[i].fields;
        char *text =
            xasprintf("%s{\"type\":\"%s\"," WHO "%s%s}", HELLO, type, *fields ? "," : "", fields);
        put_text("request", type, text);
        free(text);
    }
}

/* Dictionaries: the words that formats are made of, for the engine. */
static void make_words(void)
{
    static const char *const keys[] = {"type",         "v",          "id",      "sender",
                                       "uuid",         "spec",       "limit",   "job",
                                       "epochs_from",  "after",      "epoch",   "first",
                                       "step",         "offset",     "bytes",   "name",
                                       "sha256",       "tensors",    "samples", "by",
                                       "order",        "class",      "bins",    "log",
                                       "sample",       "from",       "other",   "other_epoch",
                                       "sql",          "threads",    "have",    "incarnation",
                                       "phase",        "lo",         "hi",      "reason",
                                       "piece",        "dtype",      "shape",   "dataset",
                                       "model",        "epochs",     "batch",   "shard",
                                       "seed",         "optimizer",  "sam",     "attack",
                                       "score",        "curriculum", "augment", "label_smoothing",
                                       "numerics",     "layers",     "units",   "channels",
                                       "kernel",       "stride",     "padding", "groups",
                                       "size",         "rate",       "input",   "data_offsets",
                                       "__metadata__", "format",     "classes", "mean",
                                       "std"};
    char path[512];

    snprintf(path, sizeof(path), "%s/words.dict", folder);
    FILE *f = fopen(path, "w");
    FUZZ_ASSERT(f);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        fprintf(f, "\"\\\"%s\\\":\"\n", keys[i]);
    fputs("\"\\x0a--\\x0a\"\n\"1e999\"\n\"9007199254740993\"\n\"-0.0\"\n\"null\"\n", f);
    FUZZ_ASSERT(fclose(f) == 0);
}

/* --- frames --- */

static void put_frame(const char *target, const char *name, const char *before, const char *text,
                      const struct tensor *tensors, int count)
{
    cJSON *json = cJSON_Parse(text);
    struct errbuf why;
    void *body;
    size_t bytes, head = strlen(before);

    FUZZ_ASSERT(json &&
                message_encode(json, tensors, count, NULL, malloc, &body, &bytes, &why) == 0);
    uint8_t *all = xmalloc(head + bytes);
    memcpy(all, before, head);
    memcpy(all + head, body, bytes);
    put(target, name, all, head + bytes);
    free(all);
    free(body);
    cJSON_Delete(json);
}

static void make_frames(void)
{
    static const uint8_t bytes[64];
    static const float grad[8192];
    static const double sums[SUM_COUNT];
    static const struct score scores[4];
    static const float p[4 * 3];
    const struct result zero = {grad, sums, scores, p};
    const struct result_shape shape = {.floats = 8192, .sums = true, .samples = 4, .classes = 3};
    struct result_room room = {.rows = NULL};
    struct tensor result[RESULT_PARTS];
    struct errbuf why;
    const struct tensor piece = tensor_1d("piece", DTYPE_U8, 10, bytes);

    FUZZ_ASSERT(result_room(&room, shape.samples, &why) == 0);
    FUZZ_ASSERT(result_pack(&shape, &zero, &room, result) == RESULT_PARTS);
    put_text("frame", "ping", "{\"type\":\"ping\"}");
    put_frame("frame", "result", "", "{\"type\":\"task.result\"}", result + RESULT_SUMS,
              RESULT_PARTS - RESULT_SUMS);
    put_frame("frame", "piece", "", "{\"type\":\"dataset.put\"}", &piece, 1);
    put_frame("request", "dataset.put", "",
              "{\"type\":\"dataset.put\"," WHO "," SHA ",\"bytes\":10,\"offset\":0}", &piece, 1);
    put_frame("request", "result.put", HELLO,
              "{\"type\":\"result.put\"," WHO "," KEY ",\"piece\":0}", &piece, 1);
    put_frame("request", "task.sums", HELLO "{\"type\":\"task.next\"," WHO "}\n--\n",
              "{\"type\":\"task.result\"," WHO "," KEY "}", result, RESULT_SUMS + 1);
    result_room_done(&room);
}

/* --- descriptions --- */

static void make_descriptions(void)
{
    static const char *const jobs[] = {
        "{\"dataset\":\"g\",\"model\":\"lenet\"}",
        "{\"dataset\":\"g\",\"model\":\"mlp\",\"epochs\":3,\"batch\":64,\"shard\":8,\"seed\":7,"
        "\"optimizer\":{\"name\":\"adamw\",\"schedule\":\"step\",\"milestones\":[0.5,0.75],"
        "\"gamma\":0.1,\"warmup\":0.1,\"clip\":2,\"decay\":\"all\"},\"sam\":{\"name\":\"asam\","
        "\"rho\":0.5,\"interval\":3},\"attack\":{\"name\":\"pgd\",\"epsilon\":\"8/"
        "255\",\"steps\":3,"
        "\"random_start\":true},\"score\":{\"source\":\"train\",\"every\":2},\"augment\":{\"crop\":"
        "2,"
        "\"flip\":true}}",
        "{\"dataset\":\"g\",\"model\":{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"dense\"}]},"
        "\"curriculum\":{\"measure\":\"adm\",\"mode\":\"both\",\"pacing\":\"exp\",\"initial\":0.4,"
        "\"full_at\":1,\"smoothing\":0.5,\"balance\":\"none\",\"warmup\":2},\"label_smoothing\":0."
        "1}",
    };
    char name[32];

    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        snprintf(name, sizeof(name), "job%zu", i);
        put_text("jobfile", name, jobs[i]);
    }
    for (int i = 0; model_presets[i]; i++)
        put_text("model", model_presets[i], model_preset_json(model_presets[i]));
    put_text(
        "model", "block",
        "{\"layers\":[{\"type\":\"conv2d\",\"channels\":4,\"kernel\":3,\"stride\":2,"
        "\"padding\":1,\"bias\":false,\"name\":\"a\"},{\"type\":\"groupnorm\",\"groups\":2},"
        "{\"type\":\"relu\",\"name\":\"r\"},{\"type\":\"dropout\",\"rate\":0.5},{\"type\":\"add\","
        "\"from\":\"r\"},{\"type\":\"avgpool\",\"size\":2},{\"type\":\"globalpool\"},"
        "{\"type\":\"dense\",\"units\":10}]}");
}

/* --- data files --- */

/* Joins the parts with the mark between them. */
static void put_parts(const char *target, const char *name, const struct file_part *parts,
                      int count)
{
    static const char mark[] = "\n--\n";
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    FUZZ_ASSERT(out);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            fwrite(mark, 1, sizeof(mark) - 1, out);
        fwrite(parts[i].data, 1, parts[i].bytes, out);
    }
    FUZZ_ASSERT(fclose(out) == 0);
    put(target, name, text, bytes);
    free(text);
}

static struct file_part zipped(const void *data, size_t bytes, uint8_t out[256])
{
    z_stream z = {
        .next_in = (uint8_t *)data, .avail_in = (unsigned)bytes, .next_out = out, .avail_out = 256};

    FUZZ_ASSERT(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    FUZZ_ASSERT(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return (struct file_part){out, z.total_out};
}

static void make_idx(void)
{
    static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
                                     0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 1};
    uint8_t a[256], b[256];
    const struct file_part plain[] = {
        {images, sizeof(images)}, {labels, sizeof(labels)}, {"3\n4\n", 4}};
    const struct file_part gz[] = {zipped(images, sizeof(images), a),
                                   zipped(labels, sizeof(labels), b),
                                   {labels, sizeof(labels)}};

    put_parts("idx", "plain", plain, 3);
    put_parts("idx", "gz", gz, 3);
}

static void make_cifar(void)
{
    static uint8_t ten[2 * 3073], hundred[3074];
    static const char names[] = "cat\ndog\n";
    const struct file_part a[] = {{names, sizeof(names) - 1}, {ten, sizeof(ten)}};
    const struct file_part b[] = {{names, sizeof(names) - 1}, {hundred, sizeof(hundred)}};

    ten[3073] = 1;
    put_parts("cifar", "ten", a, 2);
    put_parts("cifar", "hundred", b, 2);
}

/* A .npy of a type, a shape and zeros. */
static struct file_part npy(const char *descr, const char *shape, size_t bytes, char out[512])
{
    memset(out, ' ', 128);
    memcpy(out, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(out + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr,
                     shape);
    out[10 + n] = ' ';
    out[127] = '\n';
    memset(out + 128, 0, bytes);
    return (struct file_part){out, 128 + bytes};
}

static void make_numbers(void)
{
    char a[512];
    const struct file_part mask = npy("|b1", "(3,)", 3, a);

    put_text("numbers", "scores", "# by hand\nloss\n0.5\n1e-3\n2\n");
    put_text("numbers", "named", "sample,score\r\n2,0.5\r\n0,-1\r\n");
    put_text("numbers", "list", "\xef\xbb\xbf[0, 1, 2]");
    put("numbers", "mask", mask.data, mask.bytes);
}

static void make_npy(void)
{
    char a[512], b[512], c[512];
    const struct file_part grey[] = {npy("|u1", "(2, 2, 5)", 20, a), npy("<i8", "(2,)", 16, b),
                                     npy("<u2", "(2, 1)", 4, c)};
    put_parts("npy", "grey", grey, 3);
    const struct file_part rgb[] = {npy("|u1", "(1, 5, 2, 3)", 30, a), npy("|i1", "(1,)", 1, b)};
    put_parts("npy", "rgb", rgb, 2);
    const struct file_part planes[] = {npy("|u1", "(2, 3, 6, 5)", 180, a),
                                       npy("|u1", "(2,)", 2, b)};
    put_parts("npy", "planes", planes, 2);
}

static void make_names(void)
{
    put_text("names", "splits",
             "Train/\nTrain/dog/\nTrain/cat/\nTest/\nTest/dog/\nval/\nREADME\n.DS_Store\n");
    put_text("names", "holdout", "train/\ntrain/dog/\ntrain/cat/\nholdout/\nholdout/dog/\n");
    put_text("names", "domains", "photos/\nphotos/a/\nphotos/a/dog/\nphotos/a/cat/\n");
    put_text("names", "idx", "train-images-idx3-ubyte\nT10K-labels.idx1-ubyte.gz\n");
    put_text("names", "npy", "X_train.npy\ny_train.npy\nx_Test.npy\ntrain_images.npy\n");
    put_text("names", "cifar", "data_batch_1.bin\nbatches.meta.txt\nval_batch.bin\n");
    put_text("names", "pickles",
             "cifar-10-batches-py/\ncifar-10-batches-py/data_batch_1\n"
             "cifar-10-batches-py/batches.meta\n");
}

static void put_file(const char *target, const char *name, const char *path)
{
    struct errbuf why;
    char *data;
    size_t bytes;

    FUZZ_ASSERT(file_read(path, 1 << 20, &data, &bytes, &why) == 0);
    put(target, name, data, bytes);
    free(data);
}

static void make_pictures(void)
{
    static const uint8_t pixels[4 * 5 * 3] = {0, 255, 10, 20};
    /* Turned: an entry with the orientation 6. */
    static const uint8_t exif[] =
        "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0";
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned long jpeg_bytes = 0;
    uint8_t *png, *file = NULL;
    size_t bytes;

    for (uint32_t channels = 1; channels <= 3; channels += 2) {
        FUZZ_ASSERT(png_encode(pixels, 5, 4, channels, &png, &bytes) == 0);
        put("picture", channels == 1 ? "grey.png" : "rgb.png", png, bytes);
        free(png);
    }
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &file, &jpeg_bytes);
    jpeg.image_width = 5;
    jpeg.image_height = 4;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof(exif));
    while (jpeg.next_scanline < 4) {
        JSAMPROW row = (uint8_t *)pixels + (size_t)15 * jpeg.next_scanline;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    put("picture", "rgb.jpg", file, jpeg_bytes);
    free(file);
    bytes = WebPEncodeLosslessRGB(pixels, 5, 4, 15, &file);
    FUZZ_ASSERT(bytes > 0);
    put("picture", "rgb.webp", file, bytes);
    WebPFree(file);
}

static void make_verdicts(void)
{
    put_text(
        "verdicts", "sheet",
        "sample,path,verdict,label,note\r\n5,,wrong,dog,\"a \"\"b\"\"\nc\"\n,x/y.png,exclude,,\n");
    put_text("verdicts", "issues",
             ",is_label_issue,label_quality,given_label,predicted_label\n0,True,0.01,0,1\n");
    put_text("verdicts", "revision",
             "steppe-revision-1\n00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
             "1 5\n7 -\n");
}

static void make_tables(void)
{
    put_text("table", "named", "domain,path,label,class\nphoto,a.jpg,1,dog\n\"a,b\",c.jpg,0,cat\n");
    put_text("table", "bare", "s3://a/1;cat\ns3://a/2;dog\n");
}

static void make_uris(void)
{
    struct uris train = {0}, test = {0};
    char sha256[SHA256_HEX];
    struct errbuf why;

    FUZZ_ASSERT(uris_add(&train, "dog/1 \n.png", &why) == 0);
    FUZZ_ASSERT(uris_add(&train, "caf\xe9.png", &why) == 0);
    FUZZ_ASSERT(uris_add(&test, "t10k-images-idx3-ubyte[0]", &why) == 0);
    memset(sha256, 'a', sizeof(sha256) - 1);
    sha256[sizeof(sha256) - 1] = 0;
    FUZZ_ASSERT(uris_write(fuzz_path("u"), sha256, &train, &test, sha256, &why) == 0);
    put_file("uris", "names", fuzz_path("u"));
    uris_done(&train);
    uris_done(&test);
}

static void make_safetensors(void)
{
    static uint8_t images[3 * 12];
    static uint16_t labels[3] = {0, 1, 1};
    static uint8_t planted[3];
    struct dataset_draft d = {.samples = 2,
                              .test_samples = 1,
                              .classes = 2,
                              .dims = {2, 3, 2},
                              .images = images,
                              .test_images = images,
                              .labels = labels,
                              .test_labels = labels,
                              .truth = labels,
                              .planted = planted,
                              .source = "a seed"};
    const float values[4] = {1, 2, 3, 4};
    const uint64_t shape[2] = {2, 2};
    const struct tensor tensors[] = {tensor_make("w", DTYPE_F32, 2, shape, values),
                                     tensor_1d("b", DTYPE_F64, 2, values)};
    const struct safetensors_meta meta[] = {{"format", "pt"}};
    uint8_t sha256[SHA256_BYTES];
    struct errbuf why;

    FUZZ_ASSERT(dataset_write(&d, fuzz_path("d"), sha256, &why) == 0);
    put_file("safetensors", "dataset", fuzz_path("d"));
    d.manifest = true;
    d.dims.c = 3;
    FUZZ_ASSERT(dataset_write(&d, fuzz_path("m"), sha256, &why) == 0);
    put_file("safetensors", "manifest", fuzz_path("m"));
    FUZZ_ASSERT(safetensors_write(fuzz_path("s"), tensors, 2, meta, 1, &why) == 0);
    put_file("safetensors", "model", fuzz_path("s"));
}

/* Of FUZZ_WEIGHTS_MODEL, with all that weights may say. */
static void make_weights(void)
{
    const uint16_t half[4] = {0x3c00, 0xbc00, 0x0001, 0x4200}, brain[2] = {0x3f80, 0xbf80};
    const uint64_t shape[2] = {2, 2};
    const struct tensor tensors[] = {tensor_make("fc1.weight", DTYPE_F16, 2, shape, half),
                                     tensor_1d("fc1.bias", DTYPE_BF16, 2, brain)};
    const struct safetensors_meta meta[] = {{"format", "pt"}, {"classes", "2"},
                                            {"scale", "255"}, {"mean", "0.25"},
                                            {"std", "[0.5]"}, {"class_names", "[\"a\",\"b\"]"}};
    struct errbuf why;

    FUZZ_ASSERT(safetensors_write(fuzz_path("w"), tensors, 2, meta, 6, &why) == 0);
    put_file("safetensors", "weights", fuzz_path("w"));
}

static void make_checkpoint(void)
{
    char sha256[SHA256_HEX];
    struct small_run small;
    struct errbuf why;

    small_run_open(&small);
    FUZZ_ASSERT(run_start(small.run, 0) == 0);
    struct checkpoint *c = checkpoint_take(small.run, 0);
    FUZZ_ASSERT(c && checkpoint_write(c, fuzz_path("c"), NULL, sha256, &why) == 0);
    put_file("checkpoint", "fresh", fuzz_path("c"));
    checkpoint_free(c);
    small_run_close(&small);
}

/* --- the handshake --- */

static void make_handshake(void)
{
    uint8_t ask[HELLO_FRAME_BYTES], challenge[CHALLENGE_FRAME_BYTES], zero[CHALLENGE_BYTES] = {0};
    uint8_t hello[HELLO_FRAME_BYTES], empty[SEAL_BYTES + 8] = {0};
    struct key cluster, key;
    struct handshake h;
    struct errbuf why;

    FUZZ_ASSERT(key_new(&cluster, &why) == 0);
    key_issue(&cluster, ROLE_WORKER, "w", 1, 1000, &key);

    handshake_ask(ask);
    put("handshake", "ask", ask, sizeof(ask));
    handshake_challenge(zero, challenge);
    put("handshake", "challenge", challenge, sizeof(challenge));
    FUZZ_ASSERT(handshake_hello(&h, &key, challenge, sizeof(challenge), hello, &why) == 0);
    put("handshake", "hello", hello, sizeof(hello));
    put("handshake", "role", "\x41\x00\x03", 3); /* of the certificate, in the hello */
    put("handshake", "nothing", "\x00\x00", 2);
    put("handshake", "name", "\x60\x00w", 3);
    put("handshake", "old", ask, SEAL_HEAD_BYTES + OLD_HELLO_BYTES);
    put("keyfile", "cluster",
        "cluster-ed25519 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", 81);
    put("keyfile", "old", "worker host7 0011223344556677 00\n", 33);
    struct keyring ring = {.keys = {cluster, key}, .count = 2};
    FUZZ_ASSERT(keyring_replace(fuzz_path("k"), &ring, &why) == 0);
    put_file("keyfile", "both", fuzz_path("k"));
    seal_header(empty, FRAME_SEALED, 0x1234567890, 7, 7, sizeof(empty) - SEAL_HEAD_BYTES);
    put("sealed", "request", empty, sizeof(empty));
    seal_header(empty, FRAME_SEALED | FRAME_REPLY, 0x1234567890, 7, 8,
                sizeof(empty) - SEAL_HEAD_BYTES);
    put("sealed", "reply", empty, sizeof(empty));
    put("sealed", "flip", "\x40\x01", 2);
    put("sealed", "number", "\x24\x01", 2);
    uint8_t *sealed = xmalloc(1 + sizeof(ask));
    sealed[0] = '@';
    memcpy(sealed + 1, ask, sizeof(ask));
    put("request", "ask", sealed, 1 + sizeof(ask));
    memcpy(sealed + 1, empty, sizeof(empty));
    put("request", "sealed", sealed, 1 + sizeof(empty));
    free(sealed);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: seed FOLDER\n", stderr);
        return 2;
    }
    folder = argv[1];
    make_words();
    make_requests();
    make_frames();
    make_descriptions();
    make_idx();
    make_cifar();
    make_npy();
    make_names();
    make_numbers();
    make_pictures();
    make_safetensors();
    make_uris();
    make_verdicts();
    make_tables();
    make_weights();
    make_checkpoint();
    make_handshake();
    return 0;
}
