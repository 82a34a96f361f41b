export type { AccessOptions, TokenEntry } from './access.ts';
export type { Answer, Call, CallKind, ClientQuestion, ClientSide, Owner, Principal } from './call.ts';
export {
  type AlertEvent,
  type BudgetEvent,
  type CallEvent,
  type CatalogEvent,
  type CircuitEvent,
  type CollisionEvent,
  type FallbackEvent,
  type FaultEvent,
  type FrameEvent,
  type GatewayEvents,
  Listeners,
  type RetryEvent,
  type ServerEvent,
  type SignInEvent,
} from './events.ts';
export { Gateway, type GatewayParts, type WaitingBounds } from './gateway.ts';
export type { RenamedConfig, VirtualServerConfig } from './gateway-config.ts';
export type {
  Failure,
  JsonObject,
  RequestId,
  RpcError,
  RpcMessage,
  RpcNotification,
  RpcRequest,
  RpcResponse,
  RpcResponseHead,
  Success,
} from './json-rpc.ts';
export type { Next, Stage } from './pipeline.ts';
export type { Budget, BudgetHold, Guard, GuardContext, Limiter, LimiterDecision, LimiterNo, LimiterYes, ServerGuard } from './ports.ts';
export { type Refusal, RefusedError } from './refusal.ts';
export type { Audience, ServerEntry, ServerTimes } from './servers.ts';
export { argumentsStage } from './stages/arguments.ts';
export { budgetStage } from './stages/budget.ts';
export { limitStage } from './stages/limit.ts';
export type { Connect } from './upstream.ts';
export { type CarriedOut, UpstreamError } from './upstream-error.ts';
export { VirtualServer } from './virtual-server.ts';
export { type ConnectOptions, connect, type Era, type EraMemory } from './wire/connect.ts';
export type { Caller, Connection, ConnectionListener, RequestOptions, ServerDescription } from './wire/connection.ts';
export type { HttpChallenge, HttpCredential } from './wire/http-credential.ts';
export { HttpPipe } from './wire/http-pipe.ts';
export type { HttpTarget } from './wire/http-requests.ts';
export type { SessionBounds } from './wire/legacy-http.ts';
export type { FrameProblem, Pipe, PipeListener } from './wire/pipe.ts';
export { SsePipe } from './wire/sse-pipe.ts';
export { StdioPipe, type StdioTarget } from './wire/stdio-pipe.ts';
