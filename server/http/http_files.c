/* The files of server/http/web, as they were when the program was built. */
#include <string.h>

#include "server/http/http_internal.h"

/* The assembler reads the file; its path counts from the repository's root, where make runs. */
#define FILE_DATA(id, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            "web_" #id ":\n"                                                                       \
            ".incbin \"server/http/web/" file "\"\n"                                               \
            "web_" #id "_end:\n"                                                                   \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char web_##id[], web_##id##_end[]

FILE_DATA(page, "index.html");
FILE_DATA(style, "style.css");
FILE_DATA(icon, "icon.svg");
FILE_DATA(app, "app.js");
FILE_DATA(api, "api.js");
FILE_DATA(dom, "dom.js");
FILE_DATA(charts, "charts.js");
FILE_DATA(jobs, "jobs.js");
FILE_DATA(job, "job.js");
FILE_DATA(flatness, "flatness.js");
FILE_DATA(metrics, "metrics.js");
FILE_DATA(samples, "samples.js");
FILE_DATA(map, "map.js");
FILE_DATA(review, "review.js");
FILE_DATA(verdicts, "verdicts.js");
FILE_DATA(revise, "revise.js");
FILE_DATA(choose, "choose.js");
FILE_DATA(compare, "compare.js");
FILE_DATA(predict, "predict.js");
FILE_DATA(study, "study.js");
FILE_DATA(forest, "forest.js");

#define JS "text/javascript; charset=utf-8"

static const struct http_file files[] = {
    {"/", "text/html; charset=utf-8", web_page, web_page_end},
    {"/style.css", "text/css; charset=utf-8", web_style, web_style_end},
    {"/icon.svg", "image/svg+xml", web_icon, web_icon_end},
    {"/app.js", JS, web_app, web_app_end},
    {"/api.js", JS, web_api, web_api_end},
    {"/dom.js", JS, web_dom, web_dom_end},
    {"/charts.js", JS, web_charts, web_charts_end},
    {"/jobs.js", JS, web_jobs, web_jobs_end},
    {"/job.js", JS, web_job, web_job_end},
    {"/flatness.js", JS, web_flatness, web_flatness_end},
    {"/metrics.js", JS, web_metrics, web_metrics_end},
    {"/samples.js", JS, web_samples, web_samples_end},
    {"/map.js", JS, web_map, web_map_end},
    {"/review.js", JS, web_review, web_review_end},
    {"/verdicts.js", JS, web_verdicts, web_verdicts_end},
    {"/revise.js", JS, web_revise, web_revise_end},
    {"/choose.js", JS, web_choose, web_choose_end},
    {"/compare.js", JS, web_compare, web_compare_end},
    {"/predict.js", JS, web_predict, web_predict_end},
    {"/study.js", JS, web_study, web_study_end},
    {"/forest.js", JS, web_forest, web_forest_end},
};

const struct http_file *http_file(const char *path)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    return NULL;
}
