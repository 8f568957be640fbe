/* The table of a study (the reply of study.show) for people: a block for each figure, a line for
 * each arm and dataset. */
#ifndef STEPPE_PROTO_CLI_STUDY_TABLE_H
#define STEPPE_PROTO_CLI_STUDY_TABLE_H

#include "proto/cli/command.h"

/* For a terminal. -EBADMSG: the reply lacks something. */
int study_print(const struct cli *cli, const cJSON *reply, struct errbuf *why);
/* dataset,arm,control,metric,jobs,count,mean,sd,pairs,difference,low,high,verdict; numbers with all
 * their digits, what is not there empty. */
int study_csv(const cJSON *reply, FILE *out, struct errbuf *why);
int study_markdown(const cJSON *reply, FILE *out, struct errbuf *why);

#endif
