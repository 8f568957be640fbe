#include <stdlib.h>

#include "tests/unit/common/jobspec_made.h"

TEST(defaults_are_those_of_the_paper_recipe)
{
    struct jobspec s = made("");

    ASSERT_STR("glyphs", s.name);
    ASSERT_STR("glyphs", s.dataset);
    ASSERT(cJSON_IsString(s.model));
    ASSERT_STR("lenet", s.model->valuestring);
    ASSERT_EQ(10, s.epochs);
    ASSERT_EQ(128, s.batch);
    ASSERT_EQ(64, s.shard);
    ASSERT_EQ(1, s.seed);
    ASSERT_EQ(OPTIMIZER_SGD, s.optimizer.kind);
    ASSERT(s.optimizer.lr == 0.05 && s.optimizer.momentum == 0.9);
    ASSERT(!s.optimizer.nesterov);
    ASSERT(s.optimizer.weight_decay == 5e-4 && s.optimizer.warmup == 0);
    ASSERT_EQ(LR_COSINE, s.optimizer.schedule);
    ASSERT(s.optimizer.clip == 0 && s.label_smoothing == 0 && s.mixup == 0);
    ASSERT(s.crop == 0 && !s.flip && s.average_from == 1);
    ASSERT_EQ(SAM_PLAIN, s.sam);
    ASSERT_EQ(1, s.sam_interval);
    ASSERT_EQ(SCOPE_SHARD, s.sam_scope);
    ASSERT(s.rho == 0.05 && s.epsilon == 8.0 / 255.0);
    ASSERT_EQ(ATTACK_FGSM, s.attack);
    ASSERT_EQ(SOURCE_SWEEP, s.score_source);
    ASSERT_EQ(0, s.score_every);
    ASSERT_EQ(NORM_POPULATION, s.normaliser);
    ASSERT_EQ(MEASURE_ADM, s.curriculum.measure);
    ASSERT_EQ(CURRICULUM_EPOCH, s.curriculum.scope);
    ASSERT_EQ(ORDER_EASY_FIRST, s.curriculum.order);
    ASSERT_EQ(MODE_SELECT, s.curriculum.mode);
    ASSERT_EQ(PACING_LINEAR, s.curriculum.pacing);
    ASSERT_EQ(BALANCE_CLASS, s.curriculum.balance);
    ASSERT(s.curriculum.initial == 0.8 && s.curriculum.final == 1);
    ASSERT(s.curriculum.full_at == 0.5 && s.curriculum.smoothing == 0);
    ASSERT_EQ(1, s.curriculum.warmup);
    ASSERT_EQ(NUMERICS_STRICT, s.numerics);
    ASSERT(s.verify == 0);
    ASSERT(s.fold.of == 0 && s.fold.leave == 0);
    ASSERT(s.class_weights.kind == CLASSES_ALIKE && s.sampling == SAMPLING_EVEN && s.patience == 0);
    jobspec_done(&s);
}

