/** The HTTP fixture as a process. Arguments: a port, a file that gets one JSON line for each event, the fixture's options as JSON. */
import { appendFileSync } from 'node:fs';
import { httpFixture } from './http-fixture.ts';

const [, , port, log = '', options = '{}'] = process.argv;
// at once and in order: what is written stays when the process is killed in the next line
await httpFixture({ ...JSON.parse(options), port: Number(port), record: (event) => appendFileSync(log, `${JSON.stringify(event)}\n`) });
