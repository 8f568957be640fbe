#include "common/options.h"

#include <errno.h>
#include <stdlib.h>

#include "common/file.h"
#include "tests/harness.h"

struct config {
    const char *listen;
    int64_t threads, seed;
    double lr;
    bool watch, help;
    int level;
    struct option_values set;
};

static const char *const levels[] = {"error", "warn", "info", NULL};

static const struct option table[] = {
    {"listen", OPT_STR, offsetof(struct config, listen), .def = "tcp://127.0.0.1:7500",
     .arg = "URL", .help = "address to serve"},
    {"threads", OPT_INT, offsetof(struct config, threads), .def = "2", .arg = "N",
     .help = "compute threads", .min = 1, .max = 256},
    {"seed", OPT_INT, offsetof(struct config, seed), .arg = "N", .help = "random seed"},
    {"lr", OPT_F64, offsetof(struct config, lr), .def = "0.05", .arg = "X", .help = "learning rate",
     .fmin = 0, .fmax = 10},
    {"watch", OPT_FLAG, offsetof(struct config, watch), .help = "show progress"},
    {"log-level", OPT_ENUM, offsetof(struct config, level), .def = "info", .arg = "LEVEL",
     .help = "what to log", .names = levels},
    {"set", OPT_MANY, offsetof(struct config, set), .help = "set a key", .arg = "KEY=VALUE"},
    {"help", OPT_FLAG, offsetof(struct config, help), .help = "show this text"},
    {0},
};

static struct errbuf why;

#define WORDS_MAX 12

