/** A fenced block: its language, its text and the line of the document it begins at. */
export interface Fence {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

const fence = /^( *)(`{3,}|~{3,})([\w-]*)[^\n]*\n([\s\S]*?)^\1\2`*[ \t]*$/gm;

/** Every fenced block of a Markdown document, in order. */
export function fencesOf(document: string): Fence[] {
  return [...document.matchAll(fence)].map(({ index, 3: language = '', 4: text = '' }) => ({
    language,
    text,
    line: document.slice(0, index).split('\n').length,
  }));
}

const prose = (document: string) => document.replace(fence, '').replace(/(`+)[^`][\s\S]*?\1/g, '');

/** Where the links and images of a Markdown document point, code left out. */
export function linksOf(document: string): string[] {
  const text = prose(document);
  const inline = /\]\(\s*<?([^)\s>]+)>?(?:\s+["'][^)]*)?\)/g;
  const reference = /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm;
  const html = /\b(?:href|src)="([^"]+)"/g;
  return [inline, reference, html].flatMap((pattern) => [...text.matchAll(pattern)].map(([, target = '']) => target));
}

/** The anchors that a document's headings get where Markdown is shown on the web. */
export function anchorsOf(document: string): string[] {
  const headings = [...document.replace(fence, '').matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)];
  const slugs = headings.map(([, heading = '']) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
  return slugs.map((slug, index) => {
    const earlier = slugs.slice(0, index).filter((each) => each === slug).length;
    return earlier === 0 ? slug : `${slug}-${earlier}`;
  });
}
