import { tempDir } from '@tidegate/test-kit';
import { createGateway, type Gateway, type GatewayConfig } from '../src/index.ts';
import { type Served, serve } from '../src/node.ts';

/** A gateway that listens on a free port, with a data folder of its own. */
export class ServedGateway implements AsyncDisposable {
  readonly gateway: Gateway;
  /** The address of the protocol's endpoint. */
  readonly url: string;
  readonly #served: Served;
  readonly #forget: () => void;

  constructor(gateway: Gateway, served: Served, forget: () => void) {
    this.gateway = gateway;
    this.url = served.url;
    this.#served = served;
    this.#forget = forget;
  }

  /** The address of another of its pages. */
  at(path: string): string {
    return new URL(path, this.url).href;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served.close();
    this.#forget();
  }
}

/** Serves this configuration. Rate limits are off where it names none. */
export async function serveGateway(config: GatewayConfig): Promise<ServedGateway> {
  const folder = tempDir('gateway-');
  const gateway = await createGateway({ limits: [], dataDir: folder.path, ...config });
  return new ServedGateway(gateway, await serve(gateway, { port: 0 }), () => folder.remove());
}

/** The header of a token. */
export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}