/* options_args over the words of line. Words stay valid until the next call. */
static int read_args(const char *line, struct config *cfg, char **rest, int *rest_count)
{
    static char text[512];
    char *argv[WORDS_MAX + 1] = {"prog"};
    int argc = 1;

    snprintf(text, sizeof(text), "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        ASSERT(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    return options_args(table, argc, argv, cfg, rest, rest_count, &why);
}

static void assert_args_refused(const char *line, const char *sentence)
{
    struct config cfg = {0};

    ASSERT_EQ(-EINVAL, read_args(line, &cfg, NULL, NULL));
    ASSERT_STR(sentence, why.text);
}

static int read_config(const char *text, size_t bytes, struct config *cfg)
{
    const struct file_part part = {text, bytes};

    ASSERT_OK(file_write_atomic(test_path("conf"), 0600, &part, 1, &why), why);
    return options_file(table, test_path("conf"), cfg, &why);
}

TEST(defaults_are_set_and_others_left)
{
    struct config cfg = {.seed = 9, .watch = true};

    ASSERT_OK(options_defaults(table, &cfg, &why), why);
    ASSERT_STR("tcp://127.0.0.1:7500", cfg.listen);
    ASSERT_EQ(2, cfg.threads);
    ASSERT_EQ(9, cfg.seed);
    ASSERT(cfg.lr == 0.05 && cfg.watch);
    ASSERT_EQ(2, cfg.level);
}

TEST(a_bad_default_is_an_error)
{
    static const struct option bad[] = {
        {"threads", OPT_INT, offsetof(struct config, threads), .def = "0", .min = 1, .max = 9},
        {0}};
    struct config cfg = {0};

    ASSERT_EQ(-EINVAL, options_defaults(bad, &cfg, &why));
    ASSERT_STR("threads is \"0\", allowed is 1 to 9", why.text);
}

TEST(both_forms_of_a_value_are_read)
{
    struct config cfg = {0};
    char *rest[WORDS_MAX];
    int rest_count = -1;

    ASSERT_OK(read_args("--threads 4 --listen=ipc://a=b --seed -5 --lr=.5 --watch --log-level warn",
                        &cfg, rest, &rest_count),
              why);
    ASSERT_EQ(4, cfg.threads);
    ASSERT_STR("ipc://a=b", cfg.listen);
    ASSERT_EQ(-5, cfg.seed);
    ASSERT(cfg.lr == 0.5 && cfg.watch && !cfg.help);
    ASSERT_EQ(1, cfg.level);
    ASSERT_EQ(0, rest_count);
}

TEST(the_last_value_counts)
{
    struct config cfg = {0};

    ASSERT_OK(read_args("--threads 4 --threads=5", &cfg, NULL, NULL), why);
    ASSERT_EQ(5, cfg.threads);
}

TEST(positionals_go_to_rest_in_order)
{
    struct config cfg = {0};
    char *rest[WORDS_MAX];
    int rest_count = 0;

    ASSERT_OK(read_args("job.json --watch - -3 -- --threads -x", &cfg, rest, &rest_count), why);
    ASSERT_EQ(5, rest_count);
    ASSERT_STR("job.json", rest[0]);
    ASSERT_STR("-", rest[1]);
    ASSERT_STR("-3", rest[2]);
    ASSERT_STR("--threads", rest[3]);
    ASSERT_STR("-x", rest[4]);
    ASSERT(cfg.watch);
}

TEST(dash_h_is_help)
{
    struct config cfg = {0};

    ASSERT_OK(read_args("-h", &cfg, NULL, NULL), why);
    ASSERT(cfg.help);
}

TEST(bad_arguments_get_a_sentence)
{
    assert_args_refused("--threads 0", "--threads is \"0\", allowed is 1 to 256");
    assert_args_refused("--threads=x", "--threads is \"x\", allowed is 1 to 256");
    assert_args_refused("--threads", "--threads needs a value, allowed is 1 to 256");
    assert_args_refused("--threads --watch", "--threads needs a value, allowed is 1 to 256");
    assert_args_refused("--listen", "--listen needs a value");
    assert_args_refused("--listen=", "--listen is empty");
    assert_args_refused("--seed x", "--seed is \"x\", allowed is a whole number");
    assert_args_refused("--lr nan", "--lr is \"nan\", allowed is 0 to 10");
    assert_args_refused("--watch=yes", "--watch takes no value, but was given \"yes\"");
    assert_args_refused("--thread 3", "there is no option --thread; did you mean --threads?");
    assert_args_refused("--frobnicate=3", "there is no option --frobnicate");
    assert_args_refused("--cpus 3", "there is no option --cpus; did you mean --threads?");
    assert_args_refused("--log-level inof",
                        "--log-level is \"inof\", allowed is error, warn or info; "
                        "did you mean \"info\"?");
    assert_args_refused("-x", "there is no option -x; options begin with --");
    assert_args_refused("word", "\"word\" is not expected here; options begin with --");
}

TEST(an_empty_command_line_is_fine)
{
    struct config cfg = {0};
    char *none[] = {NULL};
    int rest_count = -1;

    ASSERT_OK(options_args(table, 0, none, &cfg, NULL, &rest_count, &why), why);
    ASSERT_EQ(0, rest_count);
}

TEST(a_file_sets_what_it_names)
{
    static const char text[] =
        "# Steppe\n\n  threads = 8   # all of them\r\nlisten=ipc:///run/a#b\n"
        "watch = true\nlog-level = error\nlr = 1e-3";
    struct config cfg = {.seed = 9};

    ASSERT_OK(read_config(text, sizeof(text) - 1, &cfg), why);
    ASSERT_EQ(8, cfg.threads);
    ASSERT_STR("ipc:///run/a#b", cfg.listen);
    ASSERT(cfg.watch && cfg.lr == 1e-3);
    ASSERT_EQ(0, cfg.level);
    ASSERT_EQ(9, cfg.seed);
}

TEST(a_bad_line_is_named)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"# x\nthreads = 300\n", "conf line 2: threads is \"300\", allowed is 1 to 256"},
        {"threads 3\n", "conf line 1: \"threads 3\" is not \"name = value\""},
        {"\n\nthred = 3\n", "conf line 3: there is no option thred"},
        {"thread = 3\n", "conf line 1: there is no option thread; did you mean threads?"},
        {"watch = yes\n", "conf line 1: watch is \"yes\", allowed is true or false"},
        {"= 3\n", "conf line 1: \"= 3\" is not \"name = value\""},
        {"threads =\n", "conf line 1: threads is \"\", allowed is 1 to 256"},
        {"listen = # none\n", "conf line 1: listen is empty"},
    };
    struct config cfg = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_EQ(-EINVAL, read_config(cases[i].text, strlen(cases[i].text), &cfg));
        ASSERT_HAS(cases[i].part, why.text);
    }
}

TEST(a_file_that_is_no_text_is_refused)
{
    struct config cfg = {0};

    ASSERT_EQ(-EINVAL, read_config("threads = 3\n\0\1\2", 15, &cfg));
    ASSERT_HAS("conf line 2 is not text: it holds a NUL byte", why.text);
    ASSERT_EQ(0, cfg.threads);
    ASSERT_EQ(-ENOENT, options_file(table, test_path("none"), &cfg, &why));
    ASSERT_HAS("none: there is no such file", why.text);
}

TEST(help_is_one_aligned_line_an_option)
{
    char *text = NULL;
    size_t bytes;

    FILE *out = open_memstream(&text, &bytes);
    options_help(table, out);
    fclose(out);
    ASSERT_STR("  --listen URL       address to serve (default tcp://127.0.0.1:7500)\n"
               "  --threads N        compute threads (1 to 256; default 2)\n"
               "  --seed N           random seed (a whole number)\n"
               "  --lr X             learning rate (0 to 10; default 0.05)\n"
               "  --watch            show progress\n"
               "  --log-level LEVEL  what to log (error, warn or info; default info)\n"
               "  --set KEY=VALUE    set a key\n"
               "  --help             show this text\n",
               text);
    free(text);
}

