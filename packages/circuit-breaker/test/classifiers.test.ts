import Anthropic from '@anthropic-ai/sdk';
import { ManualClock } from '@tidegate/test-kit';
import OpenAI from 'openai';
import { ContentFilterFinishReasonError, LengthFinishReasonError } from 'openai/error';
import { describe, expect, it } from 'vitest';
import { httpClassifier, llmClassifier, llmTraffic, mcpClassifier, mcpTraffic } from '../src/classifiers.ts';
import { CircuitBreaker, CircuitOpenError, type Classifier, type Outcome, TimeoutError } from '../src/index.ts';
import { outcomeOf } from './calls.ts';

const clock = new ManualClock();
const http = httpClassifier({ clock });
const llm = llmClassifier({ clock });
const mcp = mcpClassifier({ clock });

const answer = (status: number, headers: Record<string, string> = {}) => ({ status, headers: new Headers(headers) });
const failed = (fields: object) => Object.assign(new Error('failed'), fields);
const thrown = (classifier: Classifier, error: unknown) => classifier.error?.(error);
const returned = (classifier: Classifier, value: unknown) => classifier.value?.(value);

describe('httpClassifier', () => {
  it.each<[number, Outcome]>([
    [200, 'success'],
    [204, 'success'],
    [304, 'success'],
    [400, 'ignore'],
    [401, 'ignore'],
    [403, 'ignore'],
    [404, 'ignore'],
    [408, 'failure'],
    [409, 'ignore'],
    [422, 'ignore'],
    [429, 'failure'],
    [500, 'failure'],
    [502, 'failure'],
    [503, 'failure'],
    [504, 'failure'],
    [529, 'failure'],
  ])('judges a %i without a hint as %s, returned or thrown', (status, outcome) => {
    expect(returned(http, answer(status))).toBe(outcome);
    expect(thrown(http, failed({ status }))).toBe(outcome);
    expect(thrown(http, failed({ statusCode: status }))).toBe(outcome);
    expect(thrown(http, failed({ response: { status, headers: {} } }))).toBe(outcome);
  });

  it.each([429, 503, 529])('keeps away for as long as a %i asks', (status) => {
    expect(returned(http, answer(status, { 'retry-after': '7' }))).toEqual({ throttledMs: 7_000 });
    expect(thrown(http, failed({ status, headers: { 'Retry-After': '7' } }))).toEqual({ throttledMs: 7_000 });
  });

  it("takes GitHub's 403 with a used-up quota for the rate limit that it is", () => {
    const reset = String(clock.wall() / 1_000 + 60);
    expect(returned(http, answer(403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset }))).toEqual({ throttledMs: 60_000 });
    expect(returned(http, answer(403, { 'x-ratelimit-remaining': '4999', 'x-ratelimit-reset': reset }))).toBe('ignore');
  });

  it('does not wait for what the server says is not worth a retry', () => {
    expect(returned(http, answer(429, { 'x-should-retry': 'false' }))).toBe('ignore');
    expect(returned(http, answer(500, { 'x-should-retry': 'false' }))).toBe('failure');
  });

  it.each<[string, object | undefined]>([
    ['ECONNREFUSED', failed({ code: 'ECONNREFUSED' })],
    ['fetch failed', new TypeError('fetch failed', { cause: failed({ code: 'ECONNRESET' }) })],
    ['a name that does not resolve', new TypeError('fetch failed', { cause: failed({ code: 'ENOTFOUND' }) })],
    ['a connection that undici lost', new TypeError('terminated', { cause: failed({ code: 'UND_ERR_SOCKET' }) })],
    ['a time limit of the platform', new DOMException('slow', 'TimeoutError')],
    ['a time limit of ours', new TimeoutError(5)],
    ['a time limit that a client reports as its abort', new DOMException('left', { name: 'AbortError', cause: new TimeoutError(5) })],
    ['JSON that is none', new SyntaxError('Unexpected token <')],
    ['nothing at all', undefined],
  ])('counts %s as a failure', (_, error) => {
    expect(thrown(http, error)).toBe('failure');
  });

  it.each<[string, object]>([
    ["the caller's abort", new DOMException('left', 'AbortError')],
    ["axios's CanceledError", failed({ code: 'ERR_CANCELED' })],
    ['a refusal of a limit of ours', new CircuitOpenError('other', 'open', 5)],
    ['a refusal that a client has wrapped', new Error('Connection error.', { cause: new CircuitOpenError('other', 'open', 5) })],
  ])('ignores %s', (_, error) => {
    expect(thrown(http, error)).toBe('ignore');
  });

  it('ignores a URL that is none, as fetch reports it', async () => {
    expect(thrown(http, await outcomeOf(fetch('http://[')))).toBe('ignore');
    expect(thrown(http, await outcomeOf(fetch('not a url')))).toBe('ignore');
  });

  it('takes values that are no answers for successes, also with a status of their own', () => {
    for (const value of [undefined, null, 'text', { status: 'failed' }, { status: 500 }]) expect(returned(http, value)).toBe('success');
    expect(returned(http, Response.error())).toBe('failure');
  });

  it('has a policy for 429 instead of a constant, as ESI.ts#54 asks', () => {
    const hinted = answer(429, { 'retry-after': '7' });
    expect(returned(httpClassifier({ rateLimited: 'failure' }), hinted)).toBe('failure');
    expect(returned(httpClassifier({ rateLimited: 'ignore' }), hinted)).toBe('ignore');
    expect(returned(httpClassifier({ rateLimited: 'ignore' }), answer(503, { 'retry-after': '7' }))).toEqual({ throttledMs: 7_000 });
    expect(returned(httpClassifier({ throttledWithoutHint: 5_000 }), answer(429))).toEqual({ throttledMs: 5_000 });
    expect(returned(httpClassifier({ throttledWithoutHint: 'ignore' }), answer(529))).toBe('ignore');
  });

  it.each([
    [{ rateLimited: 'open' }, 'rateLimited must be one of throttled, failure, ignore, not open'],
    [{ throttledWithoutHint: 'success' }, 'throttledWithoutHint must be one of failure, ignore, a number of ms, not success'],
    [{ throttledWithoutHint: Number.NaN }, 'throttledWithoutHint must be a number from 0'],
    [{ throttledMs: 5 }, "unknown option 'throttledMs'"],
  ])('refuses %j', (options, message) => {
    for (const make of [httpClassifier, llmClassifier, mcpClassifier]) {
      expect(() => make(options as never)).toThrow(RangeError);
      expect(() => make(options as never)).toThrow(message);
    }
  });
});

