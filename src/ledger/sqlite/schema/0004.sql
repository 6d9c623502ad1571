-- The session of what could not be understood, where it could be read all the same.
ALTER TABLE poison ADD COLUMN session TEXT CHECK (session <> '');
CREATE INDEX poison_of_session ON poison (session, id) WHERE session IS NOT NULL;
