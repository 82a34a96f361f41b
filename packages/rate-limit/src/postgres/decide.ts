import { answering } from './answering.ts';
import { doing } from './doing.ts';
import { opening } from './opening.ts';

/** What the deciding function reads and writes. */
export interface Names {
  /** The table, quoted and with its schema. */
  readonly table: string;
  /** What the names of the functions begin with, quoted and with their schema, the closing quote left out. */
  readonly prefix: string;
}

/**
 * The function that does commands, one after the other, at one instant: that at which it held the rows of all their keys.
 *
 * Rows are locked by one INSERT in the order of their keys, so that two calls never wait for each other. What a row holds lies in
 * arrays by the number of its key: level and at, and for limits that need more, numbers from offset `o` of `st`.
 * It answers numbers, joined by commas: 0 and the time, then for each command whether it was done, how much was granted, and for each
 * demand wait (−1 for never), left and, where asked for, more in and full in. Or −1 and the time where the periods of a calendar
 * that were sent are not those of the time.
 */
export function decide({ table, prefix }: Names): string {
  return `
CREATE OR REPLACE FUNCTION ${prefix}"(
  p_now float8, p_keys text[], p_locked int, p_rules text[], p_settings float8[], p_commands int[], p_changes float8[], p_demands int[], p_amounts float8[], p_ids text[]
) RETURNS text LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET extra_float_digits = 1 AS $tidegate$
#variable_conflict use_variable
DECLARE
${variables}
BEGIN
  INSERT INTO ${table} AS kept (key) SELECT u.key FROM unnest(p_keys[:p_locked]) AS u(key) ORDER BY u.key COLLATE "C"
    ON CONFLICT (key) DO UPDATE SET key = excluded.key WHERE false;
  SELECT array_agg(x.level), array_agg(x.at), array_agg(x.version), array_agg(x.rule), array_agg(coalesce(array_position(p_rules, x.rule), 0)), array_agg(x.more), array_agg(x.ids), array_agg(x.idle_at)
    INTO rl, ra, rv, rt, rg, rm, ri, rx
    FROM (SELECT coalesce(t.level, 0) AS level, coalesce(t.at, 0) AS at, coalesce(t.version, 0) AS version, t.rule, t.more::text, t.ids::text, t.idle_at
      FROM unnest(p_keys) WITH ORDINALITY AS u(key, n) LEFT JOIN ${table} AS t ON t.key = u.key ORDER BY u.n) AS x;
  now := coalesce(p_now, floor(date_part('epoch', clock_timestamp()) * 1000000));
  n := cardinality(p_settings) / 6;
  FOR g IN 1 .. n LOOP
    IF p_settings[6 * g - 5] = 3 AND (now < p_settings[6 * g - 3] OR now >= p_settings[6 * g - 2]) THEN RETURN '-1,' || now; END IF;
  END LOOP;
  n := cardinality(p_keys);
  rn := array_fill(0, ARRAY[n]);
  rd := rn;
  ro := array_fill(-1, ARRAY[n]);
  pl := rl; pa := ra; po := ro;
  answer := ARRAY[0, now];
  FOR i IN 0 .. cardinality(p_commands) / 4 - 1 LOOP
    op := p_commands[4 * i + 1];
    first := last + 1;
    last := last + p_commands[4 * i + 2];
    levels := p_commands[4 * i + 3] = 1;
    mode := p_commands[4 * i + 4];
    version := p_changes[3 * i + 1];
    taken_at := p_changes[3 * i + 2];
    used := p_changes[3 * i + 3];
    done := true;
    granted := 0;
${resetting}${opening(prefix)}
${doing}
${answering(prefix)}
${keeping}
  END LOOP;
${writing(table)}
  RETURN array_to_string(answer, ',');
END $tidegate$;`;
}

