import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
const N=2_000_000;
const rate=1e6;
class Bare { map=new Map<string,number>(); tat=new Float64Array(1024);
 take(key:string){ const i=this.map.get(key) as number; const now=performance.now(); const t=Math.max(this.tat[i]!,now); const n=t+1/1000; if(n-now>1000) return false; this.tat[i]=n; return true; } }
const bare=new Bare(); bare.map.set('user:1',0);
const lim=new RateLimiter<string>({key:(k)=>k, limits:[tokenBucket({rate:per(1_000_000_000,'second'),burst:1_000_000_000})]});
const den=new RateLimiter<string>({key:(k)=>k, limits:[tokenBucket({rate:per(1,'day'),burst:1})]});
den.consumeSync('user:1');
let s=0;
function loop(f:()=>boolean){const t=process.hrtime.bigint();for(let i=0;i<N;i++) if(f()) s++; return Number(process.hrtime.bigint()-t)/N;}
const rows:any={bare:[],ours:[],denied:[]};
for(let r=0;r<12;r++){rows.bare.push(loop(()=>bare.take('user:1')));rows.ours.push(loop(()=>lim.consumeSync('user:1').allowed));rows.denied.push(loop(()=>den.consumeSync('user:1').allowed));}
for(const k in rows){const a=rows[k].sort((x:number,y:number)=>x-y);console.log(k,a[0].toFixed(1),a[6].toFixed(1));}