TEST(what_is_written_is_taken)
{
    struct jobspec s = made(
        "\"name\": \"first.try\", \"epochs\": 40, \"batch\": 96, \"shard\": 32, \"seed\": 0,"
        "\"optimizer\": {\"name\": \"sgd\", \"lr\": 0.1, \"momentum\": 0.5, \"nesterov\": true,"
        "  \"weight_decay\": 0, \"schedule\": \"constant\", \"warmup\": 0.25},"
        "\"sam\": {\"rho\": 0}, \"attack\": {\"name\": \"fgsm\", \"epsilon\": 0.125},"
        "\"augment\": {\"crop\": 4, \"flip\": true},"
        "\"score\": {\"source\": \"train\", \"every\": 3, \"normaliser\": \"sample\"},"
        "\"curriculum\": {\"measure\": \"el2n\", \"order\": \"hard_first\", \"mode\": \"both\","
        "  \"pacing\": \"log\", \"initial\": 0.25, \"final\": 0.75, \"full_at\": 1, \"warmup\": 2,"
        "  \"smoothing\": 0.5, \"balance\": \"none\"}, \"numerics\": \"relaxed\"");

    ASSERT_STR("first.try", s.name);
    ASSERT(s.epochs == 40 && s.batch == 96 && s.shard == 32);
    ASSERT_EQ(0, s.seed);
    ASSERT(s.optimizer.lr == 0.1 && s.optimizer.momentum == 0.5 && s.optimizer.nesterov);
    ASSERT(s.optimizer.weight_decay == 0 && s.optimizer.warmup == 0.25);
    ASSERT_EQ(LR_CONSTANT, s.optimizer.schedule);
    ASSERT(s.rho == 0 && s.epsilon == 0.125);
    ASSERT(s.crop == 4 && s.flip);
    ASSERT_EQ(SOURCE_TRAIN, s.score_source);
    ASSERT_EQ(3, s.score_every);
    ASSERT_EQ(NORM_SAMPLE, s.normaliser);
    ASSERT_EQ(MEASURE_EL2N, s.curriculum.measure);
    ASSERT_EQ(ORDER_HARD_FIRST, s.curriculum.order);
    ASSERT_EQ(MODE_BOTH, s.curriculum.mode);
    ASSERT_EQ(PACING_LOG, s.curriculum.pacing);
    ASSERT_EQ(BALANCE_NONE, s.curriculum.balance);
    ASSERT(s.curriculum.initial == 0.25 && s.curriculum.final == 0.75);
    ASSERT(s.curriculum.full_at == 1 && s.curriculum.smoothing == 0.5);
    ASSERT_EQ(2, s.curriculum.warmup);
    ASSERT_EQ(NUMERICS_RELAXED, s.numerics);
    jobspec_done(&s);
}

TEST(what_is_written_of_another_optimizer_and_attack_is_taken)
{
    struct jobspec s =
        made("\"label_smoothing\": 0.1, \"mixup\": 0.4, \"optimizer\": {\"name\": \"adamw\", "
             "\"lr\": 0.002,"
             "  \"beta1\": 0.8, \"beta2\": 0.99, \"epsilon\": 1e-6, \"weight_decay\": 0.125, "
             "\"clip\": 2,"
             "  \"schedule\": \"step\", \"milestones\": [0.25, 0.5, 0.875], \"gamma\": 0.5},"
             "\"sam\": {\"name\": \"asam\", \"rho\": 1, \"interval\": 4, "
             "\"scope\": \"batch\"},"
             "\"attack\": {\"name\": \"pgd\", \"epsilon\": \"4/255\", \"alpha\": \"2/255\", "
             "\"steps\": 7,"
             "  \"random_start\": true}");
    const struct optimizer_spec *o = &s.optimizer;

    ASSERT(s.label_smoothing == 0.1 && s.mixup == 0.4);
    ASSERT_EQ(OPTIMIZER_ADAMW, o->kind);
    ASSERT(o->lr == 0.002 && o->beta1 == 0.8 && o->beta2 == 0.99 && o->epsilon == 1e-6);
    ASSERT(o->weight_decay == 0.125 && o->clip == 2 && o->gamma == 0.5);
    ASSERT_EQ(LR_STEP, o->schedule);
    ASSERT_EQ(3, o->milestones.count);
    ASSERT(o->milestones.at[0] == 0.25 && o->milestones.at[1] == 0.5);
    ASSERT(o->milestones.at[2] == 0.875 && o->milestones.at[3] == 0);
    ASSERT_EQ(SAM_ADAPTIVE, s.sam);
    ASSERT(s.rho == 1 && s.sam_interval == 4);
    ASSERT_EQ(SCOPE_BATCH, s.sam_scope);
    ASSERT_EQ(ATTACK_PGD, s.attack);
    ASSERT(s.epsilon == 4.0 / 255 && s.alpha == 2.0 / 255 && s.attack_steps == 7);
    ASSERT(s.random_start);
    jobspec_done(&s);
}

