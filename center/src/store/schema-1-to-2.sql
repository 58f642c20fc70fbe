ALTER TABLE codes ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN issue BIGINT;
ALTER TABLE events ADD COLUMN identity TEXT;
ALTER TABLE events ADD COLUMN computer_id TEXT;
ALTER TABLE events ADD COLUMN blank_key_no BIGINT;
UPDATE events SET issue = done.issue, identity = done.identity, computer_id = done.computer_id, blank_key_no = done.blank_key_no
    FROM activations AS done WHERE events.kind = 'activated' AND done.series = events.series AND done.key_no = events.key_no
    AND done.code = events.code AND done.at = events.at;
DROP TABLE activations;
CREATE TABLE demos (
    series TEXT NOT NULL,
    computer_id TEXT NOT NULL,
    key_no BIGINT NOT NULL,
    PRIMARY KEY (series, computer_id, key_no)
);
INSERT INTO demos (series, computer_id, key_no)
    SELECT DISTINCT keys.series, keys.computer_id, keys.key_no FROM keys JOIN codes ON codes.series = keys.series
    AND codes.key_no = keys.key_no WHERE codes.origin = 'demo' AND keys.computer_id IS NOT NULL;
DROP INDEX IF EXISTS codes_by_key;
DROP INDEX keys_by_itn;
DROP INDEX keys_by_computer;
DROP INDEX events_by_key;
DROP INDEX events_by_kind;
CREATE INDEX codes_by_key ON codes (series, key_no) WHERE key_no IS NOT NULL;
CREATE INDEX keys_by_itn ON keys (itn) WHERE itn IS NOT NULL;
CREATE INDEX events_by_key ON events (series, key_no) WHERE key_no IS NOT NULL;
CREATE INDEX reports ON events (id) WHERE kind IN ('cloned', 'restored');
