#define _GNU_SOURCE /* O_PATH */
#include "common/file_limit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NEED_MAX 1000

/* How many more files, up to `most`, can be open. Tried, not computed: our parent may have left
 * some open. */
static unsigned count_free(unsigned most)
{
    int fds[NEED_MAX];
    unsigned count = 0;

    while (count < most && (fds[count] = open("/", O_PATH | O_CLOEXEC)) >= 0)
        count++;
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return count;
}

int file_limit_raise(unsigned need, struct errbuf *why)
{
    struct rlimit files;

    assert(need >= 1 && need <= NEED_MAX);
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 0;
    if (files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    const unsigned left = count_free(need);
    if (left == need || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 0;
    return err_set(why, -EMFILE,
                   "the limit on open files is %llu (ulimit -n): this process may open %u more "
                   "and needs %u; raise it (ulimit -n 1024, or LimitNOFILE= of a systemd unit)",
                   (unsigned long long)files.rlim_cur, left, need);
}