TEST(a_choice_has_defaults_of_its_own)
{
    struct jobspec s = made("\"optimizer\": {\"name\": \"adamw\"}");

    ASSERT(s.optimizer.lr == 0.001 && s.optimizer.weight_decay == 0.01);
    ASSERT(s.optimizer.beta1 == 0.9 && s.optimizer.beta2 == 0.999 && s.optimizer.epsilon == 1e-8);
    jobspec_done(&s);
    s = made("\"optimizer\": {\"schedule\": \"step\"}");
    ASSERT(s.optimizer.lr == 0.05 && s.optimizer.gamma == 0.1);
    ASSERT_EQ(2, s.optimizer.milestones.count);
    ASSERT(s.optimizer.milestones.at[0] == 0.5 && s.optimizer.milestones.at[1] == 0.75);
    jobspec_done(&s);
    s = made("\"sam\": {\"name\": \"asam\"}, \"attack\": {\"name\": \"l2\"}");
    ASSERT(s.rho == 0.5 && s.epsilon == 0.5);
    jobspec_done(&s);
    s = made("\"sam\": {\"name\": \"gsam\"}");
    ASSERT(s.rho == 0.05 && s.sam_alpha == 0.1);
    ASSERT_EQ(SCOPE_SHARD, s.sam_scope);
    jobspec_done(&s);
    s = made("\"sam\": {\"name\": \"fsam\"}");
    ASSERT(s.rho == 0.05 && s.sam_lambda == 0.9 && s.sam_sigma == 1);
    ASSERT_EQ(SCOPE_BATCH, s.sam_scope);
    jobspec_done(&s);
    s = made("\"attack\": {\"name\": \"pgd\", \"epsilon\": 0.25}");
    ASSERT(s.alpha == 0.0625 && s.attack_steps == 10 && !s.random_start);
    jobspec_done(&s);
    s = made("\"attack\": {\"name\": \"pgd\", \"epsilon\": 0}");
    ASSERT(s.alpha == 0);
    jobspec_done(&s);
}

TEST(a_key_of_another_choice_is_refused_with_both)
{
    assert_refused("\"optimizer\": {\"name\": \"adamw\", \"momentum\": 0.9}",
                   "optimizer.momentum is given, but only optimizer.name sgd has it; "
                   "optimizer.name is adamw");
    assert_refused("\"optimizer\": {\"beta1\": 0.9}", "only optimizer.name adamw has it");
    assert_refused("\"optimizer\": {\"gamma\": 0.5}",
                   "only optimizer.schedule step has it; optimizer.schedule is cosine");
    assert_refused("\"sam\": {\"alpha\": 0.5}",
                   "sam.alpha is given, but only sam.name gsam has it; sam.name is sam");
    assert_refused("\"sam\": {\"name\": \"gsam\", \"sigma\": 1}", "only sam.name fsam has it");
    assert_refused("\"curriculum\": {\"diversity\": 1}",
                   "only curriculum.mode spl_hard has it; curriculum.mode is select");
    assert_refused("\"attack\": {\"steps\": 3}", "attack.steps is given, but only attack.name pgd");
    assert_refused("\"attack\": {\"name\": \"l2\", \"random_start\": false}",
                   "only attack.name pgd has it; attack.name is l2");
}

TEST(milestones_are_a_rising_list_of_shares)
{
#define STEPPED "\"optimizer\": {\"schedule\": \"step\", \"milestones\": "
    struct jobspec s = made(STEPPED "[]}");

    ASSERT_EQ(0, s.optimizer.milestones.count);
    jobspec_done(&s);
    assert_refused(STEPPED "[0.5, 0.5]}",
                   "optimizer.milestones[1] is 0.5, it must be above the one before it");
    assert_refused(STEPPED "[0]}", "optimizer.milestones[0] is 0, allowed is a number above 0 to");
    assert_refused(STEPPED "[0.2, 1]}",
                   "milestones[1] is 1, allowed is a number above 0 to below 1");
    assert_refused(STEPPED "[0.2, \"x\"]}", "optimizer.milestones[1] is no number, allowed is");
    assert_refused(STEPPED "0.5}", "optimizer.milestones is 0.5, allowed is");
    assert_refused(STEPPED "[0.01,0.02,0.03,0.04,0.05,0.06,0.07,0.08,0.09,0.1,0.11,0.12,0.13,0.14,"
                           "0.15,0.16,0.17]}",
                   "optimizer.milestones");
    assert_refused(STEPPED "[0.25, 0.5], \"warmup\": 0.25}",
                   "optimizer.milestones[0] is 0.25 and optimizer.warmup is 0.25");
}

