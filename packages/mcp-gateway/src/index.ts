export type { Answer, Call, CallKind, ClientQuestion, ClientSide, Principal } from './call.ts';
export { createGateway, type GatewayOptions } from './compose.ts';
export { ConfigError, type ConfigProblem } from './config-error.ts';
export type {
  AlertEvent,
  BudgetEvent,
  CallEvent,
  CatalogEvent,
  CircuitEvent,
  CollisionEvent,
  FallbackEvent,
  FaultEvent,
  FrameEvent,
  GatewayEvents,
  RetryEvent,
  ServerEvent,
  SignInEvent,
} from './events.ts';
export type { Gateway } from './gateway.ts';
export type {
  AlertConfig,
  BreakerOptions,
  BudgetConfig,
  BudgetScopeConfig,
  GatewayConfig,
  GoogleChatConfig,
  HttpServerConfig,
  LimitConfig,
  OAuthConfig,
  PriceConfig,
  RenamedConfig,
  RetryConfig,
  RollingPeriodConfig,
  ServerConfig,
  ServerOptions,
  StdioServerConfig,
  ThresholdConfig,
  TokenConfig,
  VirtualServerConfig,
  WebhookConfig,
} from './gateway-config.ts';
export type { Failure, JsonObject, RpcError, RpcNotification, Success } from './json-rpc.ts';
export type { Plugin, PluginContext, PluginTool } from './plugin.ts';
