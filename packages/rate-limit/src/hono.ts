import { Ending, type EndingResponse } from './http/ending.ts';
import { type Hold, HttpLimit, type HttpLimitOptions, type Used } from './http/limiting.ts';
import { watched } from './http/web-response.ts';

/** What of Hono's request is used. */
export interface HonoLimitRequest {
  /** The method. */
  readonly method: string;
  /** The request of the web standard. */
  readonly raw: Request;
}

/** What of Hono's context is used. */
export interface HonoLimitContext {
  /** The request. */
  readonly req: HonoLimitRequest;
  /** What the server gave; that of `@hono/node-server` has the response of `node:http` as `outgoing`. */
  readonly env: unknown;
  /** The response. */
  res: Response;
  /** Sets a header of the response. */
  header(name: string, value: string): void;
}

/**
 * Middleware for Hono that limits requests; `subject`, `cost`, `skip` and `settle` get Hono's context.
 *
 * On `@hono/node-server` the response has ended when it was sent or its client has gone; elsewhere as it has with `limitHandler`. What the limiter and the options' functions throw goes to the application's `onError`.
 *
 * @throws RangeError for options that are unknown or not allowed
 * @example
 * app.use(honoLimit({ limiter, subject: (c: Context) => c.get('user') }));
 */
export function honoLimit<Subject, Context extends HonoLimitContext = HonoLimitContext>(
  options: HttpLimitOptions<Subject, Context, Response>,
): (context: Context, next: () => Promise<void>) => Promise<Response | undefined> {
  const limit = new HttpLimit<Subject, Context, Response>('honoLimit', options);
  return (context, next) => answered(limit, context, next);
}

async function answered<Subject, Context extends HonoLimitContext>(
  limit: HttpLimit<Subject, Context, Response>,
  context: Context,
  next: () => Promise<void>,
): Promise<Response | undefined> {
  const ending = limit.holds ? endingOf(context) : undefined; // the client may leave while the limiter decides
  const admission = await limit.admit(context);
  if (admission.outcome === 'refused') return new Response(admission.body, { status: admission.status, headers: admission.headers });
  const { headers = {}, hold } = admission.outcome === 'allowed' ? admission : {};
  if (ending?.over) {
    hold?.release();
    return new Response(null, { status: 408 }); // which nobody reads
  }
  await next().catch((error) => {
    hold?.end();
    throw error;
  });
  for (const [name, value] of Object.entries(headers)) context.header(name, value);
  if (hold !== undefined) settleAtEnd(context, hold, limit.used(context, context.res), ending);
  return;
}

function settleAtEnd(context: HonoLimitContext, hold: Hold, used: Used, ending: Ending | undefined): void {
  if (ending === undefined) context.res = watched(context.res, context.req.method === 'HEAD', hold, used);
  else ending.whenOver(() => hold.end(used));
}

function endingOf({ env }: HonoLimitContext): Ending | undefined {
  const outgoing = (env as { outgoing?: EndingResponse } | undefined)?.outgoing;
  return typeof outgoing?.once === 'function' ? new Ending(outgoing) : undefined;
}
