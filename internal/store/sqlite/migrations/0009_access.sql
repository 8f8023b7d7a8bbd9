-- Kept for access, which is being built.
DROP TABLE IF EXISTS reserved_0009;
