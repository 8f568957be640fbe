#include "proto/cli/resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "common/uris.h"
#include "proto/cli/connection.h"
#include "proto/cli/gallery.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"

#define JOB_MAX (INT64_C(1) << 53) /* a whole number in JSON */
#define NUMBERS_SHOWN 10

/* The text of `key` in each of the rows (NULL: the rows themselves), NULL-terminated; to be freed.
 */
static const char **texts_of(const cJSON *rows, const char *key)
{
    const char **texts = xcalloc((size_t)cJSON_GetArraySize(rows) + 1, sizeof(*texts));
    const cJSON *row;
    size_t n = 0;

    cJSON_ArrayForEach(row, rows)
    {
        texts[n++] = key ? reply_text(row, key) : cJSON_IsString(row) ? row->valuestring : "";
    }
    return texts;
}

/* --- jobs --- */

/* name NULL: the newest jobs. */
static int list_jobs(struct cli *cli, const char *name, struct message *ret, const cJSON **ret_rows,
                     struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();

    if (name)
        cJSON_AddStringToObject(request, "name", name);
    cJSON_AddNumberToObject(request, "limit", ROWS_MAX);
    int rc = connection_call(cli, MSG_JOB_LIST, request, ret, why);
    if (rc != 0)
        return rc;
    rc = reply_array(ret->json, "jobs", ret_rows, why);
    if (rc != 0)
        message_done(ret);
    return rc;
}

static int no_such_job(struct cli *cli, const char *word, struct errbuf *why)
{
    struct message reply = {0};
    const cJSON *rows = NULL;
    const char *near = NULL, **names = NULL;

    if (cli && list_jobs(cli, NULL, &reply, &rows, NULL) == 0) {
        names = texts_of(rows, "name");
        near = text_nearest(word, names);
    }
    int rc = err_set(why, EXIT_USAGE,
                     "\"%.60s\" is not the number of a job, and none is called so; %s%s%s", word,
                     near ? "did you mean \"" : "steppe jobs lists them", near ? near : "",
                     near ? "\"?" : "");
    free(names);
    message_done(&reply);
    return rc;
}

static int several_jobs(const cJSON *rows, const char *word, struct errbuf *why)
{
    int count = cJSON_GetArraySize(rows), shown = 0;
    const cJSON *row;
    char list[200];
    size_t used = 0;

    cJSON_ArrayForEach(row, rows)
    {
        int64_t job = 0;
        reply_i64(row, "job", &job);
        if (shown++ < NUMBERS_SHOWN && used < sizeof(list))
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%lld", used ? ", " : "",
                                     (long long)job);
    }
    return err_set(why, -EINVAL, "%d jobs are called \"%.60s\": %s%s; give the number", count, word,
                   list, count > NUMBERS_SHOWN ? " and others" : "");
}

int resolve_job(struct cli *cli, const char *word, int64_t *ret, struct errbuf *why)
{
    struct message reply;
    const cJSON *rows;

    if (text_i64(word, 1, JOB_MAX, ret))
        return 0;
    if (!text_is_name(word) || strspn(word, "0123456789") == strlen(word))
        return no_such_job(NULL, word, why);
    int rc = list_jobs(cli, word, &reply, &rows, why);
    if (rc != 0)
        return rc;
    int count = cJSON_GetArraySize(rows);
    if (count == 1 && !reply_i64(rows->child, "job", ret))
        rc = err_set(why, -EBADMSG, "the server does not say which job is called \"%.60s\"", word);
    else if (count > 1)
        rc = several_jobs(rows, word, why);
    message_done(&reply);
    return count == 0 ? no_such_job(cli, word, why) : rc;
}

/* --- classes --- */

int resolve_dataset(struct cli *cli, int64_t job, char **ret, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *row;

    cJSON_AddNumberToObject(request, "job", (double)job);
    cJSON_AddNumberToObject(request, "epochs_from", EPOCHS_MAX - 1);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0)
        *ret = xasprintf("%s", reply_text(row, "dataset"));
    message_done(&reply);
    return rc;
}

