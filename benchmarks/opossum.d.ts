/** The part of opossum that is measured. It publishes no types. */
declare module 'opossum' {
  export default class CircuitBreaker<T> {
    constructor(
      action: () => Promise<T>,
      options?: {
        timeout?: number | false;
        rollingPercentilesEnabled?: boolean;
        enableSnapshots?: boolean;
        resetTimeout?: number;
      },
    );
    fire(): Promise<T>;
    open(): void;
    shutdown(): void;
  }
}
