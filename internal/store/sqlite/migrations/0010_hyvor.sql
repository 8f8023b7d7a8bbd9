-- The Hyvor dialect keeps nothing of its own: its numbers are rows, and its idempotency
-- keys stand with all others.
DROP TABLE IF EXISTS reserved_0010;
