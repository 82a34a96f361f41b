// A store that cannot be reached, for the route that shows it.
import Fastify from 'fastify';

const { sharedStore } = await import('@tidegate/rate-limit/stores');
const down = sharedStore({ run: () => Promise.reject(new Error('connection refused')), close: async () => {} });

import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { fastifyLimit } from '@tidegate/rate-limit/fastify';
import { type AddressSource, addressKey, clientAddress } from '@tidegate/rate-limit/http';

const key = (user: string) => user;
const client = clientAddress(); // behind a proxy: { trustedProxies: ['10.0.0.0/8'] }
const subject = (request: AddressSource) => addressKey(client(request));

const limits = [tokenBucket<string>({ name: 'minute', rate: per(3, 'minute') })];
const limiter = new RateLimiter({ key, limits });
const chat = new RateLimiter({ key, limits: [tokenBucket<string>({ name: 'tokens', unit: 'tokens', rate: per(1_000, 'minute') })] });
const shared = new RateLimiter({ key, limits, store: down });

const app = Fastify();
app.register((scope, _options, done) => {
  scope.register(fastifyLimit({ limiter, subject, headers: ['draft-11', 'legacy'] })); // the routes of this scope alone
  scope.get('/', async () => 'hello\n');
  done();
});
app.register((scope, _options, done) => {
  scope.register(
    fastifyLimit({
      limiter: chat,
      subject,
      cost: ({ headers }) => ({ tokens: Number(headers['x-max-tokens'] ?? 400) }), // reserved, and made exact when the response has ended
      settle: (_, reply) => ({ tokens: reply.statusCode === 200 ? 100 : 0 }),
    }),
  );
  scope.get('/chat', async () => 'hello\n');
  done();
});
app.register((scope, _options, done) => {
  scope.register(fastifyLimit({ limiter: shared, subject }));
  scope.get('/shared', async () => 'hello\n');
  done();
});

console.log(await app.listen({ port: 0, host: '127.0.0.1' })); // http://127.0.0.1:…
if (!process.argv.includes('--stay')) await app.close();
