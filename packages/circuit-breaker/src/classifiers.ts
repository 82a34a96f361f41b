export { type HttpClassifierOptions, httpClassifier } from './classifiers/http-classifier.ts';
export { type LlmClassifierOptions, llmClassifier } from './classifiers/llm-classifier.ts';
export { type McpClassifierOptions, mcpClassifier } from './classifiers/mcp-classifier.ts';
export { retryAfterOf, shouldRetryOf } from './classifiers/server-hint.ts';
export { llmTraffic, mcpTraffic } from './classifiers/traffic.ts';
