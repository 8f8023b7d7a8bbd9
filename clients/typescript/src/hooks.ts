import type { Moment, Paging } from './input.js';
import type { Bounce, Environment, Job, Reply, ReplyClass, Status, Suppressing, TemplateRef, TLS, Warning } from './types.js';

/** Types of events. There may be others at any time: ignore what you do not know. */
export type EventType =
  | 'message.queued' | 'message.scheduled' | 'message.rescheduled' | 'message.accepted' | 'message.delivered' | 'message.deferred'
  | 'message.bounced' | 'message.complained' | 'message.suppressed' | 'message.expired' | 'message.failed' | 'message.cancelled'
  | 'message.unsubscribed' | 'message.opened' | 'message.clicked' | 'suppression.created' | 'suppression.deleted'
  | 'domain.created' | 'domain.verified' | 'domain.degraded' | 'domain.failed' | 'domain.deleted' | 'template.published'
  | 'api_key.created' | 'api_key.rotated' | 'api_key.revoked' | 'api_key.expiring'
  | 'webhook.disabled' | 'webhook.recovered' | 'webhook.test' | (string & {});

/** A fact the server tells: on a webhook, in the log and in the stream. */
export interface PostroadEvent<Data = Record<string, unknown>> {
  id: string;
  type: EventType;
  timestamp: string;
  api_version?: string;
  project_id?: string;
  environment?: Environment;
  /** Within its message: apply only what is greater than the one you stored. */
  sequence?: number;
  /** In the log. */
  position?: number;
  data: Data;
}

/** The data of every message.* event: it is about one recipient. */
export interface MessageEventData {
  message_id: string;
  rfc_message_id?: string;
  recipient?: string;
  recipient_id?: string;
  recipient_type?: string;
  status?: Status;
  previous_status?: Status | null;
  from?: string;
  subject?: string;
  topic?: string | null;
  tags?: string[];
  metadata?: Record<string, string>;
  template?: TemplateRef | null;
  idempotency_key?: string | null;
  created_at?: string;
  url?: string;
  /** Of deferred. */
  reply?: Reply | null;
  class?: ReplyClass;
  attempt?: number;
  next_attempt_at?: string | null;
  attempts_left?: number;
  /** Of delivered. */
  delivery?: { attempt?: number; mx_host?: string; site?: string; source?: string; tls?: TLS | null; reply?: Reply | null; queue_ms?: number; delivery_ms?: number };
  /** Of bounced. */
  bounce?: Bounce;
  suppression?: Suppressing;
  suppression_id?: string | null;
  /** Of cancelled. */
  superseded_by?: string | null;
  scheduled_time?: string | null;
  expires_at?: string | null;
}

/** Tells the events about messages, and gives their data its type. */
export function isMessageEvent(e: PostroadEvent): e is PostroadEvent & { data: MessageEventData & Record<string, unknown> } {
  return e.type.startsWith('message.');
}

/** An endpoint. `secret` is there where it was just made. */
export interface Webhook {
  webhook_id: string;
  object: 'webhook';
  url: string;
  description: string;
  events: string[];
  filters: { tags: string[]; domains: string[] };
  redact: string[];
  payload_version: string;
  format: string;
  status: 'enabled' | 'disabled' | (string & {});
  disabled_reason: string | null;
  disabled_at: string | null;
  ordering: string;
  max_per_second: number;
  custom_headers: Record<string, string>;
  health: WebhookHealth;
  old_secret_expires_at: string | null;
  created_at: string;
  created_by: string;
  secret?: string | null;
  /** While it is disabled. */
  missed?: { count: number; at_least: boolean; since: string | null };
  replay_job_id?: string | null;
  warnings?: Warning[];
}

export interface WebhookHealth {
  success_rate_24h: number | null;
  p95_ms: number | null;
  backlog: number;
  breaker: 'closed' | 'open' | 'half_open' | (string & {});
  first_failure_at: string | null;
  last_success_at?: string | null;
  last_error?: string | null;
}

/** What deliveries are signed with. Until old_expires_at the secret before it signs, too. */
export interface WebhookSecret {
  webhook_id: string;
  object?: string;
  secret: string | null;
  old_secret?: string | null;
  old_expires_at: string | null;
  warnings?: Warning[];
}

