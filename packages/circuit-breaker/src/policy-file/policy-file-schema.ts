import { deepestNesting } from '../json-text.ts';
import { type JsonSchema, type PolicyPart, parts } from './policy-file-members.ts';

/** The longest policy file that is read, in bytes. */
export const longestFile = 1_048_576;

const nothing: JsonSchema = { type: 'null', description: 'Takes away what `defaults` give.' };

function policySchema(inherits: boolean): JsonSchema {
  const orNothing = (schema: JsonSchema): JsonSchema => (inherits ? { anyOf: [schema, nothing] } : schema);
  const properties = Object.entries<PolicyPart>(parts).map(([part, { description, options }]) => {
    const members = Object.entries(options).map(([option, schema]) => [option, orNothing(schema)]);
    return [part, orNothing({ type: 'object', description, properties: Object.fromEntries(members), additionalProperties: false })];
  });
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false };
}

/**
 * The JSON Schema (2020-12) of a policy file, also in the package as `schema/retry_policy.schema.json`. What a schema cannot
 * hold is told in its `x-rules`.
 */
export const policyFileSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'https://unpkg.com/@tidegate/circuit-breaker/schema/retry_policy.schema.json',
  title: 'Policies of a service by name, for @tidegate/circuit-breaker/policy-file',
  type: 'object',
  properties: {
    $schema: { type: 'string', description: 'Where this schema is, for editors.' },
    defaults: { $ref: '#/$defs/defaults' },
    policies: {
      type: 'object',
      description: 'The policies by name. Each inherits from `defaults`, option by option; a slidingWindow is inherited as a whole.',
      propertyNames: { minLength: 1 },
      additionalProperties: { $ref: '#/$defs/policy' },
    },
  },
  required: ['policies'],
  additionalProperties: false,
  $defs: { defaults: policySchema(false), policy: policySchema(true) },
  'x-rules': {
    encoding: 'The file is UTF-8, with or without a byte order mark. Comments and trailing commas are allowed.',
    size: `The file is at most ${longestFile} bytes long.`,
    depth: `Objects and arrays lie at most ${deepestNesting} levels deep in each other.`,
    duplicate: 'No object has two members of one name.',
    combination: 'The options of each policy, with what they inherit, fit each other as the documentation of the options says.',
  },
};