TEST(epsilon_may_be_a_ratio)
{
    struct jobspec s = made("\"attack\": {\"epsilon\": \"4/255\"}");

    ASSERT(s.epsilon == 4.0 / 255.0);
    jobspec_done(&s);
    assert_refused("\"attack\": {\"epsilon\": \"256/255\"}", "attack.epsilon is \"256/255\"");
    assert_refused("\"attack\": {\"epsilon\": \"eight\"}", "allowed is 0 to 1, or a ratio");
}

TEST(the_sentence_names_the_key_its_place_the_value_and_what_is_allowed)
{
    assert_refused("\"epochs\": -1", "job file: epochs is -1, allowed is 0 to 100000");
    assert_refused("\"epochs\": 2.5", "epochs is 2.5, allowed is a whole number");
    assert_refused("\"epochs\": \"ten\"", "epochs is \"ten\"");
    assert_refused("\"curriculum\": {\"initial\": 0}",
                   "curriculum.initial is 0, allowed is above 0 to 1");
    assert_refused("\"optimizer\": {\"momentum\": 1}",
                   "optimizer.momentum is 1, allowed is 0 to below 1");
    assert_refused("\"optimizer\": {\"lr\": \"fast\"}",
                   "optimizer.lr is \"fast\", allowed is above 0 to");
    assert_refused("\"optimizer\": {\"nesterov\": 1}",
                   "optimizer.nesterov is 1, allowed is true or false");
    assert_refused("\"sam\": 0.05", "sam is 0.05, allowed is an object");
    assert_refused("\"curriculum\": []", "curriculum is a list, allowed is an object");
    assert_refused("\"curriculum\": {\"pacing\": \"linaer\"}",
                   "curriculum.pacing is \"linaer\", allowed is linear, quad, root, step, exp or "
                   "log; did you mean \"linear\"?");
    assert_refused("\"curriculum\": {\"measure\": 4}", "curriculum.measure is 4, allowed is adm,");
    assert_refused("\"optimizer\": {\"name\": \"adam\"}",
                   "optimizer.name is \"adam\", allowed is sgd or adamw; did you mean \"adamw\"?");
    assert_refused("\"name\": \"a/b\"", "name is \"a/b\", allowed are 1 to 63 letters");
    assert_refused("\"name\": \"\"", "name is \"\", allowed are 1 to 63 letters");
    assert_refused("\"name\": 5", "name is 5, allowed is a text");
}

TEST(an_unknown_key_names_its_place_and_the_nearest_valid_one)
{
    assert_refused("\"epoch\": 5", "job file has no key \"epoch\"; did you mean \"epochs\"?");
    assert_refused("\"optimiser\": {}", "did you mean \"optimizer\"?");
    assert_refused("\"optimizer\": {\"weigth_decay\": 0}",
                   "optimizer has no key \"weigth_decay\"; did you mean \"weight_decay\"?");
    assert_refused("\"sam\": {\"roh\": 0}", "sam has no key \"roh\"; did you mean \"rho\"?");
    assert_refused("\"attack\": {\"epsilom\": 0}", "did you mean \"epsilon\"?");
    assert_refused("\"score\": {\"sorce\": 0}", "did you mean \"source\"?");
    assert_refused("\"curriculum\": {\"pasing\": 0}", "did you mean \"pacing\"?");
    assert_refused("\"lr\": 0.05", "job file has no key \"lr\"");
    assert_refused("\"EPOCHS\": 5", "job file has no key \"EPOCHS\"");
    assert_refused("\"curriculum\": {\"curriculum.warmup\": 0}",
                   "has no key \"curriculum.warmup\"");
}

