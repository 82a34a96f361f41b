/** A browser as far as a sign-in needs one: follows redirects, keeps cookies, and presses the button of a page with one form. */
export class UserAgent {
  readonly #cookies = new Map<string, string>();
  /** The addresses that it has been at. */
  readonly visited: string[] = [];

  /** Opens a page and goes wherever it leads; gives the status and text of the last page. */
  async open(url: string): Promise<{ readonly status: number; readonly text: string }> {
    let response = await this.#request(url);
    for (let hops = 0; hops < 10; hops += 1) {
      const location = response.headers.get('location');
      const page = response.url;
      if (location !== null) {
        await response.arrayBuffer();
        response = await this.#request(new URL(location, page).href);
        continue;
      }
      const text = await response.text();
      const form = /<form method="post">.*?name="(\w+)" value="([^"]*)"/.exec(text);
      if (form === null) return { status: response.status, text };
      response = await this.#request(page, { method: 'POST', body: new URLSearchParams({ [String(form[1])]: String(form[2]) }) });
    }
    throw new Error(`more than 10 pages: ${this.visited.join(' ')}`);
  }

  async #request(url: string, init: RequestInit = {}): Promise<Response> {
    this.visited.push(url);
    const { host } = new URL(url);
    const own = [...this.#cookies].filter(([key]) => key.startsWith(`${host} `)).map(([key, value]) => `${key.split(' ')[1]}=${value}`);
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { cookie: own.join('; ') } });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.#cookies.set(`${host} ${name}`, value);
    }
    return response;
  }
}
