// Gives the conformance suite, and nobody else, an `fs` with a `globSync`. Only its report on repositories calls it.
const source = `
  export * from 'node:fs';
  export { default } from 'node:fs';
  export function globSync() { throw new Error('this Node has no fs.globSync'); }
`;

export async function resolve(specifier, context, next) {
  const ofSuite = context.parentURL?.includes('/@modelcontextprotocol/conformance/dist/') ?? false;
  return ofSuite && specifier === 'fs' ? { url: 'tidegate:fs', shortCircuit: true } : next(specifier, context);
}

export async function load(url, context, next) {
  return url === 'tidegate:fs' ? { format: 'module', source, shortCircuit: true } : next(url, context);
}
