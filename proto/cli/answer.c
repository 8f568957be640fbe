#include "proto/cli/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/alloc.h"

#define KEY_BYTES 16 /* the longest that a key sends */
#define END_KEY 4    /* Ctrl-D */
#define ESCAPE 27

void answers_open(struct answers *a, const struct cli *cli)
{
    *a = (struct answers){.cli = cli, .keys = cli->terminal && isatty(STDIN_FILENO) == 1};
}

void answers_close(struct answers *a)
{
    free(a->text);
    a->text = NULL;
}

/* --- keys --- */

/* min: bytes to wait for; wait_ds: tenths of a second, for any when min is 0. */
static int set_terminal(const struct termios *before, int min, int wait_ds)
{
    struct termios now = *before;

    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_cc[VMIN] = (cc_t)min;
    now.c_cc[VTIME] = (cc_t)wait_ds;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &now) == 0 ? 0 : -errno;
}

/* All bytes of one key: what follows an escape or begins a character comes at once. */
static ssize_t read_key(const struct termios *before, char key[KEY_BYTES])
{
    ssize_t count = read(STDIN_FILENO, key, 1), more = 0;

    if (count != 1 || (key[0] != ESCAPE && (key[0] & 0x80) == 0))
        return count < 0 ? -errno : count;
    if (set_terminal(before, 0, 1) == 0)
        more = read(STDIN_FILENO, key + 1, KEY_BYTES - 1);
    return count + (more > 0 ? more : 0);
}

static const char *name_of(const char *key)
{
    if (strcmp(key, "\x1b[D") == 0 || strcmp(key, "\x1bOD") == 0)
        return "<";
    if (strcmp(key, "\x1b[C") == 0 || strcmp(key, "\x1bOC") == 0)
        return ">";
    return key[0] == ESCAPE || key[0] == '\n' || key[0] == '\r' ? "" : key;
}

static int next_key(struct answers *a, const char **ret, struct errbuf *why)
{
    char key[KEY_BYTES + 1] = "";
    struct termios before;
    ssize_t count;
    int rc;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return err_set(why, -errno, "the terminal cannot be read: %s", strerror(errno));
    rc = set_terminal(&before, 1, 0);
    count = rc == 0 ? read_key(&before, key) : rc;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    if (*a->cli->stop)
        return -EINTR;
    if (count < 0)
        return err_set(why, (int)count, "the terminal cannot be read: %s", strerror((int)-count));
    *ret = NULL;
    if (count == 0 || key[0] == END_KEY)
        return 0;
    free(a->text);
    a->text = xstrdup(name_of(key));
    a->room = strlen(a->text) + 1;
    *ret = a->text;
    return 0;
}

/* --- lines --- */

static int next_line(struct answers *a, const char **ret, struct errbuf *why)
{
    errno = 0;
    ssize_t count = getline(&a->text, &a->room, stdin);
    const int error = errno;

    *ret = NULL;
    if (*a->cli->stop)
        return -EINTR;
    if (count < 0)
        return ferror(stdin) ? err_set(why, error ? -error : -EIO, "the answers cannot be read: %s",
                                       strerror(error))
                             : 0;
    a->line++;
    if (strlen(a->text) != (size_t)count)
        return err_set(why, -EINVAL, "line %lld of the answers has a zero byte",
                       (long long)a->line);
    while (count > 0 && strchr(" \t\r\n", a->text[count - 1]))
        a->text[--count] = '\0';
    *ret = a->text + strspn(a->text, " \t");
    return 0;
}

int answers_next(struct answers *a, bool whole, const char **ret, struct errbuf *why)
{
    fflush(stdout);
    return a->keys && !whole ? next_key(a, ret, why) : next_line(a, ret, why);
}
