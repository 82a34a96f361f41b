import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { likelyTokens, sizeOfInput } from '../src/meter/input-size.ts';
import { runs } from './runs.ts';

const base64 = 'A'.repeat(160_000);
const allowance = { image: 1_000_000, reference: 10_000_000 };
const user = (part: object) => ({ model: 'm', messages: [{ role: 'user', content: [part] }] });

/** What a body is allowed beside the bytes of its text, in images, references and tokens. */
function allowed(body: object): { images: number; references: number; rest: number; bytes: number } {
  const { most, likely } = sizeOfInput(body as Record<string, unknown>, 'm', allowance);
  // most − likely = bytes − ⌈bytes / 3⌉
  const difference = most - likely;
  const bytes =
    [0, 1, 2, 3].map((more) => Math.floor((difference * 3) / 2) + more).find((each) => each - likelyTokens(each) === difference) ?? 0;
  const beside = most - bytes - 64;
  return {
    bytes,
    references: Math.floor(beside / allowance.reference),
    images: Math.floor((beside % allowance.reference) / allowance.image),
    // two lengths of a text may have the same difference
    rest: Math.floor((beside % allowance.image) / 10) * 10,
  };
}

describe('an image counts by its allowance, and not by its bytes', () => {
  test.each([
    ['chat, sent', user({ type: 'image_url', image_url: { url: `data:image/png;base64,${base64}`, detail: 'high' } })],
    ['chat, by URL', user({ type: 'image_url', image_url: { url: 'https://images.test/1.png' } })],
    ['responses, sent', { input: [{ content: [{ type: 'input_image', image_url: `data:image/jpeg;base64,${base64}` }] }] }],
    ['responses, by URL', { input: [{ content: [{ type: 'input_image', image_url: 'https://images.test/1.png' }] }] }],
    ['messages, sent', user({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: base64 } })],
    ['messages, by URL', user({ type: 'image', source: { type: 'url', url: 'https://images.test/1.png' } })],
    ['Gemini, sent', { contents: [{ parts: [{ inlineData: { mimeType: 'image/webp', data: base64 } }] }] }],
    ['Gemini, in the other spelling', { contents: [{ parts: [{ inline_data: { mime_type: 'image/webp', data: base64 } }] }] }],
    ['the AI SDK', { prompt: [{ role: 'user', content: [{ type: 'file', mediaType: 'image/png', data: new Uint8Array(120_000) }] }] }],
    [
      'the AI SDK, version 7',
      { prompt: [{ content: [{ type: 'file', mediaType: 'image/png', data: { type: 'data', data: new Uint8Array(120_000) } }] }] },
    ],
    [
      'the AI SDK, version 7, by URL',
      { prompt: [{ content: [{ type: 'file', mediaType: 'image/png', data: { type: 'url', url: new URL('https://images.test/1') } }] }] },
    ],
  ])('%s', (_, body) => {
    expect(allowed(body)).toMatchObject({ images: 1, references: 0, rest: 0 });
    expect(allowed(body).bytes).toBeLessThan(300);
  });

  test('of gpt-4o-mini ten times as much, unless the allowance says it', () => {
    const body = user({ type: 'image_url', image_url: { url: 'https://images.test/1.png' } });
    const of = (model: string, image?: number) => sizeOfInput(body, model, image === undefined ? {} : { image }).most;
    expect(of('gpt-4o-mini-2024-07-18') - of('gpt-4o')).toBe(45_000);
    expect(of('gpt-4o-mini', 7) - of('gpt-4o', 0)).toBe(7);
  });
});

