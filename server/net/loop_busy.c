#include "server/net/loop_busy.h"

#include "common/clock.h"
#include "server/net/metrics.h"

/* Before each wait. What libuv spent waiting, in the turn that ends here, is idle. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct loop_busy *b = prepare->data;
    const double now_s = clock_mono_s(), idle_s = (double)uv_metrics_idle_time(prepare->loop) / 1e9;

    metrics_turn(b->metrics, now_s - b->turned_s - (idle_s - b->idle_s));
    b->turned_s = now_s;
    b->idle_s = idle_s;
}

int loop_busy_open(struct loop_busy *b, uv_loop_t *loop, struct metrics *m)
{
    int rc = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);

    *b = (struct loop_busy){.metrics = m, .turned_s = clock_mono_s()};
    if (rc == 0)
        rc = uv_prepare_init(loop, &b->prepare);
    b->prepare.data = b;
    if (rc == 0)
        rc = uv_prepare_start(&b->prepare, on_prepare);
    if (rc == 0)
        uv_unref((uv_handle_t *)&b->prepare); /* a server that stops does not wait for it */
    return rc;
}
