import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backoff, PostroadError, type Attempt, type ErrorKind } from '@postroad/client';
import { MemoryServer } from '@postroad/client/testing';
import { TestClock } from './clock.js';

const message = { recipient: 'ada@example.com', subject: 'S', text: 'T' };

async function failed(call: Promise<unknown>): Promise<PostroadError> {
  try {
    await call;
  } catch (e) {
    assert.ok(e instanceof PostroadError, String(e));
    return e;
  }
  assert.fail('it succeeded');
}

test('backoff is the formula', () => {
  for (const [attempt, low] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
    assert.equal(backoff(attempt, () => 0), low * 1000);
    assert.equal(backoff(attempt, () => 0.999), Math.min(low * 1000 + 999, 60_000));
  }
});

const judged: [number, string, Record<string, string>, boolean, ErrorKind][] = [
  [400, 'invalid_json', {}, false, 'validation'],
  [401, 'invalid_api_key', {}, false, 'authentication'],
  [403, 'insufficient_scope', {}, false, 'permission'],
  [404, 'not_found', {}, false, 'not_found'],
  [408, 'request_timeout', {}, true, 'timeout'],
  [409, 'state_conflict', {}, false, 'conflict'],
  [409, 'idempotency_in_progress', {}, true, 'idempotency'],
  [412, 'precondition_failed', {}, false, 'conflict'],
  [413, 'payload_too_large', {}, false, 'validation'],
  [422, 'validation_failed', {}, false, 'validation'],
  [422, 'idempotency_key_reused', {}, false, 'idempotency'],
  [425, '', {}, true, 'validation'],
  [429, 'rate_limited', {}, true, 'rate_limit'],
  [500, 'internal_error', {}, true, 'server'],
  [501, '', {}, false, 'server'],
  [502, '', {}, true, 'server'],
  [503, 'overloaded', {}, true, 'server'],
  [504, '', {}, true, 'server'],
  [302, '', { location: 'https://elsewhere.test/' }, false, 'server'],
  [418, 'a_code_of_tomorrow', {}, false, 'validation'],
  [500, 'internal_error', { 'x-should-retry': 'false' }, false, 'server'],
  [409, 'state_conflict', { 'x-should-retry': 'true' }, true, 'conflict'],
];

for (const [status, code, headers, again, kind] of judged) {
  test(`${status} ${code} ${JSON.stringify(headers)} is ${again ? '' : 'not '}tried again`, async () => {
    const server = new MemoryServer().answer('POST', '/v1/messages', status, { code, detail: 'No.' }, headers);
    const clock = new TestClock();
    const call = server.client({ clock }).messages.send(message);
    if (again) {
      await call;
      assert.equal(server.requests.length, 2);
    } else {
      await failed(call);
      assert.equal(server.requests.length, 1);
      assert.deepEqual(clock.slept, []);
    }
    server.answer('POST', '/v1/messages', status, { code, detail: 'No.' }, headers);
    const e = await failed(server.client({ clock, maxAttempts: 1 }).messages.send(message));
    assert.deepEqual([e.kind, e.status, e.code, e.attempts], [kind, status, code, 1]);
    assert.notEqual(e.requestId, '');
    assert.notEqual(e.name, 'PostroadError');
  });
}

const date = (ms: number): string => new Date(Date.parse('2026-04-19T14:30:00Z') + ms).toUTCString();
const waits: [string, number, Record<string, string>, number | undefined][] = [
  ['by the formula', 500, {}, 1500],
  ['as Retry-After says', 503, { 'retry-after': '7' }, 7000],
  ['not at all', 503, { 'retry-after': '0' }, 0],
  ['60 s', 429, { 'retry-after': '60' }, 60_000],
  ['never, above 60 s', 429, { 'retry-after': '61' }, undefined],
  ['until the limit resets', 429, { 'x-ratelimit-reset': '37' }, 37_000],
  ['by Retry-After before the reset', 429, { 'retry-after': '3', 'x-ratelimit-reset': '37' }, 3000],
  ['by the formula although a limit resets', 500, { 'x-ratelimit-reset': '37' }, 1500],
  ['by the formula when Retry-After is nonsense', 503, { 'retry-after': 'soon' }, 1500],
  ['until a date', 503, { 'retry-after': date(20_000) }, 20_000],
  ['until an epoch', 429, { 'x-ratelimit-reset': String(Date.parse('2026-04-19T14:30:20Z') / 1000) }, 20_000],
  ['not for an epoch that has passed', 429, { 'x-ratelimit-reset': '1000000001' }, 0],
];

