-- Who tells people what is not well, and what they were told: one row, its state as JSON.
CREATE TABLE notifier (
    one         integer NOT NULL PRIMARY KEY CHECK (one = 1),
    lease_owner text    NOT NULL,
    lease_until bigint  NOT NULL,
    state       text
);
CREATE INDEX event_unattended ON event (seq) WHERE kind = 'session.unattended';
