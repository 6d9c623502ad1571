-- The ledger, version 1. Times are microseconds since 1970-01-01 UTC.

-- What happened. `key` is a digest of the producer's source and id: a second arrival is a no-op.
-- Whoever stores an event holds its session's row first, so that the numbers of a session become
-- visible in their order.
CREATE TABLE event (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea  NOT NULL UNIQUE CHECK (length(key) = 16),
    session     text   NOT NULL,
    kind        text   NOT NULL,
    producer_id text   NOT NULL,
    time        bigint NOT NULL,
    sequence    bigint,
    received_at bigint NOT NULL,
    body        text   NOT NULL
);
CREATE INDEX event_of_session ON event (session, seq);

-- Dead letters: what came in and could not be understood, as it came. The table has its first name.
CREATE TABLE poison (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin      text   NOT NULL,
    key         bytea  NOT NULL CHECK (length(key) = 16),
    reason      text   NOT NULL,
    words       text   NOT NULL,
    headers     text   NOT NULL,
    raw         bytea  NOT NULL,
    received_at bigint NOT NULL,
    UNIQUE (origin, key, reason)
);

-- What the events last said about a session; data and contact as JSON.
CREATE TABLE session (
    id              text   PRIMARY KEY,
    number          bigint GENERATED ALWAYS AS IDENTITY,
    data            text,
    contact         text,
    business_number text,
    customer        text,
    inbound_at      bigint
) WITH (fillfactor = 80);
CREATE INDEX session_of_customer
    ON session (business_number, customer, inbound_at DESC NULLS LAST, number DESC)
    WHERE business_number IS NOT NULL AND customer IS NOT NULL;

-- When a customer last wrote to a business number.
CREATE TABLE customer (
    business_number text   NOT NULL,
    key             text   NOT NULL,
    inbound_at      bigint NOT NULL,
    PRIMARY KEY (business_number, key)
);

