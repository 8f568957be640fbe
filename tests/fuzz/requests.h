/* A request of each message, with good values in its fields: the seeds of the targets that read
 * requests. */
#ifndef STEPPE_TESTS_FUZZ_REQUESTS_H
#define STEPPE_TESTS_FUZZ_REQUESTS_H

#define KEY "\"job\":1,\"incarnation\":1,\"step\":0,\"phase\":0,\"lo\":0,\"hi\":1"
#define SHA "\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\""

static const struct {
    const char *type, *fields;
} requests[] = {
    {"job.submit", "\"uuid\":\"cccccccc-1111-4111-8111-cccccccccccc\",\"spec\":{\"dataset\":\"g\","
                   "\"model\":\"mlp\",\"batch\":8,\"shard\":8}"},
    {"job.list", "\"before\":9,\"limit\":5"},
    {"job.show", "\"job\":1,\"epochs_from\":0"},
    {"job.log", "\"job\":1,\"after\":0,\"limit\":5"},
    {"job.pause", "\"job\":1"},
    {"job.resume", "\"job\":1,\"relaxed\":true"},
    {"job.unpin", "\"job\":1,\"class\":\"fake/1\""},
    {"job.cancel", "\"job\":1"},
    {"job.rm", "\"job\":1"},
    {"job.schedule", "\"job\":1,\"epoch\":0,\"first\":0,\"limit\":5"},
    {"study.submit",
     "\"uuid\":\"cccccccc-1111-4111-8111-cccccccccccd\",\"spec\":{\"name\":\"s\",\"dataset\":\"g\","
     "\"model\":\"mlp\",\"batch\":8,\"shard\":8,\"seeds\":[1,2],\"arms\":{\"a\":{},\"b\":{"
     "\"sam.rho\":0}},\"control\":\"b\"}"},
    {"study.list", ""},
    {"study.show", "\"study\":\"s\""},
    {"study.curves", "\"study\":\"s\",\"by\":\"sharpness\",\"dataset\":\"g\""},
    {"study.pause", "\"study\":\"s\""},
    {"study.resume", "\"study\":\"s\""},
    {"study.cancel", "\"study\":\"s\""},
    {"study.rm", "\"study\":\"s\""},
    {"model.get", "\"job\":1,\"step\":0,\"offset\":0,\"bytes\":8"},
    {"predict.open",
     "\"uuid\":\"cccccccc-1111-4111-8111-cccccccccccd\",\"job\":1,\"adversarial\":true"},
    {"predict.get", "\"uuid\":\"cccccccc-1111-4111-8111-cccccccccccd\",\"batch\":0"},
    {"predict.close", "\"uuid\":\"cccccccc-1111-4111-8111-cccccccccccd\""},
    {"predict.load", "\"prediction\":1,\"offset\":0,\"bytes\":8"},
    {"predict.result", "\"prediction\":1,\"batch\":0,\"lo\":0,\"hi\":1"},
    {"predict.fail",
     "\"prediction\":1,\"batch\":0,\"lo\":0,\"hi\":1,\"reason\":\"none\",\"cause\":\"memory\""},
    {"dataset.list", ""},
    {"dataset.show", "\"name\":\"g\""},
    {"dataset.offer", SHA ",\"bytes\":10,\"what\":\"it\""},
    {"dataset.commit", "\"name\":\"h\"," SHA},
    {"dataset.name", "\"name\":\"h\",\"replace\":true," SHA},
    {"dataset.rm", "\"name\":\"h\""},
    {"dataset.revise", "\"name\":\"g\""},
    {"job.apply", "\"job\":1,\"revision\":\"g@1\""},
    {"verdict.put", "\"dataset\":\"g\",\"uuid\":\"cccccccc-1111-4111-8111-cccccccccccc\",\"rows\":["
                    "{\"sample\":1,\"verdict\":\"wrong\",\"label\":2,\"note\":\"n\"},"
                    "{\"sample\":2,\"verdict\":\"exclude\",\"given\":1}]"},
    {"verdict.list", "\"dataset\":\"g\",\"history\":true,\"after\":0,\"limit\":5"},
    {"upload.list", ""},
    {"key.list", ""},
    {"key.revoke", "\"name\":\"ann\""},
    {"key.renew", "\"key\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""},
    {"audit.list", "\"before\":9,\"since\":1,\"until\":9007199254740,\"limit\":5,\"key\":\"a\","
                   "\"command\":\"job\",\"about\":\"job 1\",\"result\":\"refused\""},
    {"upload.rm", SHA},
    {"dataset.get", SHA ",\"offset\":0,\"bytes\":10"},
    {"sample.images", "\"job\":1,\"samples\":[0,1]"},
    {"sample.find", "\"dataset\":\"g\",\"split\":\"test\",\"uris\":[\"a.png\",\"b[1]\"]"},
    {"sample.uris", "\"job\":1,\"first\":0,\"limit\":5"},
    {"score.top", "\"job\":1,\"by\":\"adm\",\"order\":\"hardest\",\"epoch\":0,\"limit\":5"},
    {"score.histogram", "\"job\":1,\"by\":\"loss\",\"bins\":5,\"log\":true"},
    {"score.trajectory", "\"job\":1,\"sample\":0,\"epochs_from\":0,\"limit\":5"},
    {"score.planted", "\"job\":1,\"epoch\":0"},
    {"score.classes", "\"job\":1,\"class\":0"},
    {"score.domains", "\"job\":1,\"split\":\"test\",\"limit\":5"},
    {"score.confusion", "\"job\":1,\"split\":\"train\",\"epoch\":0"},
    {"score.risers", "\"job\":1,\"from\":0,\"order\":\"risers\""},
    {"score.suspects", "\"job\":1,\"study\":\"s\",\"limit\":5"},
    {"score.compare", "\"job\":1,\"other\":1,\"other_epoch\":0"},
    {"score.map", "\"job\":1,\"first\":2"},
    {"score.rows", "\"job\":1,\"epoch\":0,\"first\":0,\"limit\":5"},
    {"score.sql", "\"job\":1,\"sql\":\"select * from epoch where job = :job\",\"limit\":5"},
    {"job.flatness", "\"job\":1,\"epochs_from\":0,\"limit\":5"},
    {"score.probabilities", "\"job\":1,\"from\":0,\"limit\":5"},
    {"job.metrics", "\"job\":1,\"epochs_from\":0,\"limit\":5"},
    {"external.open", "\"job\":1,\"epoch\":0,\"program\":\"p\""},
    {"external.join", "\"job\":1,\"incarnation\":1"},
    {"external.order",
     "\"job\":1,\"incarnation\":1,\"epoch\":0,\"first\":0,\"count\":1,\"world\":2"},
    {"external.report", "\"job\":1,\"incarnation\":1,\"epoch\":0,\"split\":\"test\""},
    {"external.close",
     "\"job\":1,\"incarnation\":1,\"epoch\":0,\"life\":\"x\",\"metrics\":{\"a\":1}"},
    {"score.heatmap", "\"job\":1,\"bins\":5,\"epochs_from\":0,\"limit\":5"},
    {"server.dashboard", ""},
    {"server.limits", ""},
    {"worker.list", ""},
    {"worker.bye", ""},
    {"worker.note", "\"job\":1,\"text\":\"a file was damaged\""},
    {"task.next", "\"have\":{\"job\":1,\"incarnation\":1,\"step\":0}"},
    {"task.result", KEY},
    {"task.fail", KEY ",\"reason\":\"none\""},
    {"task.refuse", "\"job\":1,\"cause\":\"memory\",\"reason\":\"none\""},
    {"task.job", "\"job\":1"},
    {"params.get", "\"job\":1,\"incarnation\":1,\"step\":0,\"phase\":0,\"offset\":0,\"bytes\":8"},
    {"result.offer", KEY ",\"bytes\":10"},
    {"result.put", KEY ",\"piece\":0,\"blake2b\":"
                       "\"0000000000000000000000000000000000000000000000000000000000000000\""},
};

#endif
