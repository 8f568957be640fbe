/* The files of deploy/examples are what they say. */
#include <dirent.h>

#include "common/studyfile.h"
#include "tests/unit/common/jobspec_made.h"

#define EXAMPLES "deploy/examples" /* tests run in the root of the tree */

/* A study is judged as its jobs are. */
static void check_example(const char *file, const cJSON *json, struct errbuf *why)
{
    char name[256];

    snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(".json")), file);
    if (cJSON_GetObjectItemCaseSensitive(json, "arms")) {
        struct studyfile study;
        ASSERT_OK(studyfile_parse(json, &study, why), *why);
        studyfile_done(&study);
        return;
    }
    struct jobspec s;
    ASSERT_OK(jobspec_parse(json, &s, why), *why);
    cJSON_free(assert_round_trip(&s));
    /* A job is called as its file, so that a list of jobs tells which one it was. */
    ASSERT_STR(name, s.name);
    jobspec_done(&s);
}

TEST(every_example_is_good)
{
    DIR *dir = opendir(EXAMPLES);
    const struct dirent *entry;
    int count = 0;

    ASSERT(dir);
    while ((entry = readdir(dir))) {
        struct errbuf why = {0};
        cJSON *json;
        char path[512];
        if (!strstr(entry->d_name, ".json"))
            continue;
        snprintf(path, sizeof(path), "%s/%s", EXAMPLES, entry->d_name);
        ASSERT_OK(field_parse_file(path, JSON_REQUEST_BYTES_MAX, &json, &why), why);
        check_example(entry->d_name, json, &why);
        cJSON_Delete(json);
        count++;
    }
    closedir(dir);
    ASSERT(count >= 5);
}

static struct jobspec example(const char *name)
{
    struct errbuf why = {0};
    struct jobspec spec;
    char path[512];
    cJSON *json;

    snprintf(path, sizeof(path), EXAMPLES "/%s.json", name);
    ASSERT_OK(field_parse_file(path, JSON_REQUEST_BYTES_MAX, &json, &why), why);
    ASSERT_OK(jobspec_parse(json, &spec, &why), why);
    cJSON_Delete(json);
    return spec;
}

TEST(the_none_controls_differ_from_their_jobs_in_the_measure_only)
{
    static const char *const jobs[] = {"fashion-lenet", "cifar10-resnet20"};

    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s-none", jobs[i]);
        struct jobspec job = example(jobs[i]), control = example(name);
        ASSERT_EQ(MEASURE_ADM, job.curriculum.measure);
        ASSERT_EQ(MEASURE_NONE, control.curriculum.measure);
        control.curriculum.measure = job.curriculum.measure;
        memcpy(control.name, job.name, sizeof(job.name));
        assert_same(&job, &control);
        jobspec_done(&control);
        jobspec_done(&job);
    }
}
