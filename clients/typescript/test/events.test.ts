import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { PostroadEvent, PostroadError } from '@postroad/client';
import { MemoryServer } from '@postroad/client/testing';
import { TestClock } from './clock.js';

const event = (position: number): object => ({ id: `evt_${position}`, type: 'message.delivered', position, data: { message_id: 'msg_1' } });
const sse = (...positions: number[]): string => positions.map((p) => `id: ${p}\nevent: message.delivered\ndata: ${JSON.stringify(event(p))}\n\n`).join('');

async function gather(from: AsyncIterable<PostroadEvent>, n: number): Promise<number[]> {
  const out: number[] = [];
  for await (const e of from) {
    out.push(e.type === 'gap' ? -1 : (e.position ?? 0));
    if (out.length === n) break;
  }
  return out;
}

test('follow goes on where it was, over errors too', async () => {
  const server = new MemoryServer();
  const clock = new TestClock();
  const page = (...positions: number[]): object => ({ object: 'list', data: positions.map(event), next_after: positions.at(-1) ?? 9 });
  server.answer('GET', '/v1/events', 200, page(3, 4)).answer('GET', '/v1/events', 503, { code: 'overloaded' }, { 'retry-after': '2' }).fail('GET', '/v1/events')
    .answer('GET', '/v1/events', 200, page()).answer('GET', '/v1/events', 200, page(10));
  const errors: PostroadError[] = [];
  const got = await gather(server.client({ clock }).events.follow({ after: 2, types: ['message.*', 'domain.verified'] }, { onError: (e) => { errors.push(e); } }), 3);
  assert.deepEqual(got, [3, 4, 10]);
  assert.deepEqual(errors.map((e) => e.kind), ['server', 'connection']);
  assert.deepEqual(clock.slept, [2000, 2500]);
  const asked = server.requests.map((r) => new URLSearchParams(r.path.split('?')[1]));
  assert.deepEqual(asked.map((q) => q.get('after')), ['2', '4', '4', '4', '9']);
  assert.deepEqual([asked[0]!.get('wait'), asked[0]!.get('types')], ['25', 'message.*,domain.verified']);
});

test('without onError the first failure ends the loop', async () => {
  const server = new MemoryServer().answer('GET', '/v1/events', 403, { code: 'insufficient_scope' });
  await assert.rejects(gather(server.client().events.follow(), 1), { kind: 'permission' });
});

test('a stream is resumed from the last position, whatever ended it', async () => {
  const server = new MemoryServer();
  const clock = new TestClock();
  const headers = { 'content-type': 'text/event-stream' };
  server
    .answer('GET', '/v1/events/stream', 200, `retry: 2000\n\n: hb\n\n${sse(5)}event: gap\ndata: {"oldest":4}\n\n${sse(6)}event: bye\ndata: {}\n\n`, headers)
    .answer('GET', '/v1/events/stream', 200, sse(7) + 'id: 8\nevent: message.deliv', headers)
    .answer('GET', '/v1/events/stream', 200, sse(8).replaceAll('\n', '\r\n') + 'event: dropped\ndata: {"count":9,"resume_after":8}\n\n', headers)
    .answer('GET', '/v1/events/stream', 200, sse(9).replaceAll('\n', '\r') + ':\r', headers);
  const errors: PostroadError[] = [];
  const got = await gather(server.client({ clock }).events.stream({ after: 4 }, { onError: (e) => { errors.push(e); } }), 6);
  assert.deepEqual(got, [5, -1, 6, 7, 8, 9]);
  assert.deepEqual(errors.map((e) => e.kind), ['connection']);
  assert.deepEqual(server.requests.map((r) => new URLSearchParams(r.path.split('?')[1]).get('after')), ['4', '6', '7', '8']);
});

test('list ends where the log does', async () => {
  const server = new MemoryServer()
    .answer('GET', '/v1/events', 200, { data: [event(1), event(2)], has_more: true, next_after: 2 })
    .answer('GET', '/v1/events', 200, { data: [], has_more: false, next_after: 2 });
  const got: number[] = [];
  for await (const e of server.client().events.list()) got.push(e.position ?? 0);
  assert.deepEqual(got, [1, 2]);
});
