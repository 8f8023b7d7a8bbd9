import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';

import { maxBody, NotFoundError, Postroad, PostroadError, responseOf, ValidationError, type Job } from '@postroad/client';
import { MemoryServer, testKey } from '@postroad/client/testing';
import { TestClock } from './clock.js';

const message = { recipient: 'ada@example.com', subject: 'S', text: 'T' };

test('the key is never printed whole', () => {
  const key = 'sk_live_k7f2q9xm_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGAbCdEf';
  const c = new Postroad({ apiKey: key, baseUrl: 'https://mail.example.com/v1/' });
  for (const text of [inspect(c, { depth: 9, showHidden: true }), String(c), JSON.stringify(c), inspect(c.messages, { depth: 9, showHidden: true }), inspect(c.health, { depth: 9, showHidden: true })]) {
    assert.ok(!text.includes(key.slice(20)), text);
  }
  assert.equal(String(c), 'Postroad { https://mail.example.com, sk_live_k7f2q9xm_… }');
  assert.equal(String(new Postroad({ apiKey: 'made-by-hand', baseUrl: 'http://mail.internal' })), 'Postroad { http://mail.internal, … }');
});

test('configuration comes from the environment, and what is no server is refused', () => {
  const before = { ...process.env };
  try {
    process.env.POSTROAD_API_KEY = testKey;
    process.env.POSTROAD_BASE_URL = 'http://mail.internal:8080';
    assert.equal(String(new Postroad()), 'Postroad { http://mail.internal:8080, sk_test_memory01_… }');
  } finally {
    process.env = before;
  }
  for (const baseUrl of ['mail.example.com', 'ftp://mail.example.com', 'https://u:geheim@mail.example.com', 'https://mail.example.com?x=1']) {
    assert.throws(() => new Postroad({ baseUrl }), (e: Error) => e instanceof ValidationError && !e.message.includes('geheim'));
  }
  assert.throws(() => new Postroad({ apiKey: 'two\nlines' }), ValidationError);
  assert.throws(() => new Postroad({ maxAttempts: 0 }), ValidationError);
});

test('an error tells all faults and keeps what it does not know', async () => {
  const server = new MemoryServer().answer('POST', '/v1/messages', 422, {
    code: 'validation_failed', detail: '2 fields are invalid.', request_id: 'req_1', current_state: 'x',
    errors: [{ field: 'recipient', pointer: '#/recipient', code: 'invalid_email', message: 'no domain', suggestion: 'ada@example.com' }, { field: 'text', code: 'of_tomorrow', message: 'M' }],
  });
  await assert.rejects(server.client().messages.send(message), (e: PostroadError) => {
    assert.ok(e instanceof ValidationError);
    assert.deepEqual([e.message, e.requestId, e.errors.length, e.errors[0]!.suggestion, e.body.current_state], ['2 fields are invalid', 'req_1', 2, 'ada@example.com', 'x']);
    return true;
  });
  server.answer('POST', '/v1/messages', 403, '<html>Blocked</html>');
  await assert.rejects(server.client().messages.send(message), { kind: 'permission', raw: '<html>Blocked</html>', code: '' });
  for (const body of ['<html>Sign in</html>', '', '[]']) {
    server.answer('POST', '/v1/messages', 200, body);
    await assert.rejects(server.client().messages.send(message), { kind: 'server', raw: body });
  }
});

test('safe gives results instead of throwing', async () => {
  const server = new MemoryServer();
  const c = server.client();
  const sent = await c.safe.messages.send(message);
  assert.ok(sent.ok && sent.data.status === 'queued');
  const missing = await c.safe.messages.get('msg_none');
  assert.ok(!missing.ok && missing.error instanceof NotFoundError && missing.error.code === 'message_not_found');
  const bad = await c.safe.messages.get('');
  assert.ok(!bad.ok && bad.error.kind === 'validation');
  const page = await c.safe.messages.list().page();
  assert.equal(page.data.length, 1);
  assert.equal(server.requests.length, 3);
});

test('a list is read as far as it is used', async () => {
  const server = new MemoryServer();
  const page = (first: string, next: string | null): object => ({ object: 'list', has_more: next !== null, next_cursor: next, data: [{ message_id: first + '1', status: 'of_tomorrow', new: 1 }, { message_id: first + '2' }] });
  const list = server.client().messages.list({ status: ['bounced', 'deferred'], metadata: { order: '4 2' }, created_after: new Date(0), limit: 2 });
  server.answer('GET', '/v1/messages', 200, page('a', 'c_1'));
  for await (const m of list) {
    assert.deepEqual([m.message_id, m.status, (m as unknown as { new: number }).new], ['a1', 'of_tomorrow', 1]);
    break;
  }
  assert.equal(server.requests.length, 1);
  server.answer('GET', '/v1/messages', 200, page('a', 'c_1')).answer('GET', '/v1/messages', 200, page('b', null));
  const ids: string[] = [];
  for await (const m of list) ids.push(m.message_id);
  assert.deepEqual(ids, ['a1', 'a2', 'b1', 'b2']);
  const asked = new URLSearchParams(server.requests[2]!.path.split('?')[1]);
  assert.deepEqual(Object.fromEntries(asked), { status: 'bounced,deferred', 'metadata[order]': '4 2', created_after: '1970-01-01T00:00:00.000Z', limit: '2', cursor: 'c_1' });
  server.answer('GET', '/v1/messages', 200, page('a', 'c_1'));
  assert.equal((await list.take(1)).length, 1);
  server.answer('GET', '/v1/messages', 200, page('z', null));
  assert.equal((await list.page('c_9')).has_more, false);
});