TEST(flags_win_over_the_file_they_name)
{
    const char *path = test_path("steppe.conf");
    struct file_part part = {"threads = 7\nlr = 0.25\n", 22};
    struct config cfg = {0};
    const char *config = path;
    char threads[] = "--threads=3", program[] = "prog", *argv[] = {program, threads, NULL};

    ASSERT_OK(file_write_atomic(path, 0600, &part, 1, &why), why);
    ASSERT_OK(options_defaults(table, &cfg, &why), why);
    ASSERT_OK(options_read(table, 2, argv, &cfg, &config, &why), why);
    ASSERT_EQ(3, cfg.threads);
    ASSERT_NEAR(0.25, cfg.lr, 0);
    config = "/dev/null/none";
    ASSERT(options_read(table, 2, argv, &cfg, &config, &why) < 0);
    ASSERT_HAS("/dev/null/none", why.text);
}

TEST(a_flag_may_have_a_letter)
{
    static const struct option zero[] = {
        {"zero", OPT_FLAG, offsetof(struct config, watch), .letter = '0'},
        {0},
    };
    char *argv[] = {"prog", "-0", "-1"}, *rest[3], *other[] = {"prog", "-x"};
    struct config cfg = {0};
    int count = 0;

    ASSERT_OK(options_args(zero, 3, argv, &cfg, rest, &count, &why), why);
    ASSERT(cfg.watch);
    ASSERT_EQ(1, count); /* a negative number is none */
    ASSERT_EQ(-EINVAL, options_args(zero, 2, other, &cfg, rest, &count, &why));
}

TEST(bytes_take_a_unit)
{
    static const struct option sizes[] = {
        {"memory", OPT_BYTES, offsetof(struct config, seed), .min = 1 << 20, .max = INT64_MAX},
        {0},
    };
    char *argv[] = {"prog", "--memory", "4G"}, *small[] = {"prog", "--memory=4K"};
    struct config cfg = {0};

    ASSERT_OK(options_args(sizes, 3, argv, &cfg, NULL, NULL, &why), why);
    ASSERT_EQ(INT64_C(4) << 30, cfg.seed);
    ASSERT_EQ(-EINVAL, options_args(sizes, 2, small, &cfg, NULL, NULL, &why));
    ASSERT_STR("--memory is \"4K\", allowed is 1 MiB or more, as 4096, 512K, 300M or 4G", why.text);
}

TEST(an_option_may_be_given_again)
{
    struct config cfg = {0};
    char *argv[2 * OPTION_VALUES_MAX + 3] = {"prog"};
    int argc = 1;

    ASSERT_OK(read_args("--set a=1 --seed 3 --set=b=2", &cfg, NULL, NULL), why);
    ASSERT_EQ(2, cfg.set.count);
    ASSERT_STR("a=1", cfg.set.at[0]);
    ASSERT_STR("b=2", cfg.set.at[1]);
    assert_args_refused("--set=", "--set is empty");
    for (int i = 0; i <= OPTION_VALUES_MAX; i++) {
        argv[argc++] = "--set";
        argv[argc++] = "a=1";
    }
    cfg = (struct config){0};
    ASSERT_EQ(-EINVAL, options_args(table, argc, argv, &cfg, NULL, NULL, &why));
    ASSERT_STR("--set is \"a=1\", allowed is at most 64 of them", why.text);
}

TEST(what_is_typed_is_in_no_file)
{
    static const struct option typed[] = {
        {"help", OPT_FLAG, offsetof(struct config, help), .typed = true},
        {0},
    };
    struct file_part part = {"\nhelp = true\n", 13};
    char *argv[] = {"prog", "--help"};
    struct config cfg = {0};

    ASSERT_OK(options_args(typed, 2, argv, &cfg, NULL, NULL, &why), why);
    ASSERT(cfg.help);
    ASSERT_OK(file_write_atomic(test_path("typed"), 0600, &part, 1, &why), why);
    ASSERT_EQ(-EINVAL, options_file(typed, test_path("typed"), &cfg, &why));
    ASSERT_HAS("typed line 2: help belongs on the command line, not into a file", why.text);
}

TEST(quotes_around_a_value_are_refused)
{
    static const char *const lines[] = {"listen = \"/srv/a b\"\n", "listen = '/srv'\n",
                                        "listen = \"\"\n"};
    struct config cfg = {0};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct file_part part = {lines[i], strlen(lines[i])};
        ASSERT_OK(file_write_atomic(test_path("quotes"), 0600, &part, 1, &why), why);
        ASSERT_EQ(-EINVAL, options_file(table, test_path("quotes"), &cfg, &why));
        ASSERT_HAS("allowed is a value without quotes around it", why.text);
    }
    struct file_part inside = {"listen = /srv/\"a\"\n", 18};
    ASSERT_OK(file_write_atomic(test_path("quotes"), 0600, &inside, 1, &why), why);
    ASSERT_OK(options_file(table, test_path("quotes"), &cfg, &why), why);
    ASSERT_STR("/srv/\"a\"", cfg.listen);
}

