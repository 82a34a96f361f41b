import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

/** Whether a command can be found the way the operating system will look for it. */
export function commandExists(command: string, cwd: string, path: string): boolean {
  if (command.includes('/') || command.includes('\\')) return isProgram(isAbsolute(command) ? command : resolve(cwd, command));
  const endings = process.platform === 'win32' ? ['', '.exe', '.cmd', '.bat'] : [''];
  return path.split(delimiter).some((folder) => endings.some((ending) => isProgram(join(folder, command + ending))));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
