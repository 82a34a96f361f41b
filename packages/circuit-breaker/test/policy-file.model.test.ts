import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PolicyPart, parts, windows } from '../src/policy-file/policy-file-members.ts';
import { parsePolicies } from '../src/policy-file/policy-file-text.ts';
import { PolicyFileError, policyFileSchema } from '../src/policy-file.ts';
import { patience, scaledRuns } from './scale.ts';

// mostly values near the limits of the schema, now and then anything: one document in twenty is right
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(null, true, -0, 1e21, 2 ** 53, 1.5, '', '1', [], {}, { toString: 1 }, { type: 'count' }),
);

function near(schema: Readonly<Record<string, unknown>>): fc.Arbitrary<unknown> {
  const words = schema['type'] === 'boolean' ? [true, false] : (schema['enum'] as unknown[] | undefined);
  if (words !== undefined) {
    return fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...words) }, { weight: 1, arbitrary: anything });
  }
  const limits = ['minimum', 'maximum', 'exclusiveMinimum'].flatMap((limit) => (limit in schema ? [Number(schema[limit])] : []));
  const values = limits.flatMap((limit) => [limit, limit - 1, limit + 1, limit + 0.5, limit + 1e-9]);
  const inside = fc
    .integer({ min: 1, max: 20 })
    .map((n) => (limits.includes(1) && limits.length === 2 && schema['type'] === 'integer' ? n : 1));
  return fc.oneof(
    { weight: 12, arbitrary: inside },
    { weight: 2, arbitrary: fc.constantFrom(...values) },
    { weight: 1, arbitrary: anything },
  );
}

const window = fc.oneof(
  ...Object.entries(windows).map(([type, options]) =>
    fc.record(
      { type: fc.constant(type), ...Object.fromEntries(Object.entries(options).map(([option, schema]) => [option, near(schema)])) },
      { requiredKeys: ['type', ...Object.keys(options).slice(0, 1)] as 'type'[] },
    ),
  ),
  { weight: 1, arbitrary: anything },
);

const orNull = (value: fc.Arbitrary<unknown>) => fc.oneof({ weight: 20, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) });
const strange = fc.constantFrom('__proto__', 'constructor', 'name', 'classify', '', 'a/b~', '이름');
function record(members: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  const usual = fc.record(members, { requiredKeys: [] });
  const odd = fc
    .tuple(usual, strange, anything)
    .map(([object, name, value]) =>
      JSON.parse(
        `${JSON.stringify(object).slice(0, -1)}${Object.keys(object).length > 0 ? ',' : ''}${JSON.stringify(name)}:${JSON.stringify(value)}}`,
      ),
    );
  return fc.oneof({ weight: 30, arbitrary: usual }, { weight: 1, arbitrary: odd }, { weight: 1, arbitrary: anything });
}

const policy = record(
  Object.fromEntries(
    Object.entries<PolicyPart>(parts).map(([part, { options }]) => [
      part,
      orNull(
        record(
          Object.fromEntries(
            Object.entries(options).map(([name, schema]) => [name, orNull(name === 'slidingWindow' ? window : near(schema))]),
          ),
        ),
      ),
    ]),
  ),
);
const names = fc.oneof({ weight: 20, arbitrary: fc.constantFrom('a', 'b', 'c', '__proto__', '이름') }, strange);
const policies = fc
  .uniqueArray(fc.tuple(names, policy), { selector: ([name]) => name, maxLength: 3 })
  .map((entries) => JSON.parse(`{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`));
const document = fc
  .record(
    { $schema: orNull(fc.string()), defaults: policy, policies: fc.oneof({ weight: 20, arbitrary: policies }, anything) },
    { requiredKeys: ['policies'] },
  )
  .map((value) => JSON.stringify(value));

function problemsOf(bytes: Uint8Array) {
  try {
    parsePolicies(bytes, 'x.json');
    return [];
  } catch (error) {
    if (error instanceof PolicyFileError && error.problems.length > 0) return error.problems;
    throw error;
  }
}

const validate = new Ajv2020({ allowUnionTypes: true, strict: false }).compile(policyFileSchema);
const rules = Object.keys(policyFileSchema['x-rules'] as object);

describe('the parser of policy files', () => {
  it('accepts what the schema accepts, but for the rules that a schema cannot hold', patience, () => {
    let right = 0;
    let contradictory = 0;
    const runs = scaledRuns(3_000);
    fc.assert(
      fc.property(document, (text) => {
        const problems = problemsOf(Buffer.from(text));
        const ofShape = problems.filter(({ rule }) => rule === undefined || !rules.includes(rule));
        expect(ofShape.map(({ pointer, message }) => `${pointer} ${message}`).length === 0, text).toBe(validate(JSON.parse(text)));
        if (problems.length === 0) right += 1;
        else if (ofShape.length === 0) contradictory += 1;
      }),
      { numRuns: runs },
    );
    expect(right / runs).toBeGreaterThan(0.02); // about 0.05
    expect(contradictory / runs).toBeGreaterThan(0.001); // about 0.007
  });

  it('refuses garbage with a place, and throws nothing else', patience, () => {
    const pieces = fc.array(
      fc.oneof(
        fc.constantFrom(
          '{',
          '}',
          '[',
          ']',
          ',',
          ':',
          '"',
          '//',
          '/*',
          '*/',
          '\\',
          '\ufeff',
          '\n',
          '"a"',
          '"policies":{',
          '1e999',
          '-',
          '01',
          'nul',
          'null',
          '\u0000',
          '"__proto__":',
        ),
        fc.string({ unit: 'binary' }),
      ),
      { maxLength: 40 },
    );
    const damaged = fc.tuple(document, fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
      const bytes = Buffer.from(text);
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    const bytes = fc.oneof(
      pieces.map((all) => Buffer.from(all.join(''))),
      fc.uint8Array({ maxLength: 200 }),
      damaged,
    );
    fc.assert(
      fc.property(bytes, (content) => {
        for (const { line, column } of problemsOf(content)) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(column).toBeGreaterThanOrEqual(1);
        }
      }),
      { numRuns: scaledRuns(5_000) },
    );
  });
});
