import { Badge } from '../../../../ui/src/badge.tsx';
import { Foreign, Table } from '../../../../ui/src/table.tsx';
import type { BudgetReport } from '../http/budget-routes.ts';
import { budgetPeriod, instant, percent, usd } from './format.ts';

/** Every budget and how far it is spent. */
export function Budgets({ budgets }: { budgets: readonly BudgetReport[] }) {
  return (
    <section class="card" aria-labelledby="budgets">
      <header>
        <h2 id="budgets">Budgets</h2>
      </header>
      <Table<BudgetReport>
        caption="Budgets"
        rows={budgets}
        rowKey={({ name }) => name}
        empty="No budget counts these calls"
        columns={[
          { title: 'Budget', cell: ({ name, scope }) => <BudgetName name={name} scope={scope} /> },
          { title: 'Level', cell: ({ level }) => <Badge level={level}>{level}</Badge> },
          {
            ...{ title: 'Used', number: true, cell: ({ spentUsd, limitUsd }) => percent(spentUsd, limitUsd) },
            ...{ bar: ({ usedRatio }) => usedRatio, barKind: ({ level }) => level },
          },
          { title: 'Spent', number: true, cell: ({ spentUsd }) => usd(spentUsd), exact: ({ spentUsd }) => `${spentUsd} USD` },
          { title: 'Held', number: true, cell: ({ reservedUsd }) => usd(reservedUsd), exact: ({ reservedUsd }) => `${reservedUsd} USD` },
          { title: 'Limit', number: true, cell: ({ limitUsd, period }) => `${usd(limitUsd)} / ${budgetPeriod(period)}` },
          {
            title: 'Starts again',
            cell: ({ period, resetsAt, timeZone }) => (typeof period === 'string' ? instant(resetsAt, timeZone) : '—'),
          },
        ]}
      />
    </section>
  );
}

function BudgetName({ name, scope }: Pick<BudgetReport, 'name' | 'scope'>) {
  return (
    <>
      <Foreign text={name} />
      <div class="muted small">
        {Object.entries(scope).map(([dimension, value]) => (
          <span key={dimension}>
            {dimension} <Foreign text={value ?? ''} />{' '}
          </span>
        ))}
      </div>
    </>
  );
}
