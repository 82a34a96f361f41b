import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { usagePage } from '../../src/http.ts';

const page = usagePage();
const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  page(new Request(`http://127.0.0.1${path}`, { headers, method }));

const shell = await (await get('/usage/')).text();
const names = [...shell.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, name]) => name as string);

describe('the shell', () => {
  test('weighs, with all it loads, at most 45 kB', async () => {
    expect(names.map((name) => name.replace(/-\w+\./, '.'))).toEqual(['icon.svg', 'main.css', 'main.js']);
    const files = await Promise.all(['', ...names].map(async (name) => Buffer.from(await (await get(`/usage/${name}`)).arrayBuffer())));
    const bytes = files.reduce((sum, file) => sum + gzipSync(file).byteLength, 0);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThanOrEqual(45_000);
  });

  test('has nothing inline, and lets in nothing of others', async () => {
    expect(shell).not.toMatch(/<style|style=|<script(?! type="module" src="main-\w+\.js"><\/script>)| on\w+=/);
    const policy = (await get('/usage/')).headers.get('content-security-policy') ?? '';
    const rules = Object.fromEntries(policy.split(/; ?/).map((rule) => [rule.split(' ')[0], rule.split(' ').slice(1).join(' ')]));
    expect(rules).toEqual({
      'default-src': "'none'",
      ...Object.fromEntries(['script-src', 'style-src', 'img-src', 'connect-src'].map((rule) => [rule, "'self'"])),
      ...Object.fromEntries(['base-uri', 'form-action', 'frame-ancestors'].map((rule) => [rule, "'none'"])),
      ...{ 'require-trusted-types-for': "'script'", 'trusted-types': "'none'" },
    });
  });

  test('is asked for anew each time, and what it loads never again', async () => {
    const first = await get('/usage/');
    expect(first.headers.get('cache-control')).toBe('no-cache');
    const again = await get('/usage/', { 'if-none-match': first.headers.get('etag') as string });
    expect([again.status, await again.text()]).toEqual([304, '']);
    for (const name of names) {
      const file = await get(`/usage/${name}`);
      expect(file.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect(file.headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  test('comes compressed to who takes that', async () => {
    const plain = await (await get('/usage/', { 'accept-encoding': 'gzip;q=0, br' })).text();
    const zipped = await get('/usage/', { 'accept-encoding': 'br, gzip' });
    expect(zipped.headers.get('content-encoding')).toBe('gzip');
    expect(zipped.headers.get('vary')).toBe('accept-encoding');
    expect(gunzipSync(Buffer.from(await zipped.arrayBuffer())).toString()).toBe(plain);
    const head = await get('/usage/', { 'accept-encoding': 'gzip' }, 'HEAD');
    expect([head.status, head.body, head.headers.get('content-type')]).toEqual([200, null, 'text/html; charset=utf-8']);
  });

  test('names the licences of what is inlined', async () => {
    const { pageFiles } = await import('../../src/http/page-files.ts');
    const licenses = (await pageFiles()).find(({ name }) => name.startsWith('licenses-'));
    expect(licenses?.text).toMatch(/^preact \d/m);
    expect(licenses?.text).toMatch(/^uplot \d/m);
    expect(licenses?.text.match(/Permission is hereby granted/g)).toHaveLength(2);
    expect((await get(`/usage/${licenses?.name}`)).headers.get('content-type')).toBe('text/plain; charset=utf-8');
  });
});

describe('where it is', () => {
  test('without the slash it leads to the slash, wherever a proxy has put it', async () => {
    const answer = await get('/usage');
    expect([answer.status, answer.headers.get('location')]).toEqual([308, 'usage/']);
    expect(new URL('usage/', 'https://example.com/tools/usage').href).toBe('https://example.com/tools/usage/');
  });

  test.each(['/', '/usage/none.js', '/usage/../package.json', '/usage/__proto__', '/usages/', '/usage/main.tsx'])(
    '%s is 404',
    async (path) => {
      expect((await get(path)).status).toBe(404);
    },
  );

  test('only GET and HEAD are answered', async () => {
    const answer = await get('/usage/', {}, 'POST');
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('elsewhere, with its routes elsewhere', async () => {
    const other = usagePage({ path: '/admin/cost', api: '/internal/api' });
    const answer = await other(new Request('http://127.0.0.1/admin/cost/'));
    expect(await answer.text()).toContain('data-api="/internal/api"');
    const moved = await other(new Request('http://127.0.0.1/admin/cost'));
    expect(moved.headers.get('location')).toBe('cost/');
  });

  test.each([
    [{ path: 'usage' }, 'path'],
    [{ path: '/usage/' }, 'path'],
    [{ path: '/a"b' }, 'path'],
    [{ api: 'https://evil.example/api' }, 'api'],
    [{ api: '//evil.example' }, 'api'],
    [{ api: '"><script>' }, 'api'],
    [{ base: '/usage' }, 'base is unknown'],
  ])('refuses %j', (options, message) => {
    expect(() => usagePage(options as never)).toThrow(RangeError);
    expect(() => usagePage(options as never)).toThrow(message);
  });
});
