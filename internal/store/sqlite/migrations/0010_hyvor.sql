-- Kept for hyvor, which is being built.
DROP TABLE IF EXISTS reserved_0010;
