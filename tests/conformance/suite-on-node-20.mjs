// The suite imports `globSync` from `fs`, which Node has from version 22 on: elsewhere it would not even load.
import fs from 'node:fs';
import { register } from 'node:module';

if (!('globSync' in fs)) register('./suite-fs-hook.mjs', import.meta.url);
