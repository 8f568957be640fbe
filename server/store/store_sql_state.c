/* The tables of state.db, which only the server reads. */
#include "server/store/store_internal.h"

/* SQL is laid out as SQL. */
/* clang-format off */

#define JOB_STATES_CHECK "CHECK(state IN ('queued','running','paused','done','failed','cancelled'))"

/* For a strict job whose promise a person has given up. */
const char sql_state_3[] = "ALTER TABLE job ADD COLUMN relaxed INTEGER NOT NULL DEFAULT 0;\n"
                           "ALTER TABLE job ADD COLUMN broken TEXT NOT NULL DEFAULT '';\n";

/* Until then the end of the reason was the only sign of what a paused job waits for. */
#define REASON_ENDS(until) " WHEN reason LIKE '%; it goes on by itself when " until "' THEN "
const char sql_state_4[] = "ALTER TABLE job ADD COLUMN waits_for TEXT NOT NULL DEFAULT '';\n"
                           "UPDATE job SET waits_for = CASE"
                           REASON_ENDS("there is room") "'room'"
                           REASON_ENDS("it can be written") "'writable'"
                           REASON_ENDS("the lock is gone") "'lock'"
                           REASON_ENDS("it is back") "'file'"
                           " ELSE '' END WHERE state = 'paused';\n";

const char sql_state_1[] =
    "CREATE TABLE job(\n"
    "  job_id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  uuid TEXT NOT NULL UNIQUE,\n"
    "  name TEXT NOT NULL,\n"
    "  dataset TEXT NOT NULL,\n"
    "  dataset_sha256 TEXT NOT NULL,\n"
    "  spec_json TEXT NOT NULL,\n"
    "  state TEXT NOT NULL " JOB_STATES_CHECK ",\n"
    "  reason TEXT NOT NULL,\n"
    "  incarnation INTEGER NOT NULL,\n"
    "  numerics_class TEXT NOT NULL,\n"
    "  model_sha256 TEXT NOT NULL,\n"
    "  created_unix_ms INTEGER NOT NULL,\n"
    "  started_unix_ms INTEGER NOT NULL,\n"
    "  finished_unix_ms INTEGER NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE event(\n"
    "  job_id INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,\n"
    "  event INTEGER NOT NULL,\n"
    "  unix_ms INTEGER NOT NULL,\n"
    "  kind TEXT NOT NULL,\n"
    "  text TEXT NOT NULL,\n"
    "  PRIMARY KEY(job_id, event)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE checkpoint(\n"
    "  job_id INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,\n"
    "  step INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  file TEXT NOT NULL,\n"
    "  sha256 TEXT NOT NULL,\n"
    "  scores_sha256 TEXT NOT NULL,\n"
    "  PRIMARY KEY(job_id, step)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE dataset(\n"
    "  name TEXT PRIMARY KEY,\n"
    "  sha256 TEXT NOT NULL,\n"
    "  bytes INTEGER NOT NULL\n"
    ") STRICT, WITHOUT ROWID;\n";

/* BLAKE2b of each piece of a dataset's file, one after the other. */
const char sql_state_2[] =
    "CREATE TABLE dataset_pieces(\n"
    "  sha256 TEXT PRIMARY KEY,\n"
    "  piece_bytes INTEGER NOT NULL,\n"
    "  hashes BLOB NOT NULL\n"
    ") STRICT;\n";

/* A cell of a study's table has one job for each seed. */
const char sql_state_5[] =
    "CREATE TABLE study(\n"
    "  study_id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  name TEXT NOT NULL UNIQUE,\n"
    "  control TEXT NOT NULL,\n"
    "  halving INTEGER NOT NULL,\n"
    "  created_unix_ms INTEGER NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE study_request(\n"
    "  uuid TEXT PRIMARY KEY,\n"
    "  study_id INTEGER NOT NULL REFERENCES study ON DELETE CASCADE\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE study_job(\n"
    "  study_id INTEGER NOT NULL REFERENCES study ON DELETE CASCADE,\n"
    "  arm INTEGER NOT NULL,\n"
    "  data INTEGER NOT NULL,\n"
    "  seed INTEGER NOT NULL,\n"
    "  arm_name TEXT NOT NULL,\n"
    "  data_name TEXT NOT NULL,\n"
    "  job_id INTEGER NOT NULL UNIQUE REFERENCES job,\n"
    "  described TEXT NOT NULL,\n"
    "  PRIMARY KEY(study_id, arm, data, seed)\n"
    ") STRICT, WITHOUT ROWID;\n";

/* Verdicts belong to the data: every name of it has them, also one that comes back. The newest row
 * of a sample counts. A request is remembered, so that one that comes again changes nothing. */
const char sql_state_6[] =
    "CREATE TABLE judged(\n"
    "  data_id INTEGER PRIMARY KEY,\n"
    "  sha256 TEXT NOT NULL UNIQUE\n"
    ") STRICT;\n"
    "CREATE TABLE verdict(\n"
    "  verdict_id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  data_id INTEGER NOT NULL REFERENCES judged,\n"
    "  sample INTEGER NOT NULL,\n"
    "  verdict TEXT NOT NULL CHECK(verdict IN ('none','right','wrong','exclude','unsure')),\n"
    "  label INTEGER CHECK((label IS NOT NULL) = (verdict = 'wrong')),\n"
    "  note TEXT NOT NULL,\n"
    "  who TEXT NOT NULL,\n"
    "  unix_ms INTEGER NOT NULL\n"
    ") STRICT;\n"
    "CREATE INDEX verdict_of_sample ON verdict(data_id, sample, verdict_id);\n"
    "CREATE TABLE verdict_request(\n"
    "  request INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  uuid TEXT NOT NULL UNIQUE,\n"
    "  added INTEGER NOT NULL,\n"
    "  same INTEGER NOT NULL\n"
    ") STRICT;\n";
