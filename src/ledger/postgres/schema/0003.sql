-- When a lane is to be looked at while nobody works on it, so that those whose replies wait are told.
ALTER TABLE lane ADD COLUMN look_at bigint;
CREATE INDEX lane_unlooked ON lane (target, look_at) WHERE look_at IS NOT NULL;
