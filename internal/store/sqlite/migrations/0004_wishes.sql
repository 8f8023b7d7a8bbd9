-- Suppressions that are over: what the history of an address tells.
CREATE TABLE past_suppressions (
  row             INTEGER PRIMARY KEY,
  id              BLOB    NOT NULL,
  owner           INTEGER NOT NULL,
  address         TEXT    NOT NULL,
  kind            TEXT    NOT NULL,
  topic           TEXT    NOT NULL,
  reason          TEXT    NOT NULL,
  source          TEXT    NOT NULL,
  message         BLOB,
  detail          TEXT    NOT NULL,
  note            TEXT    NOT NULL,
  created_at      INTEGER NOT NULL,
  expires_at      INTEGER,
  blocked_count   INTEGER NOT NULL,
  last_blocked_at INTEGER,
  ended_at        INTEGER NOT NULL,
  ended_by        TEXT    NOT NULL     -- '' = it had expired
) STRICT;
CREATE INDEX past_suppressions_of_address ON past_suppressions (owner, address);

-- Work that takes longer than a request. What it has done commits with how far it is.
CREATE TABLE jobs (
  row        INTEGER PRIMARY KEY,
  id         BLOB    NOT NULL UNIQUE,
  owner      INTEGER NOT NULL,
  type       TEXT    NOT NULL,
  status     TEXT    NOT NULL,
  node       TEXT    NOT NULL,         -- whose disk has the input
  created_at INTEGER NOT NULL,
  facts      TEXT    NOT NULL
) STRICT;
CREATE INDEX jobs_open ON jobs (node, row) WHERE status IN ('queued', 'running');
