export { type FileSink, fileSink } from './file-sink.ts';
export { type RecordOptions, recordCalls } from './record-calls.ts';
export { type ReplayOptions, type ReplayReport, replayCalls, replayTrace } from './replay-run.ts';
export type { TraceReport } from './replay-survey.ts';
export { type DroppedCalls, type RecordedCall, type RecordedOutcome, TraceError } from './replay-trace.ts';
export type { PolicyReport, ReplayedTransition } from './replayed-policy.ts';