/* The class names of the job's dataset, to be deleted. */
static int class_names(struct cli *cli, int64_t job, cJSON **ret, struct errbuf *why)
{
    char *dataset = NULL;
    int rc = resolve_dataset(cli, job, &dataset, why);

    if (rc == 0)
        *ret = gallery_class_names(cli, dataset);
    free(dataset);
    return rc;
}

static int no_such_class(int64_t job, const char *word, const char *const *names,
                         struct errbuf *why)
{
    const char *near = text_nearest(word, names);

    return err_set(why, -ENOENT, "the dataset of job %lld has no class \"%.60s\"%s%.130s%s",
                   (long long)job, word,
                   near       ? "; did you mean \""
                   : names[0] ? "; steppe classes lists them"
                              : "; its class names are not known here, give the number",
                   near ? near : "", near ? "\"?" : "");
}

/* A class that is called like the number of another is not meant, but might have been. */
static void note_number(const char *const *names, int64_t number, const char *word)
{
    int named = text_index(word, names);
    int64_t count = 0;

    while (names[count])
        count++;
    if (named >= 0 && named != number && number < count)
        print_note("--class %s is class number %s, \"%s\"; the class called \"%s\" is number %d",
                   word, word, names[number], word, named);
}

int resolve_class(struct cli *cli, int64_t job, const char *word, int64_t *ret, struct errbuf *why)
{
    bool number = text_i64(word, 0, CLASSES_MAX - 1, ret);
    cJSON *list = NULL;
    int rc = class_names(cli, job, &list, why);

    if (rc != 0)
        return rc;
    const char **names = texts_of(list, NULL);
    int found = text_index(word, names);
    int again = found < 0 ? -1 : text_index(word, names + found + 1);
    if (number)
        note_number(names, *ret, word);
    else if (found < 0)
        rc = no_such_class(job, word, names, why);
    else if (again >= 0)
        rc = err_set(why, -EINVAL,
                     "classes %d and %d of the dataset of job %lld are called \"%.60s\"; give the "
                     "number",
                     found, found + 1 + again, (long long)job, word);
    else
        *ret = found;
    free(names);
    cJSON_Delete(list);
    return rc;
}

/* --- samples --- */

/* The numbers in the reply to sample.find. */
static int read_samples(const struct message *reply, int count, uint32_t *ret, struct errbuf *why)
{
    const cJSON *samples, *sample;
    int n = 0, rc = reply_array(reply->json, "samples", &samples, why);

    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(sample, samples)
    {
        if (n < count && cJSON_IsNumber(sample) && sample->valuedouble >= 0 &&
            sample->valuedouble < SAMPLES_MAX)
            ret[n++] = (uint32_t)sample->valuedouble;
    }
    return n == count && cJSON_GetArraySize(samples) == count
               ? 0
               : err_set(why, -EBADMSG, "the server does not say which sample that is");
}

int resolve_paths(struct cli *cli, int64_t job, const char *dataset, const char *const *paths,
                  int count, uint32_t *ret, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject(), *uris;
    char uri[URI_BYTES_MAX + 1];
    struct message reply;
    int rc = 0;

    if (job)
        cJSON_AddNumberToObject(request, "job", (double)job);
    else
        cJSON_AddStringToObject(request, "dataset", dataset);
    uris = cJSON_AddArrayToObject(request, "uris");
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = uri_of_path(paths[i], uri, why);
        if (rc == 0)
            cJSON_AddItemToArray(uris, cJSON_CreateString(uri));
    }
    if (rc != 0) {
        cJSON_Delete(request);
        return rc;
    }
    rc = connection_call(cli, MSG_SAMPLE_FIND, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = read_samples(&reply, count, ret, why);
    message_done(&reply);
    return rc;
}

int resolve_sample(struct cli *cli, int64_t job, const char *dataset, const char *word,
                   int64_t *ret, struct errbuf *why)
{
    uint32_t sample = 0;

    if (text_i64(word, 0, SAMPLES_MAX - 1, ret))
        return 0;
    int rc = resolve_paths(cli, job, dataset, &word, 1, &sample, why);
    if (rc == 0)
        *ret = sample;
    return rc;
}
