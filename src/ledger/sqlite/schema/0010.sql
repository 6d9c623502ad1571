-- Who may ask: sign-ins, links that sign in once, tokens, people who were seen, and what was done by whom.
-- Of what a browser or script shows, only the SHA-256 digest is kept.
CREATE TABLE sign_in (
    key     BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    name    TEXT    NOT NULL CHECK (name <> ''),
    way     TEXT    NOT NULL CHECK (way IN ('password', 'openid', 'link')),
    role    TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    unmask  INTEGER NOT NULL CHECK (unmask IN (0, 1)),
    basis   TEXT    NOT NULL,
    made_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    until   INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_until ON sign_in (until);

CREATE TABLE sign_in_link (
    key   BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    until INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_link_until ON sign_in_link (until);

CREATE TABLE token (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    key        BLOB    NOT NULL UNIQUE CHECK (length(key) = 32),
    name       TEXT    NOT NULL CHECK (name <> ''),
    owner      TEXT    NOT NULL CHECK (owner <> ''),
    owner_way  TEXT    NOT NULL,
    role       TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    unmask     INTEGER NOT NULL CHECK (unmask IN (0, 1)),
    made_at    INTEGER NOT NULL,
    until      INTEGER,
    used_at    INTEGER
) STRICT;

CREATE TABLE person (
    name    TEXT    NOT NULL CHECK (name <> ''),
    way     TEXT    NOT NULL,
    role    TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (name, way)
) STRICT;

-- Only added to.
CREATE TABLE audit (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    who     TEXT    NOT NULL CHECK (who <> ''),
    way     TEXT    NOT NULL,
    what    TEXT    NOT NULL CHECK (what <> ''),
    object  TEXT    NOT NULL,
    before  TEXT,
    after   TEXT,
    outcome TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_who ON audit (who, id);
CREATE INDEX audit_what ON audit (what, id);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;
