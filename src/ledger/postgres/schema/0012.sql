-- What each target's records can hold, as it was last read, as JSON; and what it was before it last changed.
CREATE TABLE crm_schema (
    target     text   NOT NULL PRIMARY KEY,
    read_at    bigint NOT NULL,
    digest     text   NOT NULL,
    text       text   NOT NULL,
    changed_at bigint NOT NULL,
    former     text
);

-- A person's unpublished changes of a mapping: one for each mapping and person.
CREATE TABLE mapping_draft (
    target   text   NOT NULL,
    who      text   NOT NULL,
    text     text   NOT NULL,
    base     bigint NOT NULL CHECK (base >= 0),
    revision bigint NOT NULL CHECK (revision > 0),
    at       bigint NOT NULL,
    PRIMARY KEY (target, who)
);

CREATE INDEX event_handoff ON event (seq) WHERE kind = 'handoff.requested';
