-- What each target's records can hold, as it was last read, as JSON; and what it was before it last changed.
CREATE TABLE crm_schema (
    target     TEXT    NOT NULL PRIMARY KEY,
    read_at    INTEGER NOT NULL,
    digest     TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    changed_at INTEGER NOT NULL,
    former     TEXT
) STRICT, WITHOUT ROWID;

-- A person's unpublished changes of a mapping: one for each mapping and person.
CREATE TABLE mapping_draft (
    target   TEXT    NOT NULL,
    who      TEXT    NOT NULL,
    text     TEXT    NOT NULL,
    base     INTEGER NOT NULL CHECK (base >= 0),
    revision INTEGER NOT NULL CHECK (revision > 0),
    at       INTEGER NOT NULL,
    PRIMARY KEY (target, who)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_handoff ON event (seq) WHERE kind = 'handoff.requested';