for (const [name, status, headers, wait] of waits) {
  test(`a call waits ${name}`, async () => {
    const server = new MemoryServer();
    server.answer('GET', '', status, { code: 'x' }, { 'x-ratelimit-reset': status === 429 ? '' : '60', ...headers }).answer('GET', '', 200, { version: '1' });
    const clock = new TestClock();
    const call = server.client({ clock }).health.version();
    if (wait === undefined) {
      assert.equal((await failed(call)).retryAfter, 61);
      assert.deepEqual(clock.slept, []);
    } else {
      assert.equal((await call).version, '1');
      assert.deepEqual(clock.slept, [wait]);
    }
  });
}

test('five attempts in all, each with the same key and its number', async () => {
  const server = new MemoryServer();
  for (let i = 0; i < 9; i++) server.fail('POST', '');
  const clock = new TestClock();
  const told: Attempt[] = [];
  const e = await failed(server.client({ clock, onAttempt: (a) => told.push(a) }).messages.send(message));
  assert.deepEqual([e.kind, e.attempts, e.message], ['connection', 5, 'the server cannot be reached: connection reset by peer']);
  assert.deepEqual(clock.slept, [1500, 2500, 4500, 8500]);
  assert.equal(server.requests.length, 5);
  assert.match(server.requests[0]!.headers.get('idempotency-key') ?? '', /^auto-/);
  for (const [i, r] of server.requests.entries()) {
    assert.equal(r.headers.get('idempotency-key'), server.requests[0]!.headers.get('idempotency-key'));
    assert.equal(r.headers.get('x-retry-attempt'), i === 0 ? null : String(i));
    assert.deepEqual([told[i]!.number, told[i]!.retry, told[i]!.waitMs > 0, told[i]!.path], [i + 1, i < 4, i < 4, '/v1/messages']);
  }
});

test('a deadline is never slept past, a signal ends a wait', async () => {
  const server = new MemoryServer().answer('GET', '', 503, { code: 'overloaded' }, { 'retry-after': '30' });
  const clock = new TestClock();
  const e = await failed(server.client({ clock }).me({ deadlineMs: 20_000 }));
  assert.deepEqual([e.code, e.retryAfter, clock.slept], ['overloaded', 30, []]);

  server.answer('GET', '', 503, {}, { 'retry-after': '60' });
  const control = new AbortController();
  const began = Date.now();
  setTimeout(() => control.abort(), 50);
  await failed(server.client().me({ signal: control.signal }));
  assert.ok(Date.now() - began < 50_000);
  assert.equal(server.requests.length, 2);
  assert.equal((await failed(server.client().me({ signal: control.signal }))).kind, 'canceled');
  assert.equal(server.requests.length, 2);
});

test('an attempt that takes too long is a time-out, and tried again', async () => {
  let tries = 0;
  const fetch = (_: string, init: RequestInit): Promise<Response> => new Promise((_, reject) => {
    tries++;
    init.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
  });
  const e = await failed(new MemoryServer().client({ fetch, timeoutMs: 30, maxAttempts: 2, clock: new TestClock() }).me());
  assert.deepEqual([e.kind, tries], ['timeout', 2]);
});

test('an answer that is lost on its way does not send twice', async () => {
  const server = new MemoryServer();
  let lose = 1;
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const response = await server.fetch(url, init);
    if (lose-- <= 0) return response;
    return new Response(new ReadableStream({ start: (c) => { c.enqueue(new TextEncoder().encode('{"mess')); c.error(new Error('cut')); } }), { status: 202 });
  };
  const sent = await server.client({ fetch, clock: new TestClock() }).messages.send(message);
  assert.equal(server.sent.length, 1);
  assert.equal(server.requests.length, 2);
  assert.equal(sent.message_id, server.sent[0]!.message_id);
});

test('one key only goes with a request', async () => {
  const server = new MemoryServer();
  const c = server.client();
  await c.messages.send({ ...message, idempotency_key: 'mine' });
  await c.messages.send({ ...message, idempotency_key: 'mine' }, { idempotencyKey: 'stronger' });
  await c.messages.send({ ...message, headers: { 'x-Idempotency-key': 'there' } });
  server.answer('POST', '/v1/messages/raw', 202, {}).answer('POST', '/v1/messages/raw', 202, {});
  await c.messages.sendRaw({ content: 'Subject: x\r\nIDEMPOTENCY-key: there\r\n\r\n' });
  await c.messages.sendRaw({ content: 'Subject: x\r\n\r\nIdempotency-Key: not here' });
  const keys = server.requests.map((r) => r.headers.get('idempotency-key')?.replace(/^auto-.+/, 'auto') ?? null);
  assert.deepEqual(keys, ['mine', 'stronger', null, null, 'auto']);
  assert.ok(!server.requests[0]!.body.includes('idempotency_key'));
});