TEST(what_is_required_must_be_there)
{
    struct errbuf why = {0};
    struct jobspec s;

    ASSERT_EQ(-EINVAL, parse("{\"model\": \"lenet\"}", &s, &why));
    ASSERT_HAS("dataset is missing", why.text);
    ASSERT_EQ(-EINVAL, parse("{\"dataset\": \"\", \"model\": \"lenet\"}", &s, &why));
    ASSERT_HAS("dataset is empty", why.text);
    ASSERT_EQ(-EINVAL, parse("{\"dataset\": \"../x\", \"model\": \"lenet\"}", &s, &why));
    ASSERT_HAS("dataset is \"../x\", allowed are", why.text);
    ASSERT_EQ(-EINVAL, parse("{\"dataset\": \"glyphs\"}", &s, &why));
    ASSERT_HAS(
        "model is missing, allowed is mlp, lenet, cnn, resnet20, resnet20_gn, wrn16_4 or resnet18",
        why.text);
    ASSERT_EQ(-EINVAL, jobspec_parse(NULL, &s, &why));
    ASSERT_HAS("a job file must be an object", why.text);
}

TEST(a_model_that_cannot_work_is_refused)
{
    struct errbuf why = {0};
    struct jobspec s;

    ASSERT_EQ(-EINVAL, parse("{\"dataset\": \"glyphs\", \"model\": \"lennet\"}", &s, &why));
    ASSERT_HAS("did you mean \"lenet\"?", why.text);
    ASSERT_EQ(-EINVAL, parse("{\"dataset\": \"glyphs\", \"model\": {\"layers\": ["
                             "{\"type\": \"conv2d\", \"chanels\": 4}]}}",
                             &s, &why));
    ASSERT_HAS("model.layers[0] has no key \"chanels\"; did you mean \"channels\"?", why.text);
}

TEST(batchnorm_and_scores_from_the_training_step_do_not_go_together)
{
    struct errbuf why = {0};
    struct jobspec s;

    ASSERT_EQ(-EINVAL, parse("{\"dataset\": \"glyphs\", \"model\": \"resnet20\", "
                             "\"score\": {\"source\": \"train\"}}",
                             &s, &why));
    ASSERT_HAS("score.source is train, but model resnet20 uses BatchNorm; use sweep or GroupNorm",
               why.text);
    ASSERT_EQ(-EINVAL, parse("{\"dataset\": \"glyphs\", \"model\": {\"layers\": ["
                             "{\"type\": \"batchnorm\"}, {\"type\": \"flatten\"}, "
                             "{\"type\": \"dense\"}]}, \"score\": {\"source\": \"train\"}}",
                             &s, &why));
    ASSERT_HAS("score.source is train, but model custom uses BatchNorm", why.text);
    ASSERT_OK(parse("{\"dataset\": \"glyphs\", \"model\": \"resnet20_gn\", "
                    "\"score\": {\"source\": \"train\"}}",
                    &s, &why),
              why);
    jobspec_done(&s);
    ASSERT_OK(parse("{\"dataset\": \"glyphs\", \"model\": \"resnet20\"}", &s, &why), why);
    jobspec_done(&s);
}

