DROP INDEX keys_by_identity;
CREATE INDEX keys_by_identity ON keys (substr(identity, 11, 16));
