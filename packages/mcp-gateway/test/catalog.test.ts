import { describe, expect, test } from 'vitest';
import { Catalog, type CatalogPart } from '../src/catalog.ts';
import type { ServerCatalog } from '../src/server-catalog.ts';

function part(server: string, prefix: string, catalog: Partial<ServerCatalog>): CatalogPart {
  return { server, prefix, catalog: { tools: [], resources: [], resourceTemplates: [], prompts: [], ...catalog } };
}

describe('names', () => {
  const catalog = new Catalog([
    part('b', 'b__', { tools: [{ name: 'z', title: 'Z', unknown: 1 }, { name: 'a' }], prompts: [{ name: 'p' }] }),
    part('a', 'own.', { tools: [{ name: 'z' }], prompts: [{ name: 'p' }] }),
    part('bare', '', { tools: [{ name: 'z' }] }),
  ]);

  test("carry their server's prefix, in the order of the configuration and then the server's own; the rest of an entry stays", () => {
    expect(catalog.view.tools).toEqual([{ name: 'b__z', title: 'Z', unknown: 1 }, { name: 'b__a' }, { name: 'own.z' }, { name: 'z' }]);
    expect(catalog.view.prompts).toEqual([{ name: 'b__p' }, { name: 'own.p' }]);
    expect(catalog.collisions).toEqual([]);
  });

  test('lead back to the server and its own name for it', () => {
    expect(catalog.tool('own.z')).toMatchObject({ server: 'a', name: 'z' });
    expect(catalog.tool('z')).toMatchObject({ server: 'bare', name: 'z' });
    expect(catalog.prompt('b__p')).toMatchObject({ server: 'b', name: 'p' });
    for (const name of ['a', 'b__', 'b__b__z', 'p', 'constructor', '__proto__']) {
      expect(catalog.tool(name)).toBeUndefined();
      expect(catalog.prompt(name)).toBeUndefined();
    }
  });

  test('that two servers offer belong to the one that is configured first; a tool and a prompt are no rivals', () => {
    const { view, collisions } = new Catalog([
      part('first', '', { tools: [{ name: 'x', from: 1 }], resources: [{ uri: 'r://1', from: 1 }] }),
      part('second', '', {
        tools: [{ name: 'x', from: 2 }, { name: 'y' }],
        resources: [{ uri: 'r://1', from: 2 }],
        prompts: [{ name: 'x' }],
        resourceTemplates: [{ uriTemplate: 'r://{id}' }],
      }),
      part('third', '', { resourceTemplates: [{ uriTemplate: 'r://{id}' }] }),
    ]);
    expect(view.tools).toEqual([{ name: 'x', from: 1 }, { name: 'y' }]);
    expect(view.resources).toEqual([{ uri: 'r://1', from: 1 }]);
    expect(view.prompts).toEqual([{ name: 'x' }]);
    expect([...collisions].sort()).toEqual([
      ['r://1', 'first', 'second'],
      ['r://{id}', 'second', 'third'],
      ['x', 'first', 'second'],
    ]);
  });

  test('come out alike from the same servers, whatever was asked before', () => {
    const parts = [part('a', 'a__', { tools: [{ name: 'x' }] }), part('b', 'b__', { tools: [{ name: 'x' }] })];
    expect(new Catalog(parts).view).toEqual(new Catalog(structuredClone(parts)).view);
  });
});

describe('the address of a resource', () => {
  const catalog = new Catalog([
    part('files', 'files__', {
      resources: [{ uri: 'file:///listed' }],
      resourceTemplates: [{ uriTemplate: 'file:///{+path}' }, { uriTemplate: 'note://{user}/{id}' }],
    }),
    part('web', 'web__', {
      resources: [{ uri: 'file:///of-web' }],
      resourceTemplates: [{ uriTemplate: 'page://a.b(c)*{?query,page}' }, { uriTemplate: 'any:{rest}' }],
    }),
  ]);

  test.each([
    ['file:///listed', 'files'],
    ['file:///of-web', 'web'],
    ['file:///a/b/c', 'files'],
    ['note://mina/7', 'files'],
    ['note:///7', 'files'],
    ['page://a.b(c)*?query=x', 'web'],
    ['page://a.b(c)*', 'web'],
    ['any:thing', 'web'],
    ['any:', 'web'],
  ])('%s is found at %s, and goes there as it is', (uri, server) => {
    expect(catalog.resource(uri)).toMatchObject({ server, name: uri });
  });

  test.each(['note://mina/7/8', 'note://mina', 'page://aXb(c)*', 'xany:thing', 'any:a/b', 'any:a?b', 'any:a#b', '', 'https://elsewhere/'])(
    "'%s' is found nowhere",
    (uri) => {
      expect(catalog.resource(uri)).toBeUndefined();
    },
  );

  test('of a template leads to the template itself only by its own text', () => {
    expect(catalog.template('note://{user}/{id}')).toMatchObject({ server: 'files' });
    expect(catalog.template('note://mina/7')).toBeUndefined();
  });

  test('costs no more than its length allows, however it is made', () => {
    const many = new Catalog([part('x', '', { resourceTemplates: [{ uriTemplate: 'x://{a}{b}{c}{d}{e}{f}{g}{h}!' }] })]);
    // tried out one by one, the ways to share these letters among the names would take minutes
    expect(many.resource(`x://${'a'.repeat(200)}`)).toBeUndefined();
    expect(many.resource(`x://${'a'.repeat(8_000)}!`)).toMatchObject({ server: 'x' });
    expect(many.resource(`x://${'a'.repeat(10_000)}!`)).toBeUndefined();
  });
});
