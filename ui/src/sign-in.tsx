import { useState } from 'preact/hooks';

/** Asks for the token, once the server has said that it needs one. */
export function SignIn({ refused, onToken }: { refused: boolean; onToken: (token: string) => void }) {
  const [value, setValue] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    if (value.trim() !== '') onToken(value.trim());
  };
  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit}>
        <h1>A token is needed</h1>
        <p class="muted">It stays in this tab and is sent to this server alone.</p>
        {refused && (
          <p class="banner critical" role="alert">
            The server does not know this token.
          </p>
        )}
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          value={value}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
        <button type="submit" class="primary">
          Show usage
        </button>
      </form>
    </main>
  );
}
