import type { Exception } from './wire.ts';

const removed = ['initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe'];

/** What the official suite and its fixtures send that no schema has. The gateway's own frames have no exceptions. */
export const peculiar: readonly Exception[] = [
  ...removed.map(
    (subject): Exception => ({
      hop: 'client',
      subject,
      problem: /: not of 2026-07-28$/,
      why: 'server-stateless asks in 2026-07-28 for each method that it has removed, to see it refused',
    }),
  ),
  {
    hop: 'client',
    subject: 'server/discover',
    problem: /^DiscoverRequest\/params(\/_meta)?: must have required property '(_meta|io\.modelcontextprotocol\/\w+)'/,
    why: 'server-stateless leaves out each required member of `_meta` in turn, to see the request refused',
  },
  {
    hop: 'client',
    subject: 'tools/call',
    problem: /^CallToolRequest\/params\/inputResponses(\/user_name)?: must /,
    why: 'input-required-result-validate-input sends a number and null where an answer has to be',
  },
  {
    hop: 'server',
    subject: 'answer to nothing',
    problem: /^JSONRPCErrorResponse\/id: must be string,integer/,
    why: "the SDK's server with sessions refuses the gateway's question for 2026-07-28 with an id of null, as JSON-RPC itself has it",
  },
];