TEST(keys_that_do_not_go_together_are_refused_with_both_values)
{
    assert_refused("\"batch\": 32", "shard is 64 and batch is 32; a shard is a part of a batch");
    assert_refused("\"batch\": 100, \"shard\": 40",
                   "batch is 100 and shard is 40; batch must be a multiple of shard");
    assert_refused("\"curriculum\": {\"warmup\": 5}",
                   "curriculum.warmup is 5, it must be below full_at * epochs = 0.5 * 10 = 5");
    assert_refused("\"epochs\": 2, \"curriculum\": {\"full_at\": 0.5}", "curriculum.warmup is 1");
    assert_refused("\"epochs\": 1, \"curriculum\": {\"warmup\": 1}",
                   "below full_at * epochs = 0.5 * 1 = 0.5");
    assert_refused("\"optimizer\": {\"nesterov\": true, \"momentum\": 0}",
                   "optimizer.nesterov is true and optimizer.momentum is 0");
    assert_refused("\"label_smoothing\": 0.1, \"score\": {\"source\": \"train\"}",
                   "label_smoothing is 0.1 and score.source is train; scores are not smoothed");
    assert_refused("\"curriculum\": {\"mode\": \"spl_log\"}",
                   "curriculum.mode is spl_log and curriculum.measure is adm; self-paced weights "
                   "follow from the loss: use measure loss");
    assert_refused("\"curriculum\": {\"mode\": \"spl_log\", \"measure\": {\"job\": 3}}",
                   "curriculum.measure is given; self-paced");
    assert_refused("\"curriculum\": {\"mode\": \"spl_hard\", \"measure\": \"loss\","
                   "\"order\": \"hard_first\"}",
                   "curriculum.mode is spl_hard and curriculum.order is hard_first");
    assert_refused("\"curriculum\": {\"mode\": \"spl_hard\", \"measure\": \"loss\","
                   "\"diversity\": 0.5}",
                   "curriculum.diversity is 0.5 and curriculum.balance is class; classes that");
    assert_refused("\"mixup\": 0.2, \"score\": {\"source\": \"train\"}",
                   "mixup is 0.2 and score.source is train; a mixed image is no sample");
    assert_refused("\"sam\": {\"name\": \"fsam\", \"scope\": \"shard\"}",
                   "sam.name is fsam and sam.scope is shard; the server keeps the mean of the "
                   "gradients: use batch");
    assert_refused("\"early_stopping\": {\"patience\": 3}",
                   "early_stopping.patience is 3 and keep is last");
    assert_refused("\"early_stopping\": {\"patience\": 3}, \"keep\": \"best\","
                   "\"validation\": {\"share\": 0.1}, \"average\": {\"from\": 0.5}",
                   "early_stopping.patience is 3 and average.from is 0.5");
    assert_refused("\"class_weights\": \"balancd\"", "did you mean \"balanced\"?");
    assert_refused("\"class_weights\": []", "a list with a number for each class");
    assert_refused("\"class_weights\": [1, 0]", "class_weights[1] is 0, allowed is a number from");
    assert_refused("\"class_weights\": [1, \"2\"]", "class_weights[1] is no number");
    assert_refused("\"class_weights\": \"balanced\", \"curriculum\": {\"scope\": \"step\"}",
                   "curriculum.scope is step and class_weights are given");
    assert_refused("\"fold\": {\"of\": 1}", "fold.of is 1, which leaves nothing to train on");
    assert_refused("\"fold\": {\"of\": 5, \"leave\": 5}",
                   "fold.leave is 5 and fold.of is 5; folds are counted from 0 to of - 1");
    assert_refused("\"fold\": {\"leave\": 1}", "fold.leave is 1 and fold.of is 0");
}

