/* A small job, for the targets that need one: the shape of its checkpoints. */
#ifndef STEPPE_TESTS_FUZZ_SMALL_RUN_H
#define STEPPE_TESTS_FUZZ_SMALL_RUN_H

#include <cjson/cJSON.h>

#include "server/store/checkpoint.h"
#include "tests/fuzz/fuzz.h"

enum { SMALL_SAMPLES = 6, SMALL_CLASSES = 2 };

struct small_run {
    struct jobspec spec;
    struct model model;
    struct dataset data;
    uint16_t labels[SMALL_SAMPLES];
    struct run *run;
};

static inline void small_run_open(struct small_run *s)
{
    static const float mean[1] = {0}, std[1] = {1};
    struct errbuf why;
    cJSON *json = cJSON_Parse("{\"dataset\": \"d\", \"model\": {\"layers\": [{\"type\": "
                              "\"flatten\"}, {\"type\": \"dense\"}]}, \"epochs\": 2, \"batch\": 4, "
                              "\"shard\": 2, \"score\": {\"source\": \"train\"}}");

    *s = (struct small_run){.data = {.samples = SMALL_SAMPLES,
                                     .classes = SMALL_CLASSES,
                                     .dims = {2, 2, 1},
                                     .labels = s->labels}};
    FUZZ_ASSERT(jobspec_parse(json, &s->spec, &why) == 0);
    FUZZ_ASSERT(
        model_parse(s->spec.model, s->data.dims, SMALL_CLASSES, mean, std, &s->model, &why) == 0);
    FUZZ_ASSERT(run_create(&s->spec, &s->model, &s->data, 1, 1, &(struct run_inputs){0}, &s->run) ==
                0);
    cJSON_Delete(json);
}

static inline void small_run_close(struct small_run *s)
{
    run_free(s->run);
    jobspec_done(&s->spec);
    model_done(&s->model);
}

static inline struct checkpoint_shape small_run_shape(const struct small_run *s)
{
    return (struct checkpoint_shape){
        .floats = s->model.floats, .samples = SMALL_SAMPLES, .vectors = run_vectors(&s->spec)};
}

#endif
