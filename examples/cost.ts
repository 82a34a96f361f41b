import { CostTracker } from '@tidegate/cost-tracker';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';

const tracker = new CostTracker({
  store: sqliteStore(':memory:'), // or a file such as 'usage.db', which several processes may share
  budgets: [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '50', period: 'month', timeZone: 'Asia/Seoul' }],
  toolPrices: { search: { perCallUsd: '0.002' } },
});

const hold = await tracker.withScope({ tenant: 'acme', user: 'mina' }, () => tracker.reserve({ kind: 'tool', name: 'search' }));
await hold.settle({ durationMs: 12 }); // or hold.release(), when the call was not made

const { level, spentUsd, headroomUsd } = await tracker.status('acme');
console.log({ level, spentUsd, headroomUsd }); // { level: 'ok', spentUsd: '0.002', headroomUsd: '49.998' }
await tracker.close();
