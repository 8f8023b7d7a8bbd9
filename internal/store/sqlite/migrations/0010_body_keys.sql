-- Contents in the database are encrypted, each with a key of its own: see bodykey.go. A
-- key that is forgotten is overwritten with zeros where it stands.
CREATE TABLE body_keys (
  message INTEGER PRIMARY KEY,
  key     BLOB NOT NULL               -- 16 bytes
) STRICT;
