/** The protocol's own OAuth client, loaded when a server first asks for a sign-in. */
export const sdk = (): Promise<typeof import('@modelcontextprotocol/client')> => import('@modelcontextprotocol/client');
