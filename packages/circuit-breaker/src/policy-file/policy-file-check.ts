import { getNodeValue, type Node } from 'jsonc-parser';
import { type Member, membersOf, pointerOf } from '../json-text.ts';
import { type FileOptions, type PartName, type PolicyPart, type PolicySettings, partNames, parts, windows } from './policy-file-members.ts';

/** Something wrong at a place of a policy file. */
export interface PlacedProblem {
  readonly offset: number;
  readonly pointer: string;
  readonly message: string;
  readonly value?: unknown;
  readonly rule?: string;
}

/** What one place of the file gives for one part of a policy; `null` takes away what is inherited. */
interface GivenPart {
  readonly offset: number;
  readonly pointer: string;
  readonly options: Readonly<Record<string, unknown>> | null;
  readonly members: readonly Member[];
}

type GivenPolicy = Partial<Record<PartName, GivenPart>>;

/** Checks a document and puts together what it says of each name. */
export function checkDocument(tree: Node): { readonly policies: ReadonlyMap<string, PolicySettings>; readonly problems: PlacedProblem[] } {
  const check = new Check();
  const policies = check.document(tree);
  return { policies, problems: check.problems.sort((a, b) => a.offset - b.offset) };
}

class Check {
  readonly problems: PlacedProblem[] = [];
  readonly #broken = new Set<string>(); // pointers of parts whose options are wrong by themselves: what they give together says nothing

  document(tree: Node): Map<string, PolicySettings> {
    const top = this.#object(tree, '', 'a policy file', ['$schema', 'defaults', 'policies']);
    for (const { name, value, offset } of top ?? []) {
      if (name === '$schema' && value.type !== 'string') this.#wrong(offset, '/$schema', '$schema must be a string', value);
    }
    const defaults = top?.find(({ name }) => name === 'defaults');
    const given = top?.find(({ name }) => name === 'policies');
    const base = defaults === undefined ? {} : this.#policy(defaults.value, '/defaults', false);
    if (given === undefined && top !== undefined)
      this.#wrong(tree.offset, '', "'policies' is missing: an object with a policy for each name");
    const named = given === undefined ? undefined : this.#object(given.value, '/policies', 'policies');
    return new Map(named?.map((member) => [member.name, this.#named(member, base)]));
  }

  #named({ name, value, offset }: Member, base: GivenPolicy): PolicySettings {
    const pointer = pointerOf(['policies', name]);
    if (name === '') this.#wrong(offset, pointer, 'a policy needs a name of at least one character');
    return this.#merged(base, this.#policy(value, pointer, true));
  }

  #policy(node: Node, pointer: string, inherits: boolean): GivenPolicy {
    const policy: GivenPolicy = {};
    for (const { name, value, offset } of this.#object(node, pointer, 'a policy', partNames) ?? []) {
      const part = partNames.find((known) => known === name);
      const at = pointer + pointerOf([name]);
      if (part === undefined) continue;
      if (value.type === 'null' && inherits) policy[part] = { offset, pointer: at, options: null, members: [] };
      else policy[part] = this.#part(part, value, { offset, pointer: at, inherits });
    }
    return policy;
  }

  #part(part: PartName, node: Node, place: { offset: number; pointer: string; inherits: boolean }): GivenPart {
    const { options, beside, check }: PolicyPart = parts[part];
    const before = this.problems.length;
    const members = this.#object(node, place.pointer, part, Object.keys(options)) ?? [];
    for (const { name, value, offset } of members) {
      if (!Object.hasOwn(options, name) || (value.type === 'null' && place.inherits)) continue;
      const pointer = `${place.pointer}/${name}`;
      if (name === 'slidingWindow') this.#window(value, pointer, offset, check);
      else this.#tried(() => check({ ...beside(name), [name]: shown(value) }), offset, pointer, value);
    }
    if (this.problems.length > before) this.#broken.add(place.pointer);
    const given = members.filter(({ name }) => Object.hasOwn(options, name)).map(({ name, value }) => [name, getNodeValue(value)]);
    return { offset: place.offset, pointer: place.pointer, options: Object.fromEntries(given), members };
  }

