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
#define CLEAR_KEY 21 /* Ctrl-U */
#define ESCAPE 27
#define DELETE 127
#define TYPED_BYTES 256 /* of a line; more is not taken */

void answers_open(struct answers *a, const struct cli *cli)
{
    *a = (struct answers){.cli = cli, .keys = cli->terminal && isatty(STDIN_FILENO) == 1};
}

void answers_close(struct answers *a)
{
    free(a->text);
    a->text = NULL;
}

/* Without blanks around it. */
static const char *trim(char *text)
{
    size_t bytes = strlen(text);

    while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1]))
        text[--bytes] = '\0';
    return text + strspn(text, " \t");
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

/* Are key[count] all bytes of what one key sends: a character, or an escape sequence? */
static bool is_whole(const char *key, ssize_t count)
{
    const unsigned char first = (unsigned char)key[0], last = (unsigned char)key[count - 1];

    if (first == ESCAPE)
        return count == 2 ? last != '[' && last != 'O' : count > 2 && last >= '@';
    return count >= 1 + (first >= 0xc0) + (first >= 0xe0) + (first >= 0xf0);
}

/* All bytes of one key: what follows an escape or begins a character comes at once. */
static ssize_t read_key(const struct termios *before, char key[KEY_BYTES])
{
    ssize_t count = read(STDIN_FILENO, key, 1);

    if (count != 1)
        return count < 0 ? -errno : count;
    if (is_whole(key, count) || set_terminal(before, 0, 1) != 0)
        return count;
    while (count < KEY_BYTES && !is_whole(key, count) && read(STDIN_FILENO, key + count, 1) == 1)
        count++;
    return count;
}

static const char *name_of(const char *key)
{
    if (strcmp(key, "\x1b[D") == 0 || strcmp(key, "\x1bOD") == 0)
        return "<";
    if (strcmp(key, "\x1b[C") == 0 || strcmp(key, "\x1bOC") == 0)
        return ">";
    return key[0] == ESCAPE || key[0] == '\n' || key[0] == '\r' ? "" : key;
}

static void take_text(struct answers *a, const char *text, const char **ret)
{
    free(a->text);
    a->text = xstrdup(text);
    a->room = strlen(a->text) + 1;
    *ret = a->text;
}

/* Bytes of a key into key[count], 0 at the end of the input. What asks for it is shown when the
 * terminal echoes nothing any more. */
static int wait_key(const struct answers *a, const struct termios *before, char key[KEY_BYTES + 1],
                    struct errbuf *why)
{
    int rc = set_terminal(before, 1, 0);

    memset(key, 0, KEY_BYTES + 1);
    fflush(stdout);
    ssize_t count = rc == 0 ? read_key(before, key) : rc;
    if (*a->cli->stop)
        return -EINTR;
    if (count < 0)
        return err_set(why, (int)count, "the terminal cannot be read: %s", strerror((int)-count));
    return (int)count;
}

static int next_key(struct answers *a, const char **ret, struct errbuf *why)
{
    char key[KEY_BYTES + 1];
    struct termios before;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return err_set(why, -errno, "the terminal cannot be read: %s", strerror(errno));
    int count = wait_key(a, &before, key, why);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    *ret = NULL;
    if (count > 0 && key[0] != END_KEY)
        take_text(a, name_of(key), ret);
    return count < 0 ? count : 0;
}

/* --- lines that are typed --- */

/* Takes the last character away, from the screen too. */
static void take_back(char *text, size_t *used)
{
    while (*used > 0 && ((unsigned char)text[*used - 1] & 0xc0) == 0x80)
        (*used)--;
    *used -= *used > 0;
    text[*used] = '\0';
    fputs("\b \b", stdout);
}

/* One byte of a line; true: the line ends. */
static bool type_byte(char byte, char text[TYPED_BYTES], size_t *used)
{
    if (byte == '\n' || byte == '\r')
        return true;
    if (byte == DELETE || byte == '\b') {
        if (*used > 0)
            take_back(text, used);
    } else if (byte == CLEAR_KEY) {
        while (*used > 0)
            take_back(text, used);
    } else if ((unsigned char)byte >= ' ' && *used < TYPED_BYTES - 1) {
        text[(*used)++] = byte;
        text[*used] = '\0';
        putchar(byte);
    }
    return false;
}

/* A line, key by key: the terminal by itself would show an escape and wait for the Enter behind it.
 * Keys that send more than their own character (arrows) do nothing. */
static int next_typed(struct answers *a, const char **ret, struct errbuf *why)
{
    char key[KEY_BYTES + 1], text[TYPED_BYTES] = "";
    struct termios before;
    size_t used = 0;
    bool done = false, away = false;
    int count = 0;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return err_set(why, -errno, "the terminal cannot be read: %s", strerror(errno));
    while (!done && (count = wait_key(a, &before, key, why)) > 0) {
        away = key[0] == ESCAPE && count == 1;
        done = away || (key[0] == END_KEY && used == 0);
        for (int i = 0; !done && key[0] != ESCAPE && i < count; i++)
            done = type_byte(key[i], text, &used);
    }
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    putchar('\n');
    *ret = NULL;
    if (away)
        take_text(a, ANSWER_AWAY, ret);
    else if (count > 0 && key[0] != END_KEY)
        take_text(a, trim(text), ret);
    return count < 0 ? count : 0;
}

/* --- lines of a file --- */

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
    *ret = trim(a->text);
    return 0;
}

int answers_next(struct answers *a, bool whole, const char **ret, struct errbuf *why)
{
    if (!a->keys) {
        fflush(stdout);
        return next_line(a, ret, why);
    }
    return (whole ? next_typed : next_key)(a, ret, why);
}
