PRAGMA user_version=7;
BEGIN TRANSACTION;
CREATE TABLE acceptance (id TEXT PRIMARY KEY, calendar TEXT NOT NULL, href TEXT NOT NULL, uid TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
INSERT INTO "acceptance" VALUES('x','anna/Work','/1/calendars/work/bad.ics','bad','unreadable',1790000000);
CREATE TABLE booking (id TEXT PRIMARY KEY, record TEXT NOT NULL, kind TEXT NOT NULL, profile TEXT NOT NULL, state TEXT NOT NULL, blocks INTEGER NOT NULL AS (state NOT IN ('cancelled', 'refused', 'removed')), starts INTEGER NOT NULL, ends INTEGER NOT NULL, target_starts INTEGER, target_ends INTEGER, calendar TEXT NOT NULL, counts TEXT NOT NULL, parent TEXT NOT NULL, uid TEXT NOT NULL, touched INTEGER NOT NULL, forced INTEGER NOT NULL, expires INTEGER, CHECK (starts < ends), CHECK (target_starts IS NULL OR target_starts < target_ends)) STRICT;
CREATE TABLE booking_key (profile TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, booking TEXT NOT NULL, made INTEGER NOT NULL, keep_until INTEGER NOT NULL, status INTEGER, answer BLOB, PRIMARY KEY (profile, key)) STRICT;
CREATE TABLE feed (token TEXT PRIMARY KEY REFERENCES token ON DELETE CASCADE, tag TEXT NOT NULL, changed INTEGER NOT NULL) STRICT;
INSERT INTO "feed" VALUES('abcd','t',1790000000);
CREATE TABLE link (reference TEXT PRIMARY KEY, href TEXT NOT NULL) STRICT;
INSERT INTO "link" VALUES('anna/Work','/1/calendars/work/');
CREATE TABLE outbox_fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
INSERT INTO "outbox_fact" VALUES('secret',X'CBD76C008530C33D4454D490E6E5F09E895E123AE8D665C3F951DAA91FD178E4');
CREATE TABLE property (owner TEXT NOT NULL, resource TEXT NOT NULL, name TEXT NOT NULL, xml BLOB NOT NULL, PRIMARY KEY (owner, resource, name)) STRICT;
CREATE TABLE server_trait (connection TEXT PRIMARY KEY, account TEXT NOT NULL, record TEXT NOT NULL) STRICT;
CREATE TABLE token (id TEXT PRIMARY KEY, profile TEXT NOT NULL, scopes TEXT NOT NULL, details INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, last_used INTEGER, digest BLOB NOT NULL) STRICT;
INSERT INTO "token" VALUES('abcd','anna','freebusy',0,'phone',1790000000,NULL,NULL,X'00');
CREATE TABLE webhook (id TEXT PRIMARY KEY, profile TEXT NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL, private INTEGER NOT NULL, created INTEGER NOT NULL, generation INTEGER NOT NULL, rotated INTEGER, digest BLOB NOT NULL, asked INTEGER, cursor INTEGER, ended TEXT NOT NULL DEFAULT '', failing_since INTEGER, failed_for INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, detail TEXT NOT NULL DEFAULT '', delivered INTEGER) STRICT;
CREATE UNIQUE INDEX booking_uid ON booking (uid) WHERE uid <> '';
CREATE INDEX booking_profile ON booking (profile, ends);
CREATE INDEX booking_calendar ON booking (calendar, ends);
CREATE INDEX booking_hold ON booking (state, expires) WHERE expires IS NOT NULL;
CREATE TRIGGER booking_new AFTER INSERT ON booking WHEN NEW.blocks AND NOT NEW.forced AND NEW.kind <> 'block' BEGIN 
SELECT RAISE(ABORT, 'overlap') WHERE EXISTS (
  SELECT 1 FROM booking other
  JOIN (SELECT NEW.starts AS starts, NEW.ends AS ends
        UNION ALL SELECT NEW.target_starts, NEW.target_ends WHERE NEW.target_starts IS NOT NULL) wanted
  WHERE other.blocks AND other.id <> NEW.id AND other.id <> NEW.parent AND other.parent <> NEW.id
    AND (other.profile = NEW.profile OR instr(NEW.counts, char(10) || other.calendar || char(10)))
    AND ((other.starts < wanted.ends AND wanted.starts < other.ends)
         OR (other.target_starts < wanted.ends AND wanted.starts < other.target_ends)));
 END;
CREATE TRIGGER booking_changed AFTER UPDATE ON booking WHEN NEW.blocks AND NOT NEW.forced AND NOT NEW.touched AND NEW.kind <> 'block' AND (NOT OLD.blocks OR (NEW.starts, NEW.ends, NEW.target_starts, NEW.target_ends, NEW.profile, NEW.calendar, NEW.counts) IS NOT (OLD.starts, OLD.ends, OLD.target_starts, OLD.target_ends, OLD.profile, OLD.calendar, OLD.counts)) BEGIN 
SELECT RAISE(ABORT, 'overlap') WHERE EXISTS (
  SELECT 1 FROM booking other
  JOIN (SELECT NEW.starts AS starts, NEW.ends AS ends
        UNION ALL SELECT NEW.target_starts, NEW.target_ends WHERE NEW.target_starts IS NOT NULL) wanted
  WHERE other.blocks AND other.id <> NEW.id AND other.id <> NEW.parent AND other.parent <> NEW.id
    AND (other.profile = NEW.profile OR instr(NEW.counts, char(10) || other.calendar || char(10)))
    AND ((other.starts < wanted.ends AND wanted.starts < other.ends)
         OR (other.target_starts < wanted.ends AND wanted.starts < other.target_ends)));
 END;
CREATE TRIGGER booking_final AFTER UPDATE ON booking WHEN OLD.state IN ('cancelled', 'refused') AND NEW.state IN ('pending', 'sending', 'confirmed', 'booked', 'moving', 'claimed') BEGIN SELECT RAISE(ABORT, 'final'); END;
COMMIT;