TEST(a_curriculum_inside_the_step_has_what_it_needs)
{
    static const struct {
        const char *keys;
        int source;
    } cases[] = {
        {"\"curriculum\": {\"scope\": \"step\"}", SOURCE_TRAIN},
        {"\"score\": {\"every\": 3}, \"curriculum\": {\"scope\": \"step\"}", SOURCE_TRAIN},
        {"\"score\": {\"source\": \"sweep\"}, \"curriculum\": {\"scope\": \"step\"}", SOURCE_SWEEP},
        {"\"curriculum\": {\"scope\": \"step\", \"measure\": \"loss\"}", SOURCE_SWEEP},
        {"\"curriculum\": {\"scope\": \"step\", \"measure\": \"none\"}", SOURCE_SWEEP},
        {"\"label_smoothing\": 0.1, \"curriculum\": {\"scope\": \"step\"}", SOURCE_TRAIN},
        {"\"epochs\": 0, \"weights\": {\"job\": 1}, \"curriculum\": {\"scope\": \"step\"}",
         SOURCE_SWEEP},
        {"\"curriculum\": {\"scope\": \"step\", \"balance\": \"none\", \"smoothing\": 0}",
         SOURCE_TRAIN},
    };
    struct errbuf why = {0};
    struct jobspec s;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = made(cases[i].keys);
        ASSERT_EQ(CURRICULUM_STEP, s.curriculum.scope);
        ASSERT_EQ(BALANCE_NONE, s.curriculum.balance);
        ASSERT_EQ(cases[i].source, s.score_source);
        jobspec_done(&s);
    }
    ASSERT_OK(parse("{\"dataset\": \"glyphs\", \"model\": \"resnet20\", "
                    "\"curriculum\": {\"scope\": \"step\"}}",
                    &s, &why),
              why);
    ASSERT_EQ(SOURCE_TRAIN, s.score_source);
    jobspec_done(&s);
}

TEST(what_a_step_cannot_order_is_refused)
{
    static const char *const cases[][2] = {
        {"\"measure\": {\"job\": 3}",
         "curriculum.scope is step and curriculum.measure comes from outside; what is ordered in a "
         "step is measured there: use adm, loss,"},
        {"\"measure\": {\"file\": \"s.npy\"}", "curriculum.measure comes from outside"},
        {"\"measure\": \"forgetting\"",
         "curriculum.scope is step and curriculum.measure is forgetting, which compares epochs"},
        {"\"mode\": \"spl_hard\", \"measure\": \"loss\"",
         "curriculum.scope is step and curriculum.mode is spl_hard; in a step the place"},
        {"\"balance\": \"class\"", "curriculum.scope is step and curriculum.balance is class"},
        {"\"smoothing\": 0.5", "curriculum.scope is step and curriculum.smoothing is 0.5"},
    };
    char keys[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(keys, sizeof(keys), "\"curriculum\": {\"scope\": \"step\", %s}", cases[i][0]);
        assert_refused(keys, cases[i][1]);
    }
    assert_refused("\"batch\": 8, \"shard\": 1, \"curriculum\": {\"scope\": \"step\"}",
                   "curriculum.scope is step and shard is 1; one sample has no order");
    assert_refused("\"batch\": 8, \"shard\": 1, \"mixup\": 0.2",
                   "mixup is 0.2 and shard is 1; an image is mixed with another of its shard");
    assert_refused("\"mixup\": 0.2, \"curriculum\": {\"scope\": \"step\"}",
                   "curriculum.scope is step and mixup is 0.2; a mixed image has no place");
    assert_refused("\"sam\": {\"scope\": \"batch\"}, \"curriculum\": {\"scope\": \"step\"}",
                   "curriculum.scope is step and sam.scope is batch; the second trip");
    assert_refused("\"sam\": {\"name\": \"fsam\"}, \"curriculum\": {\"scope\": \"step\"}",
                   "curriculum.scope is step and sam.name is fsam, whose step takes a second trip");
}

