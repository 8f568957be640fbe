/* What other training programs call the keys of a job file. */
#include "common/jobspec_synonyms.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/jobspec_internal.h"

#define WORD_BYTES 64

/* Words without blanks, '_' and '-', in small letters. With a dot: in that section only, which
 * goes before. No word is the last part of its own path: those are found without the table. */
static const struct {
    const char *word, *path;
} synonyms[] = {
    {"runname", "name"},
    {"jobname", "name"},
    {"experiment", "name"},
    {"data", "dataset"},
    {"datasetname", "dataset"},
    {"traindata", "dataset"},
    {"arch", "model"},
    {"architecture", "model"},
    {"network", "model"},
    {"net", "model"},
    {"modelname", "model"},
    {"model.name", "model"},
    {"numepochs", "epochs"},
    {"numtrainepochs", "epochs"},
    {"nepochs", "epochs"},
    {"maxepochs", "epochs"},
    {"trainepochs", "epochs"},
    {"batchsize", "batch"},
    {"trainbatchsize", "batch"},
    {"bs", "batch"},
    {"microbatch", "shard"},
    {"microbatchsize", "shard"},
    {"shardsize", "shard"},
    {"randomseed", "seed"},
    {"rngseed", "seed"},
    {"randomstate", "seed"},
    {"manualseed", "seed"},
    {"mixupalpha", "mixup"},
    {"normalize", "input.mean"},
    {"normalization", "input.mean"},
    {"input.scale", "input.std"},
    {"augmentation", "augment"},
    {"transforms", "augment"},
    {"randomcrop", "augment.crop"},
    {"padding", "augment.crop"},
    {"hflip", "augment.flip"},
    {"horizontalflip", "augment.flip"},
    {"randomflip", "augment.flip"},
    {"opt", "optimizer"},
    {"optim", "optimizer"},
    {"optimiser", "optimizer"},
    {"optimizer.type", "optimizer.name"},
    {"optimizer.kind", "optimizer.name"},
    {"optimizer.eps", "optimizer.epsilon"},
    {"learningrate", "optimizer.lr"},
    {"baselr", "optimizer.lr"},
    {"initiallr", "optimizer.lr"},
    {"lr0", "optimizer.lr"},
    {"eta", "optimizer.lr"},
    {"wd", "optimizer.weight_decay"},
    {"l2", "optimizer.weight_decay"},
    {"betas", "optimizer.beta1"},
    {"gradclip", "optimizer.clip"},
    {"clipgrad", "optimizer.clip"},
    {"clipnorm", "optimizer.clip"},
    {"clipgradnorm", "optimizer.clip"},
    {"maxgradnorm", "optimizer.clip"},
    {"gradientclipval", "optimizer.clip"},
    {"scheduler", "optimizer.schedule"},
    {"lrschedule", "optimizer.schedule"},
    {"lrscheduler", "optimizer.schedule"},
    {"lrschedulertype", "optimizer.schedule"},
    {"warmup", "optimizer.warmup"},
    {"warmupratio", "optimizer.warmup"},
    {"warmupsteps", "optimizer.warmup"},
    {"warmupepochs", "optimizer.warmup"},
    {"curriculum.warmupepochs", "curriculum.warmup"},
    {"rho", "sam.rho"},
    {"samrho", "sam.rho"},
    {"sam.radius", "sam.rho"},
    {"sam.type", "sam.name"},
    {"sam.adaptive", "sam.name"},
    {"adaptive", "sam.name"},
    {"swa", "average.from"},
    {"average.start", "average.from"},
    {"eps", "attack.epsilon"},
    {"epsilon", "attack.epsilon"},
    {"attack.type", "attack.name"},
    {"attack.stepsize", "attack.alpha"},
    {"stepsize", "attack.alpha"},
    {"attack.iterations", "attack.steps"},
    {"attack.numsteps", "attack.steps"},
    {"attack.iters", "attack.steps"},
    {"measure", "curriculum.measure"},
    {"curriculum.metric", "curriculum.measure"},
    {"valsplit", "validation.share"},
    {"valshare", "validation.share"},
    {"valsize", "validation.share"},
    {"validationsplit", "validation.share"},
    {"validation.split", "validation.share"},
    {"validation.fraction", "validation.share"},
    {"validation.size", "validation.share"},
    {"pretrained", "weights"},
    {"checkpoint", "weights"},
    {"initfrom", "weights"},
    {"resume", "weights"},
    {"deterministic", "numerics"},
};

/* Small letters, without blanks, '_' and '-'. */
static void plain(const char *s, char out[WORD_BYTES])
{
    size_t n = 0;

    for (; *s && n < WORD_BYTES - 1; s++)
        if (*s != '_' && *s != '-' && *s != ' ')
            out[n++] = (char)tolower((unsigned char)*s);
    out[n] = '\0';
}

static const char *synonym(const char *word)
{
    for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
        if (strcmp(synonyms[i].word, word) == 0)
            return synonyms[i].path;
    return NULL;
}

/* The first row whose path, or with `last` the part of it behind the dot, is the word. */
static const char *row_called(const char *word, bool last)
{
    char name[WORD_BYTES];

    for (const struct row *row = jobspec_rows; row->path; row++) {
        const char *dot = last ? strchr(row->path, '.') : NULL;
        plain(dot ? dot + 1 : row->path, name);
        if (strcmp(name, word) == 0)
            return row->path;
    }
    return NULL;
}

const char *jobspec_meant(const char *path)
{
    const char *dot = strrchr(path, '.'), *meant;
    char whole[WORD_BYTES], last[WORD_BYTES];

    plain(path, whole);
    plain(dot ? dot + 1 : path, last);
    meant = row_called(whole, false);
    if (!meant)
        meant = synonym(whole);
    if (!meant)
        meant = synonym(last);
    return meant ? meant : row_called(last, true);
}

const char *jobspec_synonym(size_t i)
{
    return i < sizeof(synonyms) / sizeof(synonyms[0]) ? synonyms[i].path : NULL;
}
