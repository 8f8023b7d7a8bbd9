// Runs against a real server: POSTROAD_BASE_URL and POSTROAD_API_KEY (a test key) name it.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { ConflictError, IdempotencyError, isFinal, isMessageEvent, NotFoundError, Postroad, responseOf, ValidationError, webhookHandler, type MessageRecord, type PostroadEvent } from '@postroad/client';

const skip = process.env.POSTROAD_BASE_URL ? false : 'POSTROAD_BASE_URL names no server';
const c = new Postroad();

async function ended(id: string): Promise<MessageRecord> {
  for (let i = 0; i < 2400; i++) { // a minute
    const m = await c.messages.get(id);
    if (isFinal(m.status)) return m;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail('the message does not end');
}

test('messages', { skip }, async () => {
  const message = { recipient: { email: 'ada@ts-messages.test', name: 'Ada' }, subject: 'S', html: '<p>H</p>', tags: ['ts'], metadata: { order_id: '42' } };
  const sent = await c.messages.send(message, { idempotencyKey: 'ts/1' });
  assert.deepEqual([sent.status, sent.recipient, sent.environment], ['queued', 'ada@ts-messages.test', 'test']);
  const again = await c.messages.send({ ...message, idempotency_key: 'ts/1' });
  assert.equal(again.message_id, sent.message_id);
  assert.equal(responseOf(again)?.replayed, true);
  await assert.rejects(c.messages.send({ ...message, subject: 'other' }, { idempotencyKey: 'ts/1' }), IdempotencyError);
  const m = await ended(sent.message_id);
  assert.deepEqual([m.status, m.metadata.order_id, m.recipients[0]?.last_reply?.code], ['delivered', '42', 250]);
  assert.equal((await c.messages.get(m.rfc_message_id)).message_id, sent.message_id);
  assert.deepEqual((await c.messages.events(sent.message_id)).map((e) => e.type), ['message.queued', 'message.accepted', 'message.delivered']);
  assert.equal((await c.messages.attempts(sent.message_id))[0]?.outcome, 'delivered');
  assert.equal((await c.messages.content(sent.message_id)).subject, 'S');
  assert.match(await (await c.messages.preview(sent.message_id)).text(), /<title>S<\/title>/);
  const raw = await c.messages.raw(sent.message_id);
  assert.match(await raw.text(), /Subject: S\r\n/);
  const listed: string[] = [];
  for await (const row of c.messages.list({ recipient: 'ada@ts-messages.test', metadata: { order_id: '42' }, status: ['delivered'], created_after: '-1h', include: ['recipients'], limit: 1 })) {
    listed.push(row.message_id);
    assert.equal(row.recipients?.length, 1);
  }
  assert.deepEqual(listed, [sent.message_id]);
  assert.equal((await c.messages.dryRun({ recipient: 'a@ts-messages.test', subject: 'Dry', text: 'x' })).preview.subject, 'Dry');
  const written = await c.messages.sendRaw({ from: 'onboarding@sandbox.test', recipients: ['a@ts-messages.test', 'b@ts-messages.test'], content: 'From: onboarding@sandbox.test\r\nTo: a@ts-messages.test\r\nSubject: Raw\r\n\r\nHello\r\n' });
  assert.equal(written.recipients.length, 2);
  await assert.rejects(c.messages.send({ recipient: 'ada@', headers: { Bcc: 'x' } }), (e: ValidationError) => e instanceof ValidationError && e.errors.length >= 2 && e.attempts === 1);
  await assert.rejects(c.messages.get('msg_01kpk2byj0emq8k9w39qsaekf4'), NotFoundError);
});

test('files within the message and beside it', { skip }, async () => {
  for (const content of [new Uint8Array([1, 2, 3]), new Uint8Array(6 << 20).map((_, i) => i)]) {
    const sent = await c.messages.send({
      recipient: 'a@ts-files.test', subject: 'S', text: 'T',
      attachments: [{ filename: 'größe "(1)".bin', content_type: 'application/x-test', content }, { filename: 'b "2".txt', content: 'aGk=' }, { filename: 'empty.txt', content: '' }],
    });
    const file = await c.messages.attachment(sent.message_id, 0);
    assert.equal(file.filename, 'größe "(1)".bin');
    assert.deepEqual(await file.bytes(), content);
    assert.equal(await (await c.messages.attachment(sent.message_id, 1)).text(), 'hi');
    assert.equal((await c.messages.get(sent.message_id)).attachments.length, 3);
  }
});

test('scheduled messages', { skip }, async () => {
  const later = (): Promise<{ message_id: string; status: string }> => c.messages.send({ recipient: 'a@ts-later.test', subject: 'S', text: 'T', scheduled_time: new Date(Date.now() + 86_400_000) });
  const [a, b, d] = [await later(), await later(), await later()];
  assert.equal(a.status, 'scheduled');
  const to = new Date(Date.now() + 2 * 86_400_000);
  assert.equal((await c.messages.reschedule(a.message_id, to)).scheduled_time, to.toISOString());
  assert.deepEqual((await c.messages.update(a.message_id, { tags: ['x'] })).tags, ['x']);
  assert.equal((await c.messages.cancel(a.message_id, 'why')).status, 'cancelled');
  await assert.rejects(c.messages.cancel(a.message_id), (e: ConflictError) => e instanceof ConflictError && e.body.current_state === 'cancelled');
  assert.equal((await c.messages.delete(b.message_id)).status, 'cancelled');
  await c.messages.sendNow(d.message_id);
  await ended(d.message_id);
  assert.equal((await c.messages.resend(d.message_id, { to: 'b@ts-later.test' })).resent_from, d.message_id);
});

test('a batch', { skip }, async () => {
  const out = await c.messages.sendBatch({ defaults: { subject: 'S', text: 'T' }, messages: [{ recipient: 'a@ts-batch.test', attachments: [{ filename: 'a', content: new Uint8Array([1]) }] }, { recipient: 'bad@' }] });
  assert.deepEqual([out.summary.queued, out.summary.rejected, out.data[1]?.error?.code], [1, 1, 'validation_failed']);
});

test('templates', { skip }, async () => {
  const made = await c.templates.create({ alias: 'ts-welcome', name: 'W', subject: 'Hello {{name}}', html: '<p>{{name}}</p>', variables: [{ name: 'name', type: 'string' }] });
  const etag = responseOf(made)?.etag;
  assert.equal((await c.templates.publish('ts-welcome', 1)).published_version, 1);
  const sent = await c.messages.send({ recipient: 'a@ts-templates.test', template: 'ts-welcome', template_data: { name: 'Ada' } });
  assert.equal((await ended(sent.message_id)).subject, 'Hello Ada');
  assert.equal((await c.templates.createVersion('ts-welcome', { based_on: 1, subject: 'Hi {{name}}' })).version, 2);
  assert.match((await c.templates.diff('ts-welcome', 2)).parts[0]?.diff ?? '', /\+Hi/);
  assert.equal((await c.templates.version('ts-welcome', 'draft')).subject, 'Hi {{name}}');
  assert.equal((await c.templates.preview('ts-welcome', { version: 'draft', template_data: { name: 'A' } })).subject, 'Hi A');
  assert.equal((await c.templates.previewUnsaved({ subject: '{{a}}', text: 'x', template_data: { a: 'b' } })).subject, 'b');
  assert.equal((await c.templates.validate('ts-welcome')).valid, true);
  assert.ok((await c.templates.testSend('ts-welcome', { recipient: 't@ts-templates.test', template_data: { name: 'T' } })).message_id);
  await c.templates.publish('ts-welcome', 2, { note: 'n' });
  assert.equal((await c.templates.rollback('ts-welcome', 1)).published_version, 3);
  assert.equal((await c.templates.versions('ts-welcome', { limit: 2 }).take(9)).length, 3);
  await assert.rejects(c.templates.update(made.template_id, { name: 'N' }, { ifMatch: etag }), ConflictError);
  assert.equal((await c.templates.update(made.template_id, { name: 'N' })).name, 'N');
  assert.equal((await c.templates.get('ts-welcome')).published?.subject, 'Hello {{name}}');
  assert.equal((await c.templates.list({ q: 'ts-welc', published: true }).take(9)).length, 1);
  await c.templates.delete('ts-welcome');
});

test('domains', { skip }, async () => {
  const made = await c.domains.create({ name: 'ts-clients.test', dkim: { selector: 's1', algorithm: 'ed25519' } });
  assert.ok(made.records && made.records.length > 0);
  await assert.rejects(c.domains.create({ name: 'ts-clients.test' }), ConflictError);
  assert.equal((await c.domains.verify('ts-clients.test')).status, 'pending');
  assert.ok((await c.domains.dns('ts-clients.test')).some((r) => r.purpose === 'DKIM' && r.state === 'missing'));
  assert.match(await (await c.domains.exportDns('ts-clients.test', 'bind')).text(), /s1\._domainkey/);
  assert.equal((await c.domains.health('ts-clients.test')).name, 'ts-clients.test');
  const key = await c.domains.rotateDkim('ts-clients.test', { algorithm: 'rsa2048', overlap_hours: 48 });
  await assert.rejects(c.domains.activateDkim('ts-clients.test', key.selector), ConflictError);
  await c.domains.deleteDkim('ts-clients.test', key.selector);
  assert.equal((await c.domains.update('ts-clients.test', { tls: 'required' })).tls, 'required');
  assert.equal((await c.domains.get(made.domain_id)).name, 'ts-clients.test');
  assert.ok((await c.domains.list().take(200)).some((d) => d.domain_id === made.domain_id));
  await c.domains.delete('ts-clients.test', { force: true });
  await assert.rejects(c.domains.get('ts-clients.test'), NotFoundError);
});

test('suppressions, unsubscribes and imports', { skip }, async () => {
  const made = await c.suppressions.add({ recipient: 'gone@ts-sup.test', reason: 'hard_bounce' });
  assert.equal(made.created, true);
  const sent = await c.messages.send({ recipient: 'gone@ts-sup.test', subject: 'S', text: 'T' });
  assert.deepEqual([sent.status, sent.suppression?.suppression_id], ['suppressed', made.suppression_id]);
  assert.equal((await c.suppressions.get('gone@ts-sup.test')).blocked_count, 1);
  assert.deepEqual((await c.suppressions.check(['gone@ts-sup.test', 'here@ts-sup.test'])).map((x) => x.suppressed), [true, false]);
  const out = await c.suppressions.batch({ add: ['a@ts-sup.test', { recipient: 'bad@' }], remove: ['gone@ts-sup.test'] });
  assert.deepEqual([out.summary.created, out.summary.removed, out.summary.failed], [1, 1, 1]);
  assert.equal((await c.suppressions.list({ recipient: 'a@ts-sup.test' }).take(9)).length, 1);
  assert.match(await (await c.suppressions.export('csv', { recipient: 'a@ts-sup.test' })).text(), /^recipient,[^\n]*\na@ts-sup\.test,/);
  await c.suppressions.add({ recipient: 'angry@ts-sup.test', reason: 'complaint' });
  await assert.rejects(c.suppressions.remove('angry@ts-sup.test'), ConflictError);
  assert.equal((await c.suppressions.remove('angry@ts-sup.test', { reason: 'complaint' }, { force: true })).kind, 'complaint');
  await c.unsubscribes.add({ recipient: 'ada@ts-sup.test', topic: 'news' });
  assert.equal((await c.unsubscribes.list({ recipient: 'ada@ts-sup.test' }).take(9)).length, 1);
  assert.equal((await c.unsubscribes.remove('ada@ts-sup.test', 'news')).topic, 'news');
  const job = await c.suppressions.import({ csv: 'recipient,reason\nx@ts-imp.test,manual\nbad@,manual\n' });
  const done = await c.jobs.wait(job.job_id, { deadlineMs: 60_000 });
  assert.deepEqual([done.result.created, done.result.invalid, done.errors.length], [1, 1, 1]);
  await assert.rejects(c.jobs.cancel(job.job_id), ConflictError);
});

test('keys, me, project, health', { skip }, async () => {
  const made = await c.apiKeys.create({ name: 'ts', scopes: ['messages.send'], max_recipients: 2, expires_at: new Date(Date.now() + 3_600_000) });
  assert.match(made.secret ?? '', /^sk_test_/);
  const renamed = await c.apiKeys.update(made.key_id, { name: 'renamed', max_recipients: null, expires_at: null });
  assert.deepEqual([renamed.name, renamed.max_recipients, renamed.expires_at], ['renamed', null, null]);
  assert.equal((await c.apiKeys.get(made.key_id)).name, 'renamed');
  assert.ok((await c.apiKeys.list().take(200)).some((k) => k.key_id === made.key_id));
  await c.apiKeys.revoke(made.key_id);
  assert.equal((await c.me()).environment, 'test');
  const before = await c.project.get();
  assert.equal((await c.project.update({ hosted_link_days: 7 }, { ifMatch: responseOf(before)?.etag })).hosted_link_days, 7);
  assert.equal((await c.project.update({ hosted_link_days: null })).hosted_link_days, 30);
  assert.match((await new Postroad({ apiKey: '' }).health.version()).go, /^go/);
  const e = await c.erasures.create({ recipient: 'forget@ts-erase.test' });
  assert.equal((await c.erasures.wait(e.erasure_id, { deadlineMs: 60_000 })).status, 'done');
});

test('the sandbox', { skip }, async () => {
  const waiting = c.sandbox.waitFor({ recipient: 'otp@ts-box.test', subject: 'code', timeout: 60 });
  const sent = await c.messages.send({ recipient: 'otp@ts-box.test', subject: 'Your code', text: 'It is 482913. https://app.test/x' });
  const mail = await waiting;
  assert.deepEqual([mail.message_id, mail.extracted.codes, mail.content?.subject], [sent.message_id, ['482913'], 'Your code']);
  assert.equal((await c.sandbox.get(sent.message_id)).extracted.links.length, 1);
  assert.equal((await c.sandbox.list({ recipient: 'otp@ts-box.test' }).take(9)).length, 1);
  await assert.rejects(c.sandbox.waitFor({ recipient: 'nobody@ts-box.test', timeout: 1 }), NotFoundError);
});

test('the event log, followed and streamed', { skip }, async () => {
  const now = await c.events.page({ after: 'now', limit: 1 });
  const filter = { after: now.next_after, tag: 'ts-log', types: ['message.*'] };
  for (let i = 0; i < 3; i++) await c.messages.send({ recipient: 'log@ts-log.test', subject: 'S', text: 'T', tags: ['ts-log'] });
  const take = async (from: AsyncIterable<PostroadEvent>, n: number): Promise<PostroadEvent[]> => {
    const out: PostroadEvent[] = [];
    for await (const e of from) if (out.push(e) === n) break;
    return out;
  };
  const followed = await take(c.events.follow(filter), 9);
  const streamed = await take(c.events.stream(filter), 9);
  assert.deepEqual(streamed.map((e) => e.id), followed.map((e) => e.id));
  assert.ok(followed.every((e) => isMessageEvent(e) && e.data.recipient === 'log@ts-log.test'));
  assert.equal((await c.events.get(followed[0]!.id)).id, followed[0]!.id);
  assert.equal((await take(c.events.list({ ...filter, limit: 2 }), 99)).length, 9);
  const control = new AbortController();
  // Until the stream is open, and one is seen.
  const sending = setInterval(() => void c.messages.send({ recipient: 'live@ts-log.test', subject: 'S', text: 'T', tags: ['ts-live'] }), 300);
  for await (const e of c.events.stream({ after: 'now', tag: 'ts-live', types: ['message.delivered'] }, { signal: control.signal })) {
    clearInterval(sending);
    assert.equal(e.type, 'message.delivered');
    control.abort();
  }
});

test('webhooks', { skip }, async () => {
  let secret = '';
  const events: PostroadEvent[] = [];
  const server: Server = createServer((q, r) => void webhookHandler([secret], (e) => { events.push(e); })(q, r));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const come = async (n: number): Promise<void> => {
    for (let i = 0; events.length < n; i++) {
      assert.ok(i < 2400, 'no webhook came');
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  };
  try {
    const hook = await c.webhooks.create({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`, events: ['message.delivered'], filters: { tags: ['ts-hooked'] } });
    secret = hook.secret ?? '';
    const sent = await c.messages.send({ recipient: 'hook@ts-hooks.test', subject: 'S', text: 'T', tags: ['ts-hooked'] });
    await come(1);
    const event = events[0]!;
    assert.ok(isMessageEvent(event) && event.data.message_id === sent.message_id);
    const tested = await c.webhooks.test(hook.webhook_id, 'message.bounced');
    assert.deepEqual([tested.response?.status, events[1]?.type], [204, 'message.bounced']);
    let deliveries = await c.webhooks.deliveries(hook.webhook_id, { status: 'delivered', message_id: sent.message_id }).take(9);
    for (let i = 0; deliveries.length === 0 && i < 100; i++) deliveries = await c.webhooks.deliveries(hook.webhook_id, { status: 'delivered', message_id: sent.message_id }).take(9);
    assert.equal((await c.webhooks.delivery(deliveries[0]!.delivery_id)).attempts?.[0]?.response?.status, 204);
    await c.webhooks.retry(deliveries[0]!.delivery_id);
    await come(3);
    assert.equal(events[2]!.id, event.id);
    assert.equal((await c.webhooks.replayCount(hook.webhook_id, { since: new Date(Date.now() - 3_600_000) })).matched, 1);
    const job = await c.webhooks.replay(hook.webhook_id, { since: new Date(Date.now() - 3_600_000) });
    await come(4);
    await c.jobs.wait(job.job_id, { deadlineMs: 10_000 });
    assert.equal((await c.webhooks.secret(hook.webhook_id)).secret, secret);
    assert.notEqual((await c.webhooks.rotateSecret(hook.webhook_id, { overlap_hours: 1 })).secret, secret);
    await c.webhooks.expireOldSecret(hook.webhook_id);
    assert.ok((await c.webhooks.stats(hook.webhook_id, '24h')).delivered >= 1);
    assert.equal((await c.webhooks.update(hook.webhook_id, { max_per_second: 5 })).max_per_second, 5);
    assert.equal((await c.webhooks.disable(hook.webhook_id)).status, 'disabled');
    assert.equal((await c.webhooks.enable(hook.webhook_id)).status, 'enabled');
    await c.webhooks.delete(hook.webhook_id);
    assert.ok((await c.webhooks.eventTypes()).length > 10);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test('what an operator may do', { skip }, async () => {
  assert.equal((await c.project.usage('day')).period, 'day');
  const key = await c.apiKeys.create({ name: 'ts-rotated', scopes: ['messages.send'] });
  assert.equal((await c.apiKeys.rotate(key.key_id, { overlap_hours: 1 })).old_key_id, key.key_id);
  assert.equal((await c.audit.list({ action: 'api_keys.rotate' }).take(9)).length, 1);
  const p = await c.projects.create({ name: 'ts-second' });
  assert.equal((await c.projects.suspend(p.project_id, 'a test')).suspended, true);
  assert.equal((await c.projects.resume(p.project_id)).suspended, false);
  assert.equal((await c.projects.update(p.project_id, { name: 'renamed' })).name, 'renamed');
  assert.equal((await c.projects.get(p.project_id)).name, 'renamed');
  assert.ok((await c.projects.list().take(200)).length >= 2);
  await assert.rejects(c.projects.delete(p.project_id), ConflictError);
  await c.projects.suspend(p.project_id, 'to be deleted');
  await c.projects.delete(p.project_id);
});

test('clearing the sandbox', { skip }, async () => {
  const sent = await c.messages.send({ recipient: 'clear@ts-clear.test', subject: 'S', text: 'T' });
  await ended(sent.message_id);
  const cleared = await c.sandbox.clear();
  assert.deepEqual([cleared.object, cleared.deleted > 0], ['sandbox_cleared', true]);
  assert.equal((await c.sandbox.list({ recipient: 'clear@ts-clear.test' }).take(9)).length, 0);
  await assert.rejects(c.sandbox.get(sent.message_id), NotFoundError);
});
