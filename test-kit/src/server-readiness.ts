import { connect } from 'node:net';

const PATIENCE_MS = 1_000;

/** Whether the server on this port of 127.0.0.1 answers `PING`, and no longer loads its data. */
export function redisAnswers(port: number): Promise<boolean> {
  return converse(port, 'PING\r\n', (heard) => heard.toString().startsWith('+PONG'));
}

/** Whether the server greets with JetStream on and answers `PING`. */
export function natsAnswers(port: number): Promise<boolean> {
  return converse(port, 'CONNECT {"verbose":false}\r\nPING\r\n', (heard) =>
    /"jetstream":\s*true[\s\S]*\r\nPONG\r\n/.test(heard.toString()),
  );
}

/** Whether the server lets `postgres` in and is ready for a query. */
export function postgresAnswers(port: number): Promise<boolean> {
  const words = Buffer.from('user\0postgres\0database\0postgres\0\0');
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + words.length, 0);
  head.writeInt32BE(3 << 16, 4); // protocol 3.0
  return converse(port, Buffer.concat([head, words]), (heard) => messageTypes(heard).includes('Z'));
}

/** The types of the whole messages heard so far: one letter, then a length that counts itself. */
function messageTypes(heard: Buffer): string[] {
  const types: string[] = [];
  for (let at = 0; at + 5 <= heard.length; at += 1 + heard.readInt32BE(at + 1)) types.push(String.fromCharCode(heard[at] ?? 0));
  return types;
}

function converse(port: number, opening: string | Buffer, satisfied: (heard: Buffer) => boolean): Promise<boolean> {
  return new Promise((resolve) => {
    let heard = Buffer.alloc(0);
    const socket = connect(port, '127.0.0.1', () => socket.write(opening));
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PATIENCE_MS, () => end(false));
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
    socket.on('data', (chunk) => {
      heard = Buffer.concat([heard, chunk]);
      if (satisfied(heard)) end(true);
    });
  });
}
