#include "proto/cli/files.h"

int files_read(const struct cli *cli, enum labels_are unsaid, uint32_t side,
               struct dataset_draft *ret, struct errbuf *why)
{
    const struct args *a = cli->args;
    const int64_t size = a->manifest ? a->thumbnails : a->size;
    struct import_notes notes = {.count = 0};
    struct import_request request = {
        .path = cli->words[1],
        .labels_path = a->labels,
        .labels_are = a->labels_are != NOT_GIVEN ? (enum labels_are)a->labels_are : unsaid,
        .manifest = a->manifest,
        .size = size != NOT_GIVEN ? (uint32_t)size : 0,
        .stored = a->no_exif,
        .skip_bad = a->skip_bad,
        .train = a->train,
        .test = a->test,
        .layout = (enum npy_layout)(a->layout + 1),
        .notes = &notes,
        .stop = cli->stop};

    if (size == NOT_GIVEN && side && import_scales(&request))
        request.size = side;
    int rc = import_files(&request, ret, why);
    if (rc == 0 || notes.bad_count > 1)
        import_bad_print(&notes, rc == 0 ? "steppe: note: " : "steppe: ", stderr);
    if (rc == 0)
        import_notes_print(&notes, "steppe: note: ", stderr);
    import_notes_done(&notes);
    return rc;
}
