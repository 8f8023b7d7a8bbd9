import { failure } from './errors.js';
import { Caller, path, type Download, type List } from './caller.js';
import type { Attachment, Batch, Message, MessageChange, MessageFilter, Moment, RawMessage, Resend } from './input.js';
import type { Call, CallOptions } from './transport.js';
import type { Accepted, BatchAccepted, DeliveryAttempt, DryRun, MessageContent, MessageRecord, MessageSummary, TimelineEvent } from './types.js';

/** The largest request the server takes, in bytes. */
export const maxBody = 50 << 20;

/** How many bytes of files go as base64 within the JSON; more go as parts of a form, a third smaller. */
const formOver = 5 << 20;

/** Sends mail and tells what became of it. */
export class Messages {
  readonly #c: Caller;

  constructor(c: Caller) {
    this.#c = c;
  }

  /** Success says that the message is on the server's disk and will be worked on, not that it was delivered. */
  async send(message: Message, options?: CallOptions): Promise<Accepted> {
    return this.#c.json<Accepted>(sendCall(message, options));
  }

  /** Validates and renders a message as send would, and sends nothing. */
  async dryRun(message: Message, options?: CallOptions): Promise<DryRun> {
    return this.#c.json<DryRun>({ ...sendCall(message, options), query: { dry_run: true } });
  }

  /** Up to 1,000 messages. In mode `partial` refused ones stand in data and are no error of the call. */
  async sendBatch(batch: Batch, options?: CallOptions): Promise<BatchAccepted> {
    const files = batch.messages.reduce((sum, m) => sum + sizeOf(m.attachments), 0);
    if (files > maxBody) throw tooLarge(files);
    const body = JSON.stringify({ ...batch, defaults: batch.defaults && inline(batch.defaults), messages: batch.messages.map(inline) });
    const size = byteLength(body);
    if (size > maxBody) throw tooLarge(size);
    return this.#c.json<BatchAccepted>({ method: 'POST', path: '/v1/messages/batch', body, options });
  }

  /** Hands over a message as it is. */
  async sendRaw(raw: RawMessage, options?: CallOptions): Promise<Accepted> {
    const body = typeof raw.content === 'string' ? new TextEncoder().encode(raw.content) : raw.content;
    if (body.length > maxBody) throw tooLarge(body.length);
    return this.#c.json<Accepted>({
      method: 'POST', path: '/v1/messages/raw', body, contentType: 'message/rfc822', options,
      query: { from: raw.from, recipient: raw.recipients }, ownKey: rawKey(body),
    });
  }

  list(filter?: MessageFilter, options?: CallOptions): List<MessageSummary> {
    return this.#c.list('/v1/messages', filter, options);
  }

  /** By id, or by the RFC Message-ID in angle brackets. */
  async get(id: string, options?: CallOptions): Promise<MessageRecord> {
    return this.#c.get(path('messages', id), undefined, options);
  }

  /** The timeline, oldest first. */
  async events(id: string, options?: CallOptions): Promise<TimelineEvent[]> {
    return this.#c.whole(path('messages', id, 'events'), options);
  }

  /** The SMTP conversations. */
  async attempts(id: string, options?: CallOptions): Promise<DeliveryAttempt[]> {
    return this.#c.whole(path('messages', id, 'attempts'), options);
  }

  /** The message taken apart; not found (`content_expired`) once the bytes are no longer kept. */
  async content(id: string, options?: CallOptions): Promise<MessageContent> {
    return this.#c.get(path('messages', id, 'content'), undefined, options);
  }

  /** The message as it is stored. */
  async raw(id: string, options?: CallOptions): Promise<Download> {
    return this.#c.download(path('messages', id, 'raw'), 'message/rfc822, application/problem+json', undefined, options);
  }

  /** Its HTML, else its text, as a page in which nothing runs and nothing is fetched from elsewhere. */
  async preview(id: string, options?: CallOptions): Promise<Download> {
    return this.#c.download(path('messages', id, 'preview'), 'text/html, application/problem+json', undefined, options);
  }

  /** One of its files, counted from 0. */
  async attachment(id: string, n: number, options?: CallOptions): Promise<Download> {
    return this.#c.download(path('messages', id, 'attachments', n), '*/*', undefined, options);
  }

  /** Takes a message back as long as no attempt began; then not found (`message_not_cancellable`). */
  async delete(id: string, options?: CallOptions): Promise<MessageRecord> {
    return this.#c.del(path('messages', id), options);
  }

  /** Stops what can still be stopped, per recipient; a conflict when that is nothing. */
  async cancel(id: string, reason?: string, options?: CallOptions): Promise<MessageRecord> {
    return this.#c.post(path('messages', id, 'cancel'), { reason }, options);
  }

  /** Changes a scheduled message; a conflict when it is no longer scheduled. */
  async update(id: string, change: MessageChange, options?: CallOptions): Promise<MessageRecord> {
    return this.#c.patch(path('messages', id), change, options);
  }

  async reschedule(id: string, to: Moment, options?: CallOptions): Promise<MessageRecord> {
    return this.update(id, { scheduled_time: to }, options);
  }

  /** Sends what is scheduled, and tries again at once what is deferred. */
  async sendNow(id: string, options?: CallOptions): Promise<MessageRecord> {
    return this.#c.post(path('messages', id, 'send-now'), {}, options);
  }

  /** Sends a message's content again, as a new message. */
  async resend(id: string, to: Resend = {}, options?: CallOptions): Promise<Accepted> {
    return this.#c.post(path('messages', id, 'resend'), to, options);
  }
}

