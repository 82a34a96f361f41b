import { describe, expect, test } from 'vitest';
import { describeSurface } from './surface.ts';
import { packages } from './workspace.ts';

describe('the public surface of the whole set', () => {
  test('is the one that was decided: surface.txt', async () => {
    const surface = await describeSurface(packages);
    await expect(surface).toMatchFileSnapshot('surface.txt');
  }, 60_000);
});
