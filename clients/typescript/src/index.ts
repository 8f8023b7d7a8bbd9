/**
 * The client of a Postroad server.
 *
 * ```ts
 * import { Postroad } from '@postroad/client';
 *
 * const client = new Postroad(); // POSTROAD_API_KEY, POSTROAD_BASE_URL
 * await client.messages.send({ recipient: 'ada@example.com', template: 'welcome', template_data: { name: 'Ada' } });
 * ```
 */
export { Postroad, version, type ClientOptions, type Nouns } from './client.js';
export { backoff, type Attempt, type CallOptions, type Clock, type Fetch } from './transport.js';
export { List, responseOf, type Download, type Page, type ResponseFacts, type Total } from './caller.js';
export {
  AuthenticationError, CanceledError, ConflictError, ConnectionError, IdempotencyError, NotFoundError, PermissionError, PostroadError, RateLimitError,
  ServerError, SignatureError, TimeoutError, ValidationError, type ErrorKind,
} from './errors.js';
export type { Result, Safe } from './safe.js';
export { maxBody } from './messages.js';
export { rawBody, verifyAt, verifyNodeRequest, verifyRequest, verifyWebhook, webhookHandler, type HeadersLike, type NodeRequest, type NodeResponse, type VerifyOptions } from './verify.js';
export type { FollowOptions } from './events.js';
export type { ServerVersion, SuppressionCheck } from './resources.js';
export * from './hooks.js';
export type * from './input.js';
export type * from './types.js';
