/* The `steppe` command: finds the command in the table, reads its options, runs it and turns what
 * it returns into an exit status. Sentences about failures are printed here and nowhere else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/completion.h"
#include "common/field.h"
#include "common/file_limit.h"
#include "common/manual.h"
#include "common/output.h"
#include "common/process.h"
#include "common/text.h"
#include "proto/address.h"
#include "proto/cli/command.h"
#include "proto/cli/complete.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/manpage.h"

#define KEPT_BYTES (64 << 20) /* pages of rows on their way to a file */
#define WORDS_MAX 1000000     /* as many as a shell passes */
#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 40

static const struct command commands[] = {
    {"submit", "FILE", 0, 1, "submit a job file (- is standard input)", submit_options, cmd_submit},
    {"jobs", "", 0, 0, "list the jobs, newest first", jobs_options, cmd_jobs},
    {"show", "JOB", 1, 1, "show a job's parameters, progress and last epochs", NULL, cmd_show},
    {"flatness", "JOB", 1, 1, "measure how flat the training loss is around a job's weights",
     flatness_options, cmd_flatness},
    {"metrics", "JOB", 1, 1, "the metrics of all epochs, also those of a training program",
     metrics_options, cmd_metrics},
    {"watch", "JOB", 1, 1, "follow a job until it ends", NULL, cmd_watch},
    {"log", "JOB", 1, 1, "show what happened to a job", log_options, cmd_log},
    {"pause", "JOB", 1, 1, "pause a job; it loses nothing", NULL, cmd_pause},
    {"resume", "JOB", 1, 1, "continue a paused job", resume_options, cmd_resume},
    {"apply", "JOB [REVISION]", 1, 2,
     "let a job go on with another revision of its dataset (default: the newest)", NULL, cmd_apply},
    {"unpin", "JOB", 1, 1, "let a strict job change its numerics class", NULL, cmd_unpin},
    {"cancel", "JOB", 1, 1, "end a job for ever", NULL, cmd_cancel},
    {"rm", "JOB", 1, 1, "remove an ended job, its scores and its model", NULL, cmd_rm},
    {"study submit", "FILE", 1, 1, "submit a study: arms x datasets x seeds", study_submit_options,
     cmd_study_submit},
    {"study list", "", 0, 0, "list the studies", NULL, cmd_study_list},
    {"study show", "STUDY", 1, 1, "means over the seeds, and differences to the control",
     study_show_options, cmd_study_show},
    {"study pause", "STUDY", 1, 1, "pause all jobs of a study", NULL, cmd_study_pause},
    {"study resume", "STUDY", 1, 1, "continue the paused jobs of a study", NULL, cmd_study_resume},
    {"study cancel", "STUDY", 1, 1, "end all jobs of a study for ever", NULL, cmd_study_cancel},
    {"study rm", "STUDY", 1, 1, "remove a study whose jobs have ended, with them", NULL,
     cmd_study_rm},
    {"workers", "", 0, 0, "list the workers", NULL, cmd_workers},
    {"plan", "JOB|FILE.json", 1, 1, "how fast a job would be on more workers, and what limits it",
     plan_options, cmd_plan},
    {"trust", "KEY", 1, 1, "give work again to a key that was set aside for forged results", NULL,
     cmd_trust},
    {"dataset import", "NAME PATH|glyphs", 2, 2, "import IDX, CIFAR, .npy or picture files",
     import_options, cmd_dataset_import},
    {"dataset list", "", 0, 0, "list the datasets", NULL, cmd_dataset_list},
    {"dataset show", "NAME", 1, 1, "show a dataset and its classes", NULL, cmd_dataset_show},
    {"dataset name", "NAME PATH", 2, 2, "name a dataset's samples after the files it came from",
     dataset_name_options, cmd_dataset_name},
    {"dataset rm", "NAME", 1, 1, "remove a dataset that no job uses", NULL, cmd_dataset_rm},
    {"dataset revise", "NAME", 1, 1, "make a revision of a dataset from its verdicts", NULL,
     cmd_dataset_revise},
    {"dataset relabel", "NAME FILE.csv", 2, 2, "correct labels, and make a revision", NULL,
     cmd_dataset_relabel},
    {"dataset exclude", "NAME FILE", 2, 2, "leave samples out, and make a revision", NULL,
     cmd_dataset_exclude},
    {"verdicts list", "DATASET", 1, 1, "what people said of the labels of a dataset",
     verdicts_list_options, cmd_verdicts_list},
    {"verdicts export", "DATASET", 1, 1, "write what people said of its labels as csv",
     verdicts_export_options, cmd_verdicts_export},
    {"verdicts import", "DATASET FILE.csv", 2, 2,
     "take verdicts from a spreadsheet, or label issues from cleanlab", verdicts_import_options,
     cmd_verdicts_import},
    {"uploads rm", "ID", 1, 1, "remove an upload that nothing uses", NULL, cmd_uploads_rm},
    {"limits", "", 0, 0, "what the server allows at most, and what is used", NULL, cmd_limits},
    {"uploads", "", 0, 0, "list the uploads that nothing uses yet", NULL, cmd_uploads},
    {"top", "JOB", 1, 1, "the hardest or easiest samples", top_options, cmd_top},
    {"histogram", "JOB", 1, 1, "how a measure is distributed", histogram_options, cmd_histogram},
    {"trajectory", "JOB [SAMPLE]", 1, 2, "one sample over the epochs", trajectory_options,
     cmd_trajectory},
    {"classes", "JOB", 1, 1, "the classes, lowest accuracy first, and what they are taken for",
     classes_options, cmd_classes},
    {"domains", "JOB", 1, 1, "the domains (photo, sketch, ..), lowest accuracy first",
     classes_options, cmd_domains},
    {"confusion", "JOB", 1, 1, "what the samples of each class are taken for", confusion_options,
     cmd_confusion},
    {"risers", "JOB", 1, 1, "samples that became harder between two epochs", risers_options,
     cmd_risers},
    {"suspects", "JOB", 1, 1, "samples whose label is most likely wrong", suspects_options,
     cmd_suspects},
    {"review", "JOB", 1, 1, "judge the most suspicious labels, one after the other", review_options,
     cmd_review},
    {"compare", "JOB OTHER", 2, 2, "whether two jobs find the same samples hard", compare_options,
     cmd_compare},
    {"map", "JOB", 1, 1, "how surely and how steadily each sample was learnt", map_options,
     cmd_map},
    {"sql", "[JOB] SELECT", 1, 2, "query the difficulty database; :job is the job", sql_options,
     cmd_sql},
    {"export", "JOB", 1, 1, "write the scores as csv, jsonl, npy, safetensors or for TensorBoard",
     export_options, cmd_export},
    {"planted", "JOB", 1, 1, "how well each measure finds planted samples", planted_options,
     cmd_planted},
    {"sheet", "JOB OUT.png", 2, 2, "draw samples as one picture, with labels and scores",
     sheet_options, cmd_sheet},
    {"report", "JOB OUT.html", 1, 2, "write a page about a job or a study, for a mail",
     report_options, cmd_report},
    {"schedule", "JOB", 1, 1, "the samples and weights that an epoch trains on", schedule_options,
     cmd_schedule},
    {"model export", "JOB FILE", 2, 2, "write the model as safetensors, for PyTorch, or as ONNX",
     model_export_options, cmd_model_export},
    {"predict", "JOB PATH...", 2, WORDS_MAX, "what the model of a job says of new pictures",
     predict_options, cmd_predict},
    {"decode", "HEIGHT WIDTH CHANNELS", 3, 3,
     "a picture on standard input as a model's pixels; the dashboard uses it", decode_options,
     cmd_decode},
    {"key new", "FILE", 1, 1, "make the cluster key of a server", NULL, cmd_key_new},
    {"key add", "FILE", 1, 1, "add a newer cluster key to FILE", NULL, cmd_key_add},
    {"key issue", "FILE", 1, 1, "make a key for a machine or a person, signed by FILE",
     issue_options, cmd_key_issue},
    {"key show", "FILE", 1, 1, "show which keys a file holds", NULL, cmd_key_show},
    {"key list", "", 0, 0, "who has been here with a key, and which are revoked", NULL,
     cmd_key_list},
    {"key revoke", "NAME", 1, 1, "accept no key of NAME that was made until now", NULL,
     cmd_key_revoke},
    {"key renew", "FILE", 1, 1, "have the server sign a new key for the holder of FILE", NULL,
     cmd_key_renew},
    {"db backup", "", 0, 0, "back up the databases on the server, while jobs run", backup_options,
     cmd_db_backup},
    {"db check", "", 0, 0, "check databases, checkpoints and datasets for damage", NULL,
     cmd_db_check},
    {"db compact", "", 0, 0, "drop old scores and uploads, free disk space", NULL, cmd_db_compact},
    {"audit", "", 0, 0, "who sent which commands that changed something, newest first",
     audit_options, cmd_audit},
    {"dashboard", "", 0, 0, "print a link that opens the dashboard", NULL, cmd_dashboard},
    {"ping", "", 0, 0, "ask whether the server answers", NULL, cmd_ping},
    {"version", "", 0, 0, "show the version of this command", NULL, cmd_version},
    {NULL},
};

