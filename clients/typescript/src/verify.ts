import { failure } from './errors.js';
import type { PostroadEvent } from './hooks.js';

/** How far a webhook's timestamp may be off, in seconds. */
export const tolerance = 300;

/** Bounds a webhook's body, in bytes; the server sends less than 8 KB. */
const maxHook = 1 << 20;

/** Headers as frameworks have them. */
export type HeadersLike = Headers | Record<string, string | string[] | undefined> | { get(name: string): string | null | undefined };

export interface VerifyOptions {
  secrets: string[];
  /** Milliseconds since 1970; now by default. For tests and for webhooks that were kept. */
  now?: number;
}

/**
 * Checks a webhook (Standard Webhooks) and reads its event. raw is the bytes as they arrived: parsing
 * them first and writing them again makes other bytes. With several secrets any may have signed, as
 * while one is rotated. What is not genuine, or older or newer than five minutes, throws a SignatureError;
 * nothing of it may be used then. Remember the event's id: a webhook can come twice.
 */
export async function verifyWebhook(raw: Uint8Array | ArrayBuffer | string, headers: HeadersLike, ...secrets: string[]): Promise<PostroadEvent> {
  return verifyAt(raw, headers, { secrets });
}

/** verifyWebhook at another time. */
export async function verifyAt(raw: Uint8Array | ArrayBuffer | string, headers: HeadersLike, o: VerifyOptions): Promise<PostroadEvent> {
  const id = header(headers, 'webhook-id');
  const stamp = header(headers, 'webhook-timestamp');
  if (o.secrets.length === 0 || o.secrets.some((s) => typeof s !== 'string')) throw forged('no_secret', 'no secret was given to verify with');
  if (id === '' || !/^\d{1,15}$/.test(stamp)) throw forged('missing_header', 'webhook-id or webhook-timestamp is missing');
  if (Math.abs((o.now ?? Date.now()) / 1000 - Number(stamp)) > tolerance) {
    throw forged('timestamp_out_of_range', "the webhook's timestamp is more than 5 minutes off: it is old, or a clock is wrong");
  }
  const body = bytesOf(raw);
  const signed = join(new TextEncoder().encode(`${id}.${stamp}.`), body);
  const given = header(headers, 'webhook-signature').split(/\s+/).flatMap((part) => (part.startsWith('v1,') ? [decode(part.slice(3))] : []));
  let genuine = false;
  for (const secret of o.secrets) {
    const key = await crypto.subtle.importKey('raw', keyOf(secret) as BufferSource, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
    for (const signature of given) {
      // Compares in constant time.
      if (signature && await crypto.subtle.verify('HMAC', key, signature as BufferSource, signed as BufferSource)) genuine = true;
    }
  }
  if (!genuine) throw forged('no_matching_signature', 'no signature fits: another secret, or the body is not as it arrived');
  return eventOf(body);
}

function eventOf(body: Uint8Array): PostroadEvent {
  const text = new TextDecoder().decode(body);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null) throw forged('invalid_json', 'the webhook is genuine, but no event', text);
  return value as PostroadEvent;
}

function keyOf(secret: string): Uint8Array {
  const key = decode(secret.replace(/^whsec_/, ''));
  if (!key || key.length === 0) throw forged('bad_secret', 'a secret is not of the form whsec_ and base64');
  return key;
}

function decode(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined;
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function bytesOf(raw: unknown): Uint8Array {
  if (raw instanceof Uint8Array) return raw;
  if (raw instanceof ArrayBuffer) return new Uint8Array(raw);
  if (typeof raw === 'string') return new TextEncoder().encode(raw);
  throw forged('parsed_body', 'the body is parsed already: give the bytes as they arrived (with Express, express.raw() on this path before express.json())');
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

function header(headers: HeadersLike, name: string): string {
  if (typeof (headers as { get?: unknown }).get === 'function') return (headers as Headers).get(name) ?? '';
  for (const [key, value] of Object.entries(headers as Record<string, string | string[] | undefined>)) {
    if (key.toLowerCase() === name) return Array.isArray(value) ? value.join(' ') : (value ?? '');
  }
  return '';
}

function forged(code: string, message: string, raw = ''): Error {
  return failure({ kind: 'signature', code, message, raw });
}

/** For Fetch handlers: Hono (`c.req.raw`), Next.js route handlers, Deno, Bun, Workers. Reads the raw body itself. */
export async function verifyRequest(request: Request, ...secrets: string[]): Promise<PostroadEvent> {
  if (request.bodyUsed) throw forged('parsed_body', 'the body was read already: verify first, then use the event');
  return verifyWebhook(await bounded(request.body ? chunks(request.body) : []), request.headers, ...secrets);
}

/** Reads what comes, at most 1 MB of it: anybody may post to an endpoint. */
async function bounded(parts: AsyncIterable<unknown> | Iterable<unknown>): Promise<Uint8Array> {
  let out = new Uint8Array(16 << 10);
  let size = 0;
  for await (const part of parts) {
    const bytes = bytesOf(part);
    if (size + bytes.length > maxHook) throw forged('payload_too_large', 'a webhook has at most 1 MB');
    if (size + bytes.length > out.length) { // twice as much each time: parts of a byte each cost no more
      const larger = new Uint8Array(Math.max(out.length * 2, size + bytes.length));
      larger.set(out);
      out = larger;
    }
    out.set(bytes, size);
    size += bytes.length;
  }
  return out.subarray(0, size);
}

async function* chunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** What is needed of node:http's request, and so of Express', Fastify's and Next.js' (pages). */
export interface NodeRequest extends AsyncIterable<unknown> {
  headers: Record<string, string | string[] | undefined>;
  body?: unknown;
}

/**
 * For node:http, Express and Next.js pages (with bodyParser off). A body that express.raw() has read is
 * taken from there; one that was parsed cannot be verified any more, and the error says so.
 */
export async function verifyNodeRequest(request: NodeRequest, ...secrets: string[]): Promise<PostroadEvent> {
  return verifyWebhook(await rawBody(request), request.headers, ...secrets);
}

/** Reads the body of a node:http request as it arrived, at most 1 MB of it. */
export async function rawBody(request: NodeRequest): Promise<Uint8Array> {
  if (request.body !== undefined && request.body !== null) return bytesOf(request.body);
  return bounded(request);
}

/** What is needed of node:http's and Express' response. */
export interface NodeResponse {
  statusCode: number;
  end(text?: string): unknown;
}

/**
 * An Express (or node:http) handler: `app.post('/hooks/mail', webhookHandler([secret], async (event) => {…}))`.
 * It answers 204; 401 to what is not genuine; 500 when handle fails, which has the server send it again.
 */
export function webhookHandler(secrets: string[], handle: (event: PostroadEvent, request: NodeRequest) => unknown) {
  return async (request: NodeRequest, response: NodeResponse): Promise<void> => {
    let event: PostroadEvent;
    try {
      event = await verifyNodeRequest(request, ...secrets);
    } catch (e) {
      response.statusCode = (e as { code?: string }).code === 'payload_too_large' ? 413 : 401;
      response.end((e as Error).message);
      return;
    }
    try {
      await handle(event, request);
      response.statusCode = 204;
      response.end();
    } catch {
      response.statusCode = 500;
      response.end('the event could not be handled');
    }
  };
}
