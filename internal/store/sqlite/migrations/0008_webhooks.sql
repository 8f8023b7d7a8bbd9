-- Endpoints of webhooks. A row is never used again: hooks of a removed one stand until they
-- are swept.
CREATE TABLE webhook_endpoints (
  row            INTEGER PRIMARY KEY AUTOINCREMENT,
  id             BLOB    NOT NULL UNIQUE,
  owner          INTEGER NOT NULL,
  from_position  INTEGER NOT NULL,     -- the first event that is owed
  until_position INTEGER NOT NULL,     -- while it is disabled: the first one it missed; else 0
  discard        INTEGER NOT NULL,     -- open hooks before it are given up
  created_at     INTEGER NOT NULL,
  version        INTEGER NOT NULL,
  facts          TEXT    NOT NULL
) STRICT;
CREATE INDEX webhook_endpoints_of_owner ON webhook_endpoints (owner);

-- What changes with every post, apart from what its owner changes. An endpoint is worked
-- by one node, while that node's lease holds.
CREATE TABLE webhook_states (
  endpoint INTEGER PRIMARY KEY,
  node     INTEGER NOT NULL DEFAULT 0,
  token    INTEGER NOT NULL DEFAULT 0,
  backlog  INTEGER NOT NULL DEFAULT 0, -- open hooks
  facts    TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE webhook_nodes (
  node        INTEGER PRIMARY KEY,
  lease_until INTEGER NOT NULL
) STRICT;

-- How far the log was relayed, and how often endpoints changed.
CREATE TABLE webhook_relay (
  row      INTEGER PRIMARY KEY,
  place    INTEGER NOT NULL,
  revision INTEGER NOT NULL
) STRICT;
INSERT INTO webhook_relay VALUES (1, 0, 0);

-- One event owed to one endpoint. status 0: open, then due_at is set; 1: delivered;
-- 2: failed. Its tries are a chain from last_try.
CREATE TABLE webhook_hooks (
  endpoint   INTEGER NOT NULL,
  position   INTEGER NOT NULL,         -- the event's row
  created_at INTEGER NOT NULL,
  status     INTEGER NOT NULL,
  due_at     INTEGER,
  tries      INTEGER NOT NULL,         -- that count
  message    INTEGER,                  -- where its events are told in order
  settled_at INTEGER,
  last_try   INTEGER,
  PRIMARY KEY (endpoint, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_hooks_due ON webhook_hooks (endpoint, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_hooks_ordered ON webhook_hooks (endpoint, message) WHERE due_at IS NOT NULL AND message IS NOT NULL;
CREATE INDEX webhook_hooks_failed ON webhook_hooks (endpoint) WHERE status = 2;

CREATE TABLE webhook_tries (
  row      INTEGER PRIMARY KEY,
  previous INTEGER,
  facts    TEXT    NOT NULL
) STRICT;

-- bucket: 0 to 15, successes by how long they took; 16: tries that failed; 17: hooks given up
CREATE TABLE webhook_counts (
  endpoint INTEGER NOT NULL,
  hour     INTEGER NOT NULL,           -- since 1970
  bucket   INTEGER NOT NULL,
  n        INTEGER NOT NULL,
  PRIMARY KEY (endpoint, hour, bucket)
) STRICT, WITHOUT ROWID;
