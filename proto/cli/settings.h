/* What the command line sets in a job file: --set KEY=VALUE and --name. */
#ifndef STEPPE_PROTO_CLI_SETTINGS_H
#define STEPPE_PROTO_CLI_SETTINGS_H

#include <cjson/cJSON.h>

#include "common/err.h"
#include "common/options.h"

/* Sets in the job file (an object) every KEY=VALUE, in their order, then the name (NULL: not
 * given). KEY is dotted ("sam.rho"); VALUE is JSON where it is JSON, else text. -EINVAL: a KEY that
 * no job file has, or no '=' in it; the sentence names --set. Values are not judged. */
int settings_apply(const struct option_values *set, const char *name, cJSON *json,
                   struct errbuf *why);

/* jobspec_parse refused the job file with the sentence in why, which names a key: puts the setting
 * that gave that key its value, or else `file`, in front of it. Returns rc. */
int settings_blame(const struct option_values *set, const char *name, const char *file, int rc,
                   struct errbuf *why);

#endif
