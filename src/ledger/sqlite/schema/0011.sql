-- What the pages of operators read.

-- The method and path of a call that went by HTTP.
ALTER TABLE attempt ADD COLUMN call TEXT;

-- By what a conversation is found: the end of a telephone number, an e-mail address, the id of a record in
-- a CRM. A word begins with its kind.
CREATE TABLE handle (
    word    TEXT NOT NULL,
    session TEXT NOT NULL,
    PRIMARY KEY (word, session)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO handle (word, session)
SELECT 'phone:' || substr(replace(json_extract(contact, said), '+', ''), -7), id
  FROM session, (SELECT '$.phone' AS said UNION ALL SELECT '$.wa_id')
 WHERE json_valid(contact) AND length(replace(json_extract(contact, said), '+', '')) >= 7;
INSERT OR IGNORE INTO handle (word, session)
SELECT 'email:' || lower(trim(json_extract(contact, '$.email'))), id FROM session
 WHERE json_valid(contact) AND trim(json_extract(contact, '$.email')) <> '';
INSERT OR IGNORE INTO handle (word, session)
SELECT 'record:' || lower(record.value), event.session
  FROM event, json_each(event.body, '$.data.records') AS record
 WHERE event.kind = 'handoff.completed' AND record.value <> '';

-- How much happened, in spans of so many seconds; `bucket` is a bound of a time in milliseconds, or 0 where
-- only the number counts. Sums of what `counted` has passed.
CREATE TABLE figure (
    span   INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    target TEXT    NOT NULL,
    bucket INTEGER NOT NULL,
    n      INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (span, at, name, target, bucket)
) STRICT, WITHOUT ROWID;

-- Up to which event and attempt everything is counted.
CREATE TABLE counted (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    event   INTEGER NOT NULL,
    attempt INTEGER NOT NULL
) STRICT;
INSERT INTO counted
VALUES (1, coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(id) FROM attempt), 0));
