-- Events that a person gave up while an older one of the lane is not shown yet.
CREATE TABLE given_up (
    lane bigint NOT NULL REFERENCES lane (id),
    seq  bigint NOT NULL,
    PRIMARY KEY (lane, seq)
);
INSERT INTO given_up (lane, seq)
SELECT lane, substr(name, 11)::bigint FROM fact WHERE name ~ '^!given-up/[0-9]+$';
DELETE FROM fact WHERE starts_with(name, '!given-up/');

-- What is known on the other side: a value; or unsure since a time, with the value that it may have;
-- or refused, with the reason and a message.
ALTER TABLE fact
    ADD COLUMN reason  text,
    ADD COLUMN message text,
    DROP CONSTRAINT fact_check;

-- WhatsApp's code of a failure has a fact of its own.
INSERT INTO fact (lane, name, value)
SELECT lane, 'code/' || substr(name, 6), substring(value FROM '^!failed:([^:]*)')
  FROM fact WHERE starts_with(name, 'sent/') AND value ~ '^!failed:[^:]';

-- A message that was kept and has been shown leaves nothing.
UPDATE fact SET value = '' WHERE starts_with(name, 'kept/') AND value = '!done';

UPDATE fact SET candidate = NULL WHERE starts_with(name, 'file/') AND starts_with(candidate, '!');

-- Before this version a refused fact had a value that began with an exclamation mark. `said` is what
-- followed it, in the facts that could hold one.
UPDATE fact
   SET value = NULL,
       reason =
       CASE WHEN said = 'skipped' THEN 'unknown-outcome'
            WHEN said IN ('given-up', 'too-many') THEN 'limit-exceeded'
            WHEN said = 'gone' AND fact.name ~ '^(file|transcript)/' THEN 'media-unavailable'
            WHEN said = 'gone' OR fact.name = 'owner' THEN 'not-found'
            WHEN said IN ('forbidden', 'too-large') THEN said
            WHEN said = 'type' THEN 'unsupported'
            WHEN fact.name ~ '^(sent|media)/' THEN 'content'
            ELSE 'invalid' END,
       message =
       CASE WHEN said = 'skipped' THEN 'a person said that it happened'
            WHEN said = 'given-up' THEN 'too many events came after it'
            WHEN said = 'too-many' THEN 'more messages came than are kept'
            WHEN said = 'gone' AND fact.name ~ '^(file|transcript)/'
                THEN 'the file is no longer at its source'
            WHEN said = 'gone' THEN 'the record that it belongs to is gone'
            WHEN said = 'forbidden' THEN 'the file''s address is not on the list of allowed sources'
            WHEN said = 'too-large' THEN 'the file is larger than this CRM takes'
            WHEN said = 'type' THEN 'Salesforce does not take files of this type'
            WHEN said = 'refused' THEN 'Salesforce refused the file'
            ELSE left(regexp_replace(said, '^failed:[^:]*:?', ''), 400) END
  FROM (SELECT lane, name, substr(value, 2) AS said
          FROM fact
         WHERE starts_with(value, '!')
           AND (value IN ('!skipped', '!gone', '!given-up')
                OR name IN ('owner', 'link')
                OR name ~ '^(file|upload|media|filerow|link|link-on|transcript|part|told|kept|sent)/')
       ) AS in_band
 WHERE fact.lane = in_band.lane AND fact.name = in_band.name;

ALTER TABLE fact
    ADD CHECK (num_nonnulls(value, unsure_since, reason) = 1),
    ADD CHECK ((message IS NULL) = (reason IS NULL));
