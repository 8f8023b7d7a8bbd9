import { path } from './caller.js';
import { failure, PostroadError } from './errors.js';
import type { EventPage, PostroadEvent } from './hooks.js';
import type { EventFilter } from './input.js';
import { Resource } from './resources.js';
import { backoff, type CallOptions } from './transport.js';

/** How a log is followed. */
export interface FollowOptions {
  /** Ends it; that is no error. */
  signal?: AbortSignal;
  /**
   * Called for each call that failed; following goes on unless it returns false or throws. Without it
   * the first failure ends the loop.
   */
  onError?: (e: PostroadError) => boolean | void;
}

/** How long the server holds a request that finds nothing new, at most, in seconds. */
const longPoll = 25;

/** How long a stream may say nothing: the server sends something every 15 s. */
const silenceMs = 45_000;

/** The log of everything that happened, in the order of its positions. */
export class Events extends Resource {
  /** A piece of the log, oldest first. `wait` up to 25 seconds has the server wait for something new. */
  async page(filter: EventFilter & { wait?: number } = {}, options?: CallOptions): Promise<EventPage & { next_after: number }> {
    return this.#page(filter, options, false);
  }

  async #page(filter: EventFilter & { wait?: number }, options: CallOptions | undefined, single: boolean): Promise<EventPage & { next_after: number }> {
    const page = await this.c.json<EventPage>({ method: 'GET', path: '/v1/events', query: { after: 0, ...filter }, options, single, waitMs: (filter.wait ?? 0) * 1000 });
    page.next_after ??= page.data.at(-1)?.position ?? (typeof filter.after === 'number' ? filter.after : 0);
    return page as EventPage & { next_after: number };
  }

  async get(id: string, options?: CallOptions): Promise<PostroadEvent> {
    return this.c.get(path('events', id), undefined, options);
  }

  /** Goes through the log as far as it reaches now. */
  async *list(filter: EventFilter = {}, options?: CallOptions): AsyncGenerator<PostroadEvent, void, undefined> {
    for (let after = filter.after ?? 0; ;) {
      const page: EventPage & { next_after: number } = await this.page({ ...filter, after }, options);
      yield* page.data;
      if (after === 'now' || page.next_after <= after || (!page.has_more && page.data.length === 0)) return;
      after = page.next_after;
    }
  }

  /**
   * Goes through the log and waits for what comes. The position of the last event is where the next
   * follow begins: nothing is skipped and nothing comes twice.
   */
  async *follow(filter: EventFilter = {}, o: FollowOptions = {}): AsyncGenerator<PostroadEvent, void, undefined> {
    let after: number | 'now' = filter.after ?? 0;
    for (let failures = 0; !o.signal?.aborted;) {
      let page: EventPage & { next_after: number };
      try {
        page = await this.#page({ ...filter, after, wait: longPoll }, { ...(o.signal ? { signal: o.signal } : {}) }, true);
        failures = 0;
      } catch (e) {
        if (!await this.#goOn(e, o, failures++)) return;
        continue;
      }
      if (page.gap) yield gapEvent({ ...page.gap });
      for (const event of page.data) {
        yield event;
        if (event.position !== undefined) after = event.position;
      }
      after = Math.max(after === 'now' ? 0 : after, page.next_after);
    }
  }

  /** Says whether to try again, having waited; rethrows what nobody takes. */
  async #goOn(e: unknown, o: FollowOptions, failures: number): Promise<boolean> {
    if (o.signal?.aborted) return false;
    if (!(e instanceof PostroadError) || !o.onError) throw e;
    if (o.onError(e) === false) return false;
    const { clock } = this.c.transport;
    try {
      await clock.sleep(e.retryAfter !== undefined ? e.retryAfter * 1000 : backoff(failures, () => clock.random()), o.signal);
    } catch {
      return false;
    }
    return true;
  }

  /**
   * follow over one connection (Server-Sent Events), made anew where it ended, from the last position.
   * An event of type `gap` says that events behind the position asked for are no longer kept.
   * `after: 'now'` is only what happens from now on; without `after` it begins with what is kept.
   */
  async *stream(filter: EventFilter = {}, o: FollowOptions = {}): AsyncGenerator<PostroadEvent, void, undefined> {
    const at = { after: filter.after ?? 0 };
    for (let failures = 0; !o.signal?.aborted;) {
      try {
        if (at.after === 'now') { // a connection that breaks before its first event must not move "now"
          at.after = (await this.#page({ after: 'now', limit: 1 }, o.signal ? { signal: o.signal } : {}, true)).next_after;
        }
        for await (const event of this.#connection(filter, at as { after: number }, o.signal)) {
          failures = 0;
          yield event;
        }
        failures = 0; // it ended as the server meant it
      } catch (e) {
        if (!await this.#goOn(e, o, failures++)) return;
      }
    }
  }

  /** Reads one connection until the server says goodbye; at keeps how far it went. */
  async *#connection(filter: EventFilter, at: { after: number }, signal: AbortSignal | undefined): AsyncGenerator<PostroadEvent, void, undefined> {
    const { limit: _, ...rest } = filter;
    const query = { ...rest, after: at.after };
    const { response, end } = await this.c.transport.stream({
      method: 'GET', path: '/v1/events/stream', query, accept: 'text/event-stream', single: true, options: signal ? { signal } : {},
    });
    try {
      for await (const frame of frames(response.body ?? new ReadableStream(), end)) {
        switch (frame.event) {
          case 'bye': return;
          case 'dropped': {
            const to = (parse(frame.data) as { resume_after?: number }).resume_after;
            if (to) at.after = to;
            return;
          }
          case 'gap':
            yield gapEvent(parse(frame.data));
            continue;
        }
        if (frame.data === '') { // a heartbeat moves the place past what was not asked for
          at.after = Math.max(at.after, Number(frame.id) || 0);
          continue;
        }
        const event = parse(frame.data) as unknown as PostroadEvent;
        event.position ??= Number(frame.id) || 0;
        at.after = Math.max(at.after, event.position);
        yield event;
      }
      throw failure({ kind: 'connection', message: 'the stream broke off', attempts: 1 });
    } catch (cause) {
      if (cause instanceof PostroadError) throw cause;
      throw failure({ kind: signal?.aborted ? 'canceled' : 'connection', message: 'the stream broke off', attempts: 1, cause });
    } finally {
      end();
    }
  }
}

