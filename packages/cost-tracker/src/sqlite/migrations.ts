import { VALUE_TABLES } from '../value/sqlite-values.ts';

const dimensions = ['org', 'project', 'user', 'key', 'model', 'tool'].map((name) => `${name} TEXT NOT NULL`).join(', ');

/** What makes the tables, version by version. Append only: a migration that has been released is never edited. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE usage (
     tenant TEXT NOT NULL, dedupe_key TEXT NOT NULL, correction INTEGER NOT NULL, at_ms INTEGER NOT NULL, recorded_at_ms INTEGER NOT NULL,
     kind TEXT NOT NULL, name TEXT NOT NULL, provider TEXT NOT NULL, served_model TEXT NOT NULL, ${dimensions},
     usage TEXT NOT NULL, input_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
     amount_nano INTEGER NOT NULL CHECK (amount_nano >= 0 OR correction > 0),
     cost_source TEXT NOT NULL, revision INTEGER NOT NULL, failures INTEGER NOT NULL, unpriced INTEGER NOT NULL, success INTEGER NOT NULL,
     price_version TEXT, price_lines TEXT, duration_ms REAL, trace_id TEXT, metadata TEXT,
     PRIMARY KEY (tenant, dedupe_key, correction)
   ) STRICT;
   CREATE INDEX usage_at ON usage (at_ms);
   CREATE TRIGGER usage_no_update BEFORE UPDATE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
   CREATE TRIGGER usage_no_delete BEFORE DELETE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
   CREATE TABLE usage_rollup (
     span_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL,
     tenant TEXT NOT NULL, project TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,
     calls INTEGER NOT NULL, failures INTEGER NOT NULL, unpriced INTEGER NOT NULL,
     input_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, total_nano INTEGER NOT NULL,
     PRIMARY KEY (span_ms, start_ms, tenant, project, kind, name, model, provider)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE hold (
     tenant TEXT NOT NULL, dedupe_key TEXT NOT NULL, at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL, ${dimensions},
     amount_nano INTEGER NOT NULL CHECK (amount_nano >= 0),
     PRIMARY KEY (tenant, dedupe_key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX hold_expires_at ON hold (expires_at_ms);
   CREATE TABLE budget_counter (
     tenant TEXT NOT NULL, end_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, ${dimensions},
     spent_nano INTEGER NOT NULL, reserved_nano INTEGER NOT NULL CHECK (reserved_nano >= 0),
     PRIMARY KEY (tenant, end_ms, start_ms, org, project, user, key, model, tool)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_setting (name TEXT PRIMARY KEY, options TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_version (version INTEGER NOT NULL) STRICT;
   INSERT INTO budget_version (version) VALUES (0);
   CREATE TABLE threshold_crossing (
     id TEXT PRIMARY KEY, budget TEXT NOT NULL, level TEXT NOT NULL, threshold REAL NOT NULL, spent_nano INTEGER NOT NULL,
     limit_nano INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, crossed_at_ms INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX threshold_crossing_end ON threshold_crossing (end_ms);
   CREATE INDEX threshold_crossing_budget ON threshold_crossing (budget, start_ms);
   CREATE TABLE alert_delivery (
     sink TEXT NOT NULL, id TEXT NOT NULL REFERENCES threshold_crossing (id), again_at_ms INTEGER, attempts INTEGER NOT NULL,
     PRIMARY KEY (sink, id)
   ) STRICT, WITHOUT ROWID;
   ${VALUE_TABLES}`,
];