const openaiBody = (code: string, type = code) => ({ message: 'no', type, param: null, code });
const anthropicBody = (type: string, details?: object) => ({ type: 'error', error: { type, message: 'no', ...(details && { details }) } });
const openaiError = (status: number | undefined, code: string, headers: Record<string, string> = {}) =>
  new OpenAI.APIError(status, openaiBody(code), undefined, new Headers(headers));
const anthropicError = (status: number | undefined, type: string, headers: Record<string, string> = {}, details?: object) =>
  new Anthropic.APIError(status, anthropicBody(type, details), undefined, new Headers(headers));
const perDay = {
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }],
};
const retryInfo = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '17s' };
const gemini = (code: number, status: string, details: object[] = []) => ({ error: { code, message: 'no', status, details } });

describe('llmClassifier', () => {
  it.each<[string, unknown, Outcome]>([
    ["openai's RateLimitError", openaiError(429, 'rate_limit_exceeded', { 'retry-after-ms': '1500' }), { throttledMs: 1_500 }],
    ["openai's RateLimitError without a hint", openaiError(429, 'rate_limit_exceeded'), 'failure'],
    ['a quota that OpenAI wants to be paid for', openaiError(429, 'insufficient_quota'), 'ignore'],
    ['a spending limit of an OpenAI project', openaiError(429, 'project_spend_limit_exceeded', { 'retry-after': '5' }), 'ignore'],
    ["openai's InternalServerError", openaiError(500, 'server_error'), 'failure'],
    ['a context that is too long', openaiError(400, 'context_length_exceeded'), 'ignore'],
    ['filtered content', openaiError(400, 'content_filter'), 'ignore'],
    ['a model that is not there', openaiError(404, 'model_not_found'), 'ignore'],
    ['a wrong key', openaiError(401, 'invalid_api_key'), 'ignore'],
    ["an error within OpenAI's stream", openaiError(undefined, 'server_error'), 'failure'],
    ["a rate limit within OpenAI's stream", openaiError(undefined, 'rate_limit_exceeded', { 'retry-after': '5' }), { throttledMs: 5_000 }],
    ["openai's APIConnectionError", new OpenAI.APIConnectionError({ cause: new TypeError('fetch failed') }), 'failure'],
    ["openai's APIConnectionTimeoutError", new OpenAI.APIConnectionTimeoutError(), 'failure'],
    ["openai's APIUserAbortError", new OpenAI.APIUserAbortError(), 'ignore'],
    ['a refusal within APIConnectionError', new OpenAI.APIConnectionError({ cause: new CircuitOpenError('x', 'open', 1) }), 'ignore'],
    ["openai's LengthFinishReasonError", new LengthFinishReasonError(), 'success'],
    ["openai's ContentFilterFinishReasonError", new ContentFilterFinishReasonError(), 'success'],
    ["anthropic's OverloadedError", anthropicError(529, 'overloaded_error', { 'retry-after': '9' }), { throttledMs: 9_000 }],
    ["anthropic's OverloadedError without a hint", anthropicError(529, 'overloaded_error'), 'failure'],
    ["an overload within Anthropic's stream", anthropicError(undefined, 'overloaded_error'), 'failure'],
    ["anthropic's RateLimitError", anthropicError(429, 'rate_limit_error', { 'retry-after': '9' }), { throttledMs: 9_000 }],
    ['a monthly limit at Anthropic', anthropicError(429, 'rate_limit_error', {}, { error_code: 'enforced_spend_limit_reached' }), 'ignore'],
    ['a bill at Anthropic', anthropicError(402, 'billing_error'), 'ignore'],
    ["anthropic's api_error", anthropicError(500, 'api_error'), 'failure'],
    ["anthropic's invalid_request_error", anthropicError(400, 'invalid_request_error'), 'ignore'],
    ["an invalid_request_error within Anthropic's stream", anthropicError(undefined, 'invalid_request_error'), 'ignore'],
    ["anthropic's APIConnectionError", new Anthropic.APIConnectionError({ cause: new TypeError('fetch failed') }), 'failure'],
    ["anthropic's APIConnectionTimeoutError", new Anthropic.APIConnectionTimeoutError(), 'failure'],
    ["anthropic's APIUserAbortError", new Anthropic.APIUserAbortError(), 'ignore'],
    [
      "Gemini's rate limit",
      failed({ status: 429, message: JSON.stringify(gemini(429, 'RESOURCE_EXHAUSTED', [retryInfo])) }),
      { throttledMs: 17_000 },
    ],
    [
      "Gemini's quota of the day, whose retryDelay does not help",
      failed({ status: 429, message: JSON.stringify(gemini(429, 'RESOURCE_EXHAUSTED', [perDay, retryInfo])) }),
      'ignore',
    ],
    ['an overloaded Gemini', failed({ status: 503, message: JSON.stringify(gemini(503, 'UNAVAILABLE')) }), 'failure'],
    [
      "the Vercel AI SDK's APICallError",
      failed({ name: 'AI_APICallError', statusCode: 429, responseHeaders: { 'retry-after': '3' }, isRetryable: true }),
      { throttledMs: 3_000 },
    ],
    [
      "the Vercel AI SDK's APICallError of a quota",
      failed({ statusCode: 429, responseHeaders: {}, responseBody: JSON.stringify({ error: openaiBody('insufficient_quota') }) }),
      'ignore',
    ],
    [
      "the Vercel AI SDK's RetryError",
      failed({
        name: 'AI_RetryError',
        reason: 'maxRetriesExceeded',
        lastError: failed({ statusCode: 429, responseHeaders: { 'retry-after': '3' } }),
      }),
      { throttledMs: 3_000 },
    ],
  ])('judges %s', (_, error, outcome) => {
    expect(thrown(llm, error)).toEqual(outcome);
  });

  it.each<[string, unknown, Outcome]>([
    ['a completion', { id: 'x', choices: [{ finish_reason: 'stop' }] }, 'success'],
    ['a completion that was filtered', { choices: [{ finish_reason: 'content_filter' }] }, 'success'],
    ["OpenAI's response without an error", { status: 'completed', error: null }, 'success'],
    ["OpenAI's response that failed", { status: 'failed', error: { code: 'server_error', message: 'no' } }, 'failure'],
    ["Anthropic's error body", anthropicBody('overloaded_error'), 'failure'],
    ["Gemini's error body", gemini(429, 'RESOURCE_EXHAUSTED', [retryInfo]), { throttledMs: 17_000 }],
    ["OpenRouter's error body in a 200", { error: { code: 502, message: 'no provider' } }, 'failure'],
    ['an answer', answer(429, { 'retry-after': '2' }), { throttledMs: 2_000 }],
  ])('judges %s that is returned', (_, value, outcome) => {
    expect(returned(llm, value)).toEqual(outcome);
  });

  it('stops the calls of an account that is out of credit where that is asked for', () => {
    const strict = llmClassifier({ quotaExhausted: 'failure' });
    expect(thrown(strict, openaiError(429, 'insufficient_quota'))).toBe('failure');
    expect(thrown(strict, anthropicError(402, 'billing_error'))).toBe('failure');
    expect(() => llmClassifier({ quotaExhausted: 'open' as never })).toThrow('quotaExhausted must be one of ignore, failure, not open');
  });
});

