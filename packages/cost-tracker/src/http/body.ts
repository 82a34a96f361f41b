import { Refused } from './problem.ts';

const MOST_BYTES = 16_384;

/**
 * Reads a JSON object that somebody sent.
 *
 * @throws Refused for another media type (415), more than 16 KiB (413), and what is no JSON object (400).
 */
export async function readBody(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/json *(;|$)/i.test(type)) throw new Refused(415, 'ERR_BAD_REQUEST', 'the content type must be application/json');
  const text = await textOf(request);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refused(400, 'ERR_BAD_REQUEST', 'the body is not JSON', { pointer: '' });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Refused(400, 'ERR_BAD_REQUEST', 'the body must be a JSON object', { pointer: '' });
}

async function textOf(request: Request): Promise<string> {
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.byteLength;
    if (size <= MOST_BYTES) continue;
    await reader.cancel();
    throw new Refused(413, 'ERR_BAD_REQUEST', `the body must be at most ${MOST_BYTES} bytes`, { pointer: '' });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new Refused(400, 'ERR_BAD_REQUEST', 'the body is not UTF-8', { pointer: '' });
  }
}
