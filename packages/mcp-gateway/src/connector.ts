import type { HttpServerConfig, ServerConfig } from './gateway-config.ts';
import type { JsonObject } from './json-rpc.ts';
import { Credential, type OAuthServer } from './oauth/credential.ts';
import { outboundFetch } from './oauth/outbound-fetch.ts';
import type { SignIns } from './oauth/sign-ins.ts';
import { connectSigningIn } from './oauth/signing-in.ts';
import type { Audience, ServerEntry } from './servers.ts';
import type { Connect } from './upstream.ts';
import { version } from './version.ts';
import { connect, type EraMemory } from './wire/connect.ts';
import { HttpPipe } from './wire/http-pipe.ts';
import type { Pipe } from './wire/pipe.ts';
import { StdioPipe } from './wire/stdio-pipe.ts';

const clientInfo = { name: 'tidegate', version };

/** Opens conversations with one server as it is configured, and remembers between them which era it speaks. */
export function connector(name: string, server: ServerConfig, signIns: SignIns): ServerEntry['connect'] {
  const memory: EraMemory = {};
  const open =
    (openPipe: () => Pipe, capabilities: JsonObject): Connect =>
    (listener, signal) =>
      connect({ server: name, openPipe, listener, clientInfo, capabilities, memory, signal });
  if ('command' in server) {
    const { command, args = [], env = {}, cwd } = server;
    return ({ capabilities }) => open(() => new StdioPipe(name, { command, args, env, cwd }), capabilities);
  }
  const { url, headers = {} } = server;
  if (server.oauth === undefined) return ({ capabilities }) => open(() => new HttpPipe(name, { url, headers }), capabilities);
  const credentialOf = credentials(name, server, signIns);
  return (audience) => {
    const credential = credentialOf(audience);
    const signedIn = open(() => new HttpPipe(name, { url, headers, credential }), audience.capabilities);
    return (listener, signal) => connectSigningIn(credential, signedIn, listener, signal);
  };
}

/** One credential a user, however many conversations he has with the server. */
function credentials(name: string, { url, oauth = {} }: HttpServerConfig, signIns: SignIns): (audience: Audience) => Credential {
  const address = new URL(url);
  const server: OAuthServer = { name, url: address, config: oauth, registrations: new Map(), fetch: outboundFetch };
  const known = new Map<string, Credential>();
  return ({ tenant, user }) => {
    const key = JSON.stringify([tenant, user]);
    const credential = known.get(key) ?? new Credential(server, { tenant, user }, signIns);
    known.set(key, credential);
    return credential;
  };
}
