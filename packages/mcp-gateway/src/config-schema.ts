import { z } from 'zod';
import { isLoopback } from './access.ts';

const ms = z.number().int().min(1).max(2_147_483_647);
const amount = z.number().int().min(1).max(1_000_000_000);
const text = z.string().min(1);
const texts = z.record(z.string(), z.string());
const usd = z.union([
  z.string().regex(/^\d+(\.\d{1,9})?$/, 'expected a decimal such as "12.50", with at most 9 places'),
  z.number().min(0),
]);

/** What editors write beside what a gateway needs; read and left alone. */
const editorOnly = {
  alwaysAllow: z.unknown().optional(),
  autoApprove: z.unknown().optional(),
  description: z.unknown().optional(),
  gallery: z.unknown().optional(),
  version: z.unknown().optional(),
};

const resilience = {
  /** Put before the names of the server's tools and prompts. */
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_.-]*$/, 'expected only letters, digits, _ . and -')
    .optional(),
  disabled: z.boolean().optional(),
  fallbackUrl: z.url({ protocol: /^https?$/, error: 'expected an http or https address' }).optional(),
  fallbackHeaders: texts.optional(),
  timeoutMs: ms.optional(),
  totalTimeoutMs: ms.max(12 * 3_600_000).optional(),
  includeTools: z.array(text).optional(),
  excludeTools: z.array(text).optional(),
  idempotent: z.array(text).optional(),
  trustAnnotations: z.boolean().optional(),
  breaker: z.strictObject({ failures: z.number().int().min(1).max(1_000_000).optional(), openMs: ms.optional() }).optional(),
  retry: z
    .strictObject({ maxAttempts: z.number().int().min(1).max(100).optional(), initialDelayMs: ms.optional(), maxDelayMs: ms.optional() })
    .optional(),
};

const secureUrl = z
  .url({ protocol: /^https?$/, error: 'expected an http or https address' })
  .refine((value) => isSecure(value), 'expected https, or http on this machine');

const oauth = z
  .strictObject({
    clientId: text.optional(),
    clientSecret: text.optional(),
    issuer: secureUrl.optional(),
    clientMetadataUrl: z
      .url({ protocol: /^https$/, error: 'expected an https address' })
      .refine(hasPath, 'expected an address with a path')
      .optional(),
    scopes: z.array(text.regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'expected one scope without spaces')).optional(),
  })
  .refine(({ clientId, issuer }) => clientId === undefined || issuer !== undefined, {
    path: ['issuer'],
    error: 'expected the authorization server that clientId is registered with, so that no other is sent it',
  })
  .refine(({ clientId, clientSecret }) => clientSecret === undefined || clientId !== undefined, {
    path: ['clientId'],
    error: 'expected what clientSecret belongs to',
  });

const stdioServer = z.strictObject({
  type: z.literal('stdio').optional(),
  command: text,
  args: z.array(z.string()).optional(),
  env: texts.optional(),
  cwd: text.optional(),
  ...resilience,
  ...editorOnly,
});

const httpServer = z
  .strictObject({
    type: z.enum(['http', 'streamable-http', 'streamableHttp', 'sse']).optional(),
    url: z.url({ protocol: /^https?$/, error: 'expected an http or https address' }),
    headers: texts.optional(),
    oauth: oauth.optional(),
    ...resilience,
    ...editorOnly,
  })
  .superRefine(({ headers = {}, oauth: signsIn }, { addIssue }) => {
    const name = Object.keys(headers).find((header) => header.toLowerCase() === 'authorization');
    if (signsIn === undefined || name === undefined) return;
    addIssue({ code: 'custom', path: ['headers', name], message: "expected none beside oauth: what is sent is each user's own" });
  });

const scope = z.strictObject({ tenant: text.optional(), user: text.optional(), tool: text.optional() });

const choices = z.array(z.union([text, z.strictObject({ name: text, as: text })]));

/** The shape of a configuration, before `${env:NAME}` is looked up. */
export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  mcpServers: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'expected a server name of letters, digits, - and _'), z.unknown()),
  virtualServers: z
    .record(
      z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, 'expected a name of letters, digits, _ . and -'),
      z.strictObject({ tools: choices.optional(), prompts: choices.optional(), resources: z.array(text).optional() }),
    )
    .optional(),
  tokens: z
    .array(
      z.strictObject({
        token: text,
        tenant: text,
        user: text.optional(),
        role: z.enum(['member', 'operator']).optional(),
        virtualServer: text.optional(),
      }),
    )
    .superRefine((tokens, { addIssue }) => {
      tokens.forEach(({ token }, index) => {
        if (tokens.findIndex((other) => other.token === token) === index) return;
        addIssue({ code: 'custom', path: [index, 'token'], message: 'stands for somebody else already' });
      });
    })
    .optional(),
  limits: z
    .array(
      z
        .strictObject({ perMinute: amount.optional(), perHour: amount.optional(), burst: amount.optional() })
        .refine(({ perMinute, perHour }) => perMinute !== undefined || perHour !== undefined, 'names neither perMinute nor perHour'),
    )
    .optional(),
  budgets: z
    .array(
      z.strictObject({
        name: text.optional(),
        scope,
        limitUsd: usd,
        period: z.union([z.enum(['day', 'week', 'month']), z.strictObject({ rollingMs: z.number() })], {
          error: "expected 'day', 'week', 'month' or { rollingMs }",
        }),
        timeZone: text.optional(),
        unpriced: z.enum(['refuse', 'allow']).optional(),
        thresholds: z.strictObject({ warning: z.number(), critical: z.number(), blocked: z.number() }).partial().optional(),
      }),
    )
    .optional(),
  alerts: z
    .array(
      z
        .strictObject({
          name: text.optional(),
          webhook: z.strictObject({ url: secureUrl, secret: text }).optional(),
          googleChat: z.strictObject({ url: secureUrl }).optional(),
        })
        .refine(
          ({ webhook, googleChat }) => (webhook === undefined) !== (googleChat === undefined),
          'expected either webhook or googleChat',
        ),
    )
    .optional(),
  prices: z.record(z.string(), z.strictObject({ perCallUsd: usd })).optional(),
  dataDir: text.optional(),
  host: text.optional(),
  publicUrl: secureUrl
    .refine((value) => !URL.canParse(value) || new URL(value).pathname === '/', 'expected an address without a path')
    .optional(),
  port: z.number().int().min(0).max(65_535).optional(),
  allowedHosts: z.array(text).optional(),
  allowedOrigins: z.array(text).optional(),
  listTimeoutMs: ms.optional(),
  connectTimeoutMs: ms.optional(),
  maxSessions: z.number().int().min(1).max(1_000_000).optional(),
});

function hasPath(address: string): boolean {
  return !URL.canParse(address) || new URL(address).pathname !== '/';
}

function isSecure(address: string): boolean {
  if (!URL.canParse(address)) return true; // said already
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || isLoopback(hostname);
}

/** The schema of one server: which of the two is plain from its members, so that the errors fit what was meant. */
export function serverSchema(value: unknown): typeof stdioServer | typeof httpServer {
  return typeof value === 'object' && value !== null && 'url' in value ? httpServer : stdioServer;
}