static _Atomic sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

/* A second Ctrl-C ends the process at once. A file that reaches its limit gets a sentence instead
 * of a signal. */
static void set_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND}, before;

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* The terminal was closed; nohup has us ignore that. */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

static struct args args_defaults(void)
{
    const char *server = getenv("STEPPE_SERVER"), *key = getenv("STEPPE_KEY");

    return (struct args){
        .server = server && *server ? server : NULL,
        .key = key && *key ? key : NULL,
        .labels_are = NOT_GIVEN,
        .flip = NOT_GIVEN,
        .hard = NOT_GIVEN,
        .flip_seed = NOT_GIVEN,
        .seed = NOT_GIVEN,
        .samples = NOT_GIVEN,
        .out_of_sample = NOT_GIVEN,
        .test_samples = NOT_GIVEN,
        .size = NOT_GIVEN,
        .thumbnails = NOT_GIVEN,
        .layout = NOT_GIVEN,
        .format = NOT_GIVEN,
        .hardest = NOT_GIVEN,
        .easiest = NOT_GIVEN,
        .epoch = NOT_GIVEN,
        .from = NOT_GIVEN,
        .before = NOT_GIVEN,
        .other_epoch = NOT_GIVEN,
    };
}

static void print_rows(const char *group, FILE *out)
{
    for (const struct command *c = commands; c->name; c++) {
        if (group && !command_in_group(c, group))
            continue;
        int used = fprintf(out, "  %s%s%s", c->name, *c->words ? " " : "", c->words);
        fprintf(out, "%*s%s\n", used < 36 ? 36 - used : 1, "", c->summary);
    }
}

