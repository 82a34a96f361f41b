import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

export interface Turnstile extends AsyncDisposable {
  /** The command line that runs `command` when its turn has come. */
  admit(command: string): string;
}

const waiting = fileURLToPath(new URL('./turnstile-wait.mjs', import.meta.url));

/**
 * Lets at most `atOnce` commands run at a time, those that came first before the others. The suite starts its clients all at
 * once and measures, in hundreds of milliseconds, when one of them comes back to it: on a machine full of clients that start,
 * it would measure the machine.
 */
export async function openTurnstile(atOnce: number): Promise<Turnstile> {
  const queue: Socket[] = [];
  let inside = 0;
  const next = () => {
    while (inside < atOnce && queue.length > 0) {
      inside += 1;
      queue.shift()?.write('go');
    }
  };
  const server = createServer((socket) => {
    queue.push(socket);
    // Its end, however it comes, is the end of the turn.
    socket.once('close', () => {
      const place = queue.indexOf(socket);
      if (place < 0) inside -= 1;
      else queue.splice(place, 1);
      next();
    });
    socket.on('error', () => {});
    socket.resume();
    next();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    admit: (command) => `${process.execPath} ${waiting} ${(server.address() as AddressInfo).port} ${command}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
