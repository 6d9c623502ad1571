-- Events that a person gave up while an older one of the lane is not shown yet.
CREATE TABLE given_up (
    lane INTEGER NOT NULL REFERENCES lane (id),
    seq  INTEGER NOT NULL,
    PRIMARY KEY (lane, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO given_up (lane, seq)
SELECT lane, CAST(substr(name, 11) AS INTEGER) FROM fact WHERE name GLOB '!given-up/*';

-- What is known on the other side: a value; or unsure since a time, with the value that it may have;
-- or refused, with the reason and a message.
CREATE TABLE fact_of_this_version (
    lane         INTEGER NOT NULL REFERENCES lane (id),
    name         TEXT    NOT NULL,
    value        TEXT,
    unsure_since INTEGER,
    candidate    TEXT,
    reason       TEXT,
    message      TEXT,
    PRIMARY KEY (lane, name),
    CHECK ((value IS NOT NULL) + (unsure_since IS NOT NULL) + (reason IS NOT NULL) = 1),
    CHECK (candidate IS NULL OR unsure_since IS NOT NULL),
    CHECK ((message IS NULL) = (reason IS NULL))
) STRICT, WITHOUT ROWID;

-- Before this version a refused fact had a value that began with an exclamation mark. `said` is what
-- followed it, in the facts that could hold one.
CREATE TEMP VIEW in_band AS
SELECT lane, name, substr(value, 2) AS said
  FROM main.fact
 WHERE value GLOB '!*'
   AND (value IN ('!skipped', '!gone', '!given-up')
        OR name IN ('owner', 'link')
        OR name GLOB 'file/*' OR name GLOB 'upload/*' OR name GLOB 'media/*'
        OR name GLOB 'filerow/*' OR name GLOB 'link/*' OR name GLOB 'link-on/*'
        OR name GLOB 'transcript/*' OR name GLOB 'part/*' OR name GLOB 'told/*'
        OR name GLOB 'kept/*' OR name GLOB 'sent/*');

INSERT INTO fact_of_this_version (lane, name, reason, message)
SELECT lane, name,
       CASE WHEN said = 'skipped' THEN 'unknown-outcome'
            WHEN said IN ('given-up', 'too-many') THEN 'limit-exceeded'
            WHEN said = 'gone' AND (name GLOB 'file/*' OR name GLOB 'transcript/*')
                THEN 'media-unavailable'
            WHEN said = 'gone' OR name = 'owner' THEN 'not-found'
            WHEN said IN ('forbidden', 'too-large') THEN said
            WHEN said = 'type' THEN 'unsupported'
            WHEN name GLOB 'sent/*' OR name GLOB 'media/*' THEN 'content'
            ELSE 'invalid' END,
       CASE WHEN said = 'skipped' THEN 'a person said that it happened'
            WHEN said = 'given-up' THEN 'too many events came after it'
            WHEN said = 'too-many' THEN 'more messages came than are kept'
            WHEN said = 'gone' AND (name GLOB 'file/*' OR name GLOB 'transcript/*')
                THEN 'the file is no longer at its source'
            WHEN said = 'gone' THEN 'the record that it belongs to is gone'
            WHEN said = 'forbidden' THEN 'the file''s address is not on the list of allowed sources'
            WHEN said = 'too-large' THEN 'the file is larger than this CRM takes'
            WHEN said = 'type' THEN 'Salesforce does not take files of this type'
            WHEN said = 'refused' THEN 'Salesforce refused the file'
            WHEN said GLOB 'failed:*:*'
                THEN substr(said, 8 + instr(substr(said, 8), ':'), 400)
            WHEN said GLOB 'failed:*' THEN ''
            ELSE substr(said, 1, 400) END
  FROM in_band
 WHERE NOT (name GLOB 'kept/*' AND said = 'done');

-- WhatsApp's code of a failure has a fact of its own.
INSERT INTO fact_of_this_version (lane, name, value)
SELECT lane, 'code/' || substr(name, 6), code
  FROM (SELECT lane, name,
               substr(said, 8, instr(substr(said, 8) || ':', ':') - 1) AS code
          FROM in_band WHERE name GLOB 'sent/*' AND said GLOB 'failed:*')
 WHERE code <> '';

-- A message that was kept and has been shown leaves nothing.
INSERT INTO fact_of_this_version (lane, name, value)
SELECT lane, name, '' FROM in_band WHERE name GLOB 'kept/*' AND said = 'done';

INSERT INTO fact_of_this_version (lane, name, value, unsure_since, candidate)
SELECT lane, name, value, unsure_since,
       CASE WHEN NOT (name GLOB 'file/*' AND candidate GLOB '!*') THEN candidate END
  FROM fact
 WHERE NOT name GLOB '!given-up/*'
   AND NOT EXISTS (SELECT 1 FROM in_band
                    WHERE in_band.lane = fact.lane AND in_band.name = fact.name);

DROP VIEW in_band;
DROP TABLE fact;
ALTER TABLE fact_of_this_version RENAME TO fact;
CREATE INDEX fact_by_value ON fact (name, coalesce(value, candidate), lane);