static void print_help(FILE *out)
{
    fprintf(out, "usage: steppe [--server URL] COMMAND [ARGUMENTS] [OPTIONS]\n\n"
                 "Trains image classifiers, easy samples first. steppe COMMAND --help shows the "
                 "options of one.\n\n");
    print_rows(NULL, out);
    fprintf(out, "\noptions of every command:\n");
    options_help(global_options, out);
    fprintf(out, "\nexit status: 0 done, 1 refused or failed, 2 usage\n");
}

static void print_group_help(const char *group, FILE *out)
{
    fprintf(out, "usage: steppe %s COMMAND [ARGUMENTS] [OPTIONS]\n\n", group);
    print_rows(group, out);
    fprintf(out, "\nsteppe %s COMMAND --help shows the options of one\n", group);
}

static void print_command_help(const struct command *c, FILE *out)
{
    struct option table[COMMAND_OPTIONS_MAX];

    fprintf(out, "usage: steppe %s%s%s [OPTIONS]\n\n%s\n\noptions:\n", c->name,
            *c->words ? " " : "", c->words, c->summary);
    command_options(c, table);
    options_help(table, out);
}

/* Index in argv of the first word that is neither a global option nor its value; argc if none. */
static int first_word(int argc, char **argv)
{
    int i = 1;

    while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0)
        i += strcmp(argv[i], "--server") == 0 || strcmp(argv[i], "--key") == 0 ? 2 : 1;
    return i < argc ? i : argc;
}

static int refuse_command(const char *word, const char *second, struct errbuf *why)
{
    const char *names[sizeof(commands) / sizeof(commands[0])];
    char list[128], *both = xasprintf("%s%s%s", word, second ? " " : "", second ? second : "");
    size_t n = 0;

    for (const struct command *c = commands; c->name; c++)
        if (command_in_group(c, word))
            names[n++] = c->name + strlen(word) + 1;
    names[n] = NULL;
    if (n > 0 && !second) {
        err_set(why, EXIT_USAGE, "%s needs one more word: %s; see steppe %s --help", word,
                text_list(names, list, sizeof(list)), word);
    } else {
        for (n = 0; commands[n].name; n++)
            names[n] = commands[n].name;
        names[n] = NULL;
        const char *near = text_nearest(both, names);
        near = near ? near : text_nearest(word, names);
        err_set(why, EXIT_USAGE, "there is no command \"%.60s\"; %s%s%s", both,
                near ? "did you mean \"" : "steppe --help lists them", near ? near : "",
                near ? "\"?" : "");
    }
    free(both);
    return EXIT_USAGE;
}

/* Finds the command that argv[at] (and argv[at + 1]) name; *ret_words is how many. */
static int find_command(int argc, char **argv, int at, const struct command **ret, int *ret_words,
                        struct errbuf *why)
{
    const char *second = at + 1 < argc && argv[at + 1][0] != '-' ? argv[at + 1] : NULL;
    bool group = false;

    for (const struct command *c = commands; c->name; c++) {
        const char *blank = strchr(c->name, ' ');
        size_t n = blank ? (size_t)(blank - c->name) : strlen(c->name);
        if (strlen(argv[at]) != n || memcmp(c->name, argv[at], n) != 0)
            continue;
        group = blank != NULL;
        if (blank && (!second || strcmp(blank + 1, second) != 0))
            continue;
        *ret = c;
        *ret_words = blank ? 2 : 1;
        return 0;
    }
    return refuse_command(argv[at], group ? second : NULL, why);
}

