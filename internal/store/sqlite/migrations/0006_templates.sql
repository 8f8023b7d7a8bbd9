-- Templates of projects, and their numbered versions. A version's parts are read only
-- where they are rendered or shown: they stand last, after what lists need.
CREATE TABLE templates (
  row         INTEGER PRIMARY KEY,
  id          BLOB    NOT NULL UNIQUE,
  project     INTEGER NOT NULL,
  alias       TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  published   INTEGER NOT NULL,       -- the version sent; 0 = none
  created_at  INTEGER NOT NULL,
  archived_at INTEGER,
  revision    INTEGER NOT NULL,
  facts       TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX templates_by_alias ON templates (project, alias) WHERE archived_at IS NULL;
CREATE INDEX templates_of_project ON templates (project);

CREATE TABLE template_versions (
  row      INTEGER PRIMARY KEY,
  template INTEGER NOT NULL,
  number   INTEGER NOT NULL,
  state    TEXT    NOT NULL,
  facts    TEXT    NOT NULL,
  parts    TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX template_versions_by_number ON template_versions (template, number);
