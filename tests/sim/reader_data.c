/* What the log says of the dataset's file and its pieces. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/reader_internal.h"

/* A file that is whole again is noticed within seconds; a slow disk, an old answer and a start of
 * the server may come between. */
#define NOTICED_US (120 * INT64_C(1000000))

static int64_t time_of(const char *line)
{
    return strtoll(line, NULL, 10);
}

static void read_damaged(struct reader *r, const char *line)
{
    (void)line;
    r->damages++;
    r->damaged = true;
}

static void read_whole(struct reader *r, const char *line)
{
    r->damaged = false;
    r->whole_us = time_of(line);
}

void reader_asked(struct reader *r, const char *line)
{
    if (strstr(line, " verb=dataset.commit"))
        r->damages_before = r->damages;
}

/* It was whole when the commit was answered; was it damaged since that was asked for? */
void reader_acked(struct reader *r, const char *line)
{
    if (strstr(line, " verb=dataset.commit ") && r->damages == r->damages_before)
        read_whole(r, line);
}

bool reader_says_damaged(const char *line)
{
    return strstr(line, "the file of dataset ") && strstr(line, "is damaged");
}

void reader_check_damaged(struct reader *r, const char *line)
{
    if (r->damages == 0)
        reader_violation(r, "a dataset that is whole is called damaged");
    else if (!r->damaged && time_of(line) > r->whole_us + NOTICED_US)
        reader_violation(r, "the dataset is whole for long and still called damaged");
}

static void read_no_dataset(struct reader *r, const char *line)
{
    if (reader_says_damaged(line))
        reader_check_damaged(r, line);
}

/* Mean and notes are as the job was submitted, whatever happened since; the mean may be missing
 * while the dataset is damaged. */
static void read_input(struct reader *r, const char *line)
{
    bool written = reader_number(line, "written") == 1;
    char mean[16];

    reader_word(line, "mean", mean, sizeof(mean));
    bool same = (strcmp(mean, "0.25") == 0) == written || (!mean[0] && r->damaged);
    if (!same || reader_number(line, "notes") != written + reader_number(line, "averages"))
        reader_violation(r, "the input of a job is not as it was submitted");
}

static void read_list_damaged(struct reader *r, const char *line)
{
    (void)line;
    r->list_damages++;
}

static void read_calm(struct reader *r, const char *line)
{
    (void)line;
    r->calm = true;
}

/* Before the calm an upload may be lost or damaged in its turn. */
static void read_list_sent(struct reader *r, const char *line)
{
    if (r->calm && r->list_us == 0)
        r->list_us = time_of(line);
}

static void read_waits_for_list(struct reader *r, const char *line)
{
    if (r->list_damages == 0)
        reader_violation(r, "a job waits for a list that is whole");
    if (r->list_us > 0 && time_of(line) > r->list_us + NOTICED_US)
        reader_violation(r, "the list is there for long and a job still waits for it");
}

static void read_piece(struct reader *r, const char *line)
{
    if (reader_number(line, "right") != 1)
        reader_violation(r, "a damaged piece is handed out as good");
}

const struct reading reader_data[] = {
    {"dataset_damaged", read_damaged},
    {"dataset_put_back", read_whole},
    {"waits", reader_check_damaged},
    {"no_dataset", read_no_dataset},
    {"piece", read_piece},
    {"input", read_input},
    {"attached_damaged", read_list_damaged},
    {"calm", read_calm},
    {"list_sent", read_list_sent},
    {"waits_for_list", read_waits_for_list},
    {NULL, NULL},
};
