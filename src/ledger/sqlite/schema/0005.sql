-- Who is in charge of a session. `state` is the whole of it as JSON; `controller` is the word for who,
-- absent while nobody was asked for help, and `since` when that began. At `deadline_at` the session is
-- looked at even if nothing happens.
ALTER TABLE session ADD COLUMN state       TEXT;
ALTER TABLE session ADD COLUMN controller  TEXT;
ALTER TABLE session ADD COLUMN since       INTEGER;
ALTER TABLE session ADD COLUMN deadline_at INTEGER;
CREATE INDEX session_due ON session (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX session_of_controller ON session (controller, since) WHERE controller IS NOT NULL;
-- The events that say who is in charge at a place among a session's events.
CREATE INDEX event_of_control ON event (session, seq)
    WHERE kind IN ('session.state', 'handoff.requested');
-- People may have every conversation that a target took on before: nothing is kept from them. Nobody
-- waits for these and no list holds them until something happens.
UPDATE session SET state = '{"controller":{"controller":"queued"}}'
 WHERE id IN (SELECT session FROM lane);
