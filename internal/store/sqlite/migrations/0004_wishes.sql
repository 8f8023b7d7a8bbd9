-- Kept free: another branch brings this step.
SELECT 1;
