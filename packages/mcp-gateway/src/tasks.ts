import type { Answer, Principal } from './call.ts';
import { isObject } from './json-rpc.ts';
import { StateSeal } from './sealed-state.ts';

/** The extension by which a server of revision 2026-07-28 answers a call with a task and later with its result. */
export const tasksExtension = 'io.modelcontextprotocol/tasks';

/** The requests about one task. */
export const taskMethods: readonly string[] = ['tasks/get', 'tasks/update', 'tasks/cancel'];

/** Where a task is. */
export interface TaskPlace {
  readonly server: string;
  /** As the server names it. */
  readonly taskId: string;
}

interface SealedTask extends TaskPlace {
  readonly tenant: string;
  readonly user: string | null;
}

/**
 * Names for the tasks of servers: each says, sealed, which server has the task and whose it is. So nothing is kept here, two servers
 * may use the same name, and a name is of no use to anybody but the caller who was given it.
 */
export class TaskNames {
  readonly #seal = new StateSeal<SealedTask>();

  /** An answer with the task's name as this caller is to use it. */
  outward(answer: Answer, server: string, { tenant, user }: Principal): Answer {
    if (!('result' in answer) || answer.result['resultType'] !== 'task') return answer;
    const { taskId } = answer.result;
    if (typeof taskId !== 'string') return answer;
    return { result: { ...answer.result, taskId: this.#seal.seal({ server, taskId, tenant, user: user ?? null }) } };
  }

  /** Where a task is that this caller names; undefined where it is none of his. */
  inward(name: unknown, { tenant, user }: Principal): TaskPlace | undefined {
    const task = typeof name === 'string' ? this.#seal.open(name) : undefined;
    return task !== undefined && task.tenant === tenant && task.user === (user ?? null) ? task : undefined;
  }
}

/** An answer about a task with the name that the caller used. */
export function underName(answer: Answer, name: unknown): Answer {
  if (!('result' in answer) || !isObject(answer.result) || answer.result['taskId'] === undefined) return answer;
  return { result: { ...answer.result, taskId: name } };
}
