import type { IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';
import { largestMessage } from './pipe.ts';

/** What a stream said before it ended of how to go on with it. */
export interface StreamEnd {
  /** The last event that had an id; undefined where the stream cannot be taken up again. */
  readonly lastEventId: string | undefined;
  /** How long to wait before that, in ms. */
  readonly retryMs: number;
}

/** How long is waited where a stream does not say, in ms. */
const defaultRetryMs = 1_000;

/** Reads server-sent events to the end of their stream; one of more than {@link largestMessage} characters is an error. */
export async function readEvents(response: IncomingMessage, take: (data: string, event?: string) => void): Promise<StreamEnd> {
  let size = 0;
  let lastEventId: string | undefined;
  let retryMs = defaultRetryMs;
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      size = 0;
      if (id !== undefined && id !== '') lastEventId = id;
      if (data !== '') take(data, event);
    },
    // a stream may live for weeks and say nothing else; but a message with comments in it is as long as it is
    onComment: (comment) => {
      size = Math.max(0, size - comment.length - 2);
    },
    onRetry: (ms) => {
      retryMs = ms;
    },
  });
  response.setEncoding('utf8');
  try {
    for await (const chunk of response) {
      size += (chunk as string).length;
      if (size > largestMessage) throw tooLarge();
      parser.feed(chunk as string);
    }
  } catch (error) {
    if (error instanceof RangeError || lastEventId === undefined) throw error;
  }
  return { lastEventId, retryMs };
}

/** Whether a response is a stream of events. */
export function isEventStream(response: IncomingMessage): boolean {
  return (response.headers['content-type'] ?? '').includes('text/event-stream');
}

/** The error of a message that is larger than this gateway reads. */
export function tooLarge(): RangeError {
  return new RangeError(`sent a message of more than ${largestMessage} bytes`);
}
