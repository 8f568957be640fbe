/* What a worker is told by signals, as the handler in main.c leaves it in one flag. */
#ifndef STEPPE_WORKER_STOP_H
#define STEPPE_WORKER_STOP_H

enum stop {
    STOP_NOT,
    STOP_SOON, /* brings back what it is at, asks for nothing more */
    STOP_NOW,  /* gives back what it is at */
};

#endif
