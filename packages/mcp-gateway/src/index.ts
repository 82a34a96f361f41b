export type { Answer, Call, CallKind, Principal } from './call.ts';
export { createGateway } from './compose.ts';
export { ConfigError, type ConfigProblem } from './config-error.ts';
export type { GatewayConfig, HttpServerConfig, ServerConfig, StdioServerConfig } from './config-schema.ts';
export type { CallEvent, GatewayEvents } from './events.ts';
export type { Gateway } from './gateway.ts';
