export { chaosSeed } from './chaos-seed.ts';
export type { LlmEvent } from './fake-llm.ts';
export { type FixtureProcess, startFakeLlm, startHttpFixture } from './fixture-process.ts';
export { freePort } from './free-port.ts';
export { FaultSwitch, type HttpFaults } from './http-faults.ts';
export { HttpFixture, type HttpFixtureOptions, httpFixture, type RecordedRequest } from './http-fixture.ts';
export { type LaunchOptions, startNats, startPostgres, startRedis } from './launchers.ts';
export { type LlmFault, llmFault, llmItems } from './llm-faults.ts';
export type { ManagedServer } from './managed-server.ts';
export { ManualClock, type ManualClockOptions, type ManualTimer } from './manual-clock.ts';
export { childrenOf, isAlive, type ProcessTree, processTree } from './process-tree.ts';
export { seededRandom } from './seeded-random.ts';
export { requireServer, type ServerName, serverAvailable, serverBinary } from './server-binaries.ts';
export {
  type FixtureEvent,
  type StdioControl,
  type StdioFaults,
  type StdioFixture,
  type StdioFixtureOptions,
  stdioFixture,
} from './stdio-fixture.ts';
export { startProxy, TcpProxy, type TcpTarget } from './tcp-proxy.ts';
export { type TempDir, tempDir } from './temp-dir.ts';
export { type UntilOptions, until } from './until.ts';
export { UserAgent } from './user-agent.ts';
