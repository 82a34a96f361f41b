import type { CatalogReader, CatalogView, Located } from './catalog.ts';
import type { VirtualServerConfig } from './gateway-config.ts';
import type { JsonObject } from './json-rpc.ts';
import { fitsOneOf } from './name-pattern.ts';

/** Which of the gateway's names there are in a virtual server, and under which names of its own. */
interface Selection {
  readonly fits: (name: string) => boolean;
  readonly renamed: ReadonlyMap<string, string>;
}

/** A named part of what the gateway offers, with names of its own: what a client sees that comes in by its door. */
export class VirtualServer {
  readonly #tools: Selection;
  readonly #prompts: Selection;
  readonly #resources: (uri: string) => boolean;
  readonly #subsets = new WeakMap<CatalogReader, CatalogReader>();

  constructor({ tools = [], prompts = [], resources = [] }: VirtualServerConfig) {
    this.#tools = selection(tools);
    this.#prompts = selection(prompts);
    this.#resources = fitsOneOf(resources);
  }

  /** Whether a resource of this address belongs to it. */
  hasResource(uri: string): boolean {
    return this.#resources(uri);
  }

  /** Its part of a catalogue. @internal */
  of(catalog: CatalogReader): CatalogReader {
    let subset = this.#subsets.get(catalog);
    if (subset === undefined) {
      subset = this.#subset(catalog);
      this.#subsets.set(catalog, subset);
    }
    return subset;
  }

  #subset(catalog: CatalogReader): CatalogReader {
    const tools = chosen(catalog.view.tools, this.#tools);
    const prompts = chosen(catalog.view.prompts, this.#prompts);
    const view: CatalogView = {
      tools: tools.entries,
      prompts: prompts.entries,
      resources: catalog.view.resources.filter(({ uri }) => this.#resources(uri as string)),
      resourceTemplates: catalog.view.resourceTemplates.filter(({ uriTemplate }) => this.#resources(uriTemplate as string)),
    };
    const behind = (names: ReadonlyMap<string, string>, name: string, find: (known: string) => Located | undefined) => {
      const known = names.get(name);
      return known === undefined ? undefined : find(known);
    };
    return {
      view,
      tool: (name) => behind(tools.names, name, (known) => catalog.tool(known)),
      prompt: (name) => behind(prompts.names, name, (known) => catalog.prompt(known)),
      resource: (uri) => (this.#resources(uri) ? catalog.resource(uri) : undefined),
      template: (uriTemplate) => (this.#resources(uriTemplate) ? catalog.template(uriTemplate) : undefined),
    };
  }
}

function selection(choices: NonNullable<VirtualServerConfig['tools']>): Selection {
  const renamed = choices.flatMap((choice) => (typeof choice === 'string' ? [] : [[choice.name, choice.as] as const]));
  return { fits: fitsOneOf(choices.filter((choice) => typeof choice === 'string')), renamed: new Map(renamed) };
}

/** The chosen entries, in the gateway's order, and what the gateway itself calls each. A name given on purpose goes before one kept. */
function chosen(entries: readonly JsonObject[], { fits, renamed }: Selection): { entries: JsonObject[]; names: Map<string, string> } {
  const given = new Set(entries.flatMap(({ name }) => renamed.get(name as string) ?? []));
  const names = new Map<string, string>();
  const shown = entries.flatMap((entry) => {
    const known = entry['name'] as string;
    const name = renamed.get(known) ?? (fits(known) && !given.has(known) ? known : undefined);
    if (name === undefined || names.has(name)) return [];
    names.set(name, known);
    return [name === known ? entry : { ...entry, name }];
  });
  return { entries: shown, names };
}
