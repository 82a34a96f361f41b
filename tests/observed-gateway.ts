/** A gateway in a process of its own that can be asked what it holds. Started with `--expose-gc` and its configuration as JSON. */
import { readdirSync, readlinkSync } from 'node:fs';
import { createGateway, type GatewayConfig } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';
import { childrenOf } from '@tidegate/test-kit';

/** What a process holds at one moment. */
export interface Holdings {
  /** Bytes in use after a collection, on the heap and beside it. */
  readonly bytes: number;
  /** How many open files of each kind, regular files by their path. */
  readonly files: Readonly<Record<string, number>>;
  readonly children: number;
  /** How many of each kind of active resource. */
  readonly resources: Readonly<Record<string, number>>;
}

/** What the process is asked, and what it says. */
export type Question = 'holdings' | 'close';
export type Said = { readonly url: string } | Holdings;

function counted(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`).replace(/:\[\d+\]$/, '')];
    } catch {
      return []; // the folder that is being read
    }
  });
}

function holdings(): Holdings {
  // twice: what the first collection finalises, the second frees
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return {
    bytes: heapUsed + external,
    files: counted(openFiles()),
    children: childrenOf(process.pid).length,
    resources: counted(process.getActiveResourcesInfo()),
  };
}

const config = JSON.parse(process.argv[2] ?? '{}') as GatewayConfig;
const gateway = await createGateway(config);
await gateway.warmUp();
const served = await serve(gateway, { port: 0 });
const say = (said: Said) => process.send?.(said);
process.on('message', (question: Question) => {
  if (question === 'holdings') say(holdings());
  else served.close().then(() => process.disconnect(), console.error);
});
say({ url: served.url });
