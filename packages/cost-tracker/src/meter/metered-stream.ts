/** What a metered stream tells of itself; what it tells first of its ending counts. */
export interface StreamMeter<T> {
  /** Takes an item before it is handed on; what it gives back is waited for. */
  take(item: T): Promise<void> | undefined;
  ended(): Promise<void>;
  broke(error: unknown): Promise<void>;
  left(): Promise<void>;
}

/** Streams that nobody holds any more. */
const abandoned = new FinalizationRegistry<() => void>((left) => left());

/** The same items, in the same order and no sooner than they are asked for, with a meter beside them. */
export function meterStream<T>(source: ReadableStream<T>, meter: StreamMeter<T>): ReadableStream<T> {
  const reader = source.getReader();
  const stream = new ReadableStream<T>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          await (done ? meter.ended() : meter.take(value));
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          await meter.broke(error);
          controller.error(error);
        }
      },
      async cancel(reason) {
        await meter.left();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  abandoned.register(stream, () => void meter.left());
  return stream;
}
