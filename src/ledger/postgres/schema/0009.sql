-- Files whose addresses live for minutes. Each is wanted with the event that names it, fetched in
-- pieces, and kept for a time. `key` is a digest of session, attachment and address.
CREATE TABLE file (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea   NOT NULL UNIQUE CHECK (length(key) = 16),
    session     text    NOT NULL,
    attachment  text    NOT NULL,
    url         text    NOT NULL,
    state       text    NOT NULL CHECK (state IN ('wanted', 'kept', 'failed')),
    reason      text,
    bytes       bigint  NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    pieces      bigint  NOT NULL DEFAULT 0 CHECK (pieces >= 0),
    stored      bigint  NOT NULL DEFAULT 0 CHECK (stored >= 0),
    wanted_at   bigint  NOT NULL,
    due_at      bigint,
    tries       integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    epoch       bigint  NOT NULL DEFAULT 0,
    lease_owner text,
    lease_until bigint,
    ready_at    bigint  GENERATED ALWAYS AS (
        CASE WHEN due_at IS NULL THEN NULL ELSE greatest(due_at, lease_until) END) STORED,
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((state = 'wanted') = (due_at IS NOT NULL)),
    CHECK ((state = 'failed') = (reason IS NOT NULL)),
    CHECK (lease_owner IS NULL OR state = 'wanted'),
    CHECK (state = 'wanted' OR url = '')
) WITH (fillfactor = 80);
CREATE INDEX file_ready ON file (ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX file_kept ON file (id) WHERE state = 'kept';
CREATE INDEX file_left ON file (id) WHERE state = 'failed' AND stored > 0;
CREATE INDEX file_old ON file (wanted_at);
CREATE INDEX file_of_session ON file (session, id);

CREATE TABLE piece (
    file   bigint NOT NULL REFERENCES file (id),
    number bigint NOT NULL CHECK (number >= 0),
    bytes  bytea  NOT NULL CHECK (length(bytes) BETWEEN 1 AND 262144),
    PRIMARY KEY (file, number)
);
-- What is sent compressed already would only cost time.
ALTER TABLE piece ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- The bytes of all pieces.
CREATE TABLE file_total (
    one   integer PRIMARY KEY CHECK (one = 1),
    bytes bigint  NOT NULL CHECK (bytes >= 0)
);
INSERT INTO file_total VALUES (1, 0);
