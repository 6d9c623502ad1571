-- Who may ask: sign-ins, links that sign in once, tokens, people who were seen, and what was done by whom.
-- Of what a browser or script shows, only the SHA-256 digest is kept.
CREATE TABLE sign_in (
    key     bytea   PRIMARY KEY CHECK (length(key) = 32),
    name    text    NOT NULL CHECK (name <> ''),
    way     text    NOT NULL CHECK (way IN ('password', 'openid', 'link')),
    role    text    NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    unmask  boolean NOT NULL,
    basis   text    NOT NULL,
    made_at bigint  NOT NULL,
    seen_at bigint  NOT NULL,
    until   bigint  NOT NULL
);
CREATE INDEX sign_in_until ON sign_in (until);

CREATE TABLE sign_in_link (
    key   bytea  PRIMARY KEY CHECK (length(key) = 32),
    until bigint NOT NULL
);
CREATE INDEX sign_in_link_until ON sign_in_link (until);

CREATE TABLE token (
    id        text    PRIMARY KEY CHECK (id <> ''),
    key       bytea   NOT NULL UNIQUE CHECK (length(key) = 32),
    name      text    NOT NULL CHECK (name <> ''),
    owner     text    NOT NULL CHECK (owner <> ''),
    owner_way text    NOT NULL,
    role      text    NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    unmask    boolean NOT NULL,
    made_at   bigint  NOT NULL,
    until     bigint,
    used_at   bigint
);

CREATE TABLE person (
    name    text   NOT NULL CHECK (name <> ''),
    way     text   NOT NULL,
    role    text   NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    seen_at bigint NOT NULL,
    PRIMARY KEY (name, way)
);

-- Only added to.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      bigint NOT NULL,
    who     text   NOT NULL CHECK (who <> ''),
    way     text   NOT NULL,
    what    text   NOT NULL CHECK (what <> ''),
    object  text   NOT NULL,
    before  text,
    after   text,
    outcome text   NOT NULL
);
CREATE INDEX audit_who ON audit (who, id);
CREATE INDEX audit_what ON audit (what, id);
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to';
END
$$;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
