import type { HttpServerConfig, ServerConfig } from './gateway-config.ts';
import { Credential, type OAuthServer } from './oauth/credential.ts';
import { outboundFetch } from './oauth/outbound-fetch.ts';
import type { SignIns } from './oauth/sign-ins.ts';
import { connectSigningIn } from './oauth/signing-in.ts';
import type { Audience, ServerEntry } from './servers.ts';
import type { Connect } from './upstream.ts';
import { version } from './version.ts';
import { type ConnectOptions, connect, type EraMemory } from './wire/connect.ts';
import { HttpPipe } from './wire/http-pipe.ts';
import type { HttpTarget } from './wire/http-requests.ts';
import { SsePipe } from './wire/sse-pipe.ts';
import { StdioPipe } from './wire/stdio-pipe.ts';

type Pipes = Pick<ConnectOptions, 'openPipe' | 'openOlderPipe'>;

const clientInfo = { name: 'tidegate', version };

/** Opens conversations with one server as it is configured, and remembers between them which era it speaks. */
export function connector(name: string, server: ServerConfig, signIns: SignIns): ServerEntry['connect'] {
  const memory: EraMemory = {};
  const open =
    (pipes: Pipes, { capabilities }: Audience): Connect =>
    (listener, signal) =>
      connect({ server: name, ...pipes, listener, clientInfo, capabilities, memory, signal });
  if ('command' in server) {
    const { command, args = [], env = {}, cwd } = server;
    return (audience) => open({ openPipe: () => new StdioPipe(name, { command, args, env, cwd }) }, audience);
  }
  const { url, headers = {} } = server;
  if (server.oauth === undefined) return (audience) => open(pipesTo(name, server.type, { url, headers }), audience);
  const credentialOf = credentials(name, server, signIns);
  return (audience) => {
    const credential = credentialOf(audience);
    const signedIn = open(pipesTo(name, server.type, { url, headers, credential }), audience);
    return (listener, signal) => connectSigningIn(credential, signedIn, listener, signal);
  };
}

function pipesTo(name: string, type: HttpServerConfig['type'], target: HttpTarget): Pipes {
  const openOlderPipe = () => new SsePipe(name, target);
  return type === 'sse' ? { openPipe: openOlderPipe } : { openPipe: () => new HttpPipe(name, target), openOlderPipe };
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
