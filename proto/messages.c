#include "proto/messages.h"

#include <assert.h>
#include <stddef.h>

#include "proto/result.h"

const char *const message_names[] = {
#define MESSAGE(id, name, tensors, roles, web) [MSG_##id] = name,
    MESSAGE_TABLE(MESSAGE)
#undef MESSAGE
        [MSG_COUNT] = NULL,
};

const char *const error_names[] = {
#define ERROR(id, name) [ERR_##id] = name,
    ERROR_TABLE(ERROR)
#undef ERROR
        [ERR_COUNT] = NULL,
};

const char *const refusal_names[] = {
#define REFUSAL(id, name) [REFUSAL_##id] = name,
    REFUSAL_TABLE(REFUSAL)
#undef REFUSAL
        [REFUSAL_COUNT] = NULL,
};

const char *const task_kind_names[] = {
    [TASK_NONE] = "none", [TASK_TRAIN] = "train",       [TASK_SCORE] = "score",
    [TASK_TEST] = "test", [TASK_FLATNESS] = "flatness", [TASK_PREDICT] = "predict",
    [TASK_KINDS] = NULL,
};

const enum task_kind task_kind_of_phase[PHASES] = {
    [PHASE_TRAIN] = TASK_TRAIN,     [PHASE_ASCENT] = TASK_TRAIN,   [PHASE_DESCENT] = TASK_TRAIN,
    [PHASE_SWEEP] = TASK_SCORE,     [PHASE_TEST] = TASK_TEST,      [PHASE_VALIDATION] = TASK_SCORE,
    [PHASE_HELD_TEST] = TASK_SCORE, [PHASE_SLOPE] = TASK_FLATNESS, [PHASE_PRODUCT] = TASK_FLATNESS,
    [PHASE_LOSS] = TASK_FLATNESS,
};

static const int tensors_max[] = {
#define MESSAGE(id, name, tensors, roles, web) [MSG_##id] = tensors,
    MESSAGE_TABLE(MESSAGE)
#undef MESSAGE
};

int message_tensors_max(enum message_type type)
{
    assert((unsigned)type < MSG_COUNT);
    return tensors_max[type];
}

static const unsigned roles_allowed[] = {
#define MESSAGE(id, name, tensors, roles, web) [MSG_##id] = (roles),
    MESSAGE_TABLE(MESSAGE)
#undef MESSAGE
};

unsigned message_roles(enum message_type type)
{
    assert((unsigned)type < MSG_COUNT);
    return roles_allowed[type];
}

static const enum message_web web_of[] = {
#define MESSAGE(id, name, tensors, roles, web) [MSG_##id] = (web),
    MESSAGE_TABLE(MESSAGE)
#undef MESSAGE
};

enum message_web message_web(enum message_type type)
{
    assert((unsigned)type < MSG_COUNT);
    return web_of[type];
}
