import { setTimeout } from 'node:timers/promises';
import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';

// Prints what one key takes in memory, in bytes, without the text of the key: that belongs to the caller.
const count = Number(process.argv[2]);
const keys = Array.from({ length: count }, (_, i) => ['tenant', i, 'tool'].join(':'));
const limiter = new RateLimiter<string>({ key: (subject) => subject, limits: [tokenBucket({ rate: per(1, 'day') })] }); // none is forgotten
limiter.consumeSync(keys[0] as string);

// buffers that the garbage collector found are freed in the background
const inUse = async () => {
  for (let i = 0; i < 5; i += 1) {
    globalThis.gc?.();
    await setTimeout(20);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};
const before = await inUse();
for (const key of keys) limiter.consumeSync(key);
const after = await inUse();
if (globalThis.gc === undefined || limiter.size !== keys.length) throw new Error('nothing was measured');
console.log((after - before) / keys.length);
