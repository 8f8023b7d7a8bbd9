import { failure, problemOf, PostroadError } from './errors.js';

/** What may be said of one call. */
export interface CallOptions {
  /**
   * The business fact a POST stands for (`receipt/ord_91`). Without one a call makes its own and keeps
   * it over its attempts; yours also covers a crashed process and a job that runs again.
   */
  idempotencyKey?: string;
  /** Refuses a change of something that is not the one this ETag was of (412). */
  ifMatch?: string;
  /** Ends the call. A wait between attempts ends with it. */
  signal?: AbortSignal;
  /** Milliseconds the whole call may take, waits included. A wait that would pass it is not begun. */
  deadlineMs?: number;
  /** Instead of the client's. */
  maxAttempts?: number;
  /** Has unknown fields refused instead of warned about. */
  strict?: boolean;
  /** For the changes that ask for it. */
  force?: boolean;
  /** More headers, `traceparent` for one. */
  headers?: Record<string, string>;
}

/** One try of one call, for logs and counters. It holds no body and no key; a path may hold an address. */
export interface Attempt {
  method: string;
  path: string;
  /** From 1. */
  number: number;
  /** 0: there was no answer. */
  status: number;
  requestId: string;
  durationMs: number;
  error?: PostroadError;
  /** It will be tried again, after waitMs. */
  retry: boolean;
  waitMs: number;
}

/** What fetches: the platform's, or one of a test. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Time and chance, as tests need them. */
export interface Clock {
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  random(): number;
}

export interface Settings {
  base: string;
  key: string;
  agent: string;
  fetch: Fetch;
  maxAttempts: number;
  timeoutMs: number | undefined;
  onAttempt: ((a: Attempt) => void) | undefined;
  clock: Clock;
}

export type Query = Record<string, unknown>;

/** One call, to be made in one or more attempts. */
export interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Escaped, behind the base. */
  path: string;
  query?: Query;
  body?: Uint8Array | Blob | string;
  contentType?: string;
  accept?: string;
  /** The body carries an idempotency key. */
  ownKey?: boolean;
  /** How much longer than usual the server may take by design, in milliseconds. */
  waitMs?: number;
  /** The caller tries again by itself. */
  single?: boolean;
  options?: CallOptions | undefined;
}

/** A success. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

/** A success whose body is read by the caller, who calls end when done. */
export interface Streamed {
  response: Response;
  end: () => void;
}

const bigBody = 1 << 20;
const maxDelayMs = 60_000;

/**
 * How long a call waits after its attempt 0, 1, 2, …, in milliseconds: one second, doubled each time,
 * plus up to a second at random, at most 60 s. So 1–2, 2–3, 4–5 and 8–9 s between the five attempts.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  return Math.min(1000 * 2 ** Math.min(Math.max(attempt, 0), 6) + random() * 1000, maxDelayMs);
}

/** The attempts of calls. */
export class Transport {
  readonly #s: Settings;

  constructor(s: Settings) {
    this.#s = s;
  }

  get clock(): Clock {
    return this.#s.clock;
  }

