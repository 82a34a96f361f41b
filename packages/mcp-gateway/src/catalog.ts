import type { JsonObject } from './json-rpc.ts';
import type { ServerCatalog } from './server-catalog.ts';

/** One server's part of the catalogue. */
export interface CatalogPart {
  readonly server: string;
  /** Put before the names of its tools and prompts; resource addresses stay as they are. */
  readonly prefix: string;
  readonly catalog: ServerCatalog;
}

/** Where something that a client names is, and what the server itself calls it. */
export interface Located {
  readonly server: string;
  readonly name: string;
  /** What the gateway calls it. */
  readonly known: string;
  /** What the server says of it. */
  readonly entry: JsonObject;
}

/** The lists that clients see, in the order of the configuration and, within a server, in the server's own. */
export interface CatalogView {
  readonly tools: readonly JsonObject[];
  readonly resources: readonly JsonObject[];
  readonly resourceTemplates: readonly JsonObject[];
  readonly prompts: readonly JsonObject[];
}

/** A catalogue as clients use it. */
export interface CatalogReader {
  readonly view: CatalogView;
  tool(name: string): Located | undefined;
  prompt(name: string): Located | undefined;
  /** The server that lists the resource, or else one whose template the address fits. */
  resource(uri: string): Located | undefined;
  /** The server that offers this template. */
  template(uriTemplate: string): Located | undefined;
}

/** What many servers offer together. Where two offer the same name, the one that is configured first has it. */
export class Catalog implements CatalogReader {
  readonly #tools = new Map<string, Located>();
  readonly #prompts = new Map<string, Located>();
  readonly #resources = new Map<string, Located>();
  readonly #templates: { readonly fits: (uri: string) => boolean; readonly located: Located }[] = [];
  readonly view: CatalogView;
  readonly #parts: readonly CatalogPart[];
  /** Names that two servers offer: `[name, server that has it, server that does not]`. */
  readonly collisions: readonly (readonly [string, string, string])[];

  constructor(parts: readonly CatalogPart[]) {
    this.#parts = parts;
    const collisions: [string, string, string][] = [];
    const named = (where: Map<string, Located>, member: 'tools' | 'prompts') =>
      parts.flatMap(({ server, prefix, catalog }) =>
        catalog[member].flatMap((entry) => {
          const own = entry['name'] as string;
          const name = prefix + own;
          return claim(where, name, { server, name: own, known: name, entry }, collisions) ? [{ ...entry, name }] : [];
        }),
      );
    const addressed = (where: Map<string, Located>, member: 'resources' | 'resourceTemplates', key: string) =>
      parts.flatMap(({ server, catalog }) =>
        catalog[member].filter((entry) => {
          const name = entry[key] as string;
          return claim(where, name, { server, name, known: name, entry }, collisions);
        }),
      );
    const templates = new Map<string, Located>();
    this.view = {
      tools: named(this.#tools, 'tools'),
      resources: addressed(this.#resources, 'resources', 'uri'),
      resourceTemplates: addressed(templates, 'resourceTemplates', 'uriTemplate'),
      prompts: named(this.#prompts, 'prompts'),
    };
    for (const [template, located] of templates) this.#templates.push({ fits: expandsTo(template), located });
    this.collisions = collisions;
  }

  /** Whether this is what these parts come to. */
  isOf(parts: readonly CatalogPart[]): boolean {
    return parts.every(({ catalog }, index) => catalog === this.#parts[index]?.catalog);
  }

  tool(name: string): Located | undefined {
    return this.#tools.get(name);
  }

  prompt(name: string): Located | undefined {
    return this.#prompts.get(name);
  }

  resource(uri: string): Located | undefined {
    const located = this.#resources.get(uri) ?? this.#templates.find(({ fits }) => fits(uri))?.located;
    return located && { ...located, name: uri, known: uri };
  }

  template(uriTemplate: string): Located | undefined {
    return this.#templates.find(({ located }) => located.name === uriTemplate)?.located;
  }
}

function claim(where: Map<string, Located>, name: string, located: Located, collisions: [string, string, string][]): boolean {
  const holder = where.get(name);
  if (holder === undefined) where.set(name, located);
  else collisions.push([name, holder.server, located.server]);
  return holder === undefined;
}

/** The longest address that is compared with templates. */
const longestAddress = 8_192;

/**
 * Whether an address may be an expansion of an RFC 6570 template: `{name}` stands for text within one segment, `{+name}` and the
 * like for any text. Not a regular expression, because templates are a server's and addresses a client's: this one's time is
 * bounded by the product of their lengths.
 */
function expandsTo(template: string): (uri: string) => boolean {
  const parts = template.split(/(\{[^{}]*\})/);
  return (uri) => {
    if (uri.length > longestAddress) return false;
    let ends: ReadonlySet<number> = new Set([0]);
    for (const part of parts) ends = /^\{.*\}$/.test(part) ? expansions(uri, ends, /^\{[+#/?&;.]/.test(part)) : literals(uri, ends, part);
    return ends.has(uri.length);
  };
}

function literals(uri: string, starts: ReadonlySet<number>, text: string): ReadonlySet<number> {
  return new Set([...starts].filter((start) => uri.startsWith(text, start)).map((start) => start + text.length));
}

function expansions(uri: string, starts: ReadonlySet<number>, anyText: boolean): ReadonlySet<number> {
  const ends = new Set<number>();
  let open = false;
  for (let at = 0; at <= uri.length; at += 1) {
    open ||= starts.has(at);
    if (open) ends.add(at);
    if (!anyText && '/?#'.includes(uri.charAt(at))) open = false;
  }
  return ends;
}
