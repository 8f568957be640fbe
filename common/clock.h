/* The two clocks. Logic uses the monotonic one; the wall clock is for storage and display. */
#ifndef STEPPE_COMMON_CLOCK_H
#define STEPPE_COMMON_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);
double clock_mono_s(void);
double clock_thread_s(void); /* of the processor, that this thread has had */
int64_t clock_unix_ms(void);

#endif
