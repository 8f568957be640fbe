#include "proto/cli/score_pages.h"

static void *fetch(void *arg)
{
    struct score_pages *p = arg;

    p->rc = score_columns_page(p->cli, p->job, &p->want, &p->pages[p->at], &p->from, &p->why);
    return NULL;
}

/* Without a thread it is fetched at once. */
static void start(struct score_pages *p)
{
    p->pages[p->at].count = 0;
    p->pages[p->at].epoch = p->pages[!p->at].epoch;
    p->running = pthread_create(&p->thread, NULL, fetch, p) == 0;
    if (!p->running)
        fetch(p);
}

static void finish(struct score_pages *p)
{
    if (p->running)
        pthread_join(p->thread, NULL);
    p->running = false;
}

void score_pages_begin(struct score_pages *p, struct cli *cli, int64_t job, int64_t epoch,
                       const struct score_columns_want *want)
{
    *p = (struct score_pages){.cli = cli, .job = job, .want = *want};
    p->pages[1].epoch = epoch;
    start(p);
}

int score_pages_next(struct score_pages *p, const struct score_columns **ret, struct errbuf *why)
{
    const struct score_columns *page = &p->pages[p->at];

    *ret = NULL;
    if (p->over)
        return 0;
    finish(p);
    p->over = p->rc != 0 || p->from < 0;
    if (p->rc != 0) {
        *why = p->why;
        return p->rc;
    }
    if (p->want.limit > 0)
        p->want.limit -= (int64_t)page->count;
    p->at = !p->at;
    if (!p->over)
        start(p);
    *ret = page;
    return 0;
}

void score_pages_end(struct score_pages *p)
{
    finish(p);
    for (int i = 0; i < 2; i++)
        score_columns_done(&p->pages[i]);
}
