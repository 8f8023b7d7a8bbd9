-- Kept for webhooks, which is being built.
DROP TABLE IF EXISTS reserved_0008;
