import { Postroad, type ClientOptions } from './client.js';
import { examples } from './examples.js';
import type { AddressInput, Message } from './input.js';

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
 * delivered: with the objects that the API's reference shows as examples. Everything else is answered by `answer`, or 404.
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

  #refuse(status: number, code: keyof typeof examples.titles, detail: string, errors?: object[]): Response {
    const n = this.requests.length;
    const body = {
      type: `http://postroad.invalid/docs/errors#${code}`, title: examples.titles[code], status, code, detail, message: detail,
      instance: new URL(this.requests[n - 1]!.path, 'http://postroad.invalid').pathname, request_id: requestId(n), ...(errors ? { errors } : {}),
    };
    return reply(status, JSON.stringify(body), { 'content-type': 'application/problem+json', 'x-should-retry': 'false', ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}) }, n);
  }

  #serve(method: string, path: string, key: string, body: string): Response {
    if (method === 'POST' && path === 'messages') return this.#send(key, body);
    if (method === 'GET' && path === 'messages') return this.#give(listed(this.sent.map(row).reverse(), '/v1/messages'));
    const [, id, what] = /^messages\/([^/]+)(?:\/(events))?$/.exec(path) ?? [];
    const found = this.sent.find((s) => s.message_id === id);
    if (method === 'GET' && found) return this.#give(what === 'events' ? listed(timeline(found), `/v1/messages/${found.message_id}/events`) : shown(found));
    return this.#refuse(404, id ? 'message_not_found' : 'not_found', `MemoryServer has no answer for ${method} /v1/${path}: plan one with answer().`);
  }

  #send(key: string, body: string): Response {
    const kept = this.#once.get(key);
    if (kept && key !== '') {
      if (kept.body !== body) return this.#refuse(422, 'idempotency_key_reused', 'The idempotency key was used with another request.');
      return this.#give(kept.answer, 202, { 'idempotency-replayed': 'true' });
    }
    let message: Message;
    try {
      message = JSON.parse(body) as Message;
    } catch (e) {
      return this.#refuse(400, 'invalid_json', (e as Error).message);
    }
    if (toOf(message).length === 0) {
      return this.#refuse(422, 'validation_failed', '1 field is invalid: recipient', [{ field: 'recipient', pointer: '#/recipient', code: 'missing_required_field', message: 'Name a recipient.' }]);
    }
    const sent = { message_id: `msg_${String(this.sent.length + 1).padStart(26, '0')}`, idempotency_key: key, message };
    this.sent.push(sent);
    const self = `/v1/messages/${sent.message_id}`;
    const answer = {
      ...examples.accepted, ...facts(sent, 'queued'), links: { self, events: `${self}/events`, console: `http://postroad.invalid/p/default/messages/${sent.message_id}` },
      ...(message.scheduled_time === undefined ? {} : { status: 'scheduled', scheduled_time: message.scheduled_time }),
      ...(message.from === undefined ? {} : { from: written(message.from) }),
    };
    this.#once.set(key, { body, answer });
    return this.#give(answer, 202, { location: self });
  }

  #give(body: object, status = 200, headers: Record<string, string> = {}): Response {
    return reply(status, JSON.stringify(body), { 'x-should-retry': 'false', ...headers }, this.requests.length);
  }
}

function reply(status: number, text: string | null, headers: Record<string, string>, n: number): Response {
  const h = new Headers({
    'content-type': 'application/json', 'x-request-id': requestId(n), 'x-ratelimit-limit': '1000', 'x-ratelimit-remaining': '999', 'x-ratelimit-reset': '60',
    'ratelimit-policy': '"default";q=1000;w=60', ratelimit: '"default";r=999;t=60', 'server-timing': 'total;dur=1',
  });
  for (const [name, value] of Object.entries(headers)) h.set(name, value);
  return new Response(status === 204 || status === 304 ? null : text, { status, headers: h });
}

function requestId(n: number): string {
  return `req_${String(n).padStart(26, '0')}`;
}

/** An address as text or object, taken apart. */
function addressOf(a: AddressInput): { email: string; name: string } {
  if (typeof a !== 'string') return { email: a.email, name: a.name ?? '' };
  const [, name, email] = /^\s*"?([^"<]*?)"?\s*<([^<>]+)>\s*$/.exec(a) ?? [];
  return email === undefined ? { email: a, name: '' } : { email, name: name ?? '' };
}

function written(a: AddressInput): string {
  const { email, name } = addressOf(a);
  return name === '' ? email : `${name} <${email}>`;
}

function listOf(a: AddressInput | AddressInput[] | undefined): AddressInput[] {
  return a === undefined ? [] : Array.isArray(a) ? a : [a];
}

function toOf(m: Message): AddressInput[] {
  return listOf(m.recipient ?? m.to);
}

/** What a sent message changes in every object about it. */
function facts(s: Sent, status: string): { recipients: { email: string }[] } & Record<string, unknown> {
  const lists = [['to', toOf(s.message)], ['cc', listOf(s.message.cc)], ['bcc', listOf(s.message.bcc)]] as const;
  const recipients = lists.flatMap(([type, list]) => list.map((a) => ({ type, ...addressOf(a), status })))
    .map(({ name, ...r }, i) => ({ recipient_id: `rcp_${String(i + 1).padStart(26, '0')}`, ...r, ...(status === 'queued' ? {} : { name }) }));
  return { message_id: s.message_id, status, recipient: addressOf(toOf(s.message)[0]!).email, recipients, priority: s.message.priority ?? 'normal', environment: 'test' };
}

/** A delivered message as one is answered. */
function shown(s: Sent): object {
  const all = facts(s, 'delivered');
  return {
    ...examples.message, ...all, recipients: all.recipients.map((r) => ({ ...examples.message.recipients[0], ...r })), subject: s.message.subject ?? '', tags: s.message.tags ?? [], template: null,
    metadata: s.message.metadata ?? {}, headers: s.message.headers ?? {}, idempotency_key: s.idempotency_key, ...(s.message.from === undefined ? {} : { from: addressOf(s.message.from) }),
  };
}

/** A delivered message as a row of a list. */
function row(s: Sent): object {
  const { recipients, environment: _, ...all } = facts(s, 'delivered');
  return {
    ...examples.listed, ...all, recipient_count: recipients.length, subject: s.message.subject ?? '', tags: s.message.tags ?? [], template: null,
    last_event: { type: 'message.delivered', at: examples.message.completed_at, summary: '250 2.0.0 OK' }, ...(s.message.from === undefined ? {} : { from: addressOf(s.message.from).email }),
  };
}

function listed(data: object[], url: string): object {
  return { object: 'list', data, has_more: false, next_cursor: null, url };
}

/** How a message is delivered: queued, accepted, delivered. */
function timeline(s: Sent): object[] {
  const [queued, delivered] = examples.events;
  const { recipient } = facts(s, 'delivered');
  const accepted = { type: 'message.accepted', at: examples.message.accepted_at, summary: 'Accepted by the queue' };
  return [queued, accepted, delivered].map((e, i) => ({ ...e, event_id: `evt_${String(i + 1).padStart(26, '0')}`, sequence: i + 1, recipient }));
}