function sendCall(given: Message, options: CallOptions | undefined): Call {
  const { idempotency_key: key, ...message } = given;
  const own: CallOptions = key === undefined ? { ...options } : { idempotencyKey: key, ...options };
  const total = sizeOf(message.attachments);
  if (total > maxBody) throw tooLarge(total);
  const call: Call = { method: 'POST', path: '/v1/messages', options: own, ownKey: carriesKey(message.headers) };
  if (total > formOver) {
    Object.assign(call, form(message));
  } else {
    call.body = JSON.stringify(inline(message));
  }
  const size = typeof call.body === 'string' ? byteLength(call.body) : (call.body as Blob).size;
  if (size > maxBody) throw tooLarge(size);
  return call;
}

/** An idempotency key among the mail's headers is one too, and a second that differs would be a fault. */
function carriesKey(headers: Record<string, string> | undefined): boolean {
  return Object.keys(headers ?? {}).some((name) => /^(x-)?idempotency-key$/i.test(name));
}

/** Tells whether a raw message's headers carry an idempotency key. */
function rawKey(content: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(content.subarray(0, 256 << 10));
  const head = /\r?\n\r?\n/.exec(text);
  return /^(x-)?idempotency-key[ \t]*:/im.test(head ? text.slice(0, head.index) : text);
}

function sizeOf(files: Attachment[] | undefined): number {
  return (files ?? []).reduce((sum, f) => sum + (typeof f.content === 'string' ? Math.floor(f.content.length * 3 / 4) : f.content.length), 0);
}

/** A message with its files as base64. */
function inline(message: Message): object {
  if (!message.attachments) return message;
  return { ...message, attachments: message.attachments.map((f) => ({ ...f, content: typeof f.content === 'string' ? f.content : base64(f.content) })) };
}

/**
 * A message with its files beside it (multipart/form-data, RFC 7578). The JSON keeps what there is to
 * say of each file but its content; the server joins them by name, in order.
 */
function form(message: Message): { body: Blob; contentType: string } {
  const files = message.attachments ?? [];
  const boundary = `postroad-${crypto.randomUUID()}`;
  const text = JSON.stringify({ ...message, attachments: files.map(({ content: _, ...f }) => ({ ...f, filename: baseName(f.filename) })) });
  const parts: BlobPart[] = [`--${boundary}\r\nContent-Disposition: form-data; name="message"\r\nContent-Type: application/json\r\n\r\n${text}\r\n`];
  for (const f of files) {
    const kind = (f.content_type ?? 'application/octet-stream').replace(/[\r\n]/g, ' ');
    parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="attachments"; ${named(baseName(f.filename))}\r\nContent-Type: ${kind}\r\n\r\n`);
    parts.push((typeof f.content === 'string' ? fromBase64(f.content) : f.content) as BlobPart, '\r\n');
  }
  parts.push(`--${boundary}--\r\n`);
  return { body: new Blob(parts), contentType: `multipart/form-data; boundary=${boundary}` };
}

/** A file's name without directories, which a form's reader takes off anyway. */
function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1) || name;
}

/** Writes a filename: quoted, or by RFC 8187 when there is more than printable ASCII in it. */
function named(name: string): string {
  if (/^[\x20-\x7e]*$/.test(name)) return `filename="${name.replace(/(["\\])/g, '\\$1')}"`;
  return `filename*=utf-8''${encodeURIComponent(name).replace(/['()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase())}`;
}

function byteLength(text: string): number {
  // A text of n units has at most 3n bytes: only those near the bound are counted.
  return text.length * 3 <= maxBody ? text.length : new TextEncoder().encode(text).length;
}

function base64(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 0x6000) out += btoa(String.fromCharCode(...bytes.subarray(i, i + 0x6000)));
  return out;
}

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch (cause) {
    throw failure({ kind: 'validation', code: 'attachment_decode_error', message: "an attachment's content is no base64; give bytes as a Uint8Array", cause });
  }
}

function tooLarge(have: number): Error {
  return failure({
    kind: 'validation', code: 'payload_too_large', status: 413,
    message: `the message has ${have} bytes, and a request at most ${maxBody}: link to large files instead`,
  });
}
