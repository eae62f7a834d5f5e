-- A file of schema version 1, as `iterdump` writes it: left by the store of commit 18db3c8 on 2026-11-21, while a message
-- ran in c2. The two pragmas are what the file says of itself.
BEGIN TRANSACTION;
PRAGMA application_id = 1734440037;
PRAGMA user_version = 1;
CREATE TABLE bindings (
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        vendor TEXT NOT NULL,
        scope TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (conversation_id, vendor, scope)
    ) STRICT;
INSERT INTO "bindings" VALUES('c1','acme','agent-1','{"vendor_ids":{"conversation":"v-1"},"seen":"a1","uncertain":null}');
CREATE TABLE conversations (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        created_at INTEGER NOT NULL, -- microseconds, as `updated_at`
        updated_at INTEGER NOT NULL,
        title TEXT,
        metadata TEXT NOT NULL,
        is_incomplete INTEGER NOT NULL
    ) STRICT;
INSERT INTO "conversations" VALUES('c1','ann',1793622600000000,1793622600000000,'Holidays','{"team":7}',0);
INSERT INTO "conversations" VALUES('c2','ann',1793622600000000,1793622600000000,NULL,'{}',0);
INSERT INTO "conversations" VALUES('c3','bob',1793622600000000,1793622600000000,NULL,'{}',0);
CREATE TABLE files (
        id TEXT PRIMARY KEY,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        vendor TEXT NOT NULL,
        scope TEXT NOT NULL,
        ref TEXT NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (conversation_id, vendor, scope, ref)
    ) STRICT;
INSERT INTO "files" VALUES('f1','c1','acme','agent-1','ref-1','{"id":"f1","conversation_id":"c1","key":{"vendor":"acme","scope":"agent-1"},"ref":"ref-1","name":"a.pdf","media_type":"application/pdf","size":3,"created_at":"2026-11-02T12:30:00Z"}');
CREATE TABLE messages (
        id TEXT PRIMARY KEY,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        position INTEGER NOT NULL,
        status TEXT NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (conversation_id, position)
    ) STRICT;
INSERT INTO "messages" VALUES('q1','c1',0,'completed','{"id":"q1","conversation_id":"c1","role":"user","status":"completed","parts":[{"type":"text","text":"Hi"}],"created_at":"2026-11-02T12:30:00Z"}');
INSERT INTO "messages" VALUES('a1','c1',1,'completed','{"id":"a1","conversation_id":"c1","role":"assistant","status":"completed","parts":[{"type":"text","text":"Hello","block":0}],"created_at":"2026-11-02T12:30:00Z","completed_at":"2026-11-02T12:30:00Z","finish_reason":"stop","route":"support"}');
INSERT INTO "messages" VALUES('q2','c2',0,'completed','{"id":"q2","conversation_id":"c2","role":"user","status":"completed","parts":[{"type":"text","text":"Hi"}],"created_at":"2026-11-02T12:30:00Z"}');
INSERT INTO "messages" VALUES('a2','c2',1,'running','{"id":"a2","conversation_id":"c2","role":"assistant","status":"running","parts":[],"created_at":"2026-11-02T12:30:00Z","route":"support"}');
CREATE INDEX conversations_by_use ON conversations (owner, updated_at, id);
CREATE INDEX messages_running ON messages (id) WHERE status = 'running';
COMMIT;
