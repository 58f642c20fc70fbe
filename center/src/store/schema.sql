CREATE TABLE series (
    series TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    name TEXT NOT NULL,
    policy TEXT NOT NULL,
    last_key_no BIGINT NOT NULL,
    last_reg_no BIGINT NOT NULL
);

CREATE TABLE products (
    series TEXT NOT NULL REFERENCES series,
    name TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (series, name)
);

CREATE TABLE articles (
    series TEXT NOT NULL REFERENCES series,
    article TEXT NOT NULL,
    terms TEXT NOT NULL,
    PRIMARY KEY (series, article)
);

CREATE TABLE customers (
    itn TEXT NOT NULL,
    iec TEXT NOT NULL,
    name TEXT NOT NULL,
    folded_name TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (itn, iec)
);

CREATE TABLE keys (
    series TEXT NOT NULL REFERENCES series,
    key_no BIGINT NOT NULL,
    reg_no BIGINT NOT NULL,
    terms TEXT NOT NULL,
    itn TEXT,
    iec TEXT,
    activated BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'reserved')),
    revoked BIGINT NOT NULL,
    allowance BIGINT NOT NULL,
    issue BIGINT NOT NULL,
    code TEXT NOT NULL,
    identity TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    blank_key_no BIGINT,
    computer_id TEXT,
    memory TEXT,
    licence TEXT,
    issued BIGINT,
    PRIMARY KEY (series, key_no),
    UNIQUE (series, reg_no)
);

-- OR in place of IN: for a list of three SQLite fills a table with each change of a row.
CREATE TABLE codes (
    code TEXT PRIMARY KEY,
    series TEXT NOT NULL REFERENCES series,
    origin TEXT NOT NULL CHECK (origin = 'sold' OR origin = 'demo' OR origin = 'reserve'),
    state TEXT NOT NULL CHECK (state = 'new' OR state = 'used' OR state = 'blocked'),
    terms TEXT NOT NULL,
    created BIGINT NOT NULL,
    key_no BIGINT,
    version BIGINT NOT NULL DEFAULT 0,
    itn TEXT
);

CREATE TABLE demos (
    series TEXT NOT NULL,
    computer_id TEXT NOT NULL,
    key_no BIGINT NOT NULL,
    PRIMARY KEY (series, computer_id, key_no)
);

CREATE TABLE transfers (
    id SERIAL_KEY,
    series TEXT NOT NULL,
    key_no BIGINT NOT NULL,
    retired_issue BIGINT NOT NULL,
    code TEXT NOT NULL REFERENCES codes,
    identity TEXT NOT NULL,
    at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    comment TEXT NOT NULL,
    UNIQUE (series, key_no, retired_issue)
);

CREATE TABLE events (
    id SERIAL_KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    series TEXT,
    key_no BIGINT,
    code TEXT,
    details TEXT NOT NULL,
    issue BIGINT,
    identity TEXT,
    computer_id TEXT,
    blank_key_no BIGINT
);

CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE repeats (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (actor, key)
);

CREATE INDEX repeats_by_time ON repeats (at);
CREATE INDEX codes_by_itn ON codes (itn) WHERE itn IS NOT NULL;
CREATE INDEX codes_by_key ON codes (series, key_no) WHERE key_no IS NOT NULL;
CREATE INDEX keys_by_itn ON keys (itn) WHERE itn IS NOT NULL;
CREATE INDEX keys_by_identity ON keys (substr(identity, 11, 16));
CREATE INDEX events_by_key ON events (series, key_no) WHERE key_no IS NOT NULL;
CREATE INDEX reports ON events (id) WHERE kind IN ('cloned', 'restored');
