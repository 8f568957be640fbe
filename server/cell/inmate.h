/* A cell from inside: one question, in a process that has nothing else. */
#ifndef STEPPE_SERVER_CELL_INMATE_H
#define STEPPE_SERVER_CELL_INMATE_H

/* Opens difficulty.db in dir, gives up everything else, reads the question on fd and answers it. */
void inmate_run(int fd, const char *dir);

#endif
