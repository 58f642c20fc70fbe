ALTER TABLE codes ADD COLUMN itn TEXT;
UPDATE codes SET itn = ITN_OF_TERMS;
CREATE INDEX codes_by_itn ON codes (itn) WHERE itn IS NOT NULL;
CREATE TABLE repeats (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX repeats_by_time ON repeats (at);
