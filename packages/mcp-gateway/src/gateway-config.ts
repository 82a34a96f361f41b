/** What every server may have beside its program or address. */
export interface ServerOptions {
  /** Put before the names of its tools and prompts: letters, digits, `_`, `.`, `-`. @defaultValue the server's name and `__` */
  readonly prefix?: string | undefined;
  /** Leaves the server out. */
  readonly disabled?: boolean | undefined;
  /** A streamable HTTP server with the same tools; takes the calls while the circuit is open. */
  readonly fallbackUrl?: string | undefined;
  /** Sent with every request to the fallback. */
  readonly fallbackHeaders?: Readonly<Record<string, string>> | undefined;
  /** How long one attempt may take. @defaultValue `30_000` */
  readonly timeoutMs?: number | undefined;
  /** How long all attempts and the waits between them may take. @defaultValue `120_000` */
  readonly totalTimeoutMs?: number | undefined;
  /** Only these tools, by the server's own names; `*` stands for any text. @defaultValue all */
  readonly includeTools?: readonly string[] | undefined;
  /** All but these tools; goes before `includeTools`. @defaultValue none */
  readonly excludeTools?: readonly string[] | undefined;
  /** Tools that may be called twice, by the server's own names; `*` stands for any text. @defaultValue none */
  readonly idempotent?: readonly string[] | undefined;
  /** Whether the server is believed when it calls a tool read-only or idempotent. @defaultValue `false` */
  readonly trustAnnotations?: boolean | undefined;
  /** When its circuit opens, and for how long. */
  readonly breaker?: BreakerOptions | undefined;
  /** How often, and after what wait, a failed call is made again. */
  readonly retry?: RetryConfig | undefined;
}

/** When a circuit opens, and for how long. */
export interface BreakerOptions {
  /** Failures in a row that open it. @defaultValue `5` */
  readonly failures?: number | undefined;
  /** How long it refuses before it lets a probe through. @defaultValue `60_000` */
  readonly openMs?: number | undefined;
}

/** How often, and after what wait, a failed call is made again. */
export interface RetryConfig {
  /** Attempts in all. @defaultValue `3` */
  readonly maxAttempts?: number | undefined;
  /** Upper bound of the first wait; doubled each time, with full jitter. @defaultValue `1_000` */
  readonly initialDelayMs?: number | undefined;
  /** The longest wait. @defaultValue `30_000` */
  readonly maxDelayMs?: number | undefined;
}

/** A server that is a program, spoken to over its standard streams. */
export interface StdioServerConfig extends ServerOptions {
  /** As some editors write it. */
  readonly type?: 'stdio' | undefined;
  /** A path, or a name that the PATH has; no shell reads it. */
  readonly command: string;
  /** The program's arguments. */
  readonly args?: readonly string[] | undefined;
  /** The program's environment, beside a short list of harmless names such as PATH and HOME. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The folder it is started in. @defaultValue the configuration's */
  readonly cwd?: string | undefined;
}

/** A server that has an address, spoken to over streamable HTTP, or over HTTP+SSE where it is one of the oldest. */
export interface HttpServerConfig extends ServerOptions {
  /**
   * As some editors write it. `sse` is the HTTP+SSE transport of revision 2024-11-05, which is also tried where a server refuses
   * streamable HTTP as a whole (400, 404, 405). @defaultValue `'http'`
   */
  readonly type?: 'http' | 'streamable-http' | 'streamableHttp' | 'sse' | undefined;
  /** The address of its endpoint. */
  readonly url: string;
  /** Sent with every request; where secrets go. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The server's users sign in to it (OAuth 2.1); `{}` where it and its authorization server tell all that is needed. */
  readonly oauth?: OAuthConfig | undefined;
}

/** How the gateway signs its users in to a server. */
export interface OAuthConfig {
  /** As what the gateway is registered there. @defaultValue its metadata document where `publicUrl` is https, else it registers itself */
  readonly clientId?: string | undefined;
  /** The secret that belongs to `clientId`. */
  readonly clientSecret?: string | undefined;
  /** The authorization server that `clientId` is registered with; no other is sent it. */
  readonly issuer?: string | undefined;
  /** Another address of a client metadata document, which is then the client's id. */
  readonly clientMetadataUrl?: string | undefined;
  /** Asked for where neither the server nor its metadata names any. */
  readonly scopes?: readonly string[] | undefined;
}

/** How one server is configured, in the form that editors use. */
export type ServerConfig = StdioServerConfig | HttpServerConfig;

/** A tool or prompt under another name. */
export interface RenamedConfig {
  /** As the gateway calls it. */
  readonly name: string;
  /** As the virtual server's clients see it. */
  readonly as: string;
}

/** A part of what the gateway offers, served at `/mcp/<name>`: by the names of the gateway, in which `*` stands for any text. */
export interface VirtualServerConfig {
  /** @defaultValue none */
  readonly tools?: readonly (string | RenamedConfig)[] | undefined;
  /** @defaultValue none */
  readonly prompts?: readonly (string | RenamedConfig)[] | undefined;
  /** Addresses of resources, and templates. @defaultValue none */
  readonly resources?: readonly string[] | undefined;
}

/** A credential and whom it stands for. */
export interface TokenConfig {
  /** What a client sends as `Authorization: Bearer …` */
  readonly token: string;
  /** Whose data, limits and budgets its calls have. */
  readonly tenant: string;
  /** Who of that tenant. */
  readonly user?: string | undefined;
  /** `operator` also sees the numbers of every tenant. @defaultValue `'member'` */
  readonly role?: 'member' | 'operator' | undefined;
  /** The only virtual server that he may see. @defaultValue all the gateway offers */
  readonly virtualServer?: string | undefined;
}

