/** Brings the row of each demand to the present and to the rule of the demand. */
export const opening = (prefix: string) => `
    FOR j IN first .. last LOOP
      r := p_demands[2 * j - 1];
      g := p_demands[2 * j];
      CONTINUE WHEN rn[r] = g AND (mode <> 2 OR version <= rv[r]);
      IF ri[r] IS NOT NULL AND ra[r] <= now THEN -- some lease has ended
        rl[r] := (SELECT count(*) FROM unnest(rm[r]::float8[]) AS l(ends) WHERE l.ends > now);
      END IF;
      rule := p_settings[6 * g - 5 : 6 * g];
      IF rg[r] = g AND (mode <> 2 OR version <= rv[r]) THEN
        was := NULL;
      ELSE
        ur := ur || r; ul := ul || rl[r]; ua := ua || ra[r]; uv := uv || rv[r]; ug := ug || rg[r]; uo := uo || ro[r];
        ut := ut || rt[r]; um := um || rm[r]; ui := ui || ri[r];
        IF rg[r] > 0 THEN was := p_settings[6 * rg[r] - 5 : 6 * rg[r]];
        ELSE
          was := string_to_array(rt[r], ',')::float8[];
          IF was[1] = 3 THEN -- its periods are known here only where they are those of the rule that is
            IF was[3:] = (string_to_array(p_rules[g], ',')::float8[])[3:] THEN was := ARRAY[3, was[2], rule[3], rule[4], rule[5]];
            ELSE was := ARRAY[3, was[2]];
            END IF;
          END IF;
        END IF;
        IF was IS NULL OR was[1] <> rule[1] THEN
          rl[r] := 0; ra[r] := 0; rv[r] := version; rm[r] := NULL; ri[r] := NULL; ro[r] := -1;
          was := NULL;
        END IF;
        rg[r] := g;
      END IF;
      IF ro[r] < 0 AND rm[r] IS NOT NULL AND rule[1] <= 2 THEN
        ro[r] := cardinality(st);
        po[r] := ro[r];
        st := st || rm[r]::float8[];
        k := CASE WHEN rule[1] = 1 THEN 3 WHEN was IS NULL THEN rule[3] ELSE was[3] END;
        IF cardinality(st) - ro[r] <> k OR array_position(st, NULL) IS NOT NULL THEN
          RAISE EXCEPTION 'the row of % is broken', p_keys[r] USING ERRCODE = 'data_corrupted';
        END IF;
      ELSIF ro[r] < 0 AND rule[1] = 2 THEN
        ro[r] := cardinality(st);
        st := st || array_fill(0::float8, ARRAY[rule[3]::int]);
      END IF;
      LOOP -- under the rule that was, and again under the one that is
        o := ro[r];
        IF was IS NOT NULL THEN s := was; ELSE s := rule; END IF;
        IF s[1] = 1 AND was IS NOT NULL THEN NULL; -- what comes back meanwhile comes back as fast as it does now
        ELSIF s[1] = 1 AND o < 0 THEN
          IF now < ra[r] THEN rl[r] := CASE WHEN rl[r] = 0 THEN 0 ELSE least(greatest(rl[r], s[4]), rl[r] + (ra[r] - now) * s[2]) END;
          ELSE rl[r] := greatest(0, rl[r] - (now - ra[r]) * s[2]);
          END IF;
          ra[r] := now;
        ELSIF s[1] = 1 THEN
          s := ${prefix}_advanced"(ARRAY[rl[r], ra[r], st[o + 1], st[o + 2], st[o + 3]], now, s);
          rl[r] := s[1]; ra[r] := s[2]; ro[r] := cardinality(st);
          st := st || s[3:];
        ELSIF s[1] = 2 THEN
          parts := s[3];
          part := floor(now / s[2]);
          IF part > ra[r] THEN
            IF rl[r] > 0 THEN
              FOR p IN 0 .. least(part - ra[r], parts)::int - 1 LOOP
                k := o + 1 + (part - p - floor((part - p) / parts) * parts)::int;
                rl[r] := rl[r] - st[k];
                st[k] := 0;
              END LOOP;
            END IF;
            ra[r] := part;
          ELSIF ra[r] - part >= parts THEN
            FOR p IN o + 1 .. o + parts::int LOOP st[p] := 0; END LOOP;
            st[o + 1 + (part - floor(part / parts) * parts)::int] := rl[r];
            ra[r] := part;
          END IF;
        ELSIF s[1] = 3 THEN
          IF cardinality(s) = 2 THEN
            IF now >= rx[r] THEN rl[r] := 0; END IF;
          ELSIF ra[r] < s[3] THEN
            ra[r] := s[3];
            rl[r] := 0;
          ELSIF ra[r] > s[4] THEN ra[r] := s[3];
          END IF;
        END IF;
        EXIT WHEN was IS NULL;
        IF was[1] = 1 THEN
          s := ARRAY[pl[r], pa[r]];
          o := po[r];
          IF o >= 0 THEN s := s || st[o + 1 : o + 3]; END IF;
        ELSE
          s := ARRAY[rl[r], ra[r]];
          IF o >= 0 THEN s := s || st[o + 1 : o + was[3]::int]; END IF;
        END IF;
        s := ${prefix}_carried"(s, was, rule, now, CASE WHEN version > rv[r] THEN mode ELSE 3 END);
        rl[r] := s[1]; ra[r] := s[2];
        IF o >= 0 THEN
          ro[r] := cardinality(st);
          st := st || s[3:];
        END IF;
        was := NULL;
      END LOOP;
      rn[r] := g;
    END LOOP;`;
