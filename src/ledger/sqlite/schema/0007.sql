-- Who produced what could not be understood, where that could be read all the same.
ALTER TABLE poison ADD COLUMN source TEXT;
