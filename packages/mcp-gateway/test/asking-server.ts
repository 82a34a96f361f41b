import { fileURLToPath } from 'node:url';

/** A command line of the server whose tools ask back. */
export const askingServer = { command: process.execPath, args: [fileURLToPath(new URL('./asking-server.mjs', import.meta.url))] };