export interface WebhookExchange {
  status: number;
  headers: Record<string, string>;
  body: string;
  duration_ms?: number;
}

/** One exchange with an endpoint, and what it means. */
export interface WebhookTest {
  webhook_id: string;
  object?: string;
  type: string;
  request: { method?: string; url?: string; headers: Record<string, string>; body: string };
  response: WebhookExchange | null;
  error: string | null;
  delivered: boolean;
  verdict: string;
  warnings?: Warning[];
}

/** One event owed to one endpoint. */
export interface WebhookDelivery {
  delivery_id: string;
  object?: string;
  webhook_id: string;
  event_id: string;
  type: EventType;
  message_id: string | null;
  status: 'delivered' | 'failed' | 'pending' | 'parked' | (string & {});
  position?: number;
  url?: string;
  attempt_count?: number;
  created_at?: string;
  next_attempt_at: string | null;
  completed_at?: string | null;
  /** Of one delivery, not in lists. */
  attempts?: WebhookTry[];
  body?: string;
  warnings?: Warning[];
}

export interface WebhookTry {
  at: string;
  duration_ms: number;
  request: { headers: Record<string, string>; body: string };
  response: WebhookExchange | null;
  error: string | null;
  /** Of an open breaker: it does not count. */
  probe?: boolean;
}

export interface WebhookStats {
  webhook_id: string;
  object?: string;
  window_seconds: number;
  delivered: number;
  failed_attempts: number;
  failed: number;
  success_rate: number | null;
  latency_ms: { p50: number; p95: number; p99: number } | null;
  backlog: number;
  breaker: string;
  hours: { start: string; delivered: number; failed_attempts: number; failed: number }[];
  warnings?: Warning[];
}

export interface ReplayCount {
  matched: number;
  /** Counting stopped there. */
  at_least?: boolean;
  warnings?: Warning[];
}

export interface EventTypeInfo {
  name: string;
  description: string;
  /** JSON Schema of the data. */
  schema: Record<string, unknown>;
  example: unknown;
}

/** A piece of the log. */
export interface EventPage {
  object: 'list';
  data: PostroadEvent[];
  has_more?: boolean;
  /** Where to go on, also when nothing matched. */
  next_after?: number;
  /** Of the newest event there is. */
  position?: number;
  /** Events behind `after` are no longer kept: the log is whole from `oldest` on. */
  gap?: { after: number; oldest: number } | null;
}

export interface UsageCount {
  messages: number;
  recipients: number;
  bytes: number;
}

/** What a project used, and what it may; null is unlimited. */
export interface Usage {
  object?: 'usage';
  environment: Environment;
  period: string;
  /** Days: 2026-04-19. */
  from: string;
  to: string;
  /** When today is over. */
  resets_at: string;
  limits: { per_minute: number | null; daily_messages: number | null; remaining_today: number | null };
  usage: { today: UsageCount; period: UsageCount };
  days: (UsageCount & { date: string })[];
  keys: (UsageCount & { key_id: string | null })[];
  warnings?: Warning[];
}

/** One change of configuration. */
export interface AuditEntry {
  audit_id: string;
  object?: string;
  at: string;
  environment: Environment;
  action: string;
  target: string | null;
  actor: { type: 'api_key' | 'session' | 'operator' | (string & {}); id: string; name: string | null; session_id?: string | null };
  ip: string | null;
  user_agent: string | null;
  request_id: string | null;
  /** Fields that are different now; null is what did not exist. */
  changes: { field: string; from: unknown; to: unknown }[];
}

export interface AuditFilter extends Paging {
  actor?: string;
  action?: string;
  target?: string;
  created_after?: Moment;
  created_before?: Moment;
}

/** Tells whether a job has come to an end, whichever. */
export function isOver(job: Job): boolean {
  return job.finished_at !== null && job.finished_at !== undefined;
}

const open = ['scheduled', 'queued', 'accepted', 'deferred', 'held'];

/** Tells whether a status is an end. */
export function isFinal(status: Status): boolean {
  return !open.includes(status);
}
