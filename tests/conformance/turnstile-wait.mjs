// `turnstile-wait.mjs PORT COMMAND…`: waits at the turnstile that listens there, then runs the command in its own name.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

const [port, command, ...args] = process.argv.slice(2);
const turn = connect(Number(port), '127.0.0.1');
await once(turn, 'data');
const [code] = await once(spawn(command, args, { stdio: 'inherit' }), 'exit');
turn.end();
process.exitCode = code ?? 1;
