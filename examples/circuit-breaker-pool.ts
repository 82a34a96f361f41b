// The first provider is down, the second is well.
const ask = async (url: string, question: string): Promise<string> => {
  if (url.includes('main')) throw new Error('connection refused');
  return `an answer to ${question}`;
};

import { CircuitBreakerPool } from '@tidegate/circuit-breaker/pool';

const pool = new CircuitBreakerPool({
  order: 'in-order', // the first that is well
  maxAttempts: 2,
  members: [
    { name: 'main', url: 'https://main.example' },
    { name: 'backup', url: 'https://backup.example' },
  ],
});
pool.on('ejected', ({ member, forMs }) => console.log(`${member} is left alone for ${forMs} ms`)); // main is left alone for 30000 ms

for (let i = 0; i < 6; i++) await pool.execute(({ url }) => ask(url, 'why?'));
console.log(await pool.execute(({ url }) => ask(url, 'how?'))); // an answer to how?
