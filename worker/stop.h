/* What signals tell a worker; the handler in main.c sets this flag. */
#ifndef STEPPE_WORKER_STOP_H
#define STEPPE_WORKER_STOP_H

enum stop {
    STOP_NOT,
    STOP_SOON, /* finishes its task, asks for no other */
    STOP_NOW,  /* gives its task back */
};

#endif
