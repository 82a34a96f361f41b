import { Redis } from 'ioredis';
import { startRedis } from '@tidegate/test-kit';
import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { redisStore } from '@tidegate/rate-limit/redis';
const server = await startRedis();
const client = new Redis(server.port, '127.0.0.1');
let calls=0;
const orig=client.evalsha.bind(client); (client as any).evalsha=(...a:any[])=>{calls++; return (orig as any)(...a);};
const store = redisStore(client);
const limiter = new RateLimiter<string>({ name:'a', key: (k)=>k, store, decisionTimeoutMs: 5000, limits: [tokenBucket({rate: per(1e9,'hour')})] });
limiter.on('store-failed', (e)=>console.log(e.error));
async function closed(f:(k:string)=>Promise<unknown>, n:number, keys:number){ let i=0; calls=0; const t=process.hrtime.bigint(); const c=process.cpuUsage();
 await Promise.all(Array.from({length:64},async()=>{ while(i<n){ const k='tenant:'+(i++*7919%keys); await f(k);} }));
 const s=Number(process.hrtime.bigint()-t)/1e9; const u=process.cpuUsage(c); return [Math.round(n/s/1000)+'k', ((u.user+u.system)/n).toFixed(2)+'us', 'calls', calls]; }
for(let r=0;r<4;r++) console.log(...await closed(k=>limiter.consume(k),200000,+(process.argv[2]??1)));
client.disconnect(); await server.stop();
