-- When a key expires: found without reading them all.
ALTER TABLE keys ADD COLUMN expires_at INTEGER GENERATED ALWAYS AS (facts ->> '$.expires_at') VIRTUAL;
CREATE INDEX keys_by_expiry ON keys (expires_at);

-- What is never searched of a project. A deleted one keeps its row until its mail is
-- forgotten; its name is free again.
ALTER TABLE projects ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE projects ADD COLUMN deleted_at INTEGER;

-- Who changed what of the configuration. Each commits with its change.
CREATE TABLE audit (
  row     INTEGER PRIMARY KEY,
  id      BLOB    NOT NULL UNIQUE,
  project INTEGER NOT NULL,
  env     INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  action  TEXT    NOT NULL,
  target  TEXT    NOT NULL,
  facts   TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_of_project ON audit (project);

-- What was accepted per day (days since 1970, UTC) and key. The writer counts in memory and
-- writes this now and then; usage_mark is the first message that is not in it.
CREATE TABLE usage (
  owner      INTEGER NOT NULL,
  key        TEXT    NOT NULL,        -- '' = accepted without a key
  day        INTEGER NOT NULL,
  messages   INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  PRIMARY KEY (owner, day, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_mark (
  row     INTEGER PRIMARY KEY,
  message INTEGER NOT NULL
) STRICT;
INSERT INTO usage_mark SELECT 1, max((SELECT coalesce(max(row), 0) + 1 FROM messages), (SELECT message FROM numbers));

-- Who logs in to the console.
CREATE TABLE users (
  row        INTEGER PRIMARY KEY,
  id         BLOB    NOT NULL UNIQUE,
  name       TEXT    NOT NULL UNIQUE,
  password   TEXT    NOT NULL,        -- argon2id, in PHC's form
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;
CREATE TABLE sessions (
  row        INTEGER PRIMARY KEY,
  id         BLOB    NOT NULL UNIQUE,
  hash       BLOB    NOT NULL UNIQUE, -- SHA-256 of the cookie
  user       INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ip         TEXT    NOT NULL,
  agent      TEXT    NOT NULL
) STRICT;
