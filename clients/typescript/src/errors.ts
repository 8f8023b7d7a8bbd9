import type { FieldError } from './types.js';

/** What sort of failure an error is. An unknown code gets the kind of its status. */
export type ErrorKind =
  | 'authentication' | 'permission' | 'not_found' | 'conflict' | 'validation' | 'idempotency'
  | 'rate_limit' | 'server' | 'connection' | 'timeout' | 'canceled' | 'signature';

export interface ErrorFacts {
  kind: ErrorKind;
  message: string;
  status?: number;
  code?: string;
  requestId?: string;
  errors?: FieldError[];
  retryAfter?: number;
  attempts?: number;
  raw?: string;
  body?: Record<string, unknown>;
  cause?: unknown;
}

/** Every failure of a call. */
export class PostroadError extends Error {
  readonly kind: ErrorKind;
  /** Of the answer; 0: there was none. */
  readonly status: number;
  /** Of the API, e.g. `validation_failed`: contract, unlike the message. */
  readonly code: string;
  /** What the server's operator can look up. */
  readonly requestId: string;
  /** All faults of the request at once. */
  readonly errors: FieldError[];
  /** Seconds the server asked to wait; undefined: it asked for none. */
  readonly retryAfter: number | undefined;
  /** Made. */
  readonly attempts: number;
  /** The answer's body as it came, at most 64 KB; a proxy's page, too. */
  readonly raw: string;
  /** The problem with all its members (`current_state`, `required_scope`); empty when it was none. */
  readonly body: Record<string, unknown>;

  constructor(f: ErrorFacts) {
    super(f.message, f.cause === undefined ? undefined : { cause: f.cause });
    this.name = new.target.name;
    this.kind = f.kind;
    this.status = f.status ?? 0;
    this.code = f.code ?? '';
    this.requestId = f.requestId ?? '';
    this.errors = f.errors ?? [];
    this.retryAfter = f.retryAfter;
    this.attempts = f.attempts ?? 0;
    this.raw = f.raw ?? '';
    this.body = f.body ?? {};
  }
}

export class AuthenticationError extends PostroadError {}
export class PermissionError extends PostroadError {}
export class NotFoundError extends PostroadError {}
export class ConflictError extends PostroadError {}
export class ValidationError extends PostroadError {}
export class IdempotencyError extends PostroadError {}
export class RateLimitError extends PostroadError {}
export class ServerError extends PostroadError {}
export class ConnectionError extends PostroadError {}
export class TimeoutError extends PostroadError {}
export class CanceledError extends PostroadError {}
export class SignatureError extends PostroadError {}

const classes: Record<ErrorKind, new (f: ErrorFacts) => PostroadError> = {
  authentication: AuthenticationError,
  permission: PermissionError,
  not_found: NotFoundError,
  conflict: ConflictError,
  validation: ValidationError,
  idempotency: IdempotencyError,
  rate_limit: RateLimitError,
  server: ServerError,
  connection: ConnectionError,
  timeout: TimeoutError,
  canceled: CanceledError,
  signature: SignatureError,
};

/** Makes the error of the right class. */
export function failure(f: ErrorFacts): PostroadError {
  return new classes[f.kind](f);
}

export function kindOf(status: number, code: string): ErrorKind {
  if (code.startsWith('idempotency_') || code === 'invalid_idempotency_key') return 'idempotency';
  switch (status) {
    case 401: return 'authentication';
    case 403: return 'permission';
    case 404: case 410: return 'not_found';
    case 408: return 'timeout';
    case 409: case 412: case 428: return 'conflict';
    case 429: return 'rate_limit';
  }
  return status >= 400 && status < 500 ? 'validation' : 'server';
}

/** How much of a failure's body is kept, in characters. */
const maxRaw = 64 << 10;

/** Reads an answer that is no success. A body that is no problem (RFC 9457) stays in raw. */
export function problemOf(status: number, headers: Headers, text: string, now: number): PostroadError {
  const body = objectOf(text);
  const said = (name: string): string => (typeof body[name] === 'string' ? (body[name] as string) : '');
  const code = said('code');
  let message = (said('detail') || said('message') || said('title')).replace(/\.$/, '');
  if (message === '') {
    message = `the server answered ${status}`;
    if (status >= 300 && status < 400) message += ': set the base URL to where it redirects';
  }
  return failure({
    kind: kindOf(status, code), message, status, code, body,
    requestId: said('request_id') || (headers.get('x-request-id') ?? ''),
    errors: Array.isArray(body.errors) ? (body.errors as FieldError[]) : [],
    retryAfter: askedWait(status, headers, now),
    raw: text.slice(0, maxRaw),
  });
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/**
 * What an answer says about when to come back, in seconds: Retry-After, and where limits
 * refused also X-RateLimit-Reset (which every answer carries).
 */
export function askedWait(status: number, headers: Headers, now: number): number | undefined {
  const asked = waitOf(headers.get('retry-after'), now);
  if (asked !== undefined || status !== 429) return asked;
  return waitOf(headers.get('x-ratelimit-reset'), now);
}

/** Reads seconds, a date (RFC 9110, 10.2.3) or, as some servers send it, the unix time: a number above 10⁹. */
function waitOf(text: string | null, now: number): number | undefined {
  const trimmed = (text ?? '').trim();
  if (/^\d+$/.test(trimmed)) {
    const n = Number(trimmed);
    if (n <= 1e9) return n;
    return Math.max(0, (n > 1e11 ? n / 1000 : n) - now / 1000); // above 10¹¹ milliseconds are meant
  }
  if (trimmed === '' || /^-?\d/.test(trimmed)) return undefined;
  const date = Date.parse(trimmed);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}
