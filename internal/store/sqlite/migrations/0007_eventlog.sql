-- Up to where retention has taken events of an owner's out of the log: whoever reads on from
-- before that has missed some. A row is written where messages are removed, never with mail.
CREATE TABLE event_ends (
  owner   INTEGER PRIMARY KEY,
  removed INTEGER NOT NULL           -- the last position that was removed
) STRICT;
