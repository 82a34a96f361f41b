/** Forgets the leases that have ended. */
const prune = `SELECT coalesce(array_agg(l.ends), '{}'), coalesce(array_agg(l.id), '{}'), coalesce(min(l.ends), 'Infinity') INTO s, ids, part
              FROM unnest(s, ids) AS l(ends, id) WHERE l.ends > now;
            rm[r] := s::text; ri[r] := ids::text; ra[r] := part;`;

/** Does one command with its rows, which were brought to the present: sets `done`, `granted`, and whether anything is to be `kept`. */
export const doing = `
    IF op <= 1 THEN
      FOR j IN first .. last LOOP
        r := p_demands[2 * j - 1];
        q := 6 * p_demands[2 * j] - 5;
        kind := p_settings[q];
        IF kind = 1 THEN done := rl[r] <= p_settings[q + 3] - p_amounts[2 * j - 1] * p_settings[q + 2];
        ELSIF kind = 2 THEN done := rl[r] + p_amounts[2 * j - 1] <= p_settings[q + 3];
        ELSIF kind = 3 THEN done := rl[r] + p_amounts[2 * j - 1] <= p_settings[q + 1];
        ELSE done := rl[r] < p_settings[q + 1];
        END IF;
        EXIT WHEN NOT done;
      END LOOP;
      kept := done AND op = 1;
    ELSE
      kept := op <> 5 AND op <> 3;
      done := op <> 6;
      IF op = 4 THEN -- once: a row of its own remembers it
        u := taken_at;
        kept := rl[u] = 0;
        IF kept THEN
          rl[u] := 1; ra[u] := now; rd[u] := 1;
        END IF;
      END IF;
    END IF;
    IF kept OR op = 3 THEN
      id := p_ids[i + 1];
      FOR j IN first .. last LOOP
        r := p_demands[2 * j - 1];
        q := 6 * p_demands[2 * j] - 5;
        kind := p_settings[q];
        cost := p_amounts[2 * j - 1];
        IF kind = 1 THEN
${bucket()}
        ELSIF kind = 2 THEN
${slidingWindow()}
        ELSIF kind = 3 THEN
${calendarQuota()}
        ELSE
${concurrency()}
        END IF;
        EXIT WHEN NOT done;
      END LOOP;
    END IF;`;

function bucket(): string {
  return `
          o := ro[r];
          IF op = 2 OR op = 6 THEN
            reserved := p_amounts[2 * j];
            IF op = 6 THEN amount := used; ELSE amount := cost; END IF;
            IF op = 2 OR reserved > 0 THEN
              part := NULL;
              IF o >= 0 THEN part := st[o + 1] - floor(taken_at / p_settings[q + 5]); END IF;
              room := reserved * p_settings[q + 2];
              IF (part = 0 OR part = 1) AND st[o + 2 + part::int] >= room THEN
                k := o + 2 + part;
                st[k] := st[k] - room;
              ELSE part := NULL;
              END IF;
              room := rl[r] + (amount - reserved) * p_settings[q + 2];
              IF amount > reserved THEN rl[r] := greatest(rl[r], least(room, p_settings[q + 4]));
              ELSIF part IS NOT NULL THEN rl[r] := greatest(st[o + 2] + st[o + 3], room);
              END IF;
            END IF;
          ELSIF op = 4 THEN
            room := 0;
            IF o >= 0 THEN room := st[o + 2] + st[o + 3]; END IF;
            rl[r] := greatest(room, rl[r] - cost * p_settings[q + 2]);
          END IF;
          IF op = 6 THEN
            granted := least(cost, floor(greatest(0, floor((p_settings[q + 3] - rl[r]) / p_settings[q + 2])) / 4));
            done := granted > 0;
            cost := granted;
          END IF;
          IF op = 1 OR granted > 0 THEN
            rl[r] := rl[r] + cost * p_settings[q + 2];
            IF id IS NOT NULL THEN
              IF o < 0 THEN
                o := cardinality(st);
                ro[r] := o;
                st := st || ARRAY[floor(now / p_settings[q + 5]), 0, 0];
              END IF;
              IF st[o + 2] + st[o + 3] = 0 THEN st[o + 1] := floor(now / p_settings[q + 5]); END IF;
              st[o + 2] := st[o + 2] + cost * p_settings[q + 2];
            END IF;
          END IF;`;
}

