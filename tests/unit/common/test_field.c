#include "common/field.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bounds.h"
#include "common/file.h"
#include "tests/harness.h"

static struct errbuf why;

/* The text in memory of exactly its size, so that a sanitizer sees a byte read beyond it. */
static int parse_bytes(const char *text, size_t bytes, cJSON **ret)
{
    char *copy = malloc(bytes + (bytes == 0));

    memcpy(copy, text, bytes);
    int rc = field_parse(copy, bytes, JSON_REQUEST_BYTES_MAX, "job file", ret, &why);
    free(copy);
    return rc;
}

static int parse(const char *text, cJSON **ret)
{
    return parse_bytes(text, strlen(text), ret);
}

static cJSON *parsed(const char *text)
{
    cJSON *obj = NULL;

    ASSERT_OK(parse(text, &obj), why);
    return obj;
}

/* The text is refused with -EINVAL and a sentence that has part. */
static void assert_refused(const char *text, const char *part)
{
    cJSON *obj = NULL;

    ASSERT_EQ(-EINVAL, parse(text, &obj));
    ASSERT(obj == NULL);
    ASSERT_HAS(part, why.text);
}

TEST(an_object_is_parsed)
{
    cJSON *obj = parsed(" {\"a\": [1, {\"b\": \"\\u00e9 \\\"}]\"}], \"A\": null}\r\n");

    ASSERT(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(obj, "a")));
    cJSON_Delete(obj);
}

TEST(what_is_not_one_object_is_refused)
{
    assert_refused("[1]", "job file is a list, expected a JSON object");
    assert_refused("5", "job file is 5, expected a JSON object");
    assert_refused("", "job file is empty");
    assert_refused("{} {}", "not valid JSON at line 1, column 4");
    assert_refused("{} x", "not valid JSON");
    assert_refused("{\"a\":1,}", "not valid JSON");
    assert_refused("{\"a\":NaN}", "not valid JSON");
    assert_refused("{\"a\":Infinity}", "not valid JSON");
    assert_refused("{\"a\":\"\\ud800\"}", "not valid JSON");
    assert_refused("{\n  \"a\": tru\n}", "line 2, column 8");
}

TEST(nul_and_control_bytes_are_refused)
{
    cJSON *obj = NULL;

    ASSERT_EQ(-EINVAL, parse_bytes("{\"a\":\"x\0y\"}", 11, &obj));
    ASSERT_HAS("control character at byte 7", why.text);
    ASSERT_EQ(-EINVAL, parse_bytes("{}\0", 3, &obj));
    ASSERT_EQ(-EINVAL, parse_bytes("{}\0{}", 5, &obj));
    assert_refused("{\"a\":\"x\ny\"}", "control character");
    assert_refused("{\"a\":\"x\\u0000y\"}", "\\u0000 at byte 7");
    cJSON_Delete(parsed("{\"a\":\"\\\\u0000\"}")); /* a backslash and then plain letters */
}

TEST(text_that_is_not_utf8_is_refused)
{
    assert_refused("{\"a\":\"\xff\"}", "job file is not UTF-8 at byte 6");
}

TEST(numbers_beyond_double_are_refused)
{
    assert_refused("{\"lr\":1e999}", "job file: lr is beyond the range of numbers");
    assert_refused("{\"a\":{\"b\":[0,-1e999]}}", "job file: a.b is beyond");
}

TEST(a_key_twice_is_refused_wherever_it_is)
{
    assert_refused("{\"a\":1,\"b\":2,\"a\":3}", "job file has the key \"a\" twice");
    assert_refused("{\"a\":1,\"\\u0061\":3}", "has the key \"a\" twice");
    assert_refused("{\"x\":[{\"y\":{\"k\":1,\"k\":1}}]}", "job file: x.y has the key \"k\" twice");
    cJSON_Delete(parsed("{\"a\":1,\"A\":2}"));
}

TEST(many_keys_are_judged_fast)
{
    size_t bytes_max = 1 << 20, used = 1;
    char *text = malloc(bytes_max);
    cJSON *obj = NULL;

    text[0] = '{';
    for (int i = 0; used < bytes_max - 32; i++)
        used += (size_t)sprintf(text + used, "%s\"%x\":0", i ? "," : "", i);
    text[used++] = '}';
    ASSERT_OK(field_parse(text, used, bytes_max, "reply", &obj, &why), why);
    cJSON_Delete(obj);
    free(text);
}

