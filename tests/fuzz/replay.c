/* Runs a target over the files that are named, each in a process of its own; a folder stands for
 * the files in it. Prints those that end it, and a closing line. */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_BYTES_MAX (64u << 20)
#define LIMIT_S 300 /* of one input; sanitizers on a loaded machine */

static int passed, failed;

static void run(const char *path)
{
    struct errbuf why = {""};
    char *data;
    size_t bytes;
    int status = -1;

    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(LIMIT_S);
        if (file_read(path, INPUT_BYTES_MAX, &data, &bytes, &why) < 0) {
            fprintf(stderr, "%s\n", why.text);
            _exit(1);
        }
        LLVMFuzzerTestOneInput((const uint8_t *)data, bytes);
        free(data);
        exit(0);
    }
    if (pid > 0)
        waitpid(pid, &status, 0);
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    passed += good;
    failed += !good;
    if (!good)
        printf("FAIL %s\n", path);
}

static void run_all(const char *path)
{
    DIR *dir = opendir(path);

    if (!dir) {
        run(path);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        char inner[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
        run(inner);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_all(argv[i]);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
