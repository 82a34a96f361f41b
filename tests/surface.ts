import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Application, type DeclarationReflection, ReflectionKind, type SomeType, TSConfigReader } from 'typedoc';
import { type Package, root, sourcesOf } from './workspace.ts';

const kindNames = new Map([
  [ReflectionKind.Class, 'class'],
  [ReflectionKind.Function, 'function'],
  [ReflectionKind.Variable, 'value'],
  [ReflectionKind.Interface, 'type'],
  [ReflectionKind.TypeAlias, 'type'],
  [ReflectionKind.Namespace, 'namespace'],
]);

type Row = readonly [what: string, name: string, detail: string];

/** Which of a type's keys make it part of the surface table: options a user writes, events a user listens to. */
const listed = /(Options|Config|Events)$/;

/** What each door exports, by its source file. */
async function readDoors(packages: readonly Package[]): Promise<ReadonlyMap<string, DeclarationReflection[]>> {
  const options = {
    entryPoints: packages.flatMap(({ doors }) => doors.map(({ source }) => source)),
    tsconfig: join(root, 'tsconfig.json'),
    skipErrorChecking: true,
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableGit: true,
    gitRevision: 'main',
    sourceLinkTemplate: '{path}',
    readme: 'none',
    logLevel: 'Error',
  } as const;
  // no other reader: the root typedoc.json asks for a page a package, this for one table of all
  const application = await Application.bootstrap(options, [new TSConfigReader()]);
  const project = await application.convert();
  if (project === undefined) throw new Error('typedoc could not read the packages');
  const modules = project.getChildrenByKind(ReflectionKind.Module);
  return new Map(modules.map((module) => [module.sources?.[0]?.fullFileName ?? module.name, module.children ?? []]));
}

/** The keys of a type as written: of an interface, an object type, or each member of a union of such. */
function keysOf(declared: DeclarationReflection): string[] {
  return [...new Set([...namesOf(declared), ...keysOfType(declared.type)])].sort();
}

function keysOfType(type: SomeType | undefined): string[] {
  if (type?.type === 'reflection') return namesOf(type.declaration);
  return type?.type === 'union' || type?.type === 'intersection' ? type.types.flatMap(keysOfType) : [];
}

function namesOf({ children = [] }: DeclarationReflection): string[] {
  return children.map(({ name, flags }) => (flags.isOptional ? `${name}?` : name));
}

function detailOf(exported: DeclarationReflection): string {
  if (exported.kindOf(ReflectionKind.Class)) {
    const own = keysOf(exported).filter((name) => name !== 'constructor' && !name.startsWith('['));
    const parent = exported.extendedTypes?.map(String).join(', ');
    return `${parent === undefined ? '' : `extends ${parent}: `}${own.join(' ')}`;
  }
  return listed.test(exported.name) ? keysOf(exported).join(' ') : '';
}

function rowsOfDoor(exported: readonly DeclarationReflection[]): Row[] {
  const original = (each: DeclarationReflection) =>
    each.isReference() ? (each.tryGetTargetReflectionDeep() as DeclarationReflection) : each;
  return exported
    .map((each): Row => {
      const target = original(each);
      return [
        kindNames.get(target.kind) ?? ReflectionKind.singularString(target.kind),
        each.name,
        each.isReference() ? '' : detailOf(target),
      ];
    })
    .sort(([a, b], [c, d]) => a.localeCompare(c, 'en') || b.localeCompare(d, 'en'));
}

/** Every distinct string literal of a package's sources that has this form. */
function literalsOf(package_: Package, form: RegExp): string {
  const literals = sourcesOf(package_).flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/'([^'\n]+)'|`([^`$\n]+)`/g)]);
  const found = literals.map(([, single, template]) => single ?? template ?? '').filter((text) => form.test(text));
  return [...new Set(found)].sort().join(' ');
}

function factsOf(package_: Package): Row[] {
  const bins = package_.manifest.bin ?? package_.manifest.publishConfig?.bin ?? {};
  const facts: Row[] = [
    ['codes', '', literalsOf(package_, /^ERR_[A-Z0-9_]+$/)],
    ['metrics', '', literalsOf(package_, /^tidegate_[a-z0-9_]+$/)],
    ['bins', '', Object.keys(bins).sort().join(' ')],
  ];
  return facts.filter(([, , detail]) => detail !== '');
}

const indented = ([what, name, detail]: Row) => `  ${[what.padEnd(9), name, detail].filter((text) => text !== '').join('  ')}`.trimEnd();

function describePackage(package_: Package, exportsOf: ReadonlyMap<string, DeclarationReflection[]>): string {
  const doors = package_.doors.map(({ specifier, source }) => {
    const exported = exportsOf.get(source);
    if (exported === undefined) throw new Error(`${specifier} has no ${source}, or it exports nothing`);
    return [`${specifier.replace(package_.name, '.')}`, ...rowsOfDoor(exported).map(indented)].join('\n');
  });
  const facts = factsOf(package_).map(indented);
  const rest = facts.length > 0 ? [`everywhere\n${facts.join('\n')}`] : [];
  return [`${package_.name}\n${'='.repeat(package_.name.length)}`, ...doors, ...rest].join('\n');
}

/** One table of everything users can meet: names behind each door, options, events, error codes, metrics, commands. */
export async function describeSurface(packages: readonly Package[]): Promise<string> {
  const exportsOf = await readDoors(packages);
  return `${packages.map((package_) => describePackage(package_, exportsOf)).join('\n\n')}\n`;
}
