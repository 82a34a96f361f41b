/** The tools of the MCP fixture servers: a few that behave, and one for each way in which a server misbehaves. */
const text = (value) => ({ content: [{ type: 'text', text: value }] });
const object = (properties = {}, required = []) => ({ type: 'object', properties, required });
const answer = (id, result) => ({ jsonrpc: '2.0', id, result });

const aborted = (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const TOOLS = {
  echo: {
    description: 'Says the text again.',
    inputSchema: object({ text: { type: 'string' } }, ['text']),
    run: (args) => text(args.text),
  },
  add: {
    description: 'Adds two numbers.',
    inputSchema: object({ a: { type: 'number' }, b: { type: 'number' } }, ['a', 'b']),
    run: ({ a, b }) => text(String(a + b)),
  },
  slow: {
    description: 'Answers after `ms`, with `steps` (4) progress notifications where a token is given; stops when cancelled.',
    inputSchema: object({ ms: { type: 'number' }, steps: { type: 'integer' } }, ['ms']),
    async run({ ms, steps = 4 }, { signal, progress }) {
      for (let step = 1; step <= steps; step++) {
        await sleep(ms / steps, signal);
        if (signal.aborted) return undefined;
        progress(step, steps);
      }
      return text(`slept ${ms}`);
    },
  },
  fail: {
    description: 'Answers with isError.',
    inputSchema: object({ message: { type: 'string' } }),
    run: ({ message = 'failed as asked' }) => ({ ...text(message), isError: true }),
  },
  throw: {
    description: 'Fails in its handler, which comes to -32603.',
    inputSchema: object(),
    run: () => {
      throw new Error('thrown as asked');
    },
  },
  count: {
    description: 'Counts its executions since the server started.',
    inputSchema: object(),
    run: (_args, { toolset }) => text(String(++toolset.count)),
  },
  crash: {
    description: 'Ends the server in the middle of the call.',
    inputSchema: object(),
    run: (_args, { wire, signal }) => {
      wire.die();
      return aborted(signal);
    },
  },
  hang: {
    description: 'Never answers.',
    inputSchema: object(),
    run: (_args, { signal }) => aborted(signal),
  },
  garbage: {
    description: 'Writes lines that are not JSON, then answers.',
    inputSchema: object(),
    run: (_args, { wire }) => {
      wire.raw('Listening on port 3000 ...\ndata: {"jsonrpc": broken\n\n');
      return text('after the garbage');
    },
  },
  huge: {
    description: 'Answers with a text of `bytes` bytes.',
    inputSchema: object({ bytes: { type: 'integer' } }, ['bytes']),
    run: ({ bytes }) => text('x'.repeat(bytes)),
  },
  halfline: {
    description: 'Writes half of its answer and ends the server.',
    inputSchema: object(),
    run: (_args, { id, wire, signal }) => {
      const whole = JSON.stringify(answer(id, text('never whole')));
      wire.raw(whole.slice(0, whole.length / 2));
      wire.die();
      return aborted(signal);
    },
  },
  two_answers: {
    description: 'Answers twice.',
    inputSchema: object(),
    run: (_args, { id, wire }) => {
      wire.send(answer(id, text('first')));
      return text('second');
    },
  },
  wrong_id: {
    description: 'Answers a request that nobody made.',
    inputSchema: object(),
    run: (_args, { id, wire }) => {
      wire.send(answer(`not-${id}`, text('for nobody')));
    },
  },
  env: {
    description: 'Answers with the named environment variables, as JSON.',
    inputSchema: object({ names: { type: 'array', items: { type: 'string' } } }, ['names']),
    run: ({ names }) => text(JSON.stringify(Object.fromEntries(names.map((name) => [name, process.env[name] ?? null])))),
  },
  structured: {
    description: 'Answers with structured content.',
    inputSchema: object({ city: { type: 'string' } }, ['city']),
    outputSchema: object({ city: { type: 'string' }, degrees: { type: 'number' } }, ['city', 'degrees']),
    run: ({ city }) => ({ ...text(JSON.stringify({ city, degrees: 21.5 })), structuredContent: { city, degrees: 21.5 } }),
  },
  add_tool: {
    description: 'Adds a tool that echoes, and says that the list has changed.',
    inputSchema: object({ name: { type: 'string' } }, ['name']),
    run: ({ name }, { toolset }) => {
      toolset.addTool(name);
      return text(`added ${name}`);
    },
  },
  remove_tool: {
    description: 'Removes a tool that add_tool added, and says that the list has changed.',
    inputSchema: object({ name: { type: 'string' } }, ['name']),
    run: ({ name }, { toolset }) => {
      toolset.removeTool(name);
      return text(`removed ${name}`);
    },
  },
};

const addedTool = { ...TOOLS.echo, description: 'Added at run time; says the text again.' };

export function findTool(toolset, name) {
  if (Object.hasOwn(TOOLS, name)) return TOOLS[name];
  return toolset.added.has(name) ? addedTool : undefined;
}

export function toolDefinitions(toolset) {
  const all = [...Object.entries(TOOLS), ...[...toolset.added].map((name) => [name, addedTool])];
  return all.map(([name, { run: _run, ...definition }]) => ({ name, ...definition }));
}
