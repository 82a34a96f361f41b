import type { IncomingMessage } from 'node:http';

/** How a server refuses a request for lack of credentials. */
export interface HttpChallenge {
  /** 401 or 403. */
  readonly status: number;
  /** The header of that name, or empty. */
  readonly wwwAuthenticate: string;
  /** The IP address that said it. */
  readonly from: string | undefined;
  /** The request carried what an earlier refusal of it had led to. */
  readonly renewed: boolean;
}

/** The credentials with which requests go to a server, where there may be none yet. */
export interface HttpCredential {
  /** The `authorization` header, once there is one. */
  readonly header: string | undefined;
  /** The server has refused a request with the header `sent`. True where it may be sent again, with what the header is then. */
  refused(sent: string | undefined, challenge: HttpChallenge): Promise<boolean>;
  /** Calls `listener` each time a person has signed in; the returned function removes it. */
  onSignedIn(listener: () => void): () => void;
}

/** How often a request is sent again under other credentials. */
const mostRenewals = 2;

/** What a request says of its sender. */
export function authorizationOf(credential: HttpCredential | undefined): Readonly<Record<string, string>> {
  const header = credential?.header;
  return header === undefined ? {} : { authorization: header };
}

/** Sends a request under a credential, and again where its refusal has led to another; gives the last response. */
export async function sendUnder(
  credential: HttpCredential,
  send: (headers: Readonly<Record<string, string>>) => Promise<IncomingMessage>,
): Promise<IncomingMessage> {
  for (let renewals = 0; ; renewals += 1) {
    const headers = authorizationOf(credential);
    const response = await send(headers);
    const { statusCode: status = 0, headers: answered, socket } = response;
    if (!refusesCaller(status)) return response;
    const challenge = { status, wwwAuthenticate: answered['www-authenticate'] ?? '', from: socket.remoteAddress, renewed: renewals > 0 };
    const again = await credential.refused(headers['authorization'], challenge).catch((error: unknown) => {
      response.resume();
      throw error;
    });
    if (!again || renewals === mostRenewals) return response;
    response.resume();
  }
}

/** Whether a server that knows its callers says that it does not want this one. */
export function refusesCaller(status: number): boolean {
  return status === 401 || status === 403;
}
