/* A job on its way into the server. Before it exists, everything that its job file names outside
 * itself is collected: the scores of another job on the query lane, its weights and uploads on the
 * store's. Then it can be inserted, with the hashes of all that in its spec. */
#ifndef STEPPE_SERVER_HANDLE_SUBMISSION_H
#define STEPPE_SERVER_HANDLE_SUBMISSION_H

#include "server/jobs/service.h"
#include "server/store/checkpoint.h"

struct submission {
    struct job *job; /* not in the table yet; NULL once it was taken out, after submission_let_go */
    struct service *service;
    char key[NAME_MAX_BYTES];           /* with which its uploads came; "": none */
    const struct dataset *held;         /* the job's, NULL until it is */
    struct jobspec scores_by;           /* the order of the other job's scores */
    struct checkpoint_shape weights_of; /* of the other job's checkpoints */
    struct weights_said weights_say;    /* of the other job's model */
    enum job_state weights_from; /* the other job's state; done: only its last checkpoint will do */
    struct job_notes notes;
    unsigned attached; /* kinds that this attempt added to the attached files */
    bool holds;        /* the uploads that it names stay meanwhile */
};

/* Reads and judges a job file, on the loop; the submission (also after an error) is ended with
 * submission_free. key: the name of the sender's, "" for none. */
int submission_read(struct service *server, const char *key, const cJSON *spec, const char *uuid,
                    struct submission **ret, struct errbuf *why);
/* Once it is judged: its dataset and uploads stay until the submission ends, or its uploads until
 * submission_let_go. */
void submission_hold(struct submission *s);
void submission_let_go(struct submission *s);
/* Does it need submission_scores? */
bool submission_needs_scores(const struct submission *s);
/* Collects the scores of another job; on the query lane. */
int submission_scores(struct submission *s, struct errbuf *why);
/* Collects all else and writes the job's description; on the store's lane. */
int submission_collect(struct submission *s, struct errbuf *why);
/* It was refused after that: another attempt sends uploads again, or finds them for a while. */
void submission_undo(struct submission *s);
/* Ends it; a job that is still in it too. On the loop. NULL is fine. */
void submission_free(struct submission *s);

/* Is there room for so many more jobs that are queued, running or paused? -ERANGE. */
int submission_room(struct service *server, const char *key, int count, struct errbuf *why);

#endif
