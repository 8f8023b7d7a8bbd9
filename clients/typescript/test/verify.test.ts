import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { isMessageEvent, Postroad, SignatureError, verifyAt, verifyNodeRequest, verifyRequest, verifyWebhook, webhookHandler, type NodeRequest } from '@postroad/client';

// The vector of the standard's own tests.
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const other = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const stamp = '1614265330';
const body = '{"test": 2432232314}';
const signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
const at = Number(stamp) * 1000;

const headers = (over: Record<string, string> = {}): Record<string, string> => ({ 'webhook-id': id, 'webhook-timestamp': stamp, 'webhook-signature': signature, ...over });

function sign(text: string, when = Date.now()): Record<string, string> {
  const seconds = String(Math.floor(when / 1000));
  const mac = createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(`evt_1.${seconds}.${text}`).digest('base64');
  return { 'webhook-id': 'evt_1', 'webhook-timestamp': seconds, 'webhook-signature': `v1,${mac}` };
}

const good: [string, string, Record<string, string>, number, string[]][] = [
  ['as it is', body, headers(), at, [secret]],
  ['without the prefix', body, headers(), at, [secret.slice(6)]],
  ['two secrets', body, headers(), at, [other, secret]],
  ['two signatures', body, headers({ 'webhook-signature': `v1,${'A'.repeat(43)}= ${signature}` }), at, [secret]],
  ['5 minutes late', body, headers(), at + 300_000, [secret]],
  ['5 minutes early', body, headers(), at - 300_000, [secret]],
];

for (const [name, text, h, now, secrets] of good) {
  test(`the standard's vector is genuine: ${name}`, async () => {
    assert.deepEqual(await verifyAt(new TextEncoder().encode(text), h, { secrets, now }), { test: 2432232314 });
  });
}

const bad: [string, string, string, Record<string, string>, number, string[]][] = [
  ['too old', 'timestamp_out_of_range', body, headers(), at + 301_000, [secret]],
  ['of the future', 'timestamp_out_of_range', body, headers(), at - 301_000, [secret]],
  ['written again', 'no_matching_signature', JSON.stringify(JSON.parse(body)), headers(), at, [secret]],
  ['one byte more', 'no_matching_signature', body + '\n', headers(), at, [secret]],
  ['another secret', 'no_matching_signature', body, headers(), at, [other]],
  ['another id', 'no_matching_signature', body, headers({ 'webhook-id': 'msg_x' }), at, [secret]],
  ['another time', 'no_matching_signature', body, headers({ 'webhook-timestamp': '1614265331' }), at, [secret]],
  ['another version', 'no_matching_signature', body, headers({ 'webhook-signature': 'v2' + signature.slice(2) }), at, [secret]],
  ['cut short', 'no_matching_signature', body, headers({ 'webhook-signature': signature.slice(0, 20) }), at, [secret]],
  ['no signature', 'no_matching_signature', body, headers({ 'webhook-signature': '' }), at, [secret]],
  ['no id', 'missing_header', body, headers({ 'webhook-id': '' }), at, [secret]],
  ['no number', 'missing_header', body, headers({ 'webhook-timestamp': 'today' }), at, [secret]],
  ['no secret', 'no_secret', body, headers(), at, []],
  ['an empty secret', 'bad_secret', body, headers(), at, ['whsec_']],
  ['no base64', 'bad_secret', body, headers(), at, [secret, 'whsec_***']],
];

for (const [name, code, text, h, now, secrets] of bad) {
  test(`not genuine: ${name}`, async () => {
    await assert.rejects(verifyAt(text, h, { secrets, now }), (e: Error) => e instanceof SignatureError && e.code === code);
  });
}

