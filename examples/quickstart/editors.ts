import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../packages/mcp-gateway/src/cli.ts', import.meta.url));

/** What to paste into each editor's `mcp.json` so that it talks to this gateway. */
export function editorEntries(url: string, configFile: string): { editor: string; where: string; entry: object }[] {
  const stdio = {
    command: process.execPath,
    args: ['--import', import.meta.resolve('tsx'), '--conditions=@tidegate/source', cli, 'serve', '--stdio', '--config', configFile],
  };
  return [
    { editor: 'VS Code', where: '.vscode/mcp.json', entry: { servers: { tidegate: { type: 'http', url } } } },
    { editor: 'Cursor', where: '.cursor/mcp.json', entry: { mcpServers: { tidegate: { url } } } },
    { editor: 'Claude Desktop', where: 'claude_desktop_config.json', entry: { mcpServers: { tidegate: stdio } } },
  ];
}