test('files above 5 MB go beside the message', async () => {
  const server = new MemoryServer();
  const bodies: (Blob | string)[] = [];
  const c = server.client({ fetch: (url, init) => { bodies.push(init.body as Blob | string); return server.fetch(url, init); } });
  await c.messages.send({ ...message, attachments: [{ filename: 'a.bin', content: new Uint8Array([1, 2, 255]) }, { filename: 'b.txt', content: 'aGk=' }] });
  assert.deepEqual(server.sent[0]!.message.attachments?.map((a) => a.content), ['AQL/', 'aGk=']);
  server.answer('POST', '/v1/messages', 202, { message_id: 'msg_1' });
  const big = { ...message, attachments: [{ filename: 'dir/größe"(1).bin', content_type: 'application/x-a', content: new Uint8Array(5 << 20).fill(7), content_id: 'logo' }, { filename: 'b "1".txt', content: 'aGk=' }] };
  await c.messages.send(big);
  const boundary = /boundary=(.+)$/.exec(server.requests[1]!.headers.get('content-type') ?? '')?.[1] ?? 'none';
  assert.ok((bodies[1] as Blob).size < (5 << 20) + 2000);
  const text = await (bodies[1] as Blob).text();
  assert.ok(text.endsWith(`--${boundary}--\r\n`));
  const parts = text.split(`--${boundary}`).slice(1, -1).map((p) => p.split('\r\n\r\n'));
  assert.deepEqual(parts.map(([head]) => /disposition: (.+)/i.exec(head!)?.[1]), [
    'form-data; name="message"', "form-data; name=\"attachments\"; filename*=utf-8''gr%C3%B6%C3%9Fe%22%281%29.bin", 'form-data; name="attachments"; filename="b \\"1\\".txt"',
  ]);
  const json = JSON.parse(parts[0]![1]!) as { attachments: object[] };
  assert.deepEqual(json.attachments, [{ filename: 'größe"(1).bin', content_type: 'application/x-a', content_id: 'logo' }, { filename: 'b "1".txt' }]);
  assert.deepEqual(parts.slice(1).map(([, content]) => content!.length), [(5 << 20) + 2, 4]);
  assert.match(parts[1]![0]!, /content-type: application\/x-a/i);
  assert.equal(big.attachments[0]!.filename, 'dir/größe"(1).bin');
});

test('what is too large is not sent', async () => {
  const server = new MemoryServer();
  const c = server.client();
  const content = new Uint8Array(maxBody + 1);
  const huge = { ...message, attachments: [{ filename: 'a', content }] };
  for (const call of [() => c.messages.send(huge), () => c.messages.sendRaw({ content }), () => c.messages.sendBatch({ messages: [huge] })]) {
    await assert.rejects(call, { kind: 'validation', code: 'payload_too_large' });
  }
  assert.equal(server.requests.length, 0);
});

test('an id that names something else is refused, others are escaped', async () => {
  const server = new MemoryServer();
  const c = server.client();
  for (const id of ['', '.', '..', undefined as unknown as string]) {
    await assert.rejects(c.messages.get(id), { kind: 'validation' });
    await assert.rejects(c.domains.delete(id), { kind: 'validation' });
  }
  await c.safe.messages.get('<a/b?c@x.test>');
  assert.deepEqual(server.requests.map((r) => r.path), ['/v1/messages/%3Ca%2Fb%3Fc%40x.test%3E']);
});

test('an answer tells its ETag, and whether it is a replay', async () => {
  const server = new MemoryServer().answer('GET', '/v1/project', 200, { name: 'P', new: 1 }, { etag: '"3"' }).answer('PATCH', '/v1/project', 200, { name: 'P' });
  const c = server.client();
  const project = await c.project.get();
  await c.project.update({ default_from: null }, { ifMatch: responseOf(project)?.etag, headers: { traceparent: 't' } });
  const r = server.requests[1]!;
  assert.deepEqual([r.headers.get('if-match'), r.headers.get('traceparent'), r.headers.get('idempotency-key'), r.body], ['"3"', 't', null, '{"default_from":null}']);
  await c.messages.send(message, { idempotencyKey: 'k' });
  assert.equal(responseOf(await c.messages.send(message, { idempotencyKey: 'k' }))?.replayed, true);
  assert.equal(server.sent.length, 1);
});

test('a wait ends with the job, with its deadline, or with its signal', async () => {
  const job = (status: string, finished_at: string | null): Partial<Job> => ({ job_id: 'job_1', status, finished_at });
  const server = new MemoryServer();
  const clock = new TestClock();
  const c = server.client({ clock });
  server.answer('GET', '', 200, job('running', null)).answer('GET', '', 200, job('running', null)).answer('GET', '', 200, job('done', '2026-04-19T14:30:00Z'));
  assert.equal((await c.jobs.wait('job_1')).status, 'done');
  assert.deepEqual(clock.slept, [100, 150]);
  for (let i = 0; i < 20; i++) server.answer('GET', '', 200, job('running', null));
  await assert.rejects(c.jobs.wait('job_1', { deadlineMs: 1000 }), { kind: 'timeout' });
});
