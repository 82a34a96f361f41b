const name = 'tidegate.token';

/** The bearer token of this tab. Where the browser keeps nothing, it lives as long as the page. */
let held: string | undefined;

/** Takes the token out of the address, so that it stays in no history and no bookmark. */
export function takeToken(): void {
  const { hash, pathname, search } = window.location;
  const token = new URLSearchParams(hash.slice(1)).get('token');
  if (token === null) return;
  setToken(token);
  window.history.replaceState(null, '', pathname + search);
}

export function token(): string | undefined {
  try {
    return held ?? window.sessionStorage.getItem(name) ?? undefined;
  } catch {
    return held;
  }
}

export function setToken(value: string | undefined): void {
  held = value;
  try {
    if (value === undefined) window.sessionStorage.removeItem(name);
    else window.sessionStorage.setItem(name, value);
  } catch {
    // Storage is turned off: the page keeps it.
  }
}
