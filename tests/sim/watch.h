/* What the simulation knows of the server's own records; people know only what it answers. */
#ifndef STEPPE_TESTS_SIM_WATCH_H
#define STEPPE_TESTS_SIM_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Is the job paused on the disk until somebody resumes it? Not so while it waits for something that
 * passes by itself. */
bool watch_needs_resume(int64_t job);

#endif
