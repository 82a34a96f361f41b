import { createHash } from 'node:crypto';
import type { Principal } from './call.ts';
import type { HttpRequest } from './wire/exchange.ts';

/** A credential and whom it stands for. */
export interface TokenEntry {
  /** What a client sends. */
  readonly token: string;
  /** Whom it stands for. */
  readonly principal: Principal;
}

/** Who may come in. */
export interface AccessOptions {
  /** Without any, everybody who may connect is the one anonymous operator. */
  readonly tokens: readonly TokenEntry[];
  /** Host names under which this gateway is known, beside those of the loopback interface. `*` allows every one. */
  readonly allowedHosts: readonly string[];
  /** Origins of web pages that may call this gateway, beside those of the loopback interface. */
  readonly allowedOrigins: readonly string[];
}

/** The one principal of a gateway without tokens. */
export const anonymous: Principal = { tenant: 'default', role: 'operator' };

/** What comes of looking at a request's credentials. */
export type Admission = { readonly principal: Principal } | Denial;

/** Why a request is not admitted. */
export interface Denial {
  readonly status: 401 | 403;
  readonly code: string;
  readonly message: string;
}

/** Decides from a request's headers alone who is calling. */
export class Access {
  readonly #byHash: ReadonlyMap<string, Principal>;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor({ tokens, allowedHosts, allowedOrigins }: AccessOptions) {
    // looked up by hash, so that the time it takes says nothing about the token
    this.#byHash = new Map(tokens.map(({ token, principal }) => [hash(token), principal]));
    this.#hosts = new Set(allowedHosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));
  }

  /** Everybody the gateway knows. */
  get principals(): readonly Principal[] {
    return this.#byHash.size === 0 ? [anonymous] : [...this.#byHash.values()];
  }

  /** The request's origin, if its pages have been allowed by name. */
  allowedOrigin(request: HttpRequest): string | undefined {
    const origin = request.header('origin');
    return origin !== undefined && this.#origins.has(origin.toLowerCase()) ? origin : undefined;
  }

  /** Refuses what a web page may have been tricked into sending (DNS rebinding, cross-site requests), then asks for the token. */
  admit(request: HttpRequest): Admission {
    const denial = this.denyHost(request) ?? this.#denyOrigin(request);
    if (denial !== undefined) return denial;
    if (this.#byHash.size === 0) return { principal: anonymous };
    const token = /^Bearer +(\S+)$/i.exec(request.header('authorization') ?? '')?.[1];
    const principal = token === undefined ? undefined : this.#byHash.get(hash(token));
    if (principal !== undefined) return { principal };
    const message = token === undefined ? 'a bearer token is needed' : 'the bearer token is not known';
    return { status: 401, code: 'ERR_UNAUTHORIZED', message };
  }

  /** Refuses a request under a name that is not the gateway's. */
  denyHost(request: HttpRequest): Denial | undefined {
    const host = hostOf(request.header('host') ?? '');
    if (this.#hosts.has('*') || this.#hosts.has(host) || isLoopback(host)) return undefined;
    return forbidden('ERR_HOST', `host '${host}' is not served here; name it in allowedHosts if it should be`);
  }

  #denyOrigin(request: HttpRequest): Denial | undefined {
    const origin = request.header('origin');
    if (origin === undefined || this.#origins.has(origin.toLowerCase()) || isLoopback(originHost(origin))) return undefined;
    return forbidden('ERR_ORIGIN', `pages of '${origin}' may not call this gateway; name it in allowedOrigins if they should`);
  }
}

/** Whether a host name can only mean this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function forbidden(code: string, message: string): Denial {
  return { status: 403, code, message };
}

function hash(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}

function hostOf(header: string): string {
  return header.toLowerCase().replace(/:\d+$/, '');
}

function originHost(origin: string): string {
  try {
    return new URL(origin).hostname;
  } catch {
    return '';
  }
}