describe('what is only named counts by its allowance', () => {
  test.each<[string, object, number]>([
    ['an earlier response', { input: 'x', previous_response_id: 'resp_1' }, 1],
    ['a conversation', { input: 'x', conversation: 'conv_1' }, 1],
    ['a conversation as an object', { input: 'x', conversation: { id: 'conv_1' } }, 1],
    ['a stored prompt', { input: 'x', prompt: { id: 'pmpt_1', variables: { a: 'b' } } }, 1],
    ['a file of OpenAI', user({ type: 'file', file: { file_id: 'file-1' } }), 1],
    ['a file by URL', { input: [{ content: [{ type: 'input_file', file_url: 'https://files.test/1.pdf' }] }] }, 1],
    ['a document of Anthropic by URL', user({ type: 'document', source: { type: 'url', url: 'https://files.test/1.pdf' } }), 1],
    ['a file of Anthropic', user({ type: 'document', source: { type: 'file', file_id: 'file_1' } }), 1],
    ['a file of Gemini', { contents: [{ parts: [{ fileData: { fileUri: 'https://files.test/1', mimeType: 'video/mp4' } }] }] }, 1],
    [
      'a file of the AI SDK',
      { prompt: [{ content: [{ type: 'file', mediaType: 'application/pdf', data: { type: 'reference', reference: {} } }] }] },
      1,
    ],
    [
      'a file of the AI SDK by URL',
      { prompt: [{ content: [{ type: 'file', mediaType: 'a/b', data: { type: 'url', url: new URL('https://f.test') } }] }] },
      1,
    ],
    ['nothing of names in a schema', { tools: [{ type: 'function', parameters: { properties: { file_id: { type: 'string' } } } }] }, 0],
    ['a cache of Gemini', { contents: [], cachedContent: 'cachedContents/1' }, 1],
    [
      'tools of OpenAI',
      { input: 'x', tools: [{ type: 'web_search' }, { type: 'mcp', server_url: 'https://mcp.test' }, { type: 'function', name: 'f' }] },
      2,
    ],
    ['search in chat completions', { messages: [], web_search_options: {} }, 1],
    [
      'tools of Anthropic',
      { messages: [], tools: [{ type: 'web_search_20250305', name: 'web_search' }, { name: 'f' }], mcp_servers: [{}] },
      2,
    ],
    ['tools of Gemini', { contents: [], tools: [{ googleSearch: {} }, { codeExecution: {} }, { functionDeclarations: [] }] }, 2],
    ['nothing of the caller’s own tools', { messages: [], tools: [{ type: 'function', function: { name: 'f' } }, { type: 'custom' }] }, 0],
    ['nothing of a prompt that is a text', { prompt: 'x' }, 0],
  ])('%s', (_, body, references) => {
    expect(allowed(body)).toMatchObject({ references, images: 0, rest: 'tools' in body ? 1_000 : 0 });
  });

  test('a file that is sent, and besides a token for every byte', () => {
    for (const body of [
      user({ type: 'file', file: { file_data: `data:application/pdf;base64,${base64}`, filename: 'x.pdf' } }),
      user({ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: base64 } }),
    ]) {
      const { references, rest } = allowed(body);
      expect(references).toBe(1);
      expect(Math.abs(rest - base64.length)).toBeLessThan(64);
    }
  });
});

test('sound counts by its length: at least a token for 16 characters', () => {
  for (const body of [
    user({ type: 'input_audio', input_audio: { data: base64, format: 'wav' } }),
    { contents: [{ parts: [{ inlineData: { mimeType: 'audio/ogg', data: base64 } }] }] },
  ]) {
    expect(allowed(body)).toMatchObject({ images: 0, references: 0, rest: base64.length / 16 });
  }
});

test('a document that is text is text', () => {
  const body = user({ type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'x'.repeat(5_000) } });
  expect(allowed(body).bytes).toBeGreaterThan(5_000);
  expect(allowed(body)).toMatchObject({ images: 0, references: 0, rest: 0 });
});

property.prop([fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' })], runs(500))(
  'no text has more bytes than it is reserved for',
  (value) => {
    const body = { messages: value };
    const text: string[] = [];
    JSON.stringify(body, (_, each: unknown) => {
      if (typeof each === 'string' && !each.startsWith('data:')) text.push(each);
      return each;
    });
    const { most, likely } = sizeOfInput(body, 'm', {});
    expect(most).toBeGreaterThanOrEqual(Buffer.byteLength(text.join('')));
    expect(likely).toBeLessThanOrEqual(most);
  },
);
