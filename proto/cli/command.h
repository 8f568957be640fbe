/* The commands of `steppe` and what they have in common: options, words, terminal.
 *
 * A command returns 0 (done), a negative errno with a sentence (refused or failed: exit 1; -EINTR:
 * exit 130) or EXIT_USAGE with a sentence (exit 2). It prints results on stdout; notices about
 * progress go to stderr. */
#ifndef STEPPE_PROTO_CLI_COMMAND_H
#define STEPPE_PROTO_CLI_COMMAND_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/options.h"
#include "proto/client.h"

#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_INTERRUPTED 130

#define CALL_DEADLINE_MS 30000 /* for one answer, including restarts of the server */
#define CALL_RETRY_MS 10000    /* without an answer the request is sent again */
/* For one that reads all scores of a job with many millions of samples. The server ends it sooner;
 * sent again, it would only begin again. */
#define SCAN_DEADLINE_MS 1800000

#define NOT_GIVEN (-1) /* of a numeric option without a default */

/* Values of all options of all commands; a command sees only those of its own table. */
struct args {
    const char *server, *key;
    bool json, help, version;
    /* jobs */
    bool watch, help_job, follow, relaxed, csv, markdown;
    const char *uuid;
    struct option_values set;
    int64_t limit, first, before, keep;
    /* dataset import */
    const char *labels, *train, *test;
    int labels_are, layout;
    bool no_exif, skip_bad, manifest;
    double flip, hard;
    int64_t flip_seed, seed, samples, test_samples, size, thumbnails;
    /* scores and schedule */
    int by, format, split;
    int64_t hardest, easiest, epoch, from, other_epoch, bins, out_of_sample;
    const char *class_word, *sample; /* a number or a name; NULL: not given */
    bool log, fallers, all, informative, history, paths, zero, wait;
    int issues_are;
    const char *beside; /* a job, by number or name */
    const char *hardness;
    const char *study; /* of report */
    const char *out, *pred_probs;
    bool adversarial; /* of predict */
    /* plan */
    int64_t workers, threads, processors;
    double shard_ms; /* 0: not given */
    const char *network;
    /* audit */
    const char *who, *command, *about, *result, *since, *until;
    /* keys */
    int role; /* its number */
    const char *name, *valid;
};

struct cli {
    const struct args *args;
    char **words; /* positional arguments, as many as the command's row allows */
    int word_count;
    const _Atomic sig_atomic_t *stop; /* set by Ctrl-C */
    struct client *client;            /* opened by the first call */
    int columns;                      /* width of the terminal */
    bool terminal;                    /* stdout is a terminal that can do more than print lines */
    bool colour;                      /* stdout may have colours */
    int64_t until_ms; /* by clock_mono_ms: no answer is waited for after it; 0: as each asks */
};

struct command {
    const char *name;  /* one or two words; NULL ends the table */
    const char *words; /* shown in --help */
    int words_min, words_max;
    const char *summary;
    const struct option *options; /* beside the global ones; NULL: none */
    int (*run)(struct cli *cli, struct errbuf *why);
};

extern const struct option global_options[]; /* of every command */
#define COMMAND_OPTIONS_MAX 32               /* of one command, global ones included */
/* Own and global options of a command (NULL: global ones only) in one table. */
void command_options(const struct command *c, struct option table[COMMAND_OPTIONS_MAX]);
/* Is it one of a group's, as "dataset import" is of "dataset"? */
bool command_in_group(const struct command *c, const char *group);
/* The first command of a group, or the one with a name; NULL: there is none. */
const struct command *command_first_of(const struct command *commands, const char *group);
const struct command *command_find(const struct command *commands, const char *name);

