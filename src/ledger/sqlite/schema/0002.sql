-- Two sources may give the same id to different events of a session: where an id came before is
-- looked up for every event that is worked on.
CREATE INDEX event_by_producer_id ON event (session, producer_id, seq);
