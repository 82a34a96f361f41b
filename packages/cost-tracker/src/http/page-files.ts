import { fileURLToPath } from 'node:url';

/** A file of the page. */
export interface PageFile {
  /** Changes with what the file holds. */
  readonly name: string;
  readonly contentType: string;
  readonly text: string;
}

/** The files of the page. The published package holds them (tsup.config.ts); from sources they are bundled when they are asked for. */
export async function pageFiles(): Promise<readonly PageFile[]> {
  const { bundlePage } = await import('../../../../ui/bundle.ts');
  return bundlePage(fileURLToPath(new URL('../page', import.meta.url)));
}