/* The names of a dataset's samples: a file by its SHA-256. */
const char sql_state_7[] =
    "CREATE TABLE dataset_names(\n"
    "  sha256 TEXT PRIMARY KEY,\n"
    "  names_sha256 TEXT NOT NULL\n"
    ") STRICT, WITHOUT ROWID;\n";

/* Revisions of data, each as the verdicts up to one of them made it. */
const char sql_state_8[] =
    "CREATE TABLE revision(\n"
    "  data_id INTEGER NOT NULL REFERENCES judged,\n"
    "  number INTEGER NOT NULL,\n"
    "  sha256 TEXT NOT NULL,\n"
    "  verdict_id INTEGER NOT NULL REFERENCES verdict,\n"
    "  relabelled INTEGER NOT NULL,\n"
    "  excluded INTEGER NOT NULL,\n"
    "  who TEXT NOT NULL,\n"
    "  created_unix_ms INTEGER NOT NULL,\n"
    "  overlay BLOB NOT NULL,\n"
    "  PRIMARY KEY(data_id, number)\n"
    ") STRICT;\n";

/* Rows are numbered for ever and never change. They can be removed only while there are more than
 * the log has room for, but for a last cut. */
const char sql_state_9[] =
    "CREATE TABLE audit(\n"
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  unix_ms INTEGER NOT NULL,\n"
    "  key TEXT NOT NULL,\n"
    "  role TEXT NOT NULL,\n"
    "  address TEXT NOT NULL,\n"
    "  command TEXT NOT NULL,\n"
    "  about TEXT NOT NULL,\n"
    "  result TEXT NOT NULL,\n"
    "  text TEXT NOT NULL\n"
    ") STRICT;\n"
    "CREATE INDEX audit_of_key ON audit(key);\n"
    "CREATE TABLE audit_count(rows INTEGER NOT NULL) STRICT;\n"
    "INSERT INTO audit_count VALUES(0);\n"
    "CREATE TRIGGER audit_added AFTER INSERT ON audit BEGIN\n"
    "  UPDATE audit_count SET rows = rows + 1; END;\n"
    "CREATE TRIGGER audit_new BEFORE INSERT ON audit\n"
    "  WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number) BEGIN\n"
    "  SELECT RAISE(ABORT, 'a row of the audit log never changes'); END;\n"
    "CREATE TRIGGER audit_fixed BEFORE UPDATE ON audit BEGIN\n"
    "  SELECT RAISE(ABORT, 'a row of the audit log never changes'); END;\n"
    "CREATE TRIGGER audit_stays BEFORE DELETE ON audit\n"
    "  WHEN (SELECT rows FROM audit_count) <= 198000 BEGIN\n"
    "  SELECT RAISE(ABORT, 'a row of the audit log stays while there is room'); END;\n"
    "CREATE TRIGGER audit_removed AFTER DELETE ON audit BEGIN\n"
    "  UPDATE audit_count SET rows = rows - 1; END;\n";

/* Who holds keys, as they were last seen; and until when keys of a name are revoked. */
const char sql_state_10[] =
    "CREATE TABLE key_holder(\n"
    "  name TEXT NOT NULL,\n"
    "  role TEXT NOT NULL,\n"
    "  id INTEGER NOT NULL,\n"
    "  issued_ms INTEGER NOT NULL,\n"
    "  expires_ms INTEGER NOT NULL,\n"
    "  first_ms INTEGER NOT NULL,\n"
    "  last_ms INTEGER NOT NULL,\n"
    "  address TEXT NOT NULL,\n"
    "  PRIMARY KEY(name, role)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE key_revoked(\n"
    "  name TEXT PRIMARY KEY,\n"
    "  unix_ms INTEGER NOT NULL\n"
    ") STRICT, WITHOUT ROWID;\n";

/* Results that are computed twice: the secret by which they are drawn (a restart draws the same),
 * keys that were found to have lied, and where in a job each key began. */
const char sql_state_11[] =
    "CREATE TABLE secret(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;\n"
    "INSERT INTO secret VALUES('verify', randomblob(32));\n"
    "CREATE TABLE liar(\n"
    "  key TEXT PRIMARY KEY,\n"
    "  unix_ms INTEGER NOT NULL,\n"
    "  text TEXT NOT NULL\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE job_hand(\n"
    "  job_id INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,\n"
    "  key TEXT NOT NULL,\n"
    "  step INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  PRIMARY KEY(job_id, key)\n"
    ") STRICT, WITHOUT ROWID;\n";

/* Whose job it is: the name of the key that sent it; '': of somebody without one. */
const char sql_state_12[] = "ALTER TABLE job ADD COLUMN key_name TEXT NOT NULL DEFAULT '';\n";

/* Whose name it is, in the same way: data counts for each key that has a name for it. */
const char sql_state_13[] = "ALTER TABLE dataset ADD COLUMN key_name TEXT NOT NULL DEFAULT '';\n";
