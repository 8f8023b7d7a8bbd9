-- Kept for submission, which is being built.
DROP TABLE IF EXISTS reserved_0011;
