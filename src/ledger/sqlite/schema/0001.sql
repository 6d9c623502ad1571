-- The ledger, version 1. Times are microseconds since 1970-01-01 UTC.

-- What happened. `key` is a digest of the producer's source and id: a second arrival is a no-op.
CREATE TABLE event (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    key         BLOB    NOT NULL UNIQUE CHECK (length(key) = 16),
    session     TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    producer_id TEXT    NOT NULL,
    time        INTEGER NOT NULL,
    sequence    INTEGER,
    received_at INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;
CREATE INDEX event_of_session ON event (session, seq);

-- Dead letters: what came in and could not be understood, as it came. The table has its first name.
CREATE TABLE poison (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    origin      TEXT    NOT NULL,
    key         BLOB    NOT NULL CHECK (length(key) = 16),
    reason      TEXT    NOT NULL,
    words       TEXT    NOT NULL,
    headers     TEXT    NOT NULL,
    raw         BLOB    NOT NULL,
    received_at INTEGER NOT NULL,
    UNIQUE (origin, key, reason)
) STRICT;

-- What the events last said about a session; data and contact as JSON.
CREATE TABLE session (
    number          INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    data            TEXT,
    contact         TEXT,
    business_number TEXT,
    customer        TEXT,
    inbound_at      INTEGER
) STRICT;
CREATE INDEX session_of_customer ON session (business_number, customer, inbound_at, number)
    WHERE business_number IS NOT NULL AND customer IS NOT NULL;

-- When a customer last wrote to a business number.
CREATE TABLE customer (
    business_number TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    inbound_at      INTEGER NOT NULL,
    PRIMARY KEY (business_number, key)
) STRICT, WITHOUT ROWID;

-- Session × target: the queue of work. A lane can be claimed from `ready_at` on.
CREATE TABLE lane (
    id          INTEGER PRIMARY KEY,
    session     TEXT    NOT NULL REFERENCES session (id),
    target      TEXT    NOT NULL,
    head        INTEGER NOT NULL CHECK (head >= 0),
    state       TEXT    NOT NULL CHECK (state IN ('idle', 'due', 'held', 'parked')),
    due_at      INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reason      TEXT,
    words       TEXT,
    woken       INTEGER NOT NULL DEFAULT 0 CHECK (woken IN (0, 1)),
    epoch       INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until INTEGER,
    feed        TEXT,
    updated_at  INTEGER NOT NULL,
    ready_at    INTEGER GENERATED ALWAYS AS (
        CASE WHEN due_at IS NULL THEN NULL
             WHEN lease_until > due_at THEN lease_until
             ELSE due_at END) VIRTUAL,
    UNIQUE (session, target),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((reason IS NULL) = (words IS NULL)),
    CHECK (lease_owner IS NULL OR (due_at IS NOT NULL AND state IN ('due', 'held'))),
    CHECK (woken = 0 OR lease_owner IS NOT NULL),
    CHECK (state <> 'idle' OR (due_at IS NULL AND reason IS NULL)),
    CHECK (state <> 'due' OR due_at IS NOT NULL),
    CHECK (state <> 'held' OR reason IS NOT NULL),
    CHECK (state <> 'parked' OR (due_at IS NULL AND reason IS NOT NULL))
) STRICT;
CREATE INDEX lane_ready ON lane (target, ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX lane_of_target ON lane (target, id);
CREATE INDEX lane_stopped ON lane (state, reason, target) WHERE reason IS NOT NULL;
CREATE INDEX lane_leased ON lane (lease_owner) WHERE lease_owner IS NOT NULL;
CREATE INDEX lane_listening ON lane (target, feed) WHERE feed IS NOT NULL;

-- What is known on the other side: a value, or unsure since a time with the value that it may have.
CREATE TABLE fact (
    lane         INTEGER NOT NULL REFERENCES lane (id),
    name         TEXT    NOT NULL,
    value        TEXT,
    unsure_since INTEGER,
    candidate    TEXT,
    PRIMARY KEY (lane, name),
    CHECK ((value IS NULL) = (unsure_since IS NOT NULL)),
    CHECK (candidate IS NULL OR unsure_since IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX fact_by_value ON fact (name, coalesce(value, candidate), lane);

-- Calls and what became of them; append-only.
CREATE TABLE attempt (
    id         INTEGER PRIMARY KEY,
    lane       INTEGER NOT NULL REFERENCES lane (id),
    step       TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    millis     INTEGER NOT NULL,
    status     INTEGER,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('known', 'absent', 'later', 'never', 'lost')),
    reason     TEXT,
    words      TEXT,
    CHECK ((reason IS NULL) = (words IS NULL))
) STRICT;
CREATE INDEX attempt_of_lane ON attempt (lane, id);
CREATE TRIGGER attempt_is_append_only BEFORE UPDATE ON attempt
BEGIN
    SELECT raise(ABORT, 'attempts are append-only');
END;

-- Where reps are heard. `listeners` counts the lanes that name the feed.
CREATE TABLE feed (
    target      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    cursor      TEXT,
    listeners   INTEGER NOT NULL CHECK (listeners >= 0),
    epoch       INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until INTEGER,
    PRIMARY KEY (target, key),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX feed_ready ON feed (coalesce(lease_until, 0)) WHERE listeners > 0;
CREATE INDEX feed_leased ON feed (lease_owner) WHERE lease_owner IS NOT NULL;

-- The webhook queue: webhooks as they came. The table has its first name. A row that is done stays a day, without its body, so that a repeat of it
-- is recognised; then `key` is given up.
CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    target      TEXT    NOT NULL,
    key         BLOB    CHECK (length(key) = 16),
    headers     TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    received_at INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('due', 'parked', 'done')),
    due_at      INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reason      TEXT,
    words       TEXT,
    epoch       INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until INTEGER,
    ready_at    INTEGER GENERATED ALWAYS AS (
        CASE WHEN due_at IS NULL THEN NULL
             WHEN lease_until > due_at THEN lease_until
             ELSE due_at END) VIRTUAL,
    UNIQUE (target, key),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((reason IS NULL) = (words IS NULL)),
    CHECK ((state = 'due') = (due_at IS NOT NULL)),
    CHECK (lease_owner IS NULL OR state = 'due'),
    CHECK (state <> 'parked' OR reason IS NOT NULL)
) STRICT;
CREATE INDEX inbox_ready ON inbox (ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX inbox_ready_of ON inbox (target, ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX inbox_parked ON inbox (state, id) WHERE state = 'parked';
CREATE INDEX inbox_done ON inbox (received_at) WHERE state = 'done';
CREATE INDEX inbox_leased ON inbox (lease_owner) WHERE lease_owner IS NOT NULL;

-- Every version of every mapping.
CREATE TABLE mapping (
    target  TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    text    TEXT    NOT NULL,
    who     TEXT    NOT NULL,
    why     TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (target, version)
) STRICT, WITHOUT ROWID;

-- Who lives.
CREATE TABLE daemon (
    name    TEXT    NOT NULL PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row that a health check writes, to know that writing works.
CREATE TABLE pulse (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    beats INTEGER NOT NULL
) STRICT;
INSERT INTO pulse VALUES (1, 0);
