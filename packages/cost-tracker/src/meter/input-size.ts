import { checkKeys, checkNumber } from '../options.ts';
import { type Body, bodyOf, listOf, textOf } from '../usage/reported-usage.ts';

/** Tokens set aside for what is sent and is no text: neither its bytes nor its name bound what a model makes of it. */
export interface TokenAllowance {
  /**
   * An image, sent or named by a URL. Most models see at most so many tokens in one; of `gpt-4o-mini`, which counts images
   * by more than thirty times as much, the default is 50 000. @defaultValue `5_000`
   */
  image?: number;
  /**
   * What is only named, each: a file, an earlier response or conversation, a stored prompt, a cache; and each tool that
   * the provider runs itself, whose results the model reads. A file that is sent counts so much and a token for every byte.
   * @defaultValue `50_000`
   */
  reference?: number;
}

/** How many tokens a call sends. */
export interface InputSize {
  /** The most that it can be: of text a token for every byte. */
  readonly most: number;
  /** What it is taken for where nobody says what it was. */
  readonly likely: number;
}

const MOST_TOKENS = 1_000_000_000;
const IMAGE = 5_000;
const REFERENCE = 50_000;
// https://developers.openai.com/api/docs/guides/images-vision: 2 833 tokens and 5 667 for each of up to eight tiles
const DENSE_IMAGE = 50_000;
/** Instructions that providers put before a call; those about tools are longer. */
const PREAMBLE = 64;
const TOOLS_PREAMBLE = 1_000;
/** A second of speech is at most 32 tokens and at least 750 bytes, which are 1 000 characters of base64. */
const AUDIO_CHARACTERS_PER_TOKEN = 16;
const RUN_BY_PROVIDER = /^(web|file_search|code|mcp|tool_search|image_gen|x_search|google|url_context)/i;
const REFERENCES = new Set([
  ...['file_id', 'file_url', 'fileUri', 'file_uri', 'previous_response_id', 'conversation', 'cachedContent', 'cached_content'],
]);

/** Text has no more tokens than bytes, and rarely more than one for three of them. */
export function likelyTokens(bytes: number): number {
  return Math.ceil(bytes / 3);
}

/** Checks an allowance. */
export function readAllowance(allowance: TokenAllowance): TokenAllowance {
  checkKeys(allowance, ['image', 'reference'], 'allowance');
  for (const name of ['image', 'reference'] as const) {
    if (allowance[name] !== undefined) checkNumber(allowance[name], 0, MOST_TOKENS, `allowance.${name}`);
  }
  return allowance;
}

/** Measures what is sent to a model, whatever the provider's names for its parts. */
export function sizeOfInput(body: Body, model: string, allowance: TokenAllowance): InputSize {
  const image = allowance.image ?? (model.includes('gpt-4o-mini') ? DENSE_IMAGE : IMAGE);
  const scan = new InputScan(image, allowance.reference ?? REFERENCE);
  const text = JSON.stringify(scan.textOf(body, '', {})) ?? '';
  const bytes = Buffer.byteLength(text);
  const tools = listOf(body['tools']);
  const beside = scan.allowed + PREAMBLE + (tools.length > 0 ? TOOLS_PREAMBLE : 0) + scan.reference * toolsRunByProvider(body, tools);
  return { most: bytes + beside, likely: likelyTokens(bytes) + beside };
}

function toolsRunByProvider(body: Body, tools: readonly Body[]): number {
  const named = tools.filter((tool) => [tool['type'], ...Object.keys(tool)].some((name) => RUN_BY_PROVIDER.test(String(name))));
  const servers = listOf(body['mcp_servers']).length;
  const search = typeof body['web_search_options'] === 'object' && body['web_search_options'] !== null ? 1 : 0;
  return named.length + servers + search;
}

/** Takes what is no text out of a body, and adds up what it is allowed instead. */
class InputScan {
  readonly #image: number;
  readonly reference: number;
  allowed = 0;

  constructor(image: number, reference: number) {
    this.#image = image;
    this.reference = reference;
  }

  /** The value without its media. */
  textOf(value: unknown, key: string, holder: Body): unknown {
    if (typeof value === 'string') return this.#textOfString(value, key, holder);
    if (value instanceof Uint8Array) return this.#media(typeOf(holder), Math.ceil(value.length / 3) * 4);
    if (value instanceof URL) return this.#textOfString(value.href, key, holder);
    if (Array.isArray(value)) return value.map((each) => this.textOf(each, key, holder));
    if (typeof value !== 'object' || value === null) return value;
    const object = bodyOf(value);
    if (isReference(object, key)) this.allowed += this.reference;
    return Object.fromEntries(Object.entries(object).map(([name, each]) => [name, this.textOf(each, name, within(object, holder, key))]));
  }

  #textOfString(value: string, key: string, holder: Body): unknown {
    if (value.startsWith('data:')) return this.#media(value.slice('data:'.length, 64), value.length);
    if (key === 'data' && holder['type'] !== 'text' && typeOf(holder) !== '') return this.#media(typeOf(holder), value.length);
    if (key === 'file_data') return this.#media('file', value.length);
    if (REFERENCES.has(key)) this.allowed += this.reference;
    else if (isImageUrl(value, key, holder)) this.allowed += this.#image;
    else if (key === 'url' && holder['type'] === 'url') this.allowed += this.reference;
    return value;
  }

  #media(type: string, characters: number): '' {
    if (type.startsWith('image/')) this.allowed += this.#image;
    else if (/^(audio\/|wav|mp3|flac|opus|pcm|aac|ogg)/.test(type)) this.allowed += Math.ceil(characters / AUDIO_CHARACTERS_PER_TOKEN);
    else if (type.startsWith('text/')) this.allowed += characters;
    else this.allowed += this.reference + characters;
    return '';
  }
}

/** What a medium is, the part around it may say. */
function within(object: Body, holder: Body, key: string): Body {
  if (key !== 'source' && key !== 'data') return object;
  const type = typeOf(holder);
  const isImage = holder['type'] === 'image' || type.startsWith('image/');
  return { ...(type !== '' && { mediaType: type }), ...(isImage && { around: 'image' }), ...object };
}

function isReference(object: Body, key: string): boolean {
  if ((key === 'prompt' || REFERENCES.has(key)) && textOf(object['id']) !== undefined) return true;
  return key === 'data' && object['type'] === 'reference';
}

function isImageUrl(value: string, key: string, holder: Body): boolean {
  if (!/^https?:/i.test(value)) return false;
  return key === 'image_url' || (key === 'url' && (holder['around'] === 'image' || 'detail' in holder || holder['type'] === undefined));
}

function typeOf(holder: Body): string {
  const { media_type, mime_type, mimeType, mediaType, format } = holder;
  return String(media_type ?? mime_type ?? mimeType ?? mediaType ?? format ?? '').toLowerCase();
}
