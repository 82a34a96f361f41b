import type { BudgetReport } from '../http/budget-routes.ts';
import { fraction, instant, nano, percent, usd } from './format.ts';

/** What the banner says. */
export interface Standing {
  readonly level: 'none' | BudgetReport['level'];
  readonly title: string;
  readonly text: string;
}

const levels = ['ok', 'warning', 'critical', 'blocked'] as const;

/** The budgets that count calls of the tenant and project chosen; all where none is. */
export function budgetsFor(budgets: readonly BudgetReport[], tenant: string, project: string): BudgetReport[] {
  const fits = (scope: string | undefined, chosen: string) => chosen === '' || scope === undefined || scope === chosen;
  return budgets.filter(({ scope }) => fits(scope.tenant, tenant) && fits(scope.project, project)).sort(worstFirst);
}

/** Says how the worst of the budgets stands, which have to be in that order. */
export function standingOf([worst, ...others]: readonly BudgetReport[]): Standing {
  if (worst === undefined) return { level: 'none', title: 'No budget', text: 'Nothing limits what these calls may cost.' };
  const { level, name, spentUsd, limitUsd, resetsAt, timeZone, thresholds } = worst;
  const spent = `${percent(spentUsd, limitUsd)} of ${usd(limitUsd)} spent`;
  const resets =
    typeof worst.period === 'string' ? `It starts again on ${instant(resetsAt, timeZone)}.` : 'Room comes back as spend grows old.';
  const more = others.filter((other) => other.level !== 'ok').length;
  const rest = level === 'ok' || more === 0 ? '' : ` ${more} more ${more === 1 ? 'budget needs' : 'budgets need'} attention.`;
  switch (level) {
    case 'ok':
      return { level, title: 'Within budget', text: `${name}: ${spent}.` };
    case 'warning':
      return { level, title: `Budget ${name} is running out`, text: `${spent}. ${resets}${rest}` };
    case 'critical':
      return {
        level,
        title: `Budget ${name} is used up`,
        text: `${spent}. Calls are refused at ${fraction(thresholds.blocked)}. ${resets}${rest}`,
      };
    case 'blocked':
      return { level, title: `Budget ${name} is blocked`, text: `${spent}. Calls are refused. ${resets}${rest}` };
  }
}

function worstFirst(a: BudgetReport, b: BudgetReport): number {
  return levels.indexOf(b.level) - levels.indexOf(a.level) || shareDifference(b, a) || (a.name < b.name ? -1 : 1);
}

/** Above 0 where `a` has more of its limit spent; compared exactly. */
function shareDifference(a: BudgetReport, b: BudgetReport): number {
  const [left, right] = [nano(a.spentUsd) * nano(b.limitUsd), nano(b.spentUsd) * nano(a.limitUsd)];
  if (left === right) return 0;
  return left > right ? 1 : -1;
}