/** How often each tenant may call each tool, read each resource, get each prompt. At least one of the amounts is given. */
export interface LimitConfig {
  /** Calls a minute. */
  readonly perMinute?: number | undefined;
  /** Calls an hour. */
  readonly perHour?: number | undefined;
  /** How many may come at once. @defaultValue the amount of the shortest period */
  readonly burst?: number | undefined;
}

/** Whose calls a budget covers: those that fit every member. */
export interface BudgetScopeConfig {
  /** Of one tenant. */
  readonly tenant?: string | undefined;
  /** Of one user. */
  readonly user?: string | undefined;
  /** Of one tool, by the name clients know. */
  readonly tool?: string | undefined;
}

/** Shares of a budget at which something happens: 1 is all of it. */
export interface ThresholdConfig {
  /** @defaultValue `0.9` */
  readonly warning?: number | undefined;
  /** @defaultValue `1` */
  readonly critical?: number | undefined;
  /** Calls that would pass it are refused. @defaultValue `1.1` */
  readonly blocked?: number | undefined;
}

/** A period that has no beginning: what was spent counts until it is so old. */
export interface RollingPeriodConfig {
  /** Milliseconds, a minute to 366 days. */
  readonly rollingMs: number;
}

/** How much calls may cost. */
export interface BudgetConfig {
  /** @defaultValue the tenant's name */
  readonly name?: string | undefined;
  /** Whose calls. */
  readonly scope: BudgetScopeConfig;
  /** A decimal in a text, or a number. */
  readonly limitUsd: string | number;
  /** What the limit is for. Weeks begin on Monday. */
  readonly period: 'day' | 'week' | 'month' | RollingPeriodConfig;
  /** The IANA zone in which days, weeks and months begin. @defaultValue `'UTC'` */
  readonly timeZone?: string | undefined;
  /** Whether calls of models that have no known price are refused or let through. @defaultValue `'refuse'` */
  readonly unpriced?: 'refuse' | 'allow' | undefined;
  /** When it warns and when it blocks. */
  readonly thresholds?: ThresholdConfig | undefined;
}

/** A webhook that is signed as Standard Webhooks describes. */
export interface WebhookConfig {
  /** Where alerts are posted: https, or http on this machine. */
  readonly url: string;
  /** What they are signed with: 24 to 64 bytes in base64, with `whsec_` before them or without. */
  readonly secret: string;
}

/** A space of Google Chat. */
export interface GoogleChatConfig {
  /** The address of an incoming webhook of the space. */
  readonly url: string;
}

/** Who is told when a budget crosses a threshold: exactly one of `webhook` and `googleChat` is given. */
export interface AlertConfig {
  /**
   * Under which is remembered what was told: one with a new name is told of everything in the current periods.
   * @defaultValue `'webhook'` or `'google-chat'`, with `-2` behind it for the second of its kind
   */
  readonly name?: string | undefined;
  /** A webhook. */
  readonly webhook?: WebhookConfig | undefined;
  /** A space of Google Chat. */
  readonly googleChat?: GoogleChatConfig | undefined;
}

/** What a call costs. */
export interface PriceConfig {
  /** A decimal in a text, or a number. */
  readonly perCallUsd: string | number;
}

/** A gateway's configuration: what `tidegate.json` holds. `${env:NAME}` stands for an environment variable anywhere in a text. */
export interface GatewayConfig {
  /** For editors. */
  readonly $schema?: string | undefined;
  /** The servers by name, as editors write them. */
  readonly mcpServers: Readonly<Record<string, ServerConfig>>;
  /** Parts of what the servers offer, by name. */
  readonly virtualServers?: Readonly<Record<string, VirtualServerConfig>> | undefined;
  /** Who may come in. @defaultValue one anonymous tenant, on the loopback interface only */
  readonly tokens?: readonly TokenConfig[] | undefined;
  /** All of them hold. @defaultValue `[{ perMinute: 60, perHour: 1_000, burst: 10 }]` */
  readonly limits?: readonly LimitConfig[] | undefined;
  /** All that cover a call must have room for it. @defaultValue none */
  readonly budgets?: readonly BudgetConfig[] | undefined;
  /** Who is told when a budget crosses a threshold, once for each threshold and period. @defaultValue nobody */
  readonly alerts?: readonly AlertConfig[] | undefined;
  /** By the tool names that clients know; `*` is the price of every other. @defaultValue all are free */
  readonly prices?: Readonly<Record<string, PriceConfig>> | undefined;
  /** The folder of the ledger. @defaultValue `.tidegate`, beside the configuration */
  readonly dataDir?: string | undefined;
  /** Where `tidegate serve` listens. @defaultValue `'127.0.0.1'` */
  readonly host?: string | undefined;
  /** Where `tidegate serve` listens; 0 takes a free one. @defaultValue `7300` */
  readonly port?: number | undefined;
  /** Host names under which the gateway is known, beside those of the loopback interface; `*` allows every one. */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Where browsers reach the gateway, for signing in to servers: https, or http on this machine. @defaultValue where it listens */
  readonly publicUrl?: string | undefined;
  /** Origins of pages that may call it, beside those of the loopback interface. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** How long a list waits for servers of which nothing is known. @defaultValue `5_000` */
  readonly listTimeoutMs?: number | undefined;
  /** How long a handshake with a server may take. @defaultValue `30_000` */
  readonly connectTimeoutMs?: number | undefined;
  /** Client sessions kept at once. @defaultValue `10_000` */
  readonly maxSessions?: number | undefined;
}
