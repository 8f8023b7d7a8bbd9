import { failure } from './errors.js';
import type { Call, CallOptions, Query, Transport } from './transport.js';
import type { Warning } from './types.js';

/** What came with an answer, beyond its body. */
export interface ResponseFacts {
  status: number;
  headers: Headers;
  requestId: string;
  /** The version of what was answered, for `ifMatch`. */
  etag: string | undefined;
  /** The server had answered this idempotency key before, and this is that answer. */
  replayed: boolean;
}

const facts = new WeakMap<object, ResponseFacts>();

/** Tells what came with an answer of this client; undefined of anything else. */
export function responseOf(answer: object): ResponseFacts | undefined {
  return facts.get(answer);
}

function remember<T extends object>(value: T, status: number, headers: Headers): T {
  facts.set(value, {
    status, headers, requestId: headers.get('x-request-id') ?? '', etag: headers.get('etag') ?? undefined,
    replayed: headers.get('idempotency-replayed') === 'true',
  });
  return value;
}

/** Joins what stands between slashes, escaped. A part that would name something else is a fault. */
export function path(...parts: (string | number)[]): string {
  let out = '/v1';
  for (const part of parts) {
    const text = String(part ?? '');
    if (text === '' || text === '.' || text === '..') {
      throw failure({ kind: 'validation', code: 'missing_required_field', message: `the id is ${JSON.stringify(text)}: name what is meant` });
    }
    out += '/' + encodeURIComponent(text);
  }
  return out;
}

/** How many entries a list has on all its pages. */
export interface Total {
  count: number;
  /** There are at least so many. */
  estimate: boolean;
}

/** A piece of a list. */
export interface Page<T> {
  object: 'list';
  data: T[];
  has_more: boolean;
  next_cursor: string | null;
  /** Unless `include` asked for it, there is none. */
  total?: Total;
  url?: string;
  warnings?: Warning[];
}

/** A list that has not been read yet: `for await (const m of client.messages.list())`. */
export class List<T> implements AsyncIterable<T> {
  readonly #read: (cursor: string | undefined) => Promise<Page<T>>;

  constructor(read: (cursor: string | undefined) => Promise<Page<T>>) {
    this.#read = read;
  }

  /** Reads one page: the first, or the one that next_cursor of another named. */
  page(cursor?: string | null): Promise<Page<T>> {
    return this.#read(cursor ?? undefined);
  }

  /** Reads at most max entries into an array. */
  async take(max: number): Promise<T[]> {
    const out: T[] = [];
    if (max < 1) return out;
    for await (const entry of this) {
      out.push(entry);
      if (out.length >= max) break;
    }
    return out;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    let cursor: string | undefined;
    for (;;) {
      const page = await this.#read(cursor);
      yield* page.data;
      if (!page.has_more || !page.next_cursor || page.next_cursor === cursor) return;
      cursor = page.next_cursor;
    }
  }
}

/** Bytes on their way. */
export interface Download {
  contentType: string;
  filename: string | undefined;
  /** Undefined: not known before the end. */
  size: number | undefined;
  body: ReadableStream<Uint8Array>;
  bytes(): Promise<Uint8Array>;
  text(): Promise<string>;
}

/** What resources make their calls with. */
export class Caller {
  readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  get<T extends object>(at: string, query?: Query | object, options?: CallOptions, waitMs?: number): Promise<T> {
    return this.json<T>({ method: 'GET', path: at, query: query as Query, options, ...(waitMs ? { waitMs } : {}) });
  }

  post<T extends object>(at: string, body: unknown, options?: CallOptions, query?: Query): Promise<T> {
    return this.json<T>({ method: 'POST', path: at, body: JSON.stringify(body ?? {}), options, ...(query ? { query } : {}) });
  }

  patch<T extends object>(at: string, body: unknown, options?: CallOptions): Promise<T> {
    return this.json<T>({ method: 'PATCH', path: at, body: JSON.stringify(body), options });
  }

  put<T extends object>(at: string, body: unknown, options?: CallOptions): Promise<T> {
    return this.json<T>({ method: 'PUT', path: at, body: JSON.stringify(body ?? {}), options });
  }

