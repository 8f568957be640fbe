/* Measurements of flatness: a row of table flatness and the points of its lines, written in the
 * transaction that commits their epoch. */
#include <errno.h>
#include <math.h>

#include "server/store/store_internal.h"

static int write_line(struct store *s, const struct fold *f, int line, struct errbuf *why)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < FLATNESS_POINTS; i++) {
        const struct flatness_point *p = &f->flatness->line[line][i];
        rc = db_run(&s->difficulty,
                    "INSERT INTO flatness_line(job_id, epoch, direction, point, t, distance, loss)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    DB_ARGS(DB_I(f->record.job), DB_I(f->record.epoch), DB_I(line), DB_I(i),
                            DB_R(p->t), DB_R(p->distance), DB_R(p->loss)),
                    why);
    }
    return rc;
}

int flatness_write(struct store *s, const struct fold *f, struct errbuf *why)
{
    const struct flatness_record *r = f->flatness;
    const int64_t job = f->record.job, epoch = f->record.epoch;
    double value[FLATNESS_TOP], residual[FLATNESS_TOP];
    int rc = db_run(&s->difficulty, "DELETE FROM flatness WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(job), DB_I(epoch)), why);

    if (rc == 0)
        rc = db_run(&s->difficulty, "DELETE FROM flatness_line WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(job), DB_I(epoch)), why);
    if (rc < 0 || !r)
        return rc;
    for (int i = 0; i < FLATNESS_TOP; i++) {
        value[i] = i < r->count ? r->value[i] : NAN;
        residual[i] = i < r->count ? r->residual[i] : NAN;
    }
    rc = db_run(&s->difficulty,
                "INSERT INTO flatness(job_id, epoch, n_samples, loss, gradient_norm, lambda1,"
                " lambda2, lambda3, lambda4, lambda5, residual1, residual2, residual3, residual4,"
                " residual5, n_products, trace, trace_error, n_probes, sharpness, rho)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
                " ?17, ?18, ?19, ?20, ?21)",
                DB_ARGS(DB_I(job), DB_I(epoch), DB_I(r->samples), DB_R(r->loss),
                        DB_R(r->gradient_norm), DB_R(value[0]), DB_R(value[1]), DB_R(value[2]),
                        DB_R(value[3]), DB_R(value[4]), DB_R(residual[0]), DB_R(residual[1]),
                        DB_R(residual[2]), DB_R(residual[3]), DB_R(residual[4]), DB_I(r->products),
                        DB_R(r->trace), DB_R(r->trace_error), DB_I(r->probes), DB_R(r->sharpness),
                        DB_R(r->rho)),
                why);
    for (int i = 0; rc == 0 && i < FLATNESS_LINES; i++)
        rc = write_line(s, f, i, why);
    return rc;
}

int flatness_forget(struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    int rc = db_run(&s->difficulty, "DELETE FROM flatness WHERE job_id = ?1 AND epoch >= ?2",
                    DB_ARGS(DB_I(job), DB_I(first)), why);

    return rc < 0 ? rc
                  : db_run(&s->difficulty,
                           "DELETE FROM flatness_line WHERE job_id = ?1 AND epoch >= ?2",
                           DB_ARGS(DB_I(job), DB_I(first)), why);
}
