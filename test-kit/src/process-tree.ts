import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A live process and what it started. */
export interface ProcessTree {
  readonly pid: number;
  /** The command line as the system shows it. */
  readonly command: string;
  readonly children: ProcessTree[];
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** The live processes whose parent is `pid`, zombies left out. */
export function childrenOf(pid: number): number[] {
  return all().flatMap((process) => (process.parent === pid ? [process.pid] : []));
}

/** The process with everything below it; undefined where it does not live. */
export function processTree(pid: number): ProcessTree | undefined {
  const processes = all();
  const root = processes.find((process) => process.pid === pid);
  return root && grow(root, processes);
}

/** Whether the process lives; a zombie does not. */
export function isAlive(pid: number): boolean {
  return all().some((process) => process.pid === pid);
}

function grow({ pid, command }: Process, processes: Process[]): ProcessTree {
  const children = processes.filter(({ parent }) => parent === pid);
  return { pid, command, children: children.map((child) => grow(child, processes)) };
}

function all(): Process[] {
  return process.platform === 'linux' ? fromProc() : fromPs();
}

function fromProc(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // The name in parentheses may itself hold spaces and parentheses.
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z' || state === 'X') return [];
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ pid: Number(name), parent: Number(parent), command }];
    } catch {
      return []; // it ended while it was read
    }
  });
}

function fromPs(): Process[] {
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid=,stat=,command='], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => {
    const [, pid, parent, state, command = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s*(.*)$/.exec(line) ?? [];
    return pid === undefined || state?.startsWith('Z') ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
}
