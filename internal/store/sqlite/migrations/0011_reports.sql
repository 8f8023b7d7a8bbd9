-- Mail that came back. AUTOINCREMENT: rows are never used again, and the order of their keys
-- below counts on it.
CREATE TABLE reports (
  row     INTEGER PRIMARY KEY AUTOINCREMENT,
  id      BLOB    NOT NULL UNIQUE,
  at      INTEGER NOT NULL,
  message INTEGER,                    -- NULL: about none of ours
  digest  BLOB    NOT NULL,           -- SHA-256 of the mail
  facts   TEXT    NOT NULL
) STRICT;
CREATE INDEX reports_of_message ON reports (message) WHERE message IS NOT NULL;
CREATE INDEX reports_unmatched ON reports (row) WHERE message IS NULL;

-- How those begin that nobody understood, encrypted and forgotten as bodies are: see bodykey.go.
-- Each report has a key, so that the distance between living keys counts.
CREATE TABLE report_letters (
  report INTEGER PRIMARY KEY,
  bytes  BLOB    NOT NULL
) STRICT;
CREATE TABLE report_keys (
  report INTEGER PRIMARY KEY,
  key    BLOB    NOT NULL             -- 16 bytes
) STRICT;
