import { createHash } from 'node:crypto';
import { checkKeys, checkText } from '../options.ts';
import { Refused } from './problem.ts';

/** Who is asking, and what he may see and change. */
export type Principal = TenantPrincipal | OperatorPrincipal;

/** Somebody who sees one tenant's usage and budgets and nothing else. */
export interface TenantPrincipal {
  /** The tenant. */
  readonly tenant: string;
  /** Whether he may set the budgets of his tenant. @defaultValue `false` */
  readonly mayWrite?: boolean;
}

/** Somebody who sees everything. */
export interface OperatorPrincipal {
  /** Said outright, so that a tenant that could not be found out never means all of them. */
  readonly allTenants: true;
  /** Whether he may set budgets. @defaultValue `false` */
  readonly mayWrite?: boolean;
}

/** Says who a request comes from; undefined means that its credentials are missing or not known. */
export type Authenticate = (request: Request) => Principal | undefined | Promise<Principal | undefined>;

/** A principal after the checks. */
export interface Reader {
  /** The only tenant that may be seen; undefined for all of them. */
  readonly tenant: string | undefined;
  readonly mayWrite: boolean;
}

const KEYS = ['tenant', 'allTenants', 'mayWrite'];
const TOKEN = /^[\w.~+/-]+=*$/;
const SHORTEST_TOKEN = 16;

/** Checks the option. */
export function checkAuthenticate(authenticate: unknown, owner: string): Authenticate {
  if (typeof authenticate === 'function') return authenticate as Authenticate;
  throw new RangeError(`${owner}: authenticate must be a function that says who a request comes from, not ${String(authenticate)}`);
}

/**
 * Asks who a request comes from.
 *
 * @throws Refused (401) for nobody. RangeError for an answer that says neither which tenant nor that it is all of them.
 */
export async function admit(authenticate: Authenticate, request: Request): Promise<Reader> {
  const principal = await authenticate(request);
  if (principal === undefined) throw unauthorized(request.headers.has('authorization'));
  return readPrincipal(principal, 'authenticate');
}

function unauthorized(tried: boolean): Refused {
  const challenge = `Bearer realm="tidegate"${tried ? ', error="invalid_token"' : ''}`;
  const detail = tried ? 'the credentials are not known' : 'credentials are needed';
  return new Refused(401, 'ERR_UNAUTHORIZED', detail, { headers: { 'www-authenticate': challenge } });
}

function readPrincipal(principal: Principal, owner: string): Reader {
  checkKeys(principal, KEYS, owner);
  const { tenant, allTenants, mayWrite = false } = principal as Partial<TenantPrincipal & OperatorPrincipal>;
  if (typeof mayWrite !== 'boolean') throw new RangeError(`${owner}.mayWrite must be true or false, not ${String(mayWrite)}`);
  if (allTenants === true && tenant === undefined) return { tenant: undefined, mayWrite };
  if (allTenants !== undefined) throw new RangeError(`${owner} must name either a tenant or allTenants: true`);
  return { tenant: checkText(tenant, `${owner}.tenant`), mayWrite };
}

/**
 * An authenticator by bearer tokens: `{ [token]: principal }`. A token is found by its hash, so that the time it takes says nothing
 * of the tokens.
 *
 * @throws RangeError for a token shorter than 16 characters or with others than letters, digits and `-._~+/=`, and for a principal that
 * is none. No message holds a token.
 */
export function bearerTokens(tokens: Readonly<Record<string, Principal>>): Authenticate {
  if (typeof tokens !== 'object' || tokens === null) throw new RangeError(`bearerTokens must be an object, not ${String(tokens)}`);
  const byHash = new Map(
    Object.entries(tokens).map(([token, principal], index) => {
      const name = `bearerTokens: token ${index + 1}`;
      if (token.length < SHORTEST_TOKEN || !TOKEN.test(token)) {
        throw new RangeError(`${name} must be ${SHORTEST_TOKEN} or more letters, digits and -._~+/=`);
      }
      readPrincipal(principal, name);
      return [hash(token), principal];
    }),
  );
  return (request) => {
    const token = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    return token === undefined ? undefined : byHash.get(hash(token));
  };
}

function hash(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
