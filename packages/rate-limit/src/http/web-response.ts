import type { Hold, Used } from './limiting.ts';

/** What is held by bodies that nobody holds any more. */
const abandoned = new FinalizationRegistry<Hold>((hold) => hold.end());

/** The same answer with these headers. */
export function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  if (!canBeCopied(response)) return response;
  const copy = new Response(response.body, response); // headers of an answer from elsewhere cannot be changed
  for (const [name, value] of Object.entries(headers)) copy.headers.set(name, value);
  return copy;
}

/**
 * The same answer, whose `hold` is ended when its body has been read to the end, has broken off or was cancelled; at once where it has none, or
 * where it is `bodiless`; and without `used` where it was collected as garbage.
 */
export function watched(response: Response, bodiless: boolean, hold: Hold, used: Used): Response {
  const { body } = response;
  if (body === null || bodiless || body.locked || !canBeCopied(response)) {
    hold.end(used);
    return response;
  }
  const shown = watchedStream(body.getReader(), () => hold.end(used));
  abandoned.register(shown, hold);
  return new Response(shown, response);
}

function watchedStream(reader: ReadableStreamDefaultReader<Uint8Array>, ended: () => void): ReadableStream<Uint8Array> {
  const source = {
    async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
      } catch (error) {
        ended();
        throw error;
      }
      ended();
      controller.close();
    },
    cancel(reason: unknown): Promise<void> {
      ended();
      return reader.cancel(reason);
    },
  };
  return new ReadableStream(source, { highWaterMark: 0 });
}

function canBeCopied({ status }: Response): boolean {
  return status >= 200 && status <= 599;
}