TEST(a_short_job_gets_a_default_curriculum_that_fits)
{
    static const struct {
        const char *keys;
        double full_at;
        int64_t warmup;
    } cases[] = {
        {"\"epochs\": 3", 0.5, 1},
        {"\"epochs\": 2", 1, 1},
        {"\"epochs\": 1", 1, 0},
        {"\"epochs\": 1, \"curriculum\": {\"initial\": 0.5}", 1, 0},
        {"\"epochs\": 1, \"curriculum\": {\"warmup\": 0}", 0.5, 0},
        {"\"epochs\": 2, \"curriculum\": {\"full_at\": 0.75}", 0.75, 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jobspec s = made(cases[i].keys);
        ASSERT(s.curriculum.full_at == cases[i].full_at);
        ASSERT_EQ(cases[i].warmup, s.curriculum.warmup);
        jobspec_done(&s);
    }
}

TEST(what_is_written_reads_back_as_the_same_job)
{
    static const char *const jobs[] = {
        "",
        "\"epochs\": 1",
        /* None of these is printed exactly by %.15g, and cJSON itself would not notice. */
        "\"seed\": 9007199254740991, \"sam\": {\"rho\": 0.30000000000000004},"
        "\"optimizer\": {\"lr\": 0.10000000000000002, \"momentum\": 0.8999999999999999}",
        "\"attack\": {\"epsilon\": \"1/3\"}, \"curriculum\": {\"measure\": \"random\","
        "\"pacing\": \"step\", \"order\": \"hard_first\", \"initial\": 1e-17}",
        "\"optimizer\": {\"name\": \"adamw\", \"schedule\": \"step\","
        "\"milestones\": [0.30000000000000004, 0.8999999999999999]}, \"label_smoothing\": 0.1,"
        "\"attack\": {\"name\": \"pgd\", \"epsilon\": \"1/3\"}, \"sam\": {\"name\": \"asam\"}"
        ",\"augment\": {\"crop\": 3, \"flip\": true}",
        "\"optimizer\": {\"schedule\": \"step\", \"milestones\": []}",
        "\"sam\": {\"name\": \"gsam\", \"alpha\": 0.30000000000000004}",
        "\"sam\": {\"name\": \"fsam\", \"lambda\": 0.30000000000000004, \"sigma\": 0.1}, "
        "\"mixup\": 0.2,"
        "\"average\": {\"from\": 0.30000000000000004}",
        "\"curriculum\": {\"mode\": \"spl_hard\", \"measure\": \"loss\", \"balance\": \"none\","
        "\"diversity\": 0.30000000000000004}",
        "\"validation\": {\"share\": 0.30000000000000004}, \"keep\": \"best\","
        "\"fold\": {\"of\": 5, \"leave\": 4}, \"early_stopping\": {\"patience\": 3}",
        "\"class_weights\": \"balanced\", \"sampling\": \"balanced\"",
        "\"class_weights\": [1, 0.30000000000000004, 1e6]",
        "\"train_domains\": [\"art painting\", \"x\"], \"test_domains\": [\"sketch\"],"
        "\"validation\": {\"domains\": [\"photo\"]}",
        "\"curriculum\": {\"scope\": \"step\"}",
        "\"score\": {\"source\": \"sweep\"}, \"curriculum\": {\"scope\": \"step\"}",
        "\"verify\": 0.30000000000000004",
    };

    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        struct jobspec s = made(jobs[i]);
        cJSON_free(assert_round_trip(&s));
        jobspec_done(&s);
    }
}

TEST(what_is_written_has_every_key_in_the_order_of_the_table)
{
    struct jobspec s = made("");
    char *text = assert_round_trip(&s);
    static const char *const keys[] = {
        "\"name\"",    "\"dataset\"", "\"model\"",      "\"epochs\"",  "\"batch\"",
        "\"shard\"",   "\"seed\"",    "\"optimizer\"",  "\"lr\"",      "\"nesterov\"",
        "\"sam\"",     "\"rho\"",     "\"attack\"",     "\"epsilon\"", "\"score\"",
        "\"source\"",  "\"every\"",   "\"curriculum\"", "\"measure\"", "\"full_at\"",
        "\"balance\"", "\"numerics\""};
    const char *at = text;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        at = strstr(at, keys[i]);
        if (!at)
            FAIL("%s is not in its place in %s", keys[i], text);
    }
    ASSERT(!strstr(text, "8/255")); /* a number */
    cJSON_free(text);
    jobspec_done(&s);
}

TEST(an_epoch_has_whole_batches_only)
{
    struct jobspec s = made("\"batch\": 128");

    ASSERT_EQ(468, jobspec_epoch_steps(&s, 60000));
    ASSERT_EQ(1, jobspec_epoch_steps(&s, 128));
    ASSERT_EQ(0, jobspec_epoch_steps(&s, 127));
    jobspec_done(&s);
}