static int check_words(const struct command *c, char **words, int count, struct errbuf *why)
{
    if (count >= c->words_min && count <= c->words_max)
        return 0;
    if (c->words_max == 0)
        return err_set(why, EXIT_USAGE, "%s takes only options, \"%.60s\" is not one", c->name,
                       words[0]);
    if (count == 0)
        return err_set(why, EXIT_USAGE, "%s takes %s, given is nothing; see steppe %s --help",
                       c->name, c->words, c->name);
    return err_set(why, EXIT_USAGE, "%s takes %s, given %s %d; see steppe %s --help", c->name,
                   c->words, count == 1 ? "is" : "are", count, c->name);
}

static int terminal_columns(void)
{
    const char *text = getenv("COLUMNS");
    struct winsize size;
    int64_t columns;

    if (text && text_i64(text, COLUMNS_MIN, DRAW_CELLS_MAX, &columns))
        return (int)columns;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col < COLUMNS_MIN      ? COLUMNS_MIN
           : size.ws_col > DRAW_CELLS_MAX ? DRAW_CELLS_MAX
                                          : size.ws_col;
}

static int run_command(const struct command *c, const struct args *args, char **words,
                       int word_count, struct errbuf *why)
{
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    bool smart = kind && *kind && strcmp(kind, "dumb") != 0;
    struct cli cli = {
        .args = args,
        .words = words,
        .word_count = word_count,
        .stop = &stop,
        .columns = terminal_columns(),
        .terminal = isatty(STDOUT_FILENO) == 1 && smart,
    };

    cli.colour = cli.terminal && !(no_colour && *no_colour);
    set_signals();
    int rc = file_limit_raise(CLI_FILES_MIN, why);
    if (rc == 0)
        rc = c->run(&cli, why);
    connection_close(&cli);
    return rc;
}

/* Is argv[at] the first of two words of a command, followed by options only, including --help? */
static bool asks_group_help(int argc, char **argv, int at, const struct args *given)
{
    struct args args = *given;
    bool is_group = false;

    for (const struct command *c = commands; c->name; c++)
        is_group = is_group || command_in_group(c, argv[at]);
    return is_group &&
           options_args(global_options, argc - at, argv + at, &args, NULL, NULL, NULL) == 0 &&
           args.help;
}

/* Reads the words of the command line and runs what they say. words: room for argc. */
static int run(int argc, char **argv, char **words, struct errbuf *why)
{
    struct args args = args_defaults();
    struct option table[COMMAND_OPTIONS_MAX];
    const struct command *command = NULL;
    int at = first_word(argc, argv), name_words = 0, word_count = 0;

    if (argc > 1 && strcmp(argv[1], COMPLETION_ARG) == 0)
        return complete_words(commands, &args, argc - 2, argv + 2, stdout), 0;
    if (argc > 1 && strcmp(argv[1], MANUAL_ARG) == 0)
        return manpage_write(commands, argc - 2, argv + 2, stdout, why);
    if (options_args(global_options, at, argv, &args, NULL, NULL, why) != 0)
        return EXIT_USAGE;
    if (at < argc && strcmp(argv[at], "help") == 0) {
        args.help = true;
        at++;
    }
    if (at < argc && asks_group_help(argc, argv, at, &args))
        return print_group_help(argv[at], stdout), 0;
    if (at < argc && find_command(argc, argv, at, &command, &name_words, why) != 0)
        return EXIT_USAGE;
    command_options(command, table);
    if (command && (options_defaults(table, &args, why) != 0 ||
                    options_args(table, argc - at - name_words + 1, argv + at + name_words - 1,
                                 &args, words, &word_count, why) != 0))
        return EXIT_USAGE;
    if (args.help && command)
        print_command_help(command, stdout);
    else if (args.help)
        print_help(stdout);
    if (args.help)
        return 0;
    if (args.version)
        return printf("steppe %s\n", STEPPE_VERSION), 0;
    if (!command)
        return err_set(why, EXIT_USAGE, "no command is given; steppe --help lists them");
    int rc = check_words(command, words, word_count, why);
    if (rc != 0)
        return rc;
    char *own = args.server ? NULL : address_default();
    args.server = own ? own : args.server;
    rc = run_command(command, &args, words, word_count, why);
    free(own);
    return rc;
}

int main(int argc, char **argv)
{
    struct errbuf why = {""};
    struct output output;

    field_own_memory();
    alloc_keep(KEPT_BYTES);
    output_open(&output);
    process_forgo_rights();
    char **words = xcalloc((size_t)argc + 1, sizeof(*words));
    int rc = run(argc, argv, words, &why);
    free(words);
    int status = rc == 0 ? EXIT_DONE : rc == -EINTR ? EXIT_INTERRUPTED : rc > 0 ? rc : EXIT_FAILED;
    return output_end(&output, "steppe", status, &why);
}
