/* How a worker comes and goes: its connection, hello and bye. */
#ifndef STEPPE_WORKER_GREET_H
#define STEPPE_WORKER_GREET_H

#include "worker/duty.h"
#include "worker/talk.h"

/* Opens a connection with the options' key. sender: NULL for a fresh one. */
int greet_open(const struct duty_options *options, const char *sender,
               const _Atomic sig_atomic_t *stop, struct client **ret, struct errbuf *why);

/* Says hello until the server accepts it. *io_known: it did before; a key that is refused then may
 * still be on its way. address: where other workers reach it, NULL: nowhere. wanted: as
 * greet_read_class. 0; -EINTR: stop was set; -EREMOTEIO: a refusal
 * that no waiting cures. */
int greet_hello(const struct talk *t, const struct duty_options *options, const char *class,
                const char *address, bool *io_known, char wanted[NUMERICS_CLASS_BYTES],
                struct errbuf *why);
/* The class that a reply asks for; "" when it asks for none. */
void greet_read_class(const cJSON *json, char wanted[NUMERICS_CLASS_BYTES]);

/* A result or failure that the server may not have yet. */
struct last_word {
    enum message_type type;
    cJSON *request; /* marks it as given up, with a key */
    const struct tensor *tensors;
    int tensor_count;
};
/* Sends the last answer (NULL: none) and bye on a new connection: the old one may have a request
 * outstanding, and stop is set. Takes a few seconds at most. */
void greet_bye(const struct duty_options *options, const char *sender,
               const struct last_word *last);

#endif
