CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    key_id INTEGER NOT NULL,
    root BLOB NOT NULL,
    name TEXT NOT NULL,
    last_key_no INTEGER NOT NULL DEFAULT 0,
    last_reg_no INTEGER NOT NULL DEFAULT 0,
    UNIQUE (key_id, root)
) STRICT;

CREATE TABLE codes (
    code TEXT PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES series,
    state TEXT NOT NULL CHECK (state IN ('new', 'used', 'blocked')),
    terms TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE activations (
    code TEXT PRIMARY KEY REFERENCES codes,
    series INTEGER NOT NULL REFERENCES series,
    key_no INTEGER NOT NULL,
    reg_no INTEGER NOT NULL,
    issue INTEGER NOT NULL,
    identity TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    blank_key_no INTEGER,
    computer_id TEXT,
    itn TEXT,
    iec TEXT,
    activated INTEGER NOT NULL,
    licence TEXT,
    UNIQUE (series, key_no),
    UNIQUE (series, reg_no)
) STRICT;