function slidingWindow(): string {
  return `
          o := ro[r] + 1;
          parts := p_settings[q + 2];
          IF op = 1 THEN
            k := o + (ra[r] - floor(ra[r] / parts) * parts)::int;
            st[k] := st[k] + cost;
            rl[r] := rl[r] + cost;
          ELSIF op = 2 THEN
            reserved := p_amounts[2 * j];
            IF cost > reserved THEN
              part := ra[r];
              amount := greatest(0, least(cost - reserved, 2 * p_settings[q + 3] - rl[r]));
            ELSE
              part := floor(taken_at / p_settings[q + 1]);
              amount := 0;
              IF part <= ra[r] AND part > ra[r] - parts THEN
                amount := - least(reserved - cost, st[o + (part - floor(part / parts) * parts)::int]);
              END IF;
            END IF;
            k := o + (part - floor(part / parts) * parts)::int;
            st[k] := st[k] + amount;
            rl[r] := rl[r] + amount;
          ELSIF op = 4 THEN
            part := ra[r] - parts + 1;
            WHILE part <= ra[r] AND cost > 0 LOOP
              k := o + (part - floor(part / parts) * parts)::int;
              amount := least(cost, st[k]);
              st[k] := st[k] - amount;
              rl[r] := rl[r] - amount;
              cost := cost - amount;
              part := part + 1;
            END LOOP;
          END IF;`;
}

function calendarQuota(): string {
  return `
          IF op = 1 THEN rl[r] := rl[r] + cost;
          ELSIF op = 4 THEN rl[r] := greatest(0, rl[r] - cost);
          ELSIF op = 2 THEN
            reserved := p_amounts[2 * j];
            IF cost > reserved THEN rl[r] := greatest(rl[r], least(rl[r] + cost - reserved, 2 * p_settings[q + 1]));
            ELSIF taken_at >= ra[r] AND taken_at < (CASE WHEN ra[r] = p_settings[q + 2] THEN p_settings[q + 3] ELSE p_settings[q + 4] END) THEN
              rl[r] := greatest(0, rl[r] + cost - reserved);
            END IF;
          END IF;`;
}

function concurrency(): string {
  return `
          ids := coalesce(ri[r]::text[], '{}');
          s := coalesce(rm[r]::float8[], '{}');
          IF ra[r] <= now AND op <> 3 AND ri[r] IS NOT NULL THEN ${prune}
          END IF;
          k := array_position(ids, id);
          amount := now + p_settings[q + 2];
          IF op = 1 THEN
            rl[r] := rl[r] + 1;
            IF id IS NOT NULL THEN
              IF ri[r] IS NULL THEN ra[r] := amount; ELSE ra[r] := least(ra[r], amount); END IF;
              IF k IS NULL THEN
                ids := ids || id;
                s := s || amount;
              ELSE s[k] := amount;
              END IF;
              ri[r] := ids::text;
              rm[r] := s::text;
            END IF;
            IF ri[r] IS NOT NULL AND cardinality(ids) <> rl[r] THEN -- the next command counts anew
              ra[r] := 0;
              rn[r] := 0;
            END IF;
          ELSIF op = 2 AND ri[r] IS NOT NULL THEN
            IF k IS NOT NULL THEN
              ids := ids[: k - 1] || ids[k + 1 :];
              s := s[: k - 1] || s[k + 1 :];
              ri[r] := ids::text;
              rm[r] := s::text;
            END IF;
            rl[r] := cardinality(ids);
          ELSIF op = 3 THEN
            done := k IS NOT NULL AND s[k] > now;
            IF done THEN
              s[k] := amount;
              ${prune}
              rd[r] := 1;
              dirty := true;
            END IF;
          END IF;`;
}