TEST(nesting_is_limited)
{
    char text[2 * 20000];

    for (int depth = 1; depth <= 20; depth++) {
        size_t n = 0;
        for (int i = 0; i < depth - 1; i++)
            n += (size_t)sprintf(text + n, "{\"a\":");
        n += (size_t)sprintf(text + n, "{}");
        for (int i = 0; i < depth - 1; i++)
            text[n++] = '}';
        text[n] = '\0';
        if (depth > JSON_DEPTH_MAX)
            assert_refused(text, "job file is nested deeper than 16 levels");
        else
            cJSON_Delete(parsed(text));
    }
    memset(text, '[', 10000);
    text[10000] = '\0';
    assert_refused(text, "nested deeper");
    cJSON_Delete(parsed("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"}"));
}

TEST(length_is_limited)
{
    cJSON *obj = NULL;

    ASSERT_EQ(-EMSGSIZE, field_parse("{\"a\":1}", 7, 6, "request", &obj, &why));
    ASSERT_STR("request is 7 bytes, allowed is at most 6", why.text);
    ASSERT_OK(field_parse("{\"a\":1}", 7, 7, "request", &obj, &why), why);
    cJSON_Delete(obj);
}

TEST(a_cut_document_is_refused_at_every_length)
{
    const char text[] = "{\"a\": [1.5e3, \"\\u00e9\\n\", true], \"b\": {\"c\": null}}";
    cJSON *obj = NULL;

    for (size_t n = 0; n < sizeof(text) - 1; n++)
        if (parse_bytes(text, n, &obj) != -EINVAL)
            FAIL("took the first %zu bytes", n);
}

TEST(a_file_is_parsed_and_named)
{
    const struct file_part part = {"{\"a\":1,\"a\":2}", 13};
    cJSON *obj = NULL;

    ASSERT_EQ(-ENOENT, field_parse_file(test_path("none.json"), 100, &obj, &why));
    ASSERT_HAS("none.json: there is no such file", why.text);
    ASSERT_OK(file_write_atomic(test_path("job.json"), 0600, &part, 1, &why), why);
    ASSERT_EQ(-EINVAL, field_parse_file(test_path("job.json"), 100, &obj, &why));
    ASSERT_HAS("job.json has the key \"a\" twice", why.text);
    ASSERT(obj == NULL);
}

TEST(whole_numbers_keep_to_type_and_range)
{
    cJSON *obj = parsed("{\"epochs\":0,\"half\":1.5,\"text\":\"five\",\"none\":null,\"good\":1e3,"
                        "\"big\":9007199254740992,\"most\":9007199254740991}");
    int64_t v = 77;

    ASSERT_EQ(-EINVAL, field_i64(obj, "job file", "epochs", true, 1, 100000, &v, &why));
    ASSERT_STR("job file: epochs is 0, allowed is 1 to 100000", why.text);
    ASSERT_EQ(-EINVAL, field_i64(obj, "optimizer", "half", true, 1, 9, &v, &why));
    ASSERT_STR("optimizer.half is 1.5, allowed is a whole number from 1 to 9", why.text);
    ASSERT_EQ(-EINVAL, field_i64(obj, "", "text", true, 1, 9, &v, &why));
    ASSERT_STR("text is \"five\", allowed is a whole number from 1 to 9", why.text);
    ASSERT_EQ(-EINVAL, field_i64(obj, "", "none", false, 1, 9, &v, &why));
    ASSERT_HAS("none is null", why.text);
    ASSERT_EQ(-EINVAL, field_i64(obj, "", "big", true, 0, INT64_MAX, &v, &why));
    ASSERT_HAS("allowed is 0 to 9007199254740991", why.text);
    ASSERT_EQ(-EINVAL, field_i64(obj, "job file", "absent", true, 1, 9, &v, &why));
    ASSERT_STR("job file: absent is missing", why.text);
    ASSERT_EQ(77, v);
    ASSERT_OK(field_i64(obj, "", "absent", false, 1, 9, &v, &why), why);
    ASSERT_EQ(77, v);
    ASSERT_OK(field_i64(obj, "", "good", true, 1, 1000, &v, &why), why);
    ASSERT_EQ(1000, v);
    ASSERT_OK(field_i64(obj, "", "most", true, INT64_MIN, INT64_MAX, &v, &why), why);
    ASSERT_EQ(9007199254740991, v);
    cJSON_Delete(obj);
}

TEST(keys_are_case_sensitive)
{
    cJSON *obj = parsed("{\"Epochs\":3}");
    int64_t v = 0;

    ASSERT_EQ(-EINVAL, field_i64(obj, "", "epochs", true, 1, 9, &v, &why));
    cJSON_Delete(obj);
}

TEST(numbers_keep_to_type_and_range)
{
    cJSON *obj = parsed("{\"full_at\":1.5,\"list\":[],\"on\":true,\"good\":0.25}");
    double v = 77;

    ASSERT_EQ(-EINVAL, field_f64(obj, "curriculum", "full_at", true, 0, 1, &v, &why));
    ASSERT_STR("curriculum.full_at is 1.5, allowed is 0 to 1", why.text);
    ASSERT_EQ(-EINVAL, field_f64(obj, "", "list", true, 0, HUGE_VAL, &v, &why));
    ASSERT_STR("list is a list, allowed is at least 0", why.text);
    ASSERT_EQ(-EINVAL, field_f64(obj, "", "on", true, -HUGE_VAL, HUGE_VAL, &v, &why));
    ASSERT_STR("on is true, allowed is any number", why.text);
    ASSERT(v == 77);
    ASSERT_OK(field_f64(obj, "", "good", true, 0, 1, &v, &why), why);
    ASSERT(v == 0.25);
    cJSON_Delete(obj);
}

TEST(ratios_are_numbers_or_fractions)
{
    cJSON *obj = parsed("{\"a\":\"8/255\",\"b\":0.5,\"c\":\"8/0\",\"d\":\"3/2\",\"e\":2}");
    double v = 77;

    ASSERT_OK(field_ratio(obj, "", "a", true, 0, 1, &v, &why), why);
    ASSERT(v == 8.0 / 255.0);
    ASSERT_OK(field_ratio(obj, "", "b", true, 0, 1, &v, &why), why);
    ASSERT(v == 0.5);
    ASSERT_EQ(-EINVAL, field_ratio(obj, "attack", "c", true, 0, 1, &v, &why));
    ASSERT_STR("attack.c is \"8/0\", allowed is 0 to 1, or a ratio such as \"8/255\"", why.text);
    ASSERT_EQ(-EINVAL, field_ratio(obj, "", "d", true, 0, 1, &v, &why));
    ASSERT_EQ(-EINVAL, field_ratio(obj, "", "e", true, 0, 1, &v, &why));
    ASSERT_EQ(-EINVAL, field_ratio(obj, "", "f", true, 0, 1, &v, &why));
    ASSERT_OK(field_ratio(obj, "", "f", false, 0, 1, &v, &why), why);
    ASSERT(v == 0.5);
    cJSON_Delete(obj);
}

TEST(flags_and_texts_keep_to_their_type)
{
    cJSON *obj = parsed("{\"on\":true,\"one\":1,\"name\":\"abc\",\"empty\":\"\"}");
    const char *s = "before";
    bool on = false;

    ASSERT_OK(field_bool(obj, "", "on", true, &on, &why), why);
    ASSERT(on);
    ASSERT_EQ(-EINVAL, field_bool(obj, "", "one", true, &on, &why));
    ASSERT_STR("one is 1, allowed is true or false", why.text);
    ASSERT_EQ(-EINVAL, field_str(obj, "", "one", true, 10, &s, &why));
    ASSERT_EQ(-EINVAL, field_str(obj, "job file", "name", true, 3, &s, &why));
    ASSERT_STR("job file: name is 3 bytes long, allowed is at most 2", why.text);
    ASSERT_EQ(-EINVAL, field_str(obj, "", "empty", true, 10, &s, &why));
    ASSERT_STR("empty is empty", why.text);
    ASSERT_STR("before", s);
    ASSERT_OK(field_str(obj, "", "name", true, 4, &s, &why), why);
    ASSERT_STR("abc", s);
    ASSERT_OK(field_str(obj, "", "empty", false, 10, &s, &why), why);
    ASSERT_STR("", s);
    cJSON_Delete(obj);
}

TEST(enums_suggest_the_nearest_name)
{
    static const char *const pacings[] = {"linear", "quad", "root", "step", "exp", "log", NULL};
    cJSON *obj = parsed("{\"pacing\":\"linera\",\"other\":\"cosine\",\"five\":5,\"good\":\"exp\"}");
    int v = -7;

    ASSERT_EQ(-EINVAL, field_enum(obj, "curriculum", "pacing", true, pacings, &v, &why));
    ASSERT_STR("curriculum.pacing is \"linera\", allowed is linear, quad, root, step, exp or log; "
               "did you mean \"linear\"?",
               why.text);
    ASSERT_EQ(-EINVAL, field_enum(obj, "", "other", true, pacings, &v, &why));
    ASSERT_STR("other is \"cosine\", allowed is linear, quad, root, step, exp or log", why.text);
    ASSERT_EQ(-EINVAL, field_enum(obj, "", "five", true, pacings, &v, &why));
    ASSERT_EQ(-7, v);
    ASSERT_OK(field_enum(obj, "", "good", true, pacings, &v, &why), why);
    ASSERT_EQ(4, v);
    cJSON_Delete(obj);
}

TEST(long_values_are_cut_in_the_sentence)
{
    static const char *const names[] = {"a", NULL};
    char text[400] = "{\"k\":\"";
    int v;

    for (int i = 0; i < 150; i++)
        strcat(text, "\xc3\xa9");
    strcat(text, "\"}");
    cJSON *obj = parsed(text);
    ASSERT_EQ(-EINVAL, field_enum(obj, "", "k", true, names, &v, &why));
    ASSERT_HAS("\xc3\xa9...\", allowed is a", why.text);
    ASSERT(strlen(why.text) < 100);
    cJSON_Delete(obj);
}

TEST(objects_and_lists_keep_to_their_type)
{
    cJSON *obj = parsed("{\"o\":{},\"l\":[1,2,3]}");
    const cJSON *v = NULL;

    ASSERT_EQ(-EINVAL, field_obj(obj, "", "l", true, &v, &why));
    ASSERT_STR("l is a list, allowed is an object in {}", why.text);
    ASSERT_EQ(-EINVAL, field_arr(obj, "", "o", true, 9, &v, &why));
    ASSERT_EQ(-EINVAL, field_arr(obj, "model", "l", true, 2, &v, &why));
    ASSERT_STR("model.l has 3 entries, allowed is at most 2", why.text);
    ASSERT(v == NULL);
    ASSERT_OK(field_arr(obj, "", "l", true, 3, &v, &why), why);
    ASSERT_EQ(3, cJSON_GetArraySize(v));
    ASSERT_OK(field_obj(obj, "", "o", true, &v, &why), why);
    ASSERT(cJSON_IsObject(v));
    cJSON_Delete(obj);
}

TEST(hashes_are_64_digits)
{
    cJSON *obj = parsed("{\"short\":\"ab\",\"good\":\"00112233445566778899aabbccddeeff"
                        "00112233445566778899AABBCCDDEEFF\"}");
    uint8_t hash[32] = {9};

    ASSERT_EQ(-EINVAL, field_sha256(obj, "", "short", hash, &why));
    ASSERT_STR("short is \"ab\", allowed is 64 hexadecimal digits", why.text);
    ASSERT_EQ(-EINVAL, field_sha256(obj, "", "absent", hash, &why));
    ASSERT_EQ(9, hash[0]);
    ASSERT_OK(field_sha256(obj, "", "good", hash, &why), why);
    ASSERT_EQ(0x11, hash[1]);
    ASSERT_EQ(0xff, hash[31]);
    cJSON_Delete(obj);
}

TEST(an_unknown_key_is_named_with_the_nearest)
{
    static const char *const names[] = {"pacing", "order", "measure", NULL};
    cJSON *obj = parsed("{\"order\":1,\"pasing\":2}"), *far = parsed("{\"zzzzzz\":1}");

    ASSERT_EQ(-EINVAL, field_known(obj, "curriculum", names, &why));
    ASSERT_STR(
        "curriculum has no key \"pasing\"; did you mean \"pacing\"? Allowed: pacing, order or "
        "measure",
        why.text);
    ASSERT_EQ(-EINVAL, field_known(far, "job file", names, &why));
    ASSERT_STR("job file has no key \"zzzzzz\". Allowed: pacing, order or measure", why.text);
    cJSON_DeleteItemFromObject(obj, "pasing");
    ASSERT_OK(field_known(obj, "curriculum", names, &why), why);
    cJSON_Delete(obj);
    cJSON_Delete(far);
}
