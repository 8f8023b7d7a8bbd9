import { path, type List } from './caller.js';
import type { EventTypeInfo, PostroadEvent, ReplayCount, Webhook, WebhookDelivery, WebhookSecret, WebhookStats, WebhookTest } from './hooks.js';
import type { DeliveryFilter, NewWebhook, Replay, WebhookChange } from './input.js';
import { Resource } from './resources.js';
import type { CallOptions } from './transport.js';
import type { Job } from './types.js';
import { verifyWebhook, type HeadersLike } from './verify.js';

/** The URLs events are posted to, and what was posted. */
export class Webhooks extends Resource {
  /** Its `secret` is what verify takes. */
  async create(n: NewWebhook, options?: CallOptions): Promise<Webhook> {
    return this.c.post('/v1/webhooks', n, options);
  }

  list(options?: CallOptions): List<Webhook> {
    return this.c.list('/v1/webhooks', undefined, options);
  }

  async get(id: string, options?: CallOptions): Promise<Webhook> {
    return this.c.get(path('webhooks', id), undefined, options);
  }

  async update(id: string, change: WebhookChange, options?: CallOptions): Promise<Webhook> {
    return this.c.patch(path('webhooks', id), change, options);
  }

  async delete(id: string, options?: CallOptions): Promise<void> {
    return this.c.gone(path('webhooks', id), options);
  }

  async secret(id: string, options?: CallOptions): Promise<WebhookSecret> {
    return this.c.get(path('webhooks', id, 'secret'), undefined, options);
  }

  /** Both secrets sign for `overlap_hours` (0 to 168; 24). Inside that time another rotation needs `force`. */
  async rotateSecret(id: string, r: { overlap_hours?: number; force?: boolean } = {}, options?: CallOptions): Promise<WebhookSecret> {
    return this.c.post(path('webhooks', id, 'rotate-secret'), r, options);
  }

  /** Ends the overlap now. */
  async expireOldSecret(id: string, options?: CallOptions): Promise<void> {
    await this.c.post(path('webhooks', id, 'expire-old-secret'), {}, options);
  }

  /** Has it called again; `replay_missed` also delivers what it missed. */
  async enable(id: string, how: { replay_missed?: boolean } = {}, options?: CallOptions): Promise<Webhook> {
    return this.c.post(path('webhooks', id, 'enable'), how, options);
  }

  /** What it misses can be replayed. */
  async disable(id: string, options?: CallOptions): Promise<Webhook> {
    return this.c.post(path('webhooks', id, 'disable'), {}, options);
  }

  /** Posts a signed example of a type now. */
  async test(id: string, type?: string, options?: CallOptions): Promise<WebhookTest> {
    return this.c.post(path('webhooks', id, 'test'), { type }, options);
  }

  deliveries(id: string, filter?: DeliveryFilter, options?: CallOptions): List<WebhookDelivery> {
    return this.c.list(path('webhooks', id, 'deliveries'), filter, options);
  }

  /** One with all tries. */
  async delivery(deliveryId: string, options?: CallOptions): Promise<WebhookDelivery> {
    return this.c.get(path('webhook-deliveries', deliveryId), undefined, options);
  }

  /** Posts one again. */
  async retry(deliveryId: string, options?: CallOptions): Promise<WebhookDelivery> {
    return this.c.post(path('webhook-deliveries', deliveryId, 'retry'), {}, options);
  }

  /** Counts what a replay would post. */
  async replayCount(id: string, r: Replay = {}, options?: CallOptions): Promise<ReplayCount> {
    return this.c.post(path('webhooks', id, 'replay'), { ...r, dry_run: true }, options);
  }

  /** Posts it again, with the webhook-id it had. */
  async replay(id: string, r: Replay = {}, options?: CallOptions): Promise<Job> {
    return this.c.post(path('webhooks', id, 'replay'), r, options);
  }

  /** How an endpoint did over a window: `24h`. */
  async stats(id: string, window?: string, options?: CallOptions): Promise<WebhookStats> {
    return this.c.get(path('webhooks', id, 'stats'), { window }, options);
  }

  /** All types the server knows. */
  async eventTypes(options?: CallOptions): Promise<EventTypeInfo[]> {
    return this.c.whole('/v1/event-types', options);
  }

  /** verifyWebhook: checks the bytes as they arrived and gives the event. */
  async verify(raw: Uint8Array | ArrayBuffer | string, headers: HeadersLike, ...secrets: string[]): Promise<PostroadEvent> {
    return verifyWebhook(raw, headers, ...secrets);
  }
}