  del<T extends object>(at: string, options?: CallOptions, query?: Query): Promise<T> {
    return this.json<T>({ method: 'DELETE', path: at, options, ...(query ? { query } : {}) });
  }

  /** Is for a DELETE without an answer. */
  async gone(at: string, options?: CallOptions): Promise<void> {
    await this.transport.read({ method: 'DELETE', path: at, options });
  }

  async json<T extends object>(c: Call): Promise<T> {
    const got = await this.transport.read(c);
    if (got.status === 204) return remember({} as T, got.status, got.headers);
    let value: unknown;
    try {
      value = JSON.parse(got.text);
    } catch {
      value = undefined;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw failure({
        kind: 'server', status: got.status, requestId: got.headers.get('x-request-id') ?? '', attempts: 1, raw: got.text.slice(0, 64 << 10),
        message: `the server answered ${got.status}, but not as Postroad does`,
      });
    }
    return remember(value as T, got.status, got.headers);
  }

  list<T>(at: string, filter?: object, options?: CallOptions): List<T> {
    return new List<T>((cursor) => this.get<Page<T>>(at, cursor === undefined ? filter : { ...filter, cursor }, options));
  }

  /** Reads a list that comes in one piece. */
  async whole<T>(at: string, options?: CallOptions): Promise<T[]> {
    return (await this.get<Page<T>>(at, undefined, options)).data;
  }

  async download(at: string, accept: string, query?: Query | object, options?: CallOptions): Promise<Download> {
    const { response, end } = await this.transport.stream({ method: 'GET', path: at, accept, query: query as Query, options });
    const length = response.headers.get('content-length');
    const body = ending(response.body ?? new ReadableStream({ start: (c) => c.close() }), end);
    const whole = new Response(body);
    return {
      contentType: response.headers.get('content-type') ?? '',
      filename: filenameOf(response.headers.get('content-disposition') ?? ''),
      size: length === null ? undefined : Number(length),
      get body() { return whole.body as ReadableStream<Uint8Array>; },
      bytes: async () => new Uint8Array(await whole.arrayBuffer()),
      text: () => whole.text(),
    };
  }
}

/** Ends the request with its body, however that ends. */
function ending(body: ReadableStream<Uint8Array>, end: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(control) {
      try {
        const { done, value } = await reader.read();
        if (!done) return control.enqueue(value);
        end();
        control.close();
      } catch (cause) {
        end();
        control.error(failure({ kind: 'connection', message: 'the download broke off', cause }));
      }
    },
    async cancel(reason) {
      await reader.cancel(reason).catch(() => undefined);
      end();
    },
  });
}

/** Reads RFC 6266's filename, and filename* over it. */
function filenameOf(disposition: string): string | undefined {
  const extended = /filename\*\s*=\s*utf-8''([^;\s]+)/i.exec(disposition)?.[1];
  if (extended !== undefined) {
    try {
      return decodeURIComponent(extended);
    } catch {
      return extended;
    }
  }
  const quoted = /filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(disposition)?.[1];
  return quoted?.replace(/\\(.)/g, '$1') ?? /filename\s*=\s*([^;\s"]+)/i.exec(disposition)?.[1];
}

/** Waits until look says that it is done: every 100 ms at first, every 5 s later on. */
export async function poll<T>(transport: Transport, look: () => Promise<T>, over: (got: T) => boolean, options?: CallOptions): Promise<T> {
  const { clock } = transport;
  const deadline = options?.deadlineMs === undefined ? Infinity : clock.now() + options.deadlineMs;
  for (let wait = 100; ; wait = Math.min(wait * 1.5, 5000)) {
    const got = await look();
    if (over(got)) return got;
    if (clock.now() + wait >= deadline) throw failure({ kind: 'timeout', message: `it is not over after ${options?.deadlineMs} ms` });
    try {
      await clock.sleep(wait, options?.signal);
    } catch (cause) {
      throw failure({ kind: 'canceled', message: 'the wait was given up', cause });
    }
  }
}