int cmd_submit(struct cli *cli, struct errbuf *why);
int cmd_jobs(struct cli *cli, struct errbuf *why);
int cmd_show(struct cli *cli, struct errbuf *why);
int cmd_watch(struct cli *cli, struct errbuf *why);
int cmd_log(struct cli *cli, struct errbuf *why);
int cmd_pause(struct cli *cli, struct errbuf *why);
int cmd_resume(struct cli *cli, struct errbuf *why);
int cmd_unpin(struct cli *cli, struct errbuf *why);
int cmd_trust(struct cli *cli, struct errbuf *why);
int cmd_cancel(struct cli *cli, struct errbuf *why);
int cmd_rm(struct cli *cli, struct errbuf *why);
int cmd_study_submit(struct cli *cli, struct errbuf *why);
int cmd_study_list(struct cli *cli, struct errbuf *why);
int cmd_study_show(struct cli *cli, struct errbuf *why);
int cmd_study_pause(struct cli *cli, struct errbuf *why);
int cmd_study_resume(struct cli *cli, struct errbuf *why);
int cmd_study_cancel(struct cli *cli, struct errbuf *why);
int cmd_study_rm(struct cli *cli, struct errbuf *why);
int cmd_metrics(struct cli *cli, struct errbuf *why);
int cmd_flatness(struct cli *cli, struct errbuf *why);
int cmd_plan(struct cli *cli, struct errbuf *why);
int cmd_workers(struct cli *cli, struct errbuf *why);
int cmd_dataset_import(struct cli *cli, struct errbuf *why);
int cmd_dataset_list(struct cli *cli, struct errbuf *why);
int cmd_dataset_show(struct cli *cli, struct errbuf *why);
int cmd_dataset_name(struct cli *cli, struct errbuf *why);
int cmd_dataset_rm(struct cli *cli, struct errbuf *why);
int cmd_apply(struct cli *cli, struct errbuf *why);
int cmd_dataset_revise(struct cli *cli, struct errbuf *why);
int cmd_dataset_relabel(struct cli *cli, struct errbuf *why);
int cmd_dataset_exclude(struct cli *cli, struct errbuf *why);
int cmd_verdicts_list(struct cli *cli, struct errbuf *why);
int cmd_verdicts_export(struct cli *cli, struct errbuf *why);
int cmd_verdicts_import(struct cli *cli, struct errbuf *why);
int cmd_review(struct cli *cli, struct errbuf *why);
int cmd_limits(struct cli *cli, struct errbuf *why);
int cmd_uploads(struct cli *cli, struct errbuf *why);
int cmd_uploads_rm(struct cli *cli, struct errbuf *why);
int cmd_top(struct cli *cli, struct errbuf *why);
int cmd_histogram(struct cli *cli, struct errbuf *why);
int cmd_trajectory(struct cli *cli, struct errbuf *why);
int cmd_planted(struct cli *cli, struct errbuf *why);
int cmd_classes(struct cli *cli, struct errbuf *why);
int cmd_domains(struct cli *cli, struct errbuf *why);
int cmd_confusion(struct cli *cli, struct errbuf *why);
int cmd_risers(struct cli *cli, struct errbuf *why);
int cmd_suspects(struct cli *cli, struct errbuf *why);
int cmd_compare(struct cli *cli, struct errbuf *why);
int cmd_map(struct cli *cli, struct errbuf *why);
int cmd_sql(struct cli *cli, struct errbuf *why);
int cmd_export(struct cli *cli, struct errbuf *why);
int cmd_sheet(struct cli *cli, struct errbuf *why);
int cmd_report(struct cli *cli, struct errbuf *why);
int cmd_schedule(struct cli *cli, struct errbuf *why);
int cmd_predict(struct cli *cli, struct errbuf *why);
int cmd_decode(struct cli *cli, struct errbuf *why);
int cmd_model_export(struct cli *cli, struct errbuf *why);
int cmd_key_new(struct cli *cli, struct errbuf *why);
int cmd_key_add(struct cli *cli, struct errbuf *why);
int cmd_key_issue(struct cli *cli, struct errbuf *why);
int cmd_key_show(struct cli *cli, struct errbuf *why);
int cmd_key_list(struct cli *cli, struct errbuf *why);
int cmd_key_revoke(struct cli *cli, struct errbuf *why);
int cmd_key_renew(struct cli *cli, struct errbuf *why);
int cmd_audit(struct cli *cli, struct errbuf *why);
int cmd_db_backup(struct cli *cli, struct errbuf *why);
int cmd_db_check(struct cli *cli, struct errbuf *why);
int cmd_db_compact(struct cli *cli, struct errbuf *why);
int cmd_dashboard(struct cli *cli, struct errbuf *why);
int cmd_ping(struct cli *cli, struct errbuf *why);
int cmd_version(struct cli *cli, struct errbuf *why);

extern const struct option audit_options[], submit_options[], jobs_options[], log_options[],
    resume_options[], import_options[], dataset_name_options[], top_options[], histogram_options[],
    trajectory_options[], planted_options[], schedule_options[], classes_options[],
    confusion_options[], risers_options[], suspects_options[], compare_options[], map_options[],
    sql_options[], export_options[], issue_options[], sheet_options[], backup_options[],
    report_options[], study_submit_options[], study_show_options[], flatness_options[],
    metrics_options[], verdicts_list_options[], verdicts_export_options[],
    verdicts_import_options[], review_options[], model_export_options[], predict_options[],
    decode_options[], plan_options[];

/* 0, or -EINTR when Ctrl-C was pressed; waits up to ms. */
int command_sleep(const struct cli *cli, int64_t ms);

/* The number of the job in words[0], which may be its name (resolve.h). */
int command_job(struct cli *cli, int64_t *ret, struct errbuf *why);
/* A request {"job": words[0]}; errors likewise. */
int command_job_request(struct cli *cli, cJSON **ret, struct errbuf *why);
/* The same with "by", which is what --by chose of names. */
int command_job_request_by(struct cli *cli, const char *const *names, cJSON **ret,
                           struct errbuf *why);

#endif
