/* How many files this process may have open: every connection and every database is one. */
#ifndef STEPPE_COMMON_FILE_LIMIT_H
#define STEPPE_COMMON_FILE_LIMIT_H

#include "common/err.h"

/* Raises the limit as far as it goes (the usual 1024 only serves programs that use select()), then
 * checks that `need` (1 to 1000) more files can be open at once. 0; -EMFILE with a sentence that
 * names limit and need. */
int file_limit_raise(unsigned need, struct errbuf *why);

#endif
