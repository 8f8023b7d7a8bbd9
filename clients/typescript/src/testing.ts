import { Postroad, type ClientOptions } from './client.js';
import type { Message } from './input.js';

/** The key of MemoryServer's clients. */
export const testKey = 'sk_test_memory01_000000000000000000000000000000000000000000000000';

/** One attempt as it arrived. */
export interface Arrived {
  method: string;
  /** With its query. */
  path: string;
  headers: Headers;
  body: string;
}

/** A message that was accepted. */
export interface Sent {
  message_id: string;
  idempotency_key: string;
  message: Message;
}

interface Planned {
  method: string;
  path: string;
  response: () => Response;
}

/**
 * Stands in for a server in tests of programs that use the client: no port and no process.
 *
 * ```ts
 * const server = new MemoryServer();
 * await codeUnderTest(server.client());
 * assert.equal(server.sent[0].message.recipient, 'ada@example.com');
 * ```
 *
 * It accepts messages, remembers them, keeps idempotency keys, and tells of each message that it was
 * delivered. Everything else is answered by `answer`, or 404.
 */
export class MemoryServer {
  readonly requests: Arrived[] = [];
  readonly sent: Sent[] = [];
  readonly #planned: Planned[] = [];
  readonly #once = new Map<string, { body: string; answer: object }>();

  /** A client that speaks to it. */
  client(o: ClientOptions = {}): Postroad {
    return new Postroad({ apiKey: testKey, baseUrl: 'http://postroad.invalid', fetch: this.fetch, ...o });
  }

  /** Has the next request of this method and path (without query; '' = any) answered so, once. */
  answer(method: string, path: string, status: number, body?: unknown, headers: Record<string, string> = {}): this {
    const text = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body);
    this.#planned.push({ method, path, response: () => reply(status, text, headers, this.requests.length) });
    return this;
  }

  /** Has the next request of this method and path fail as a broken connection does. */
  fail(method: string, path: string, message = 'connection reset by peer'): this {
    this.#planned.push({ method, path, response: () => { throw new TypeError('fetch failed', { cause: new Error(message) }); } });
    return this;
  }

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    init.signal?.throwIfAborted();
    const u = new URL(url);
    const method = init.method ?? 'GET';
    const headers = new Headers(init.headers);
    const body = init.body === undefined || init.body === null ? '' : await new Response(init.body).text();
    this.requests.push({ method, path: u.pathname + u.search, headers, body });
    const at = this.#planned.findIndex((p) => (p.method === '' || p.method === method) && (p.path === '' || p.path === u.pathname));
    if (at >= 0) return this.#planned.splice(at, 1)[0]!.response();
    if (!headers.has('authorization')) return this.#refuse(401, 'missing_api_key', 'The request has no API key.');
    return this.#serve(method, u.pathname.replace(/^\/v1\//, ''), headers.get('idempotency-key') ?? '', body);
  };

  #refuse(status: number, code: string, detail: string): Response {
    return reply(status, JSON.stringify({ status, code, detail, message: detail, title: detail }), { 'content-type': 'application/problem+json', 'x-should-retry': 'false' }, this.requests.length);
  }

  #serve(method: string, path: string, key: string, body: string): Response {
    if (method === 'POST' && path === 'messages') return this.#send(key, body);
    if (method === 'GET' && path === 'messages') return this.#give({ object: 'list', data: this.sent.map(shown).reverse(), has_more: false, next_cursor: null });
    const [, id, what] = /^messages\/([^/]+)(?:\/(events))?$/.exec(path) ?? [];
    const found = this.sent.find((s) => s.message_id === id);
    if (method === 'GET' && found) return this.#give(what === 'events' ? timeline(found) : shown(found));
    return this.#refuse(404, id ? 'message_not_found' : 'not_found', `MemoryServer has no answer for ${method} /v1/${path}: plan one with answer().`);
  }

  #send(key: string, body: string): Response {
    const kept = this.#once.get(key);
    if (kept && key !== '') {
      if (kept.body !== body) return this.#refuse(422, 'idempotency_key_reused', 'The idempotency key was used with another request.');
      return this.#give(kept.answer, 202, { 'idempotency-replayed': 'true' });
    }
    const message = JSON.parse(body) as Message;
    if (message.recipient === undefined && message.to === undefined) return this.#refuse(422, 'validation_failed', '1 field is invalid: recipient');
    const sent = { message_id: `msg_${String(this.sent.length + 1).padStart(26, '0')}`, idempotency_key: key, message };
    this.sent.push(sent);
    const answer = { ...shown(sent), status: 'queued', recipients: [], priority: 'normal', environment: 'test', superseded: [], warnings: [], links: { self: `/v1/messages/${sent.message_id}` } };
    this.#once.set(key, { body, answer });
    return this.#give(answer, 202);
  }

  #give(body: object, status = 200, headers: Record<string, string> = {}): Response {
    return reply(status, JSON.stringify(body), headers, this.requests.length);
  }
}

function reply(status: number, text: string | null, headers: Record<string, string>, n: number): Response {
  const h = new Headers({
    'content-type': 'application/json', 'x-request-id': `req_${String(n).padStart(26, '0')}`,
    'x-ratelimit-limit': '1000', 'x-ratelimit-remaining': '999', 'x-ratelimit-reset': '60',
  });
  for (const [name, value] of Object.entries(headers)) h.set(name, value);
  return new Response(status === 204 || status === 304 ? null : text, { status, headers: h });
}

const at = '2026-04-19T14:30:00.000Z';

function shown(s: Sent): object {
  const to = s.message.recipient ?? (Array.isArray(s.message.to) ? s.message.to[0] : s.message.to) ?? '';
  return {
    message_id: s.message_id, object: 'message', status: 'delivered', recipient: typeof to === 'string' ? to : to.email,
    from: s.message.from ?? null, subject: s.message.subject ?? '', tags: s.message.tags ?? [], idempotency_key: s.idempotency_key, created_at: at,
  };
}

function timeline(s: Sent): object {
  const data = ['queued', 'accepted', 'delivered'].map((name, i) => ({
    event_id: `evt_${String(i + 1).padStart(26, '0')}`, type: `message.${name}`, sequence: i + 1, at, recipient: (shown(s) as { recipient: string }).recipient,
  }));
  return { object: 'list', data, has_more: false, next_cursor: null };
}
