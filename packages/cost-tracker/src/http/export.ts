import type { RowsOptions } from '../cost-tracker.ts';
import { formatUsd } from '../money.ts';
import type { BudgetScope } from '../scope.ts';
import type { CostSource, RowCursor, UsageKind, UsageRow } from '../store.ts';
import { countedParts, inputParts, outputParts, type UsagePart, type UsageParts } from '../usage.ts';
import { type Cell, csvLine } from './csv.ts';

/** A row of the ledger as `GET /api/usage/rows` has it: one JSON text a line. What is not known is null. */
export interface ExportedRow {
  /** When the call was admitted, ISO 8601; it decides which period pays. */
  readonly at: string;
  /** When the row was written, ISO 8601. */
  readonly recordedAt: string;
  /** Identity of the call within its tenant. */
  readonly id: string;
  /** 0 for the first row of a call, then 1, 2, … for its corrections, which hold differences. */
  readonly correction: number;
  /** Tenant. */
  readonly tenant: string | null;
  /** Organisation. */
  readonly org: string | null;
  /** Project. */
  readonly project: string | null;
  /** User. */
  readonly user: string | null;
  /** Id of the API key. */
  readonly key: string | null;
  /** What kind of call. */
  readonly kind: UsageKind;
  /** Name of the model, tool, resource or prompt. */
  readonly name: string;
  /** Who was paid. */
  readonly provider: string | null;
  /** The model that answered. */
  readonly servedModel: string | null;
  /** What the row adds to the cost, a decimal; negative in corrections that take something back. */
  readonly amountUsd: string;
  /** How well the cost is known. */
  readonly costSource: CostSource;
  /** Which prices were used. */
  readonly priceVersion: string | null;
  /** Version of the report. */
  readonly revision: number;
  /** Whether the call succeeded. */
  readonly success: boolean;
  /** 1 where the row tells of a failed call, −1 where it takes that back. */
  readonly failures: number;
  /** 1 where the row tells of a call without a price, −1 where it takes that back. */
  readonly unpriced: number;
  /** How long the call took. */
  readonly durationMs: number | null;
  /** Trace the call belongs to. */
  readonly traceId: string | null;
  /** What was used, in parts that do not overlap. */
  readonly usage: UsageParts;
  /** How the amount comes about. */
  readonly priceLines: unknown;
  /** What the caller put beside the row. */
  readonly metadata: unknown;
}

/** How rows are written. */
export interface ExportFormat {
  readonly contentType: string;
  readonly extension: string;
  readonly head: string;
  line(row: UsageRow): string;
}

const parts: readonly UsagePart[] = [...inputParts, ...outputParts, ...countedParts];
const columns = [
  ...['at', 'recordedAt', 'id', 'correction', 'tenant', 'org', 'project', 'user', 'key', 'kind', 'name', 'provider', 'servedModel'],
  ...['amountUsd', 'costSource', 'priceVersion', 'revision', 'success', 'failures', 'unpriced', 'durationMs', 'traceId'],
] as const satisfies readonly (keyof ExportedRow)[];
/** Columns whose values somebody else chose. */
const foreign: ReadonlySet<string> = new Set([
  ...['id', 'tenant', 'org', 'project', 'user', 'key', 'name', 'provider', 'servedModel', 'priceVersion', 'traceId'],
]);

/** The formats, by the name that `format` takes. */
export const formats = {
  ndjson: {
    contentType: 'application/x-ndjson',
    extension: 'ndjson',
    head: '',
    line: (row) => `${JSON.stringify(exportedRow(row))}\n`,
  },
  csv: {
    contentType: 'text/csv; charset=utf-8; header=present',
    extension: 'csv',
    head: csvLine([...columns, ...parts, 'metadata']),
    line: (row) => csvLine(csvCells(exportedRow(row))),
  },
} as const satisfies Readonly<Record<string, ExportFormat>>;

const PAGE = 500;

/**
 * The rows as bytes. A page is read when it is asked for and not before, so that a slow reader holds one page and no more; when the reader
 * goes away nothing more is read. A ledger that fails half-way breaks the stream off, so that no part passes for all of it.
 */
export async function exportedRows(
  rows: (options: RowsOptions) => Promise<readonly UsageRow[]>,
  query: { readonly from?: number; readonly to?: number; readonly scope: BudgetScope },
  format: ExportFormat,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder();
  const read = (after: RowCursor | undefined) => rows({ ...query, limit: PAGE, ...(after === undefined ? {} : { after }) });
  // Before anything is answered, so that a ledger that cannot be read at all is an answer of its own.
  let page = await read(undefined);
  let head = format.head;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        signal.throwIfAborted();
        const text = head + page.map((row) => format.line(row)).join('');
        head = '';
        if (text !== '') controller.enqueue(encoder.encode(text));
        const last = page.at(-1);
        if (last === undefined || page.length < PAGE) return controller.close();
        page = await read({ at: last.at, tenant: last.key.tenant, id: last.key.id, correction: last.correction });
        if (page.length === 0) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

function exportedRow(row: UsageRow): ExportedRow {
  const { org, tenant, project, user, key } = row.dimensions;
  return {
    at: new Date(row.at).toISOString(),
    recordedAt: new Date(row.recordedAt).toISOString(),
    id: row.key.id,
    correction: row.correction,
    tenant: tenant || null,
    org: org || null,
    project: project || null,
    user: user || null,
    key: key || null,
    kind: row.kind,
    name: row.name,
    provider: row.provider || null,
    servedModel: row.servedModel || null,
    amountUsd: formatUsd(row.amount),
    costSource: row.costSource,
    priceVersion: row.priceVersion ?? null,
    revision: row.revision,
    success: row.success,
    failures: row.failures,
    unpriced: row.unpriced,
    durationMs: row.durationMs ?? null,
    traceId: row.traceId ?? null,
    usage: row.usage,
    priceLines: row.priceLines === undefined ? null : JSON.parse(row.priceLines),
    metadata: row.metadata === undefined ? null : JSON.parse(row.metadata),
  };
}

function csvCells(row: ExportedRow): Cell[] {
  const cells = columns.map((name): Cell => {
    const value = row[name];
    if (value === null) return null;
    return foreign.has(name) ? String(value) : { plain: value };
  });
  const counts = parts.map((part): Cell => ({ plain: row.usage[part] ?? 0 }));
  return [...cells, ...counts, row.metadata === null ? null : JSON.stringify(row.metadata)];
}
