-- What the pages of operators read.

-- The method and path of a call that went by HTTP.
ALTER TABLE attempt ADD COLUMN call text;

-- By what a conversation is found: the end of a telephone number, an e-mail address, the id of a record in
-- a CRM. A word begins with its kind.
CREATE TABLE handle (
    word    text NOT NULL,
    session text NOT NULL,
    PRIMARY KEY (word, session)
);
INSERT INTO handle (word, session)
SELECT 'phone:' || right(replace(contact::json ->> said, '+', ''), 7), id
  FROM session CROSS JOIN unnest(ARRAY['phone', 'wa_id']) AS one (said)
 WHERE contact IS NOT NULL AND contact NOT LIKE '%\\u0000%'
   AND length(replace(contact::json ->> said, '+', '')) >= 7
    ON CONFLICT DO NOTHING;
INSERT INTO handle (word, session)
SELECT 'email:' || lower(trim(contact::json ->> 'email')), id FROM session
 WHERE contact IS NOT NULL AND contact NOT LIKE '%\\u0000%' AND trim(contact::json ->> 'email') <> ''
    ON CONFLICT DO NOTHING;
INSERT INTO handle (word, session)
SELECT 'record:' || lower(record.value), event.session
  FROM event CROSS JOIN LATERAL json_each_text(event.body::json -> 'data' -> 'records') AS record
 WHERE event.kind = 'handoff.completed' AND event.body NOT LIKE '%\\u0000%' AND record.value <> ''
    ON CONFLICT DO NOTHING;

-- How much happened, in spans of so many seconds; `bucket` is a bound of a time in milliseconds, or 0 where
-- only the number counts. Sums of what `counted` has passed.
CREATE TABLE figure (
    span   bigint NOT NULL,
    at     bigint NOT NULL,
    name   text   NOT NULL,
    target text   NOT NULL,
    bucket bigint NOT NULL,
    n      bigint NOT NULL CHECK (n >= 0),
    PRIMARY KEY (span, at, name, target, bucket)
);

-- Up to which event and attempt everything is counted.
CREATE TABLE counted (
    one     integer NOT NULL PRIMARY KEY CHECK (one = 1),
    event   bigint  NOT NULL,
    attempt bigint  NOT NULL
);
INSERT INTO counted
VALUES (1, coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(id) FROM attempt), 0));

-- Conversations have short names by their numbers.
CREATE UNIQUE INDEX session_by_number ON session (number);
