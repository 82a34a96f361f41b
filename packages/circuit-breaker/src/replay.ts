export { type FileSink, fileSink } from './replay/file-sink.ts';
export { type RecordOptions, recordCalls } from './replay/record-calls.ts';
export { type ReplayOptions, type ReplayReport, replayCalls, replayTrace } from './replay/replay-run.ts';
export type { TraceReport } from './replay/replay-survey.ts';
export { type DroppedCalls, type RecordedCall, type RecordedOutcome, TraceError } from './replay/replay-trace.ts';
export type { PolicyReport, ReplayedTransition } from './replay/replayed-policy.ts';