describe('mcpClassifier', () => {
  const rpc = (code: number) => ({ jsonrpc: '2.0', id: 1, error: { code, message: 'no' } });
  const protocolError = (code: number) => failed({ name: 'ProtocolError', code });

  it.each<[number, Outcome]>([
    [-32_700, 'success'],
    [-32_600, 'success'],
    [-32_601, 'success'],
    [-32_602, 'success'],
    [-32_603, 'success'],
    [-32_000, 'failure'],
    [-32_001, 'failure'],
    [-32_002, 'success'],
    [-32_019, 'failure'],
    [-32_020, 'success'],
    [-32_021, 'success'],
    [-32_022, 'success'],
    [-32_042, 'success'],
    [7, 'success'],
  ])('judges JSON-RPC error %i as %s, returned or thrown', (code, outcome) => {
    expect(returned(mcp, rpc(code))).toBe(outcome);
    expect(thrown(mcp, protocolError(code))).toBe(outcome);
  });

  it.each<[string, unknown, Outcome]>([
    ['a timeout of the SDK', failed({ code: 'REQUEST_TIMEOUT' }), 'failure'],
    ['a closed connection', failed({ code: 'CONNECTION_CLOSED' }), 'failure'],
    ['a message that could not be sent', failed({ code: 'SEND_FAILED' }), 'failure'],
    ['an answer against its schema', failed({ code: 'INVALID_RESULT' }), 'success'],
    ['a capability that was never asked for', failed({ code: 'CAPABILITY_NOT_SUPPORTED' }), 'ignore'],
    ['a broken pipe', failed({ code: 'EPIPE' }), 'failure'],
    ['a failing network', new DOMException('lost', 'NetworkError'), 'failure'],
    ['an answer of no type that the SDK knows', failed({ name: 'StreamableHTTPError', code: -1 }), 'failure'],
    ['a session that was lost', failed({ code: 'CLIENT_HTTP_NOT_FOUND', status: 404 }), 'ignore'],
    ['a session that was lost, in version 1 of the SDK', failed({ code: 404 }), 'ignore'],
    ['a server that is down', failed({ code: 503 }), 'failure'],
    ['a 503 that says for how long', failed({ status: 503, response: { headers: { 'retry-after': '4' } } }), { throttledMs: 4_000 }],
    ['a sign-in that is needed', failed({ name: 'UnauthorizedError' }), 'ignore'],
    ["the caller's abort", new DOMException('left', 'AbortError'), 'ignore'],
  ])('judges %s', (_, error, outcome) => {
    expect(thrown(mcp, error)).toEqual(outcome);
  });
});

