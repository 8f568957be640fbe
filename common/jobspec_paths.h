/* The keys of a job file by their dotted paths ("sam.rho"), for whoever changes single keys. */
#ifndef STEPPE_COMMON_JOBSPEC_PATHS_H
#define STEPPE_COMMON_JOBSPEC_PATHS_H

#include "common/err.h"

struct cJSON;

enum jobspec_path {
    PATH_UNKNOWN,
    PATH_SECTION, /* an object whose keys have paths of their own */
    PATH_VALUE,
    PATH_LIST, /* a value that may be a list */
};
enum jobspec_path jobspec_path(const char *path);

/* Sets the key of a job file (an object) to value, whose ownership passes; a missing section is
 * made. A section that is no object stays as it is: jobspec_parse has a sentence for it. */
void jobspec_path_set(struct cJSON *json, const char *path, struct cJSON *value);

/* -EINVAL: there is no such key; the sentence names `where` it is and the nearest one. */
int jobspec_path_refuse(const char *where, const char *path, struct errbuf *why);

#endif
