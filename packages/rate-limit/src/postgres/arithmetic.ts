/**
 * The functions that the deciding function calls for what most calls do not need, in PL/pgSQL; `prefix` is what their names begin with.
 *
 * `rule` is the kind and the settings of a limit: 1 token bucket [per µs, per token, capacity, floor, spell], 2 sliding window
 * [part, parts, most], 3 calendar quota [most, start, end, end of the next], 4 concurrency [limit, lease, ask again].
 */
export function arithmetic(prefix: string): string {
  return [advanced(prefix), bucketWithin(prefix), windowWithin(prefix), carried(prefix)].join('\n');
}

const pure = 'LANGUAGE plpgsql IMMUTABLE';

/** A token bucket with reservations [used, since, spell, reserved in it, reserved in the one before], brought to `now`. */
const advanced = (prefix: string) => `
CREATE OR REPLACE FUNCTION ${prefix}_advanced"(s float8[], now float8, rule float8[]) RETURNS float8[] ${pure} AS $tidegate$
DECLARE
  used float8 := s[1];
  since float8 := s[2];
  spell float8 := s[3];
  young float8 := s[4];
  old float8 := s[5];
  current float8 := floor(now / rule[6]);
  ends float8;
BEGIN
  IF current < spell - 1 THEN spell := current; END IF;
  WHILE current > spell LOOP
    ends := (spell + 1) * rule[6];
    IF ends > since THEN
      used := greatest(young + old, used - (ends - since) * rule[2]);
      since := ends;
    END IF;
    old := young;
    young := 0;
    IF old = 0 THEN spell := current; ELSE spell := spell + 1; END IF;
  END LOOP;
  IF now < since THEN used := CASE WHEN used = 0 THEN 0 ELSE least(greatest(used, rule[4]), used + (since - now) * rule[2]) END;
  ELSE used := greatest(young + old, used - (now - since) * rule[2]);
  END IF;
  RETURN ARRAY[used, now, spell, young, old];
END $tidegate$;`;

/** In how many µs at most \`room\` units of a token bucket with reservations are used. */
const bucketWithin = (prefix: string) => `
CREATE OR REPLACE FUNCTION ${prefix}_bucket_within"(s float8[], room float8, rule float8[]) RETURNS float8 ${pure} AS $tidegate$
BEGIN
  IF s[1] <= room THEN RETURN 0; END IF;
  RETURN ceil((s[1] - room) / rule[2]);
END $tidegate$;`;

/** In how many µs \`cost\` fits a sliding window, whose counts are those of \`counts\` after \`at\`. */
const windowWithin = (prefix: string) => `
CREATE OR REPLACE FUNCTION ${prefix}_window_within"(counts float8[], at int, newest float8, total float8, now float8, cost float8, rule float8[])
RETURNS float8 ${pure} AS $tidegate$
DECLARE
  over float8 := total + cost - rule[4];
  part float8 := newest - rule[3];
BEGIN
  IF over <= 0 THEN RETURN 0; END IF;
  WHILE over > 0 LOOP
    part := part + 1;
    over := over - counts[at + 1 + (part - floor(part / rule[3]) * rule[3])::int];
  END LOOP;
  RETURN (part + rule[3]) * rule[2] - now;
END $tidegate$;`;

/** The same share of another limit: where more is let through than before, no less is left. */
const scaled = (used: string, from: string, to: string) =>
  `least(ceil(${used} * ${to} / ${from}), CASE WHEN ${to} >= ${from} AND ${used} <= ${from} THEN ${used} + ${to} - ${from} ELSE 'Infinity' END)`;

/** A state [level, at, more …] under the rule \`was\`, turned into one under \`rule\` of the same kind. \`mode\`: 0 used, 1 proportional, 2 reset, 3 kept. */
const carried = (prefix: string) => `
CREATE OR REPLACE FUNCTION ${prefix}_carried"(s float8[], was float8[], rule float8[], now float8, mode int) RETURNS float8[] ${pure} AS $tidegate$
DECLARE
  share float8;
  total float8 := 0;
  k int;
  counts float8[];
  part float8;
BEGIN
  IF rule[1] = 1 THEN
    IF cardinality(s) > 2 THEN counts := ARRAY[floor(now / rule[6]), CASE mode WHEN 2 THEN 0 ELSE ceil((s[4] + s[5]) / was[3] * rule[3]) END, 0]; END IF;
    IF mode = 2 THEN RETURN ARRAY[0, 0] || counts; END IF;
    IF was[3] = rule[3] AND was[4] = rule[4] THEN RETURN ARRAY[s[1], s[2]] || counts; END IF;
    IF mode = 1 THEN share := s[1] / was[4] * rule[4]; ELSE share := s[1] / was[3] * rule[3]; END IF;
    IF mode <> 3 THEN
      total := CASE WHEN rule[4] / rule[3] < was[4] / was[3] THEN 0 ELSE floor((was[4] - s[1]) / was[3]) END;
      share := least(ceil(share), CASE WHEN s[1] > was[4] THEN rule[5] ELSE rule[4] - total * rule[3] END);
    END IF;
    RETURN ARRAY[ceil(share), s[2]] || counts;
  ELSIF rule[1] = 2 THEN
    part := floor(now / rule[2]);
    counts := array_fill(0::float8, ARRAY[rule[3]::int]);
    IF mode = 2 THEN RETURN ARRAY[0, part] || counts; END IF;
    IF was[2] = rule[2] AND was[3] = rule[3] THEN
      share := 0;
      FOR i IN 0 .. rule[3]::int - 1 LOOP -- sums are rounded up, not their parts
        k := 1 + (s[2] - i - floor((s[2] - i) / rule[3]) * rule[3])::int;
        total := total + s[2 + k];
        counts[k] := CASE mode WHEN 1 THEN ${scaled('total', 'was[4]', 'rule[4]')} ELSE total END - share;
        share := share + counts[k];
      END LOOP;
      RETURN ARRAY[share, s[2]] || counts;
    END IF;
    share := CASE mode WHEN 1 THEN ${scaled('s[1]', 'was[4]', 'rule[4]')} ELSE s[1] END;
    counts[1 + (part - floor(part / rule[3]) * rule[3])::int] := share;
    RETURN ARRAY[share, part] || counts;
  ELSIF rule[1] = 3 THEN
    RETURN ARRAY[CASE mode WHEN 1 THEN ${scaled('s[1]', 'was[2]', 'rule[2]')} WHEN 2 THEN 0 ELSE s[1] END, CASE WHEN s[2] >= rule[4] THEN rule[4] ELSE rule[3] END];
  END IF;
  RETURN s;
END $tidegate$;`;
