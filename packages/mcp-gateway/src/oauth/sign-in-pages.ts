import { randomBytes, timingSafeEqual } from 'node:crypto';
import { type HttpReply, type HttpRequest, sendJson } from '../wire/exchange.ts';
import type { Credential } from './credential.ts';
import { clientMetadata } from './sign-in-flow.ts';
import type { SignIns } from './sign-ins.ts';

/** What the pages stand on. */
export interface SignInPagesParts {
  readonly signIns: SignIns;
  /** Whether everybody who can reach the gateway is one and the same caller. */
  readonly open: boolean;
}

/** The largest form that is read, in bytes. */
const mostForm = 10_000;

/** The pages between a person and an authorization server. They ask for no token: the links are the secret. */
export async function signInPages({ signIns, open }: SignInPagesParts, request: HttpRequest, reply: HttpReply): Promise<void> {
  const { method, path } = request;
  const [, id] = /^\/oauth\/start\/([\w-]+)$/.exec(path) ?? [];
  if (id !== undefined && (method === 'GET' || method === 'POST')) return start(signIns, id, { open, request }, reply);
  if (path === '/oauth/callback' && method === 'GET') return finish(signIns, request, reply);
  const { metadataUrl, callbackUrl } = signIns;
  if (path === '/oauth/client.json' && method === 'GET' && metadataUrl !== undefined)
    return sendJson(reply, 200, { client_id: metadataUrl, ...clientMetadata(callbackUrl), token_endpoint_auth_method: 'none' });
  sendPage(reply, 404, 'Not found', `There is nothing at ${method} ${path}.`);
}

async function start(
  signIns: SignIns,
  id: string,
  { open, request }: { readonly open: boolean; readonly request: HttpRequest },
  reply: HttpReply,
): Promise<void> {
  const credential = signIns.find(id);
  if (credential === undefined) sendPage(reply, 404, 'Link no longer valid', 'This sign-in is over. Call the server again for a new link.');
  else if (request.method === 'POST' && !(await isConfirmed(signIns, id, request)))
    sendPage(reply, 403, 'Not confirmed', 'Open the link again and confirm on the page that it shows.');
  else if (open || request.method === 'POST') await begin(signIns, id, credential, reply);
  else consent(signIns, id, credential, reply);
}

async function begin(signIns: SignIns, id: string, credential: Credential, reply: HttpReply): Promise<void> {
  try {
    const { authorizationUrl, state } = await signIns.begin(id);
    const cookie = cookieFor(signIns, stateCookie(state), state, 'Lax'); // Lax: it has to come back from another site
    reply.send(303, {
      location: authorizationUrl.href,
      'set-cookie': cookie,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    });
  } catch (error) {
    sendPage(reply, 502, 'Sign-in failed', `'${credential.server.name}' cannot be signed in to: ${(error as Error).message}.`);
  }
}

/** Says for whom the sign-in is, because whoever has made a person open the link gets what he signs in to. */
function consent(signIns: SignIns, id: string, credential: Credential, reply: HttpReply): void {
  const token = randomBytes(32).toString('base64url');
  const { server, owner } = credential;
  const who = owner.user === undefined ? `tenant '${owner.tenant}'` : `user '${owner.user}' of tenant '${owner.tenant}'`;
  const text = `Tidegate will call '${server.name}' (${server.url.origin}) with your account there, on behalf of ${who}. Go on only if that is you and you have just asked for it. You will be sent back to ${signIns.callbackUrl}.`;
  const form = `<form method="post"><input type="hidden" name="token" value="${token}"><button>Sign in to ${escaped(server.name)}</button></form>`;
  sendPage(reply, 200, `Sign in to '${server.name}'`, text, { 'set-cookie': cookieFor(signIns, consentCookie(id), token, 'Strict') }, form);
}

/** Whether the page was seen in this browser: no other site can know what it holds. */
async function isConfirmed(signIns: SignIns, id: string, request: HttpRequest): Promise<boolean> {
  const site = request.header('sec-fetch-site');
  // another port of this machine can set cookies for all of them; browsers say that it is another origin
  if (site !== undefined && site !== 'same-origin') return false;
  const form = new URLSearchParams(await request.body(mostForm).catch(() => '')); // what is too large is no form of ours
  const cookie = cookieOf(request, signIns, consentCookie(id));
  return cookie !== undefined && cookie !== '' && same(form.get('token') ?? '', cookie);
}

async function finish(signIns: SignIns, request: HttpRequest, reply: HttpReply): Promise<void> {
  const query = new URLSearchParams(request.query);
  const state = cookieOf(request, signIns, stateCookie(query.get('state') ?? ''));
  let credential: Credential;
  try {
    credential = await signIns.finish({ query, state });
  } catch (error) {
    return sendPage(reply, 400, 'Sign-in failed', `The sign-in failed: ${(error as Error).message}.`);
  }
  sendPage(reply, 200, 'Signed in', `You are signed in to '${credential.server.name}'. You can close this page.`);
}

/** One cookie a link and one a run, so that two servers can be signed in to side by side. */
function consentCookie(id: string): string {
  return `tidegate-consent-${id.slice(0, 12)}`;
}

function stateCookie(state: string): string {
  return `tidegate-sign-in-${state.replaceAll(/[^\w-]/g, '').slice(0, 12)}`;
}

function cookieFor(signIns: SignIns, name: string, value: string, sameSite: 'Lax' | 'Strict'): string {
  return `${cookiePrefix(signIns)}${name}=${value}; Path=/; HttpOnly; SameSite=${sameSite}; Max-Age=600${isSecure(signIns) ? '; Secure' : ''}`;
}

function cookieOf(request: HttpRequest, signIns: SignIns, name: string): string | undefined {
  const start = `${cookiePrefix(signIns)}${name}=`;
  const pairs = (request.header('cookie') ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(start))?.slice(start.length);
}

/** Browsers keep cookies of this name to the host that set them (RFC 6265bis, 4.1.3.2). */
function cookiePrefix(signIns: SignIns): string {
  return isSecure(signIns) ? '__Host-' : '';
}

function isSecure({ publicUrl }: SignIns): boolean {
  return publicUrl?.startsWith('https:') === true;
}

function same(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}

const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

function sendPage(reply: HttpReply, status: number, title: string, text: string, headers = {}, form = ''): void {
  const style = 'body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em}';
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${style}</style><h1>${escaped(title)}</h1><p>${escaped(text)}</p>${form}</html>`;
  reply.send(status, { ...pageHeaders, ...headers }, page);
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