  /** Makes a call and reads the answer whole; an answer that breaks off is tried again. */
  async read(c: Call): Promise<Answer> {
    return this.#attempts(c, async (response, end) => {
      try {
        return { status: response.status, headers: response.headers, text: await response.text() };
      } finally {
        end();
      }
    });
  }

  /** Makes a call and hands its body over: what breaks off in it is the caller's. */
  async stream(c: Call): Promise<Streamed> {
    return this.#attempts(c, async (response, end, began) => {
      began();
      return { response, end };
    });
  }

  async #attempts<T>(c: Call, take: Take<T>): Promise<T> {
    const o = c.options ?? {};
    const once = o.idempotencyKey ?? (c.method === 'POST' && !c.ownKey ? `auto-${crypto.randomUUID()}` : undefined);
    const deadline = o.deadlineMs === undefined ? Infinity : this.#s.clock.now() + o.deadlineMs;
    const tries = c.single ? 1 : (o.maxAttempts ?? this.#s.maxAttempts);
    for (let attempt = 0; ; attempt++) {
      const began = this.#s.clock.now();
      const told = { method: c.method, path: c.path, number: attempt + 1 };
      const tried = await this.#attempt(c, o, once, attempt, deadline, take);
      const durationMs = this.#s.clock.now() - began;
      if (tried.ok) {
        this.#s.onAttempt?.({ ...told, status: tried.status, requestId: tried.requestId, durationMs, retry: false, waitMs: 0 });
        return tried.value;
      }
      const e = withAttempts(tried.error, attempt + 1);
      const { waitMs, again } = this.#judge(e, tried.hint, attempt);
      const retry = again && attempt + 1 < tries && !o.signal?.aborted && this.#s.clock.now() + waitMs < deadline;
      this.#s.onAttempt?.({ ...told, status: e.status, requestId: e.requestId, durationMs, error: e, retry, waitMs: retry ? waitMs : 0 });
      if (!retry) throw e;
      try {
        await this.#s.clock.sleep(waitMs, o.signal);
      } catch {
        throw e; // the signal ended the wait
      }
    }
  }

  async #attempt<T>(c: Call, o: CallOptions, once: string | undefined, number: number, deadline: number, take: Take<T>): Promise<Tried<T>> {
    if (o.signal?.aborted) return { ok: false, error: givenUp(o.signal), hint: null };
    const limit = Math.min(this.#limit(c), deadline - this.#s.clock.now());
    const control = new AbortController();
    const abort = (): void => control.abort(o.signal?.reason);
    o.signal?.addEventListener('abort', abort, { once: true });
    let slow = false;
    const timer = setTimeout(() => { slow = true; control.abort(); }, Math.max(limit, 0));
    const end = (): void => { clearTimeout(timer); o.signal?.removeEventListener('abort', abort); control.abort(); };
    try {
      const response = await this.#s.fetch(this.#url(c, o), this.#init(c, o, once, number, control.signal));
      if (response.status < 200 || response.status > 299) {
        const text = await response.text();
        end();
        return { ok: false, error: problemOf(response.status, response.headers, text, this.#s.clock.now()), hint: response.headers.get('x-should-retry') };
      }
      const value = await take(response, end, () => clearTimeout(timer));
      return { ok: true, status: response.status, requestId: response.headers.get('x-request-id') ?? '', value };
    } catch (cause) {
      end();
      if (cause instanceof PostroadError) return { ok: false, error: cause, hint: null };
      if (o.signal?.aborted) return { ok: false, error: givenUp(o.signal), hint: null };
      if (slow) return { ok: false, error: failure({ kind: 'timeout', message: `no answer within ${Math.round(limit)} ms`, cause }), hint: null };
      return { ok: false, error: failure({ kind: 'connection', message: `the server cannot be reached: ${reasonOf(cause)}`, cause }), hint: null };
    }
  }

  #judge(e: PostroadError, hint: string | null, attempt: number): { waitMs: number; again: boolean } {
    const waitMs = backoff(attempt, () => this.#s.clock.random());
    if (e.status === 0) return { waitMs, again: (e.kind === 'connection' && !untrusted(e)) || e.kind === 'timeout' };
    const again = hint === 'true' || (hint !== 'false' && mayPass(e));
    if (e.retryAfter === undefined) return { waitMs, again };
    return { waitMs: e.retryAfter * 1000, again: again && e.retryAfter * 1000 <= maxDelayMs };
  }

  #limit(c: Call): number {
    const size = typeof c.body === 'string' || c.body instanceof Uint8Array ? c.body.length : (c.body?.size ?? 0);
    return (this.#s.timeoutMs ?? (size > bigBody ? 60_000 : 30_000)) + (c.waitMs ?? 0);
  }

  #url(c: Call, o: CallOptions): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...c.query, strict: o.strict, force: o.force })) addParameter(query, name, value);
    const text = query.toString();
    return this.#s.base + c.path + (text === '' ? '' : '?' + text);
  }

  #init(c: Call, o: CallOptions, once: string | undefined, number: number, signal: AbortSignal): RequestInit {
    const headers: Record<string, string> = { ...o.headers, accept: c.accept ?? 'application/json', 'user-agent': this.#s.agent };
    if (this.#s.key !== '') headers.authorization = `Bearer ${this.#s.key}`;
    if (c.body !== undefined) headers['content-type'] = c.contentType ?? 'application/json';
    if (once !== undefined && c.method === 'POST') headers['idempotency-key'] = once;
    if (o.ifMatch !== undefined) headers['if-match'] = o.ifMatch;
    if (number > 0) headers['x-retry-attempt'] = String(number);
    // A key must not travel to where somebody points: redirects are not followed.
    const init: RequestInit = { method: c.method, headers, signal, redirect: 'manual' };
    if (c.body !== undefined) init.body = c.body as BodyInit;
    return init;
  }
}

type Take<T> = (response: Response, end: () => void, began: () => void) => Promise<T>;

type Tried<T> =
  | { ok: true; status: number; requestId: string; value: T }
  | { ok: false; error: PostroadError; hint: string | null };

/** Statuses that another attempt may not meet. */
function mayPass(e: PostroadError): boolean {
  return [408, 425, 429, 500, 502, 503, 504].includes(e.status) || (e.status === 409 && e.code === 'idempotency_in_progress');
}

/** A certificate that is not trusted now will not be in a second. */
function untrusted(e: PostroadError): boolean {
  const code = codeOf(e.cause);
  return code.startsWith('ERR_TLS_') || code.startsWith('CERT_') || code.includes('_CERT') || code.startsWith('UNABLE_TO_');
}

function codeOf(cause: unknown): string {
  for (let at = cause; typeof at === 'object' && at !== null; at = (at as { cause?: unknown }).cause) {
    const code = (at as { code?: unknown }).code;
    if (typeof code === 'string') return code;
  }
  return '';
}

/** The deepest reason: what fetch says itself is only that it failed. */
function reasonOf(cause: unknown): string {
  let text = String(cause);
  for (let at = cause; at instanceof Error; at = at.cause) text = at.message || codeOf(at) || text;
  return text;
}

function givenUp(signal: AbortSignal): PostroadError {
  const late = (signal.reason as { name?: unknown } | undefined)?.name === 'TimeoutError';
  return failure({ kind: late ? 'timeout' : 'canceled', message: late ? "the call's deadline passed" : 'the call was given up', cause: signal.reason });
}

function withAttempts(e: PostroadError, attempts: number): PostroadError {
  (e as { attempts: number }).attempts = attempts;
  return e;
}

function addParameter(query: URLSearchParams, name: string, value: unknown): void {
  if (value === undefined || value === null || value === false && (name === 'strict' || name === 'force')) return;
  if (Array.isArray(value)) {
    if (name === 'recipient') for (const item of value) query.append(name, String(item));
    else if (value.length > 0) query.set(name, value.join(','));
  } else if (value instanceof Date) {
    query.set(name, value.toISOString());
  } else if (typeof value === 'object') {
    for (const [key, item] of Object.entries(value)) query.set(`${name}[${key}]`, String(item));
  } else {
    query.set(name, String(value));
  }
}

/** The platform's own clock. */
export const realClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: (ms, signal) => new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = (): void => { clearTimeout(timer); reject(signal?.reason); };
    const timer = setTimeout(() => { signal?.removeEventListener('abort', abort); resolve(); }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  }),
};