describe('traffic presets', () => {
  it.each([
    ['llm', llmTraffic],
    ['mcp', mcpTraffic],
  ])('for %s are options to be spread, and changed', (name, preset) => {
    const breaker = new CircuitBreaker({ name, ...preset(), minimumNumberOfCalls: 2, clock, random: () => 0.5 });
    for (let call = 0; call < 2; call++) breaker.onFailure(breaker.tryAcquire() as number);
    expect(breaker.name).toBe(name);
    expect(breaker.state).toBe('open');
    expect(breaker.retryAfterMs).toBe(27_000); // a tenth less than 30 s: half of the jitter
    expect(preset()).not.toBe(preset());
  });

  it('open when four in five calls are slow', () => {
    const breaker = new CircuitBreaker({ ...llmTraffic(), clock });
    breaker.onSuccess(breaker.tryAcquire() as number, 59_999);
    for (let call = 0; call < 4; call++) breaker.onSuccess(breaker.tryAcquire() as number, 60_000);
    expect(breaker.state).toBe('open');
  });
});

describe('complaints about other breakers', () => {
  it('agentmemory#1075: seven successes and three 429 do not make 113 refusals', async () => {
    const breaker = new CircuitBreaker({ ...llmTraffic(), clock });
    const completion = async () => ({ choices: [] });
    for (let call = 0; call < 7; call++) await breaker.execute(completion);
    for (let call = 0; call < 3; call++) {
      await outcomeOf(breaker.execute(() => Promise.reject(openaiError(429, 'rate_limit_exceeded'))));
    }
    for (let call = 0; call < 113; call++) await breaker.execute(completion);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', rejected: 0 });
  });

  it('agentmemory#1075: a Retry-After is kept, and told to those who are refused', async () => {
    const breaker = new CircuitBreaker({ ...llmTraffic(), clock });
    const limited = openaiError(429, 'rate_limit_exceeded', { 'retry-after': '45' });
    await outcomeOf(breaker.execute(() => Promise.reject(limited)));
    expect(await outcomeOf(breaker.execute(async () => 1))).toMatchObject({ code: 'ERR_CIRCUIT_OPEN', retryAfterMs: 45_000 });
  });

  it('LiteLLM#40130: a second hint never shortens the first', async () => {
    const breaker = new CircuitBreaker({ ...llmTraffic(), clock });
    const first = breaker.tryAcquire() as number;
    const limited = (seconds: string) => () => Promise.reject(openaiError(429, 'rate_limit_exceeded', { 'retry-after': seconds }));
    await outcomeOf(breaker.execute(limited('300')));
    breaker.onThrottled(first, 40_000);
    expect(breaker.retryAfterMs).toBe(300_000);
  });

  it('openclaw PR 104888: a hint that no timer can hold is no hint', async () => {
    const breaker = new CircuitBreaker({ ...llmTraffic(), clock });
    await outcomeOf(breaker.execute(() => Promise.reject(openaiError(429, 'rate_limit_exceeded', { 'retry-after': '99999999999' }))));
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics().failures).toBe(1);
  });

  it('hermes-agent PR 61555: tools that report errors do not take a healthy server offline', async () => {
    const breaker = new CircuitBreaker({ ...mcpTraffic(), clock });
    for (let call = 0; call < 30; call++) await breaker.execute(async () => ({ isError: true, content: [] }));
    for (let call = 0; call < 30; call++)
      await outcomeOf(breaker.execute(() => Promise.reject(failed({ name: 'McpError', code: -32_602 }))));
    expect(breaker.metrics()).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('hermes-agent PR 61555: a half-open server whose tools report errors is well again', async () => {
    const time = new ManualClock();
    const breaker = new CircuitBreaker({ ...mcpTraffic(), clock: time });
    for (let call = 0; call < 5; call++) await outcomeOf(breaker.execute(() => Promise.reject(failed({ code: 'CONNECTION_CLOSED' }))));
    expect(breaker.state).toBe('open');
    time.advance(30_000);
    for (let call = 0; call < 2; call++) await breaker.execute(async () => ({ isError: true, content: [] }));
    expect(breaker.state).toBe('closed');
  });
});
