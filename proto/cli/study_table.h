/* The table of a study (the reply of study.show) for people: a block for each figure, a line for
 * each arm and dataset. */
#ifndef STEPPE_PROTO_CLI_STUDY_TABLE_H
#define STEPPE_PROTO_CLI_STUDY_TABLE_H

#include "proto/cli/command.h"

/* What a figure is called, and whether it is a share, shown in percent. */
struct study_shown {
    const char *name, *title;
    bool share;
};
/* One that is not known is shown as it comes; `name` is borrowed then. */
struct study_shown study_shown_of(const char *name);
/* The figure of a row (arm and dataset) of study.show: {count, mean?, ..}; NULL: there is none. */
const cJSON *study_figure(const cJSON *row, const char *metric);
/* The rows of means over domains that are left out one after the other; NULL: there are none. */
const cJSON *study_means(const cJSON *reply);
/* Of a row in words: control, stopped by halving, or the verdict on the figure. */
const char *study_words(const cJSON *row, const char *metric);
/* Has any row a mean of this figure? */
bool study_is_measured(const cJSON *rows, const char *metric);

/* What a verdict says of the arm when `better` is "higher" or "lower". */
enum study_tone { STUDY_GOOD, STUDY_BAD, STUDY_UNSURE };
enum study_tone study_tone(const char *words, const char *better);
extern const char *const study_tones[]; /* "good", .. : classes of a page */

/* For a terminal. -EBADMSG: the reply lacks something. */
int study_print(const struct cli *cli, const cJSON *reply, struct errbuf *why);
/* dataset,arm,control,metric,jobs,count,mean,sd,pairs,difference,low,high,verdict; numbers with all
 * their digits, what is not there empty. */
int study_csv(const cJSON *reply, FILE *out, struct errbuf *why);
int study_markdown(const cJSON *reply, FILE *out, struct errbuf *why);
/* One figure as a table of HTML; means as study_means gives them. */
void study_html(const cJSON *rows, const cJSON *means, const struct study_shown *as,
                const char *better, FILE *out);

#endif
