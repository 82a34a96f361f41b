/** Answers one command. */
export const answering = (prefix: string) => `
    refused := op <= 1 AND NOT done;
    u := cardinality(answer);
    answer[u + 1] := done::int;
    answer[u + 2] := granted;
    u := u + 2;
    FOR j IN first .. last LOOP
      r := p_demands[2 * j - 1];
      q := 6 * p_demands[2 * j] - 5;
      kind := p_settings[q];
      cost := p_amounts[2 * j - 1];
      wait := 0;
      IF kind = 1 THEN
        amount := greatest(0, floor((p_settings[q + 3] - rl[r]) / p_settings[q + 2]));
        IF levels OR refused THEN
          rule := p_settings[q : q + 5];
          s := ARRAY[rl[r], now, 0, 0, 0];
          IF ro[r] >= 0 THEN s := ARRAY[rl[r], now, st[ro[r] + 1], st[ro[r] + 2], st[ro[r] + 3]]; END IF;
          room := rule[4] - cost * rule[3];
          IF refused THEN wait := CASE WHEN room < 0 THEN -1 ELSE ${prefix}_bucket_within"(s, room, rule) END; END IF;
          IF levels THEN
            answer[u + 3] := CASE WHEN amount = rule[4] / rule[3] THEN 0 ELSE ${prefix}_bucket_within"(s, rule[4] - (amount + 1) * rule[3], rule) END;
            answer[u + 4] := ${prefix}_bucket_within"(s, 0, rule);
          END IF;
        END IF;
      ELSIF kind = 2 THEN
        most := p_settings[q + 3];
        amount := greatest(0, most - rl[r]);
        IF levels OR refused THEN
          rule := p_settings[q : q + 5];
          IF refused THEN wait := CASE WHEN cost > most THEN -1 ELSE ${prefix}_window_within"(st, ro[r], ra[r], rl[r], now, cost, rule) END; END IF;
          IF levels THEN
            answer[u + 3] := CASE WHEN amount = most THEN 0 ELSE ${prefix}_window_within"(st, ro[r], ra[r], rl[r], now, amount + 1, rule) END;
            answer[u + 4] := CASE WHEN amount = most THEN 0 ELSE ${prefix}_window_within"(st, ro[r], ra[r], rl[r], now, most, rule) END;
          END IF;
        END IF;
      ELSIF kind = 3 THEN
        most := p_settings[q + 1];
        amount := greatest(0, most - rl[r]);
        IF refused THEN wait := CASE WHEN cost > most THEN -1 WHEN rl[r] + cost <= most THEN 0 ELSE p_settings[q + CASE WHEN ra[r] = p_settings[q + 2] THEN 3 ELSE 4 END] - now END; END IF;
        IF levels THEN
          answer[u + 3] := CASE WHEN rl[r] = 0 THEN 0 WHEN ra[r] = p_settings[q + 2] THEN p_settings[q + 3] - now ELSE p_settings[q + 4] - now END;
          answer[u + 4] := answer[u + 3];
        END IF;
      ELSE
        amount := greatest(0, p_settings[q + 1] - rl[r]);
        IF refused AND rl[r] >= p_settings[q + 1] THEN wait := p_settings[q + 3]; END IF;
        IF levels THEN
          answer[u + 3] := CASE WHEN rl[r] = 0 THEN 0 ELSE p_settings[q + 3] END;
          answer[u + 4] := answer[u + 3];
        END IF;
      END IF;
      answer[u + 1] := wait;
      answer[u + 2] := amount;
      u := u + CASE WHEN levels THEN 4 ELSE 2 END;
    END LOOP;`;
