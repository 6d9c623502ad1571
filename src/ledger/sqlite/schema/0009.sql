-- Files whose addresses live for minutes. Each is wanted with the event that names it, fetched in
-- pieces, and kept for a time. `key` is a digest of session, attachment and address.
CREATE TABLE file (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         BLOB    NOT NULL UNIQUE CHECK (length(key) = 16),
    session     TEXT    NOT NULL,
    attachment  TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('wanted', 'kept', 'failed')),
    reason      TEXT,
    bytes       INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    pieces      INTEGER NOT NULL DEFAULT 0 CHECK (pieces >= 0),
    stored      INTEGER NOT NULL DEFAULT 0 CHECK (stored >= 0),
    wanted_at   INTEGER NOT NULL,
    due_at      INTEGER,
    tries       INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
    epoch       INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until INTEGER,
    ready_at    INTEGER GENERATED ALWAYS AS (
        CASE WHEN due_at IS NULL THEN NULL
             WHEN lease_until > due_at THEN lease_until
             ELSE due_at END) VIRTUAL,
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((state = 'wanted') = (due_at IS NOT NULL)),
    CHECK ((state = 'failed') = (reason IS NOT NULL)),
    CHECK (lease_owner IS NULL OR state = 'wanted'),
    CHECK (state = 'wanted' OR url = '')
) STRICT;
CREATE INDEX file_ready ON file (ready_at) WHERE due_at IS NOT NULL;
CREATE INDEX file_kept ON file (id) WHERE state = 'kept';
CREATE INDEX file_left ON file (id) WHERE state = 'failed' AND stored > 0;
CREATE INDEX file_old ON file (wanted_at);
CREATE INDEX file_of_session ON file (session, id);

CREATE TABLE piece (
    file   INTEGER NOT NULL REFERENCES file (id),
    number INTEGER NOT NULL CHECK (number >= 0),
    bytes  BLOB    NOT NULL CHECK (length(bytes) BETWEEN 1 AND 262144),
    PRIMARY KEY (file, number)
) STRICT;

-- The bytes of all pieces.
CREATE TABLE file_total (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;
INSERT INTO file_total VALUES (1, 0);
