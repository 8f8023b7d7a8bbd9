-- Kept for eventlog, which is being built.
DROP TABLE IF EXISTS reserved_0007;
