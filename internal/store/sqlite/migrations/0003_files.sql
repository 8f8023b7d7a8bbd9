-- Hosted attachments: a link to them is in the mail, the bytes are in a file of this name
-- below files/. They go when they expire, or with their message.
CREATE TABLE files (
  id           BLOB    NOT NULL PRIMARY KEY,
  owner        INTEGER NOT NULL,
  message      INTEGER NOT NULL,
  name         TEXT    NOT NULL,
  filename     TEXT    NOT NULL,
  content_type TEXT    NOT NULL,
  size         INTEGER NOT NULL,
  sha256       BLOB    NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX files_of_message ON files (message);
CREATE INDEX files_by_expiry ON files (expires_at);
