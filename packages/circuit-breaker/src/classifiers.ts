export { type HttpClassifierOptions, httpClassifier } from './http-classifier.ts';
export { type LlmClassifierOptions, llmClassifier } from './llm-classifier.ts';
export { type McpClassifierOptions, mcpClassifier } from './mcp-classifier.ts';
export { retryAfterOf, shouldRetryOf } from './server-hint.ts';
export { llmTraffic, mcpTraffic } from './traffic.ts';
