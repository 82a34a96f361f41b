import { Server } from 'node:net';

const listen = Server.prototype.listen;

/** Loaded before a server that names no host, so that it listens on this machine only. */
Server.prototype.listen = function (port, ...rest) {
  return typeof port === 'number' || typeof port === 'string'
    ? listen.call(this, Number(port), '127.0.0.1', ...rest)
    : listen.call(this, port, ...rest);
};