-- Session × target: the queue of work. A lane can be claimed from `ready_at` on.
CREATE TABLE lane (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session     text    NOT NULL REFERENCES session (id),
    target      text    NOT NULL,
    head        bigint  NOT NULL CHECK (head >= 0),
    state       text    NOT NULL CHECK (state IN ('idle', 'due', 'held', 'parked')),
    due_at      bigint,
    attempts    integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reason      text,
    words       text,
    woken       boolean NOT NULL DEFAULT false,
    epoch       bigint  NOT NULL DEFAULT 0,
    lease_owner text,
    lease_until bigint,
    feed        text,
    updated_at  bigint  NOT NULL,
    ready_at    bigint  GENERATED ALWAYS AS (
        CASE WHEN due_at IS NULL THEN NULL ELSE greatest(due_at, lease_until) END) STORED,
    UNIQUE (session, target),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((reason IS NULL) = (words IS NULL)),
    CHECK (lease_owner IS NULL OR (due_at IS NOT NULL AND state IN ('due', 'held'))),
    CHECK (NOT woken OR lease_owner IS NOT NULL),
    CHECK (state <> 'idle' OR (due_at IS NULL AND reason IS NULL)),
    CHECK (state <> 'due' OR due_at IS NOT NULL),
    CHECK (state <> 'held' OR reason IS NOT NULL),
    CHECK (state <> 'parked' OR (due_at IS NULL AND reason IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX lane_ready ON lane (target, ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX lane_of_target ON lane (target, id);
CREATE INDEX lane_stopped ON lane (state, reason, target) WHERE reason IS NOT NULL;
CREATE INDEX lane_leased ON lane (lease_owner) WHERE lease_owner IS NOT NULL;
CREATE INDEX lane_listening ON lane (target, feed) WHERE feed IS NOT NULL;

-- What is known on the other side: a value, or unsure since a time with the value that it may have.
-- Index entries are bounded, values are not; so the index holds their beginning.
CREATE TABLE fact (
    lane         bigint NOT NULL REFERENCES lane (id),
    name         text   NOT NULL,
    value        text,
    unsure_since bigint,
    candidate    text,
    PRIMARY KEY (lane, name),
    CHECK ((value IS NULL) = (unsure_since IS NOT NULL)),
    CHECK (candidate IS NULL OR unsure_since IS NOT NULL)
);
CREATE INDEX fact_by_value ON fact (name, left(coalesce(value, candidate), 200), lane);

-- Calls and what became of them; append-only.
CREATE TABLE attempt (
    id         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane       bigint  NOT NULL REFERENCES lane (id),
    step       text    NOT NULL,
    started_at bigint  NOT NULL,
    millis     bigint  NOT NULL,
    status     integer,
    outcome    text    NOT NULL CHECK (outcome IN ('known', 'absent', 'later', 'never', 'lost')),
    reason     text,
    words      text,
    CHECK ((reason IS NULL) = (words IS NULL))
);
CREATE INDEX attempt_of_lane ON attempt (lane, id);
CREATE FUNCTION attempt_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'attempts are append-only';
END
$$;
CREATE TRIGGER attempt_is_append_only BEFORE UPDATE ON attempt
    FOR EACH STATEMENT EXECUTE FUNCTION attempt_is_append_only();

-- Where reps are heard. `listeners` counts the lanes that name the feed.
CREATE TABLE feed (
    target      text    NOT NULL,
    key         text    NOT NULL,
    cursor      text,
    listeners   integer NOT NULL CHECK (listeners >= 0),
    epoch       bigint  NOT NULL DEFAULT 0,
    lease_owner text,
    lease_until bigint,
    PRIMARY KEY (target, key),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX feed_ready ON feed (coalesce(lease_until, 0)) WHERE listeners > 0;
CREATE INDEX feed_leased ON feed (lease_owner) WHERE lease_owner IS NOT NULL;

-- The webhook queue: webhooks as they came. The table has its first name. A row that is done stays a day, without its body, so that a repeat of it
-- is recognised; then `key` is given up.
CREATE TABLE inbox (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target      text    NOT NULL,
    key         bytea   CHECK (length(key) = 16),
    headers     text    NOT NULL,
    body        bytea   NOT NULL,
    received_at bigint  NOT NULL,
    state       text    NOT NULL CHECK (state IN ('due', 'parked', 'done')),
    due_at      bigint,
    attempts    integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reason      text,
    words       text,
    epoch       bigint  NOT NULL DEFAULT 0,
    lease_owner text,
    lease_until bigint,
    ready_at    bigint  GENERATED ALWAYS AS (
        CASE WHEN due_at IS NULL THEN NULL ELSE greatest(due_at, lease_until) END) STORED,
    UNIQUE (target, key),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((reason IS NULL) = (words IS NULL)),
    CHECK ((state = 'due') = (due_at IS NOT NULL)),
    CHECK (lease_owner IS NULL OR state = 'due'),
    CHECK (state <> 'parked' OR reason IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX inbox_ready ON inbox (ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX inbox_ready_of ON inbox (target, ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX inbox_parked ON inbox (id) WHERE state = 'parked';
CREATE INDEX inbox_done ON inbox (received_at) WHERE state = 'done';
CREATE INDEX inbox_leased ON inbox (lease_owner) WHERE lease_owner IS NOT NULL;

-- Every version of every mapping.
CREATE TABLE mapping (
    target  text   NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    text    text   NOT NULL,
    who     text   NOT NULL,
    why     text   NOT NULL,
    at      bigint NOT NULL,
    PRIMARY KEY (target, version)
);

-- Who lives.
CREATE TABLE daemon (
    name    text   PRIMARY KEY,
    seen_at bigint NOT NULL
);

-- One row that a health check writes, to know that writing works.
CREATE TABLE pulse (
    one   integer PRIMARY KEY CHECK (one = 1),
    beats bigint  NOT NULL
);
INSERT INTO pulse VALUES (1, 0);
