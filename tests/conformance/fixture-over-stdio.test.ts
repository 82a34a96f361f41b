import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type FixtureEra, stdioFixtureCommand } from './processes.ts';

type Era = 'legacy' | 'modern';

/** A client of this era before a fixture of its own that speaks no other. */
async function connected(era: Era, speaks: FixtureEra = era): Promise<Client> {
  const mode = era === 'modern' ? { pin: '2026-07-28' } : ('legacy' as const);
  const capabilities = { elicitation: {}, sampling: {}, roots: {} };
  const client = new Client({ name: 'test', version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { name: 'Ada', color: 'green', ok: true } }));
  client.setRequestHandler('sampling/createMessage', () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'Bonjour' } }));
  client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///home' }] }));
  const transport = new StdioClientTransport(stdioFixtureCommand(speaks));
  onTestFinished(() => transport.close());
  await client.connect(transport);
  return client;
}

const textOf = async (client: Client, name: string) => {
  const { content } = await client.callTool({ name, arguments: {} });
  return content.map((part) => ('text' in part ? part.text : part.type)).join();
};

const eras: readonly Era[] = ['legacy', 'modern'];

describe.each(eras)('the %s fixture over stdio', (era) => {
  // Both eras give the same answers to the same client: a bridge between them can be compared with either.
  test.each([
    ['test_input_required_result_elicitation', 'Hello, Ada!'],
    ['test_input_required_result_sampling', 'Model said: Bonjour'],
    ['test_input_required_result_list_roots', 'Roots: [{"uri":"file:///home"}]'],
    ['test_input_required_result_multiple_inputs', 'Bonjour (Ada)'],
    ['test_input_required_result_multi_round', 'Ada likes green'],
    ['test_input_required_result_request_state', 'state-ok: action=accept, content={"name":"Ada","color":"green","ok":true}'],
    ['test_input_required_result_capabilities', 'Answered: capital_question, user_name'],
  ])('%s gets its answers', async (tool, answer) => {
    expect(await textOf(await connected(era), tool)).toBe(answer);
  });

  test('tells of a tool that came and of one that went, of a prompt, and of a resource that changed', async () => {
    const client = await connected(era);
    const heard: string[] = [];
    const waiting: (() => void)[] = [];
    const hear = (what: string) => {
      heard.push(what);
      waiting.shift()?.();
    };
    const until = () => new Promise<void>((resolve) => waiting.push(resolve));
    client.setNotificationHandler('notifications/tools/list_changed', () => hear('tools'));
    client.setNotificationHandler('notifications/prompts/list_changed', () => hear('prompts'));
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => hear(params.uri));
    const uri = 'test://watched-resource';
    if (era === 'legacy') await client.subscribeResource({ uri });
    else await client.listen({ toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [uri] });
    const names = async () => (await client.listTools()).tools.map(({ name }) => name);

    const came = until();
    await textOf(client, 'test_trigger_tool_change');
    await came;
    expect(await names()).toContain('test_dynamic_tool');
    const went = until();
    await textOf(client, 'test_trigger_tool_change');
    await went;
    expect(await names()).not.toContain('test_dynamic_tool');
    const prompted = until();
    await textOf(client, 'test_trigger_prompt_change');
    await prompted;
    const updated = until();
    await textOf(client, 'test_trigger_resource_update');
    await updated;
    expect(heard).toEqual(['tools', 'tools', 'prompts', uri]);
  });

  test('does not speak the other era', async () => {
    await expect(connected(era, era === 'legacy' ? 'modern' : 'legacy')).rejects.toThrow();
  });

  test('is spoken by the one of both', async () => {
    expect(await textOf(await connected(era, 'both'), 'test_simple_text')).toBe('This is a simple text response for testing.');
  });
});
