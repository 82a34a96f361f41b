import { Ending, type EndingResponse } from './http/ending.ts';
import { HttpLimit, type HttpLimitOptions } from './http/limiting.ts';
import type { NodeRequest } from './http/node.ts';

/** What of Fastify's reply is used. */
export interface FastifyLimitReply {
  /** The response of `node:http`. */
  readonly raw: EndingResponse;
  /** Sets the status. */
  code(status: number): unknown;
  /** Sets a header. */
  header(name: string, value: string): unknown;
  /** Sends the rest. */
  send(body: string): unknown;
  /** Tells Fastify to leave the response alone. */
  hijack(): unknown;
}

/** What of a Fastify instance is used. */
export interface FastifyLimitScope<Request, Reply> {
  /** Calls `hook` for each request to the routes of the instance. */
  addHook(name: 'onRequest' | 'preHandler', hook: (request: Request, reply: Reply) => Promise<unknown>): unknown;
}

/** How Fastify's requests are limited. */
export interface FastifyLimitOptions<Subject, Request, Reply> extends HttpLimitOptions<Subject, Request, Reply> {
  /** When: as soon as the headers are there, or when the body is read and checked, so that `cost` can look at it. @defaultValue `'onRequest'` */
  readonly hook?: 'onRequest' | 'preHandler';
}

/**
 * A plugin for Fastify 5 that limits the requests to the routes of the instance it is registered with, and of those within it; `settle`
 * gets Fastify's request and reply.
 *
 * Register it in a scope of its own to limit the routes of that scope alone. What the limiter and the options' functions throw goes to
 * the error handler of the instance.
 *
 * @throws RangeError for options that are unknown or not allowed
 * @example
 * await app.register(fastifyLimit({ limiter, subject: (request) => addressKey(client(request)) }));
 */
export function fastifyLimit<Subject, Request extends NodeRequest = NodeRequest, Reply extends FastifyLimitReply = FastifyLimitReply>(
  options: FastifyLimitOptions<Subject, Request, Reply>,
): (app: FastifyLimitScope<Request, Reply>) => Promise<void> {
  const limit = new HttpLimit<Subject, Request, Reply>('fastifyLimit', options, ['hook']);
  const hook = options.hook ?? 'onRequest';
  if (hook !== 'onRequest' && hook !== 'preHandler')
    throw new RangeError(`fastifyLimit: hook must be onRequest or preHandler, not '${String(hook)}'`);
  const plugin = async (app: FastifyLimitScope<Request, Reply>) => {
    app.addHook(hook, (request, reply) => answered(limit, request, reply));
  };
  return Object.assign(plugin, {
    [Symbol.for('skip-override')]: true, // the hook belongs to the instance that registers, not to a scope inside it
    [Symbol.for('fastify.display-name')]: '@tidegate/rate-limit',
    [Symbol.for('plugin-meta')]: { name: '@tidegate/rate-limit', fastify: '5.x' },
  });
}

async function answered<Subject, Request, Reply extends FastifyLimitReply>(
  limit: HttpLimit<Subject, Request, Reply>,
  request: Request,
  reply: Reply,
): Promise<unknown> {
  const ending = limit.holds ? new Ending(reply.raw) : undefined; // the client may leave while the limiter decides
  const admission = await limit.admit(request);
  if (admission.outcome === 'skipped') return;
  const { hold } = admission.outcome === 'allowed' ? admission : {};
  if (ending?.over) {
    hold?.release();
    reply.hijack();
    return reply;
  }
  for (const [name, value] of Object.entries(admission.headers)) reply.header(name, value);
  if (admission.outcome === 'allowed') {
    if (hold !== undefined) (ending ?? new Ending(reply.raw)).whenOver(() => hold.end(limit.used(request, reply)));
    return;
  }
  reply.code(admission.status);
  reply.send(admission.body);
  return reply;
}
