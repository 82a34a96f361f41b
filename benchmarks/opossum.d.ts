/** The part of opossum that is measured. It publishes no types. */
declare module 'opossum' {
  export default class CircuitBreaker<T, A extends unknown[]> {
    constructor(
      action: (...args: A) => Promise<T>,
      options?: {
        timeout?: number | false;
        rollingPercentilesEnabled?: boolean;
        enableSnapshots?: boolean;
        rollingCountTimeout?: number;
        rollingCountBuckets?: number;
        errorThresholdPercentage?: number;
        resetTimeout?: number;
      },
    );
    fire(...args: A): Promise<T>;
    open(): void;
    shutdown(): void;
  }
}
