// A store that cannot be reached, for the route that shows it.
import { type HttpBindings, serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';

const { sharedStore } = await import('@tidegate/rate-limit/stores');
const down = sharedStore({ run: () => Promise.reject(new Error('connection refused')), close: async () => {} });

import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { honoLimit } from '@tidegate/rate-limit/hono';
import { addressKey, clientAddress } from '@tidegate/rate-limit/http';

type Served = Context<{ Bindings: HttpBindings }>;

const key = (user: string) => user;
const client = clientAddress(); // behind a proxy: { trustedProxies: ['10.0.0.0/8'] }
const subject = (c: Served) => addressKey(client(c.env.incoming));

const limits = [tokenBucket<string>({ name: 'minute', rate: per(3, 'minute') })];
const limiter = new RateLimiter({ key, limits });
const chat = new RateLimiter({ key, limits: [tokenBucket<string>({ name: 'tokens', unit: 'tokens', rate: per(1_000, 'minute') })] });
const shared = new RateLimiter({ key, limits, store: down });

const app = new Hono<{ Bindings: HttpBindings }>();
app.use('/', honoLimit({ limiter, subject, headers: ['draft-11', 'legacy'] }));
app.use(
  '/chat',
  honoLimit({
    limiter: chat,
    subject,
    cost: (c) => ({ tokens: Number(c.req.header('x-max-tokens') ?? 400) }), // reserved, and made exact when the response has ended
    settle: (_, response) => ({ tokens: response.status === 200 ? 100 : 0 }),
  }),
);
app.use('/shared', honoLimit({ limiter: shared, subject }));
app.get('*', (c) => c.text('hello\n'));

const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}`); // http://127.0.0.1:…
  if (!process.argv.includes('--stay')) server.close();
});
