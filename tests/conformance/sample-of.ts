/** As much of a JSON Schema as the forms and tools of the suite use. */
export interface Schema {
  readonly type?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

/** A value that fits: the default where there is one, and of an object all its members or only those that it must have. */
export function sampleOf(schema: Schema, members: 'all' | 'required'): unknown {
  if ('default' in schema) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  switch (schema.type) {
    case 'string':
      return 'sample';
    case 'number':
    case 'integer':
      return 1;
    case 'boolean':
      return true;
    case 'array':
      return [];
    default: {
      const properties = Object.entries(schema.properties ?? {});
      const wanted = properties.filter(([name]) => members === 'all' || schema.required?.includes(name));
      return Object.fromEntries(wanted.map(([name, property]) => [name, sampleOf(property, members)]));
    }
  }
}
