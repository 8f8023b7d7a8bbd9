-- Times are microseconds since 1970, UTC. An owner is project<<1 | environment.
-- Identifiers are 16 bytes. Facts that are never searched stand in JSON columns.

CREATE TABLE projects (
  row        INTEGER PRIMARY KEY,
  id         BLOB    NOT NULL UNIQUE,
  name       TEXT    NOT NULL UNIQUE,
  suspended  INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  settings   TEXT    NOT NULL
) STRICT;

CREATE TABLE keys (
  row             INTEGER PRIMARY KEY,
  id              TEXT    NOT NULL UNIQUE,
  hash            BLOB    NOT NULL UNIQUE,
  project         INTEGER NOT NULL,
  env             INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  revoked_at      INTEGER,
  last_used_at    INTEGER,
  last_used_ip    TEXT,
  last_used_agent TEXT,
  version         INTEGER NOT NULL,
  facts           TEXT    NOT NULL
) STRICT;
CREATE INDEX keys_of_project ON keys (project);

CREATE TABLE domains (
  row        INTEGER PRIMARY KEY,
  id         BLOB    NOT NULL UNIQUE,
  project    INTEGER NOT NULL,
  name       TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  facts      TEXT    NOT NULL,
  UNIQUE (project, name)
) STRICT;

-- A message's deliveries have neighbouring rows: delivery .. delivery+deliveries-1.
-- Rows are given out by the one writer and never used again.
CREATE TABLE messages (
  row             INTEGER PRIMARY KEY,
  id              BLOB    NOT NULL,
  owner           INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  delivery        INTEGER NOT NULL,
  deliveries      INTEGER NOT NULL,
  rfc_id          TEXT,               -- only where it is not <uuid of id>@<domain of from>
  idempotency_key TEXT,
  supersedes      TEXT,
  superseded_by   BLOB,
  batch           BLOB,
  facts           TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_of_owner ON messages (owner);
CREATE INDEX messages_by_rfc_id ON messages (owner, rfc_id) WHERE rfc_id IS NOT NULL;
CREATE INDEX messages_by_idempotency_key ON messages (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX messages_by_supersedes ON messages (owner, supersedes) WHERE supersedes IS NOT NULL;
CREATE INDEX messages_by_batch ON messages (owner, batch) WHERE batch IS NOT NULL;

-- Where in the row order a time lies: the bounds of created_at over each stretch of
-- rows. Costs one row per thousand messages instead of an index entry for each.
CREATE TABLE spans (
  first  INTEGER PRIMARY KEY,
  last   INTEGER NOT NULL,
  oldest INTEGER NOT NULL,
  newest INTEGER NOT NULL
) STRICT;

-- kind 0: the bytes as they are; 1: zstd; 2: the name of a file below bodies/
CREATE TABLE bodies (
  message INTEGER PRIMARY KEY,
  kind    INTEGER NOT NULL,
  size    INTEGER NOT NULL,           -- of the content, uncompressed
  bytes   BLOB    NOT NULL
) STRICT;
CREATE INDEX bodies_in_files ON bodies (bytes) WHERE kind = 2;

-- A delivery waits when queue is set, is leased when lease_until is set, else it is done.
CREATE TABLE deliveries (
  row          INTEGER PRIMARY KEY,
  id           BLOB    NOT NULL,
  message      INTEGER NOT NULL,
  owner        INTEGER NOT NULL,
  address      TEXT    NOT NULL,      -- folded; as written in facts where that differs
  siblings     INTEGER NOT NULL,      -- deliveries of the message, this one included
  tier         INTEGER NOT NULL,
  status       INTEGER NOT NULL,
  wait         INTEGER NOT NULL,
  due_at       INTEGER NOT NULL,
  queue        TEXT,                  -- environment, tier, destination
  lease_until  INTEGER,
  token        INTEGER,
  node         INTEGER,
  begun        INTEGER NOT NULL DEFAULT 0,
  tries        INTEGER NOT NULL DEFAULT 0,
  events       INTEGER NOT NULL DEFAULT 0,
  last_event   INTEGER,
  last_attempt INTEGER,
  accepted_at  INTEGER,
  tried_at     INTEGER,
  done_at      INTEGER,
  supersedes   TEXT,                  -- only while it can be superseded
  stop         TEXT,                  -- the order that forbids a retry
  facts        TEXT,
  state        TEXT
) STRICT;
CREATE INDEX deliveries_waiting ON deliveries (queue, due_at, wait) WHERE queue IS NOT NULL;
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX deliveries_of_recipient ON deliveries (owner, address);
CREATE INDEX deliveries_by_status ON deliveries (owner, status) WHERE status <> 2 AND status <> 3 AND status <> 6; -- NOT IN would build a table at every write
CREATE INDEX deliveries_superseding ON deliveries (owner, supersedes, address) WHERE supersedes IS NOT NULL;

-- Nodes that hold leases.
CREATE TABLE nodes (
  row  INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- The log. A row is its position: the one writer gives them out in the order of commits.
-- The events of a delivery are a chain from deliveries.last_event through previous.
CREATE TABLE events (
  row      INTEGER PRIMARY KEY,
  id       BLOB    NOT NULL,
  owner    INTEGER NOT NULL,
  type     TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  message  INTEGER,
  delivery INTEGER,
  sequence INTEGER,
  previous INTEGER,
  detail   TEXT
) STRICT;

-- A chain likewise, from deliveries.last_attempt.
CREATE TABLE attempts (
  row      INTEGER PRIMARY KEY,
  delivery INTEGER NOT NULL,
  previous INTEGER,
  facts    TEXT    NOT NULL
) STRICT;

CREATE TABLE suppressions (
  row             INTEGER PRIMARY KEY,
  id              BLOB    NOT NULL UNIQUE,
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
  blocked_count   INTEGER NOT NULL DEFAULT 0,
  last_blocked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX suppressions_of_address ON suppressions (owner, address, kind, topic);
CREATE INDEX suppressions_of_owner ON suppressions (owner);

CREATE TABLE idempotency (
  owner       INTEGER NOT NULL,
  route       TEXT    NOT NULL,
  key         TEXT    NOT NULL,
  fingerprint BLOB    NOT NULL,
  status      INTEGER NOT NULL,
  location    TEXT    NOT NULL,
  body        BLOB    NOT NULL,
  request_id  TEXT    NOT NULL,
  expires_at  INTEGER NOT NULL,
  PRIMARY KEY (owner, route, key)
) STRICT, WITHOUT ROWID;

-- What Ping writes.
CREATE TABLE pulse (
  row  INTEGER PRIMARY KEY,
  beat INTEGER NOT NULL
) STRICT;
INSERT INTO pulse VALUES (1, 0);
