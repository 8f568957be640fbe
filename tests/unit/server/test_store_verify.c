/* What the store keeps of results that are computed twice. */
#include <errno.h>

#include "tests/unit/server/store_fixture.h"

static void each_liar(void *arg, const char *key, int64_t unix_ms, const char *text)
{
    char *all = arg;

    ASSERT(unix_ms > 0);
    snprintf(all + strlen(all), 200 - strlen(all), "%s: %s\n", key, text);
}

TEST(the_secret_stays_and_liars_are_kept)
{
    uint8_t first[STORE_SECRET_BYTES], again[STORE_SECRET_BYTES], zero[STORE_SECRET_BYTES] = {0};
    struct store *s = fixture_open();
    struct errbuf why;
    char all[200] = "";

    ASSERT_OK(store_verify_secret(s, first, &why), why);
    ASSERT(memcmp(first, zero, sizeof(zero)) != 0);
    ASSERT_OK(store_liar_put(s, "eve", "one", &why), why);
    ASSERT_OK(store_liar_put(s, "eve", "two", &why), why); /* the first word stays */
    ASSERT_OK(store_liar_put(s, "", "three", &why), why);
    ASSERT_OK(store_liar_remove(s, "", &why), why);
    store_close(s);
    s = fixture_open();
    ASSERT_OK(store_verify_secret(s, again, &why), why);
    ASSERT_MEM(first, again, sizeof(first));
    ASSERT_OK(store_liars_load(s, each_liar, all, &why), why);
    ASSERT_STR("eve: one\n", all);
    store_close(s);
}

TEST(where_a_key_began_in_a_job_is_its_first_place)
{
    struct store *s = fixture_open();
    int64_t job = fixture_job(s, 1);
    struct job_place places[4], liar;
    struct errbuf why;
    int count;

    ASSERT_OK(store_hand_put(s, job, "ann", (struct job_place){0, 0}, &why), why);
    ASSERT_OK(store_hand_put(s, job, "eve", (struct job_place){9, 2}, &why), why);
    ASSERT_OK(store_hand_put(s, job, "eve", (struct job_place){12, 2}, &why), why);
    ASSERT_OK(store_hand_put(s, job, "eve", (struct job_place){9, 1}, &why), why);
    ASSERT_OK(store_hands_load(s, job, places, 4, &count, &liar, &why), why);
    ASSERT_EQ(2, count);
    ASSERT(places[0].step == 9 && places[0].epoch == 1 && places[1].step == 0);
    ASSERT_EQ(-1, liar.step);
    ASSERT_OK(store_liar_put(s, "eve", "lies", &why), why);
    ASSERT_OK(store_hands_load(s, job, NULL, 0, &count, &liar, &why), why);
    ASSERT(liar.step == 9 && liar.epoch == 1);
    ASSERT_OK(store_hands_forget(s, job, &why), why);
    ASSERT_OK(store_hands_load(s, job, places, 4, &count, &liar, &why), why);
    ASSERT_EQ(1, count);
    ASSERT_EQ(-1, liar.step);
    ASSERT_EQ(-ENOENT, store_hand_put(s, 99, "ann", (struct job_place){0, 0}, &why));
    store_close(s);
}