test('headers of any make, and a body that was parsed', async () => {
  const text = JSON.stringify({ id: 'evt_1', type: 'message.bounced', data: { message_id: 'msg_1', bounce: { type: 'hard' } } });
  const h = sign(text);
  const c = new Postroad({ apiKey: 'k' });
  for (const made of [h, new Headers(h), Object.fromEntries(Object.entries(h).map(([k, v]) => [k.toUpperCase(), [v]]))]) {
    const event = await c.webhooks.verify(Buffer.from(text), made, secret);
    assert.ok(isMessageEvent(event) && event.data.bounce?.type === 'hard');
  }
  await assert.rejects(verifyWebhook(JSON.parse(text) as string, h, secret), (e: Error) => e instanceof SignatureError && e.code === 'parsed_body');
  const result = await c.safe.webhooks.verify(text + ' ', h, secret);
  assert.ok(!result.ok && result.error.kind === 'signature');
});

test('a Fetch request (Hono, Next.js route handlers)', async () => {
  const text = '{"id":"evt_1","type":"domain.verified","data":{}}';
  const request = (): Request => new Request('https://app.test/hooks', { method: 'POST', body: text, headers: sign(text) });
  assert.equal((await verifyRequest(request(), other, secret)).type, 'domain.verified');
  const used = request();
  await used.json();
  await assert.rejects(verifyRequest(used, secret), (e: Error) => (e as SignatureError).code === 'parsed_body');
});

test('of a body that is too large no more is read than may be', async () => {
  const bounds = { 'a megabyte in one part': 1 << 20, 'many small parts': 16 };
  for (const [what, size] of Object.entries(bounds)) {
    let given = 0;
    const endless = new ReadableStream<Uint8Array>({ pull(c) { given += size; c.enqueue(new Uint8Array(size)); } });
    const began = process.cpuUsage(); // a machine that stalls spends none
    const request = new Request('https://app.test/hooks', { method: 'POST', body: endless, headers: sign('{}'), duplex: 'half' } as RequestInit);
    await assert.rejects(verifyRequest(request, secret), (e: Error) => (e as SignatureError).code === 'payload_too_large', what);
    assert.ok(given <= 4 << 20, `${what}: ${given} bytes were read`);
    const node: NodeRequest = { headers: sign('{}'), async *[Symbol.asyncIterator]() { for (;;) yield new Uint8Array(size); } };
    await assert.rejects(verifyNodeRequest(node, secret), (e: Error) => (e as SignatureError).code === 'payload_too_large', what);
    const spent = process.cpuUsage(began);
    assert.ok(spent.user + spent.system < 5e6, `${what} took ${(spent.user + spent.system) / 1000} ms`);
  }
  const text = JSON.stringify({ id: 'evt_1', type: 'x', data: { long: 'é'.repeat(100_000) } });
  const bytes = Buffer.from(text);
  const slow: NodeRequest = { headers: sign(text), async *[Symbol.asyncIterator]() { for (let i = 0; i < bytes.length; i += 7) yield bytes.subarray(i, i + 7); } };
  assert.equal((await verifyNodeRequest(slow, secret)).id, 'evt_1');
});

test('a node:http server, as Express has it', async () => {
  const seen: string[] = [];
  let fail = false;
  const handle = webhookHandler([secret], (event) => { if (fail) throw new Error('no'); seen.push(event.id); });
  const server = createServer((q: IncomingMessage, r: ServerResponse) => { void handle(q, r); });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const text = '{"id":"evt_1","type":"message.delivered","data":{}}';
    const post = async (b: string, h = sign(text)): Promise<number> => (await fetch(url, { method: 'POST', body: b, headers: h })).status;
    assert.equal(await post(text), 204);
    assert.deepEqual(seen, ['evt_1']);
    assert.equal(await post(text + ' '), 401);
    assert.equal(await post(text, sign(text, Date.now() - 301_000)), 401);
    assert.equal(await post('x'.repeat((1 << 20) + 1)), 413);
    fail = true;
    assert.equal(await post(text), 500);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  const raw = '{"id":"evt_2","type":"x","data":{}}';
  const express = (b: unknown): NodeRequest => ({ headers: sign(raw), body: b, async *[Symbol.asyncIterator]() { /* read already */ } });
  assert.equal((await verifyNodeRequest(express(Buffer.from(raw)), secret)).id, 'evt_2');
  await assert.rejects(verifyNodeRequest(express(JSON.parse(raw)), secret), /express\.raw/);
});
