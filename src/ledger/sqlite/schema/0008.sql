-- Who tells people what is not well, and what they were told: one row, its state as JSON.
CREATE TABLE notifier (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    lease_owner TEXT    NOT NULL,
    lease_until INTEGER NOT NULL,
    state       TEXT
) STRICT;
CREATE INDEX event_unattended ON event (seq) WHERE kind = 'session.unattended';
