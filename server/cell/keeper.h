/* The keeper of the cells: a small process of its own, started by the server from its own program
 * and with nothing of it but a socket. It makes a cell for each question: a child that answers one
 * and ends. */
#ifndef STEPPE_SERVER_CELL_KEEPER_H
#define STEPPE_SERVER_CELL_KEEPER_H

/* `steppe-server --cells DIR` is the keeper, not a server; nobody else starts it. */
#define KEEPER_ARG "--cells"
/* The socket on which the server hands it one end of a socket for each question. */
#define KEEPER_FD 3
/* Questions at work at one time. Each may take QUERY_MEMORY_MAX and a processor. */
#define CELLS_MAX 4
/* A statement that does not look at the clock is ended so much behind its deadline. */
#define CELL_GRACE_MS 500

/* Until the server closes its end. The exit status. dir: the state folder. */
int keeper_run(const char *dir);

#endif
