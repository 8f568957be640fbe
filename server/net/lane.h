/* A lane: one thread that runs work items in the order they were given, and hands each back to the
 * loop when it is done. The store has one, so that SQLite and fsync never block the loop; the
 * readers of difficulty.db have another, so that a slow query never delays a commit. */
#ifndef STEPPE_SERVER_NET_LANE_H
#define STEPPE_SERVER_NET_LANE_H

#include <stdint.h>
#include <uv.h>

struct lane;
struct times;

/* Runs on the lane's thread / on the loop. */
typedef void (*lane_fn)(void *arg);

/* times: where those who give it work count how long that took; borrowed, NULL: nowhere. 0 or
 * negative errno. */
int lane_open(uv_loop_t *loop, const char *name, struct times *times, struct lane **ret);
struct times *lane_times(const struct lane *lane);
/* work(arg) on the lane's thread after everything given before, then done(arg) on the loop. done
 * may be NULL. arg is the caller's. */
void lane_run(struct lane *lane, lane_fn work, lane_fn done, void *arg);
/* Items of a later turn are worked on while none of an earlier one waits; the order of lane_run is
 * that within a turn. */
enum lane_turn { LANE_SOON, LANE_LATER, LANE_LAST, LANE_TURNS };
void lane_run_in(struct lane *lane, enum lane_turn turn, lane_fn work, lane_fn done, void *arg);
/* By work that takes long, on the lane's thread, where it holds nothing: does the work of items of
 * earlier turns that wait. */
void lane_let_pass(struct lane *lane);
/* Items whose work has not ended. */
unsigned lane_pending(const struct lane *lane);
/* Waits for the work given so far and calls the outstanding done callbacks, so that none is lost;
 * work that they add is also done. Then ends the thread; the handle is freed once the loop has run.
 * Call it while everything that the callbacks touch is still alive. NULL is fine. */
void lane_close(struct lane *lane);
/* The same; from by_ms (monotonic) on, until the work has ended, hurry(arg) is called now and then,
 * on the loop: so that what is at work gives up. */
void lane_close_by(struct lane *lane, int64_t by_ms, lane_fn hurry, void *arg);

#endif