function gapEvent(data: Record<string, unknown>): PostroadEvent {
  return { id: '', type: 'gap', timestamp: '', data };
}

function parse(data: string): Record<string, unknown> {
  try {
    return JSON.parse(data) as Record<string, unknown>;
  } catch (cause) {
    throw failure({ kind: 'server', message: 'the stream holds something that is no event', raw: data, cause });
  }
}

/** One event of a stream (HTML Living Standard, 9.2.6). */
export interface Frame {
  id: string;
  event: string;
  data: string;
}

/** Bounds one frame, in characters; events have less than 8 KB. */
const maxFrame = 1 << 20;

/** Cuts a stream into its events; comments and blank ones are passed over. Silence ends it. */
export async function* frames(body: ReadableStream<Uint8Array>, end: () => void): AsyncGenerator<Frame, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let frame: Frame & { some: boolean } = { id: '', event: '', data: '', some: false };
  try {
    for (;;) {
      const timer = setTimeout(end, silenceMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      if (rest.length + frame.data.length > maxFrame) throw failure({ kind: 'server', message: 'the stream holds an event of more than 1 MB' });
      const lines = rest.split(/\r\n|\n|\r(?!$)/); // a CR at the end may be half of a CRLF
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line !== '') {
          field(frame, line);
          continue;
        }
        if (frame.some) yield { id: frame.id, event: frame.event, data: frame.data.replace(/\n$/, '') };
        frame = { id: '', event: '', data: '', some: false };
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function field(frame: Frame & { some: boolean }, line: string): void {
  const colon = line.indexOf(':');
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
  switch (name) {
    case 'id': frame.id = value; frame.some = true; break;
    case 'event': frame.event = value; frame.some = true; break;
    case 'data': frame.data += value + '\n'; frame.some = true; break;
  }
}
