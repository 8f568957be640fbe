#include "server/net/line.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

/* An owner of whom something waits or works. */
struct owner_line {
    struct owner_line *next;
    char owner[OWNER_BYTES];
    struct turn *first, **end;
    unsigned waiting, at_work;
    size_t bytes;
};

void line_open(struct line *t, const struct line_limits *limits)
{
    *t = (struct line){.limits = *limits};
    t->end = &t->first;
}

static void unlink_line(struct line *t, struct owner_line *line)
{
    struct owner_line **at = &t->first;

    while (*at != line)
        at = &(*at)->next;
    *at = line->next;
    if (t->end == &line->next)
        t->end = at;
    line->next = NULL;
}

static void append_line(struct line *t, struct owner_line *line)
{
    line->next = NULL;
    *t->end = line;
    t->end = &line->next;
}

void line_close(struct line *t)
{
    while (t->first) {
        struct owner_line *line = t->first;
        unlink_line(t, line);
        free(line);
    }
}

static struct owner_line *find(const struct line *t, const char *owner)
{
    struct owner_line *line = t->first;

    while (line && strcmp(line->owner, owner) != 0)
        line = line->next;
    return line;
}

static struct owner_line *find_or_add(struct line *t, const char *owner)
{
    struct owner_line *line = find(t, owner);

    if (line)
        return line;
    line = xcalloc(1, sizeof(*line));
    snprintf(line->owner, sizeof(line->owner), "%s", owner);
    line->end = &line->first;
    append_line(t, line);
    return line;
}

/* A line without anybody goes. */
static void tidy(struct line *t, struct owner_line *line)
{
    if (line->waiting > 0 || line->at_work > 0)
        return;
    unlink_line(t, line);
    free(line);
}

enum line_answer line_ask(struct line *t, struct turn *turn, const char *owner, size_t bytes)
{
    const struct line_limits *limits = &t->limits;
    const struct owner_line *known = find(t, owner);

    assert(!turn->line);
    /* However long it is, one that does not have to wait is welcome. */
    if (known && known->waiting > 0 &&
        (known->waiting >= limits->waiting_of_one || bytes > limits->bytes_of_one ||
         known->bytes > limits->bytes_of_one - bytes))
        return LINE_FULL_OF_ONE;
    if (t->waiting > 0 && (t->waiting >= limits->waiting || bytes > limits->bytes ||
                           t->bytes > limits->bytes - bytes))
        return LINE_FULL;
    struct owner_line *line = find_or_add(t, owner);
    *turn = (struct turn){.line = line, .bytes = bytes};
    *line->end = turn;
    line->end = &turn->next;
    line->waiting++;
    line->bytes += bytes;
    t->waiting++;
    t->bytes += bytes;
    return LINE_WAIT;
}

static void stop_waiting(struct line *t, struct turn *turn)
{
    struct owner_line *line = turn->line;
    struct turn **at = &line->first;

    while (*at != turn)
        at = &(*at)->next;
    *at = turn->next;
    if (line->end == &turn->next)
        line->end = at;
    line->waiting--;
    line->bytes -= turn->bytes;
    t->waiting--;
    t->bytes -= turn->bytes;
}

struct turn *line_next(struct line *t)
{
    struct owner_line *line = t->first;

    if (t->at_work >= t->limits.at_work)
        return NULL;
    while (line && (line->waiting == 0 || line->at_work >= t->limits.at_work_of_one))
        line = line->next;
    if (!line)
        return NULL;
    struct turn *turn = line->first;
    stop_waiting(t, turn);
    turn->at_work = true;
    line->at_work++;
    t->at_work++;
    unlink_line(t, line); /* the others are first now */
    append_line(t, line);
    return turn;
}

void line_end(struct line *t, struct turn *turn)
{
    struct owner_line *line = turn->line;

    if (!line)
        return;
    if (turn->at_work) {
        line->at_work--;
        t->at_work--;
    } else {
        stop_waiting(t, turn);
    }
    *turn = (struct turn){.line = NULL};
    tidy(t, line);
}

unsigned line_of(const struct line *t, const char *owner)
{
    const struct owner_line *line = find(t, owner);

    return line ? line->waiting + line->at_work : 0;
}