  #window(node: Node, pointer: string, offset: number, check: PolicyPart['check']): void {
    const members = node.type === 'object' ? membersOf(node) : [];
    const type = members.find(({ name }) => name === 'type');
    const options = windowOptions(type?.value.value);
    if (options === undefined) {
      const slidingWindow = node.type === 'object' ? { type: type && shown(type.value) } : shown(node);
      const place = type === undefined ? pointer : `${pointer}/type`;
      this.#tried(() => check({ slidingWindow }), type?.offset ?? offset, place, type?.value ?? node);
      return;
    }
    this.#object(node, pointer, 'slidingWindow', ['type', ...options]);
    const least = { type: type?.value.value, ...Object.fromEntries(options.map((option) => [option, 1])) };
    const [required] = options;
    if (!members.some(({ name }) => name === required)) {
      this.#tried(() => check({ slidingWindow: { ...least, [`${required}`]: undefined } }), offset, pointer, undefined);
    }
    for (const { name, value, offset: at } of members.filter((member) => options.includes(member.name))) {
      this.#tried(() => check({ slidingWindow: { ...least, [name]: shown(value) } }), at, `${pointer}/${name}`, value);
    }
  }

  /** The members of an object, each name once and, where `known` is given, one of those. */
  #object(node: Node, pointer: string, what: string, known?: readonly string[]): Member[] | undefined {
    if (node.type !== 'object') {
      this.#wrong(node.offset, pointer, `${what} must be an object, not ${kindOf(node)}`, node);
      return undefined;
    }
    const members = membersOf(node);
    const seen = new Set<string>();
    for (const { name, value, offset } of members) {
      const at = pointer + pointerOf([name]);
      if (seen.has(name)) this.#add({ offset, pointer: at, message: `'${name}' stands here twice`, rule: 'duplicate' });
      else if (known?.includes(name) === false) {
        this.#wrong(offset, at, `${what}: unknown option '${brief(name)}'; known are ${known.join(', ')}`, value);
      }
      seen.add(name);
    }
    return members;
  }

  #merged(base: GivenPolicy, own: GivenPolicy): PolicySettings {
    const settings: Partial<Record<PartName, FileOptions>> = {};
    for (const part of partNames) {
      const [inherited, given] = [base[part], own[part]];
      if (given?.options === null || (inherited === undefined && given === undefined)) continue;
      const merged = { ...inherited?.options, ...given?.options };
      const names = Object.keys(parts[part].options).filter((option) => (merged[option] ?? null) !== null);
      settings[part] = Object.fromEntries(names.map((option) => [option, merged[option]]));
      const broken = [inherited, given].some((place) => place !== undefined && this.#broken.has(place.pointer));
      if (!broken) this.#combination(part, settings[part], inherited, given);
    }
    return settings;
  }

  /** Options that are right by themselves may contradict each other; each one that is named is left out to find the next. */
  #combination(part: PartName, settings: FileOptions, inherited: GivenPart | undefined, given: GivenPart | undefined): void {
    for (let rest = settings; ; ) {
      const message = refusalOf(() => parts[part].check(rest));
      if (message === undefined) return;
      const named = message.match(/\w+/g)?.find((word) => Object.hasOwn(rest, word));
      this.#contradiction(message, named, inherited, given);
      if (named === undefined) return;
      rest = Object.fromEntries(Object.entries(rest).filter(([option]) => option !== named));
    }
  }

  #contradiction(message: string, option: string | undefined, inherited: GivenPart | undefined, given: GivenPart | undefined): void {
    const place = given ?? inherited;
    const stands = place?.members.find(({ name }) => name === option);
    if (place === undefined) return;
    const fromDefaults = given !== undefined && option !== undefined && stands === undefined;
    const problem = {
      offset: stands?.offset ?? place.offset,
      pointer: stands === undefined ? place.pointer : `${place.pointer}/${stands.name}`,
      message: fromDefaults ? `${message} (${option} is inherited from defaults; null takes it away)` : message,
      ...(stands !== undefined && scalarOf(stands.value)),
      rule: 'combination',
    };
    const told = this.problems.some(({ pointer, message: other }) => pointer === problem.pointer && other === problem.message);
    if (!told) this.#add(problem); // what the defaults contradict by themselves is told once, not for each name
  }

  #tried(check: () => void, offset: number, pointer: string, value: Node | undefined): void {
    const message = refusalOf(check);
    if (message !== undefined) this.#wrong(offset, pointer, message, value);
  }

  #wrong(offset: number, pointer: string, message: string, value?: Node): void {
    this.#add({ offset, pointer, message, ...(value !== undefined && scalarOf(value)) });
  }

  #add(problem: PlacedProblem): void {
    this.problems.push(problem);
  }
}

function refusalOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}

function windowOptions(type: unknown): readonly string[] | undefined {
  return typeof type === 'string' && Object.hasOwn(windows, type) ? Object.keys(windows[type] ?? {}) : undefined;
}

const longestShown = 60;

function brief(text: string): string {
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}

/** What the package's own checks are handed: an object or a long text would be a poor message, or none at all. */
function shown(node: Node): unknown {
  const value: unknown = getNodeValue(node);
  if (typeof value === 'string' && value.length > longestShown) return brief(value);
  return node.type === 'object' || node.type === 'array' ? { toString: () => kindOf(node) } : value;
}

function kindOf(node: Node): string {
  if (node.type === 'object') return 'an object';
  if (node.type === 'array') return 'an array';
  return brief(JSON.stringify(node.value));
}

function scalarOf(node: Node): { readonly value?: unknown } {
  return node.type === 'object' || node.type === 'array' ? {} : { value: node.value };
}
