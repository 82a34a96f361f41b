type Fields = { readonly [key: string]: unknown };

/** Under which keys clients and providers nest the error object of an answer. */
const nests = ['error', 'data', 'body', 'response'];

/** Under which keys they keep it as text: `responseBody` of the Vercel AI SDK, `message` of Google's. */
const texts = ['responseBody', 'message'];

/** Deepest nesting met is `response.data.error` with an error object as text in its `message`, which takes five steps. */
const deepest = 6;

/** Longer texts are no error object. */
const longestText = 20_000;

/**
 * The objects in which a provider may have put its error: `source` itself first, then what it nests, as parsed bodies, as errors of
 * the clients of OpenAI, Anthropic, Google and Vercel, or as JSON text.
 */
export function apiErrors(source: unknown): readonly Fields[] {
  const found: Fields[] = [];
  collect(source, 0, found);
  return found;
}

/** `value` as an object whose fields can be looked at, or undefined. */
export function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
}

function collect(value: unknown, depth: number, found: Fields[]): void {
  const fields = fieldsOf(value);
  if (fields === undefined || depth > deepest || found.includes(fields)) return;
  found.push(fields);
  for (const key of nests) collect(fields[key], depth + 1, found);
  for (const key of texts) collect(parsed(fields[key]), depth + 1, found);
}

function parsed(text: unknown): unknown {
  if (typeof text !== 'string' || text.length > longestText || !/^\s*[[{]/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value[0] : value; // Gemini's streaming endpoint wraps its error in an array
  } catch {
    return undefined;
  }
}