const variables = `  now float8;
  n int;
  rl float8[]; -- of each row: how much is used,
  ra float8[]; -- as of when,
  rv float8[]; -- the version of its limits,
  rt text[]; -- their rule,
  rg int[]; -- that rule's number among those sent,
  rm text[]; -- further numbers,
  ri text[]; -- leases,
  rx float8[]; -- when it says nothing any more,
  ro int[]; -- the place of the further numbers in st,
  pl float8[]; pa float8[]; po int[]; -- level, at and place as they were last left, before time went on,
  rn int[]; -- the number of the rule under which it was brought to the present,
  rd int[]; -- and whether it is to be written (1) or deleted (2)
  st float8[] := '{}';
  dirty boolean := false;
  ur int[] := '{}'; ul float8[]; ua float8[]; uv float8[]; ug int[]; uo int[]; ut text[]; um text[]; ui text[]; -- rows as they were, where a command may yet be refused
  answer float8[];
  op int; first int; last int := 0; levels boolean; mode int; version float8; taken_at float8; used float8; done boolean; granted float8;
  r int; g int; q int; o int; k int; kind float8; cost float8; reserved float8; room float8; wait float8; most float8;
  part float8; parts float8; part_us float8; amount float8;
  rule float8[]; was float8[]; s float8[]; ids text[]; id text;
  kept boolean; refused boolean; u int;`;

/** Empties the rows that are reset. */
const resetting = `
    IF op = 5 THEN
      FOR j IN first .. last LOOP
        r := p_demands[2 * j - 1];
        rd[r] := 2; rn[r] := 0; rl[r] := 0; ra[r] := 0; rv[r] := 0; rt[r] := NULL; rg[r] := 0; rm[r] := NULL; ri[r] := NULL; ro[r] := -1;
        pl[r] := 0; pa[r] := 0; po[r] := -1;
      END LOOP;
      dirty := true;
    END IF;`;

/** Notes what the command changed, or forgets what was only tried. */
const keeping = `
    IF kept THEN
      FOR j IN first .. last LOOP
        r := p_demands[2 * j - 1];
        rd[r] := 1; pl[r] := rl[r]; pa[r] := ra[r]; po[r] := ro[r];
        IF version > rv[r] THEN rv[r] := version; END IF;
      END LOOP;
      dirty := true;
    ELSE
      FOR x IN REVERSE cardinality(ur) .. 1 LOOP
        r := ur[x];
        rn[r] := 0; rv[r] := uv[x]; rg[r] := ug[x]; ro[r] := uo[x]; rt[r] := ut[x];
        CONTINUE WHEN op = 3 AND ri[r] IS NOT NULL; -- leases that were renewed stay so
        rl[r] := ul[x]; ra[r] := ua[x]; rm[r] := um[x]; ri[r] := ui[x];
      END LOOP;
    END IF;
    IF cardinality(ur) > 0 THEN
      ur := '{}'; ul := '{}'; ua := '{}'; uv := '{}'; ug := '{}'; uo := '{}'; ut := '{}'; um := '{}'; ui := '{}';
    END IF;`;

/** Writes the rows that were changed, and no others. */
const writing = (table: string) => `
  IF dirty THEN
    IF cardinality(st) > 0 THEN
      FOR x IN 1 .. n LOOP
        o := ro[x];
        CONTINUE WHEN o < 0 OR rd[x] <> 1;
        g := rg[x];
        rm[x] := st[o + 1 : o + CASE WHEN p_settings[6 * g - 5] = 1 THEN 3 ELSE p_settings[6 * g - 3]::int END]::text;
      END LOOP;
    END IF;
    IF array_position(rd, 2) IS NOT NULL THEN
      DELETE FROM ${table} AS t USING unnest(p_keys, rd) AS x(key, written) WHERE x.written = 2 AND t.key = x.key;
    END IF;
    UPDATE ${table} AS t SET level = x.level, at = x.at, version = x.version, rule = coalesce(p_rules[x.g], t.rule), more = x.more::float8[], ids = x.ids::text[],
      idle_at = coalesce(CASE p_settings[6 * x.g - 5]
        WHEN 1 THEN now + ceil(x.level / p_settings[6 * x.g - 4]) + CASE WHEN x.more IS NULL THEN 0 ELSE 3 * p_settings[6 * x.g] END
        WHEN 2 THEN (x.at + p_settings[6 * x.g - 3]) * p_settings[6 * x.g - 4]
        WHEN 3 THEN p_settings[6 * x.g - CASE WHEN x.at = p_settings[6 * x.g - 3] THEN 2 ELSE 1 END]
        ELSE now + greatest(p_settings[6 * x.g - 3], (SELECT max(ends) - now FROM unnest(x.more::float8[]) AS l(ends)))
      END, CASE WHEN t.rule IS NULL THEN x.at ELSE t.idle_at END)
      FROM unnest(p_keys, rl, ra, rv, rg, rm, ri, rd) AS x(key, level, at, version, g, more, ids, written)
      WHERE x.written = 1 AND t.key = x.key;
  END IF;`;
