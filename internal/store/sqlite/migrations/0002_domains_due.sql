-- revision counts every change of a domain; version only those its owner makes, so that
-- a check in the background spoils nobody's If-Match.
ALTER TABLE domains ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
-- When the domain's records are to be looked at again: found without reading them all.
ALTER TABLE domains ADD COLUMN check_at INTEGER GENERATED ALWAYS AS (facts ->> '$.next_check_at') VIRTUAL;
CREATE INDEX domains_by_check ON domains (check_at);