TEST(what_a_file_says_is_said_once)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"listen = /a\n# a comment\nlisten = /b\n",
         "line 3: listen is given twice, first in line 1"},
        {"listen = /a\nlisten = /a\n", "line 2: listen is given twice, first in line 1"},
    };
    struct config cfg = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct file_part part = {bad[i].text, strlen(bad[i].text)};
        ASSERT_OK(file_write_atomic(test_path("once"), 0600, &part, 1, &why), why);
        ASSERT_EQ(-EINVAL, options_file(table, test_path("once"), &cfg, &why));
        ASSERT_HAS(bad[i].why, why.text);
    }
}

TEST(a_value_that_is_refused_later_has_its_line)
{
    char *by_file[] = {"prog", "--config", "f"}, *by_hand[] = {"prog", "--listen=/b"};
    struct file_part part = {"threads = 3\n listen = /a # x\n", 29};
    const char *path = test_path("late");
    char want[600];

    ASSERT_OK(file_write_atomic(path, 0600, &part, 1, &why), why);
    err_set(&why, -EINVAL, "--listen: no");
    options_blame(path, 2, by_hand, &why);
    ASSERT_STR("--listen: no", why.text);
    options_blame(NULL, 3, by_file, &why);
    ASSERT_STR("--listen: no", why.text);
    options_blame(path, 3, by_file, &why);
    snprintf(want, sizeof(want), "%s line 2: --listen: no", path);
    ASSERT_STR(want, why.text);
    err_set(&why, -EINVAL, "--seed: no");
    options_blame(path, 3, by_file, &why);
    ASSERT_STR("--seed: no", why.text);
}

TEST(a_byte_order_mark_is_passed_over)
{
    struct file_part part = {"\xef\xbb\xbflisten = /a\n", 15};
    struct config cfg = {0};

    ASSERT_OK(file_write_atomic(test_path("bom"), 0600, &part, 1, &why), why);
    ASSERT_OK(options_file(table, test_path("bom"), &cfg, &why), why);
    ASSERT_STR("/a", cfg.listen);
}

TEST(a_file_is_written_with_defaults_as_comments)
{
    static const struct option some[] = {
        {"listen", OPT_STR, offsetof(struct config, listen), .arg = "URL",
         .help = "the address to serve, of which nobody has thought yet, so that this sentence is "
                 "longer than a line of it"},
        {"threads", OPT_INT, offsetof(struct config, threads), .def = "2", .min = 1, .max = 256,
         .help = "compute threads"},
        {"seed", OPT_BYTES, offsetof(struct config, seed), .arg = "BYTES", .min = 1024,
         .max = INT64_MAX, .help = "a size"},
        {"lr", OPT_F64, offsetof(struct config, lr), .def = "0.05", .help = "a rate", .fmax = 10},
        {"log-level", OPT_ENUM, offsetof(struct config, level), .def = "info", .names = levels,
         .help = "what to log"},
        {"watch", OPT_FLAG, offsetof(struct config, watch), .help = "show progress"},
        {"help", OPT_FLAG, offsetof(struct config, help), .typed = true, .help = "show this"},
        {0},
    };
    struct config initial = {0}, cfg;
    char *text = NULL, *again = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    ASSERT_OK(options_defaults(some, &initial, &why), why);
    cfg = initial;
    cfg.seed = INT64_C(1536) << 20;
    cfg.watch = true;
    options_write(some, &cfg, &initial, out);
    fclose(out);
    ASSERT_STR(
        "\n# the address to serve, of which nobody has thought yet, so that this sentence is "
        "longer than a line\n# of it\n#listen = URL\n"
        "\n# compute threads\n# 1 to 256\n#threads = 2\n"
        "\n# a size\n# 1 KiB or more, as 4096, 512K, 300M or 4G\nseed = 1536M\n"
        "\n# a rate\n# 0 to 10\n#lr = 0.05\n"
        "\n# what to log\n# error, warn or info\n#log-level = info\n"
        "\n# show progress\nwatch = true\n",
        text);
    cfg = initial;
    struct file_part part = {text, bytes};
    ASSERT_OK(file_write_atomic(test_path("written"), 0600, &part, 1, &why), why);
    ASSERT_OK(options_file(some, test_path("written"), &cfg, &why), why);
    out = open_memstream(&again, &bytes);
    options_write(some, &cfg, &initial, out);
    fclose(out);
    ASSERT_STR(text, again);
    free(text);
    free(again);
}
