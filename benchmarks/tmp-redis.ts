import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterUnion } from 'rate-limiter-flexible';
import { startRedis } from '@tidegate/test-kit';
import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { redisStore } from '@tidegate/rate-limit/redis';
const server = await startRedis();
const client = new Redis(server.port, '127.0.0.1');
const client2 = new Redis(server.port, '127.0.0.1');
const store = redisStore(client);
const big=1_000_000_000;
const limiter = new RateLimiter<string>({ name:'a', key: (k)=>k, store, decisionTimeoutMs: 5000, limits: [tokenBucket({rate: per(big,'hour')})] });
const three = new RateLimiter<string>({ name:'b', key: (k)=>k, store, decisionTimeoutMs: 5000, limits: [1,2,3].map(i=>tokenBucket({name:'l'+i, rate: per(big,'hour')})) });
limiter.on('store-failed', (e)=>console.log(e.error));
const rlf = new RateLimiterRedis({ storeClient: client2, points: big, duration: 3600, keyPrefix: 'rlf' });
const union = new RateLimiterUnion(...[1,2,3].map(i=>new RateLimiterRedis({ storeClient: client2, points: big, duration: 3600, keyPrefix: 'u'+i })));
async function closed(f:(k:string)=>Promise<unknown>, n:number, keys:number){ let i=0; const t=process.hrtime.bigint(); const c=process.cpuUsage();
 await Promise.all(Array.from({length:64},async()=>{ while(i<n){ const k='tenant:'+(i++*7919%keys); await f(k);} }));
 const s=Number(process.hrtime.bigint()-t)/1e9; const u=process.cpuUsage(c); return [Math.round(n/s/1000)+'k', ((u.user+u.system)/n).toFixed(2)+'us']; }
for (const keys of [1,10000]) for(let r=0;r<3;r++){ 
 console.log(keys,'ours', ...await closed(k=>limiter.consume(k),100000,keys),' rlf',...await closed(k=>rlf.consume(k),50000,keys), ' three', ...await closed(k=>three.consume(k),50000,keys), ' union', ...await closed(k=>union.consume(k),20000,keys));
}
client.disconnect(); client2.disconnect(); await server.stop();
