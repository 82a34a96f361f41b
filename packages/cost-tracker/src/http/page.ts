import { createHash } from 'node:crypto';
import { checkKeys, checkText } from '../options.ts';
import type { PageFile } from './page-files.ts';
import { hasTag } from './routes.ts';

/** Where a page is. */
export interface UsagePageOptions {
  /** The path it is mounted at, without a slash at its end. @defaultValue `'/usage'` */
  readonly path?: string;
  /** The path of what `usageHandler` answers, up to `/usage`, from the page: relative, or from the root. @defaultValue `'../api'` */
  readonly api?: string;
}

interface Served {
  readonly contentType: string;
  readonly text: string;
  readonly etag: string;
  readonly headers: Readonly<Record<string, string>>;
}

const PATH = /^(?:\/[\w.~-]+)+$/;
const API = /^[\w.~/-]+$/;
const FOREVER = 'public, max-age=31536000, immutable';
// Nothing of another origin, nothing inline, no framing, and no text that could become a script.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'",
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
].join('; ');
const SHELL_HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

/**
 * Answers for the page of usage: budgets and how far each is spent, spend over time, by model, tenant and tool, and value metrics with
 * their targets and trends.
 *
 * The page is public and holds no data. It asks the routes of `usageHandler` and `valueMetricsHandler` on the same origin, with the bearer
 * token from its address (`…/usage/#token=…`, kept for the tab alone) or the one it asks for after a 401; cookies go along too.
 *
 * @throws RangeError for an option that is unknown or not allowed.
 */
export function usagePage(options: UsagePageOptions = {}): (request: Request) => Promise<Response> {
  checkKeys(options, ['path', 'api'], 'usagePage options');
  const path = matching(options.path ?? '/usage', PATH, 'usagePage options.path', "a path such as '/usage'");
  const api = matching(options.api ?? '../api', API, 'usagePage options.api', "a path of the same origin such as '../api'");
  let files: Promise<ReadonlyMap<string, Served>> | undefined;
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'only GET is served here', { allow: 'GET, HEAD' });
    // Relative, so that it holds behind a proxy that serves the page elsewhere.
    if (pathname === path) return plain(308, 'the page is a folder', { location: `${path.split('/').at(-1)}/` });
    if (!pathname.startsWith(`${path}/`)) return plain(404, 'there is no such page');
    files ??= pageFilesServed(api).catch((error: unknown) => {
      files = undefined;
      throw error;
    });
    const file = (await files).get(pathname.slice(path.length + 1));
    return file === undefined ? plain(404, 'there is no such file') : answer(request, file);
  };
}

function matching(value: unknown, pattern: RegExp, name: string, allowed: string): string {
  const text = checkText(value, name);
  if (pattern.test(text) && !text.startsWith('//')) return text;
  throw new RangeError(`${name} must be ${allowed}, not ${JSON.stringify(text)}`);
}

async function pageFilesServed(api: string): Promise<ReadonlyMap<string, Served>> {
  const { pageFiles } = await import('./page-files.ts');
  const files = await pageFiles();
  const served = files.map(({ name, contentType, text }) => [name, fileOf(contentType, text, { 'cache-control': FOREVER })] as const);
  return new Map([['', fileOf('text/html; charset=utf-8', shell(files, api), SHELL_HEADERS)], ...served]);
}

function fileOf(contentType: string, text: string, headers: Readonly<Record<string, string>>): Served {
  return { contentType, text, headers, etag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"` };
}

function shell(files: readonly PageFile[], api: string): string {
  const named = (extension: string) => files.find(({ name }) => name.endsWith(extension))?.name;
  return `<!doctype html>
<html lang="en" data-api="${api}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Usage</title>
<link rel="icon" href="${named('.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${named('.css')}">
<script type="module" src="${named('.js')}"></script>
</head>
<body>
<noscript>This page needs JavaScript. The same numbers are at ${api}/usage/summary.</noscript>
<div id="app"></div>
</body>
</html>
`;
}

async function answer(request: Request, { contentType, text, etag, headers }: Served): Promise<Response> {
  // Weak, because the same tag stands for the text compressed and not.
  const all = { ...headers, etag: `W/${etag}`, vary: 'accept-encoding', 'x-content-type-options': 'nosniff' };
  if (hasTag(request.headers.get('if-none-match'), etag)) return new Response(null, { status: 304, headers: all });
  const typed = { ...all, 'content-type': contentType };
  if (!/\bgzip\b(?!;\s*q=0(?:\.0*)?(?:,|$))/.test(request.headers.get('accept-encoding') ?? '')) {
    return new Response(request.method === 'HEAD' ? null : text, { headers: typed });
  }
  const zipped = request.method === 'HEAD' ? null : new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Response(zipped, { headers: { ...typed, 'content-encoding': 'gzip' } });
}

function plain(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${text}\n`, { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers } });
}
