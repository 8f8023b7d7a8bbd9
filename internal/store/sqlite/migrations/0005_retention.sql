-- How far the walk over an owner's messages has come, by kind: 0 contents, 1 whole
-- messages. Kind 2 with owner 0: the events that are about no message.
CREATE TABLE retention_walks (
  owner INTEGER NOT NULL,
  kind  INTEGER NOT NULL,
  row   INTEGER NOT NULL,
  PRIMARY KEY (owner, kind)
) STRICT, WITHOUT ROWID;

-- What a walk passed over, and messages with a time of their own: when to look again.
CREATE TABLE retention_revisits (
  due  INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  row  INTEGER NOT NULL,
  PRIMARY KEY (due, kind, row)
) STRICT, WITHOUT ROWID;

-- The next rows, as they were when rows were last deleted: rows are never used again.
CREATE TABLE numbers (
  row         INTEGER PRIMARY KEY,
  message     INTEGER NOT NULL,
  delivery    INTEGER NOT NULL,
  event       INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  suppression INTEGER NOT NULL
) STRICT;
INSERT INTO numbers VALUES (1, 1, 1, 1, 1, 1);

-- Orders to forget an address; the address goes when it is done.
CREATE TABLE erasures (
  row         INTEGER PRIMARY KEY,
  id          BLOB    NOT NULL UNIQUE,
  project     INTEGER NOT NULL,
  address     TEXT,
  token       TEXT    NOT NULL,
  created_at  INTEGER NOT NULL,
  finished_at INTEGER,
  due_at      INTEGER NOT NULL,       -- of its next step
  facts       TEXT    NOT NULL
) STRICT;
CREATE INDEX erasures_open ON erasures (due_at) WHERE address IS NOT NULL;
