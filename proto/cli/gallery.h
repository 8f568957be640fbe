/* Samples of a job with their pictures and class names, for sheets and reports. */
#ifndef STEPPE_PROTO_CLI_GALLERY_H
#define STEPPE_PROTO_CLI_GALLERY_H

#include "proto/cli/command.h"

struct gallery {
    struct message reply; /* the reply to the question that chose them */
    const cJSON *rows;    /* in it, each with "sample", "label", "predicted" */
    uint32_t count;
    struct message images; /* tensor images U8 [count, h, w, c] */
    const uint8_t *pixels; /* NULL: there are none; `none` says why */
    struct errbuf none;
    uint32_t h, w, c;
};

/* Asks `type` (its reply has rows of samples; request is owned) and then for their pictures, which
 * a manifest without thumbnails does not have. */
int gallery_open(struct cli *cli, struct gallery *g, int64_t job, enum message_type type,
                 cJSON *request, struct errbuf *why);
void gallery_close(struct gallery *g); /* a zeroed struct is fine */
const uint8_t *gallery_image(const struct gallery *g, uint32_t index);

/* The names of the classes of a job's dataset, an array of strings (cJSON_Delete); an empty one
 * when the server no longer knows them. */
cJSON *gallery_class_names(struct cli *cli, const char *dataset);
/* A class by name, or by number where the name says no more; returns buf. */
const char *gallery_class_name(const cJSON *names, int64_t class_id, char *buf, size_t bytes);

#endif
