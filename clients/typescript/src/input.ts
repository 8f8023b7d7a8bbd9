import type { Environment, Priority, Status } from './types.js';

/** A time: a Date, RFC 3339 text, or unix seconds. */
export type Moment = Date | string | number;

/** `"ada@example.com"`, `"Ada <ada@example.com>"`, or apart. */
export type AddressInput = string | { email: string; name?: string };

/** What you send. Fields have the API's names: https://HOST/docs. */
export interface Message {
  /** One To address; several go in `to`. */
  recipient?: AddressInput;
  to?: AddressInput | AddressInput[];
  cc?: AddressInput | AddressInput[];
  bcc?: AddressInput | AddressInput[];
  /** Absent: the template's or the project's default. */
  from?: AddressInput;
  reply_to?: AddressInput | AddressInput[];
  subject?: string;
  html?: string;
  /** Absent: made from the HTML. */
  text?: string;
  auto_text?: boolean;
  /** Alias or id, instead of html and text; `welcome@7` pins a version. */
  template?: string;
  template_version?: number | string;
  template_data?: Record<string, unknown>;
  strict_variables?: boolean;
  locale?: string;
  attachments?: Attachment[];
  headers?: Record<string, string>;
  /** At most 90 days ahead. */
  scheduled_time?: Moment;
  expires_in_seconds?: number;
  /** A key of your choosing: older messages with it, to the same recipient, that still wait are cancelled. */
  supersedes?: string;
  priority?: Priority;
  topic?: string;
  tags?: string[];
  metadata?: Record<string, string>;
  tracking?: { opens?: boolean; clicks?: boolean };
  list_unsubscribe?: 'auto' | 'always' | 'none';
  bypass_unsubscribe?: boolean;
  content_retention_seconds?: number;
  /** The same as the option `idempotencyKey`, and the only way within a batch. */
  idempotency_key?: string;
}

/** A file. Above 5 MB together they go beside the message instead of within it. */
export interface Attachment {
  filename: string;
  content_type?: string;
  /** Bytes, or base64 as text. */
  content: Uint8Array | string;
  /** For `<img src="cid:logo">`. */
  content_id?: string;
  disposition?: 'attachment' | 'inline';
  /** Kept by the server; the mail has a link. */
  hosted?: boolean;
}

export interface Batch {
  /** `partial` (default): each for itself; `atomic`: all or none. */
  mode?: 'partial' | 'atomic';
  defaults?: Message;
  messages: Message[];
}

/** A message that is written already (RFC 5322). Envelope fields left out are read from its headers. */
export interface RawMessage {
  from?: string;
  recipients?: string[];
  content: Uint8Array | string;
}

/** What every list can be asked. */
export interface Paging {
  /** Entries of a page, 1 to 200 (default 25). */
  limit?: number;
  order?: 'asc' | 'desc';
  cursor?: string;
  /** `total` to have the list counted. */
  include?: 'total'[];
}

export interface MessageFilter extends Omit<Paging, 'include'> {
  status?: Status | Status[];
  /** Exact, `ada*` or `*@example.com`. */
  recipient?: string;
  created_after?: Moment;
  created_before?: Moment;
  from?: string;
  subject?: string;
  tag?: string;
  topic?: string;
  template?: string;
  priority?: Priority;
  /** The recipient's. */
  domain?: string;
  site?: string;
  api_key_id?: string;
  batch_id?: string;
  rfc_message_id?: string;
  idempotency_key?: string;
  supersedes?: string;
  smtp_code?: number;
  class?: string;
  metadata?: Record<string, string>;
  include?: ('recipients' | 'total')[];
}

export interface MessageChange {
  scheduled_time?: Moment;
  tags?: string[];
  metadata?: Record<string, string>;
}

/** To whom a message goes again: to all it had when nothing is said. */
export interface Resend {
  /** Recipient ids of the message; or */
  recipients?: string[];
  /** another address. */
  to?: AddressInput;
}

export interface LocaleParts {
  subject?: string;
  html?: string;
  text?: string;
  preheader?: string;
}

export interface TemplateVariableInput {
  name: string;
  type?: string;
  required?: boolean;
  default?: unknown;
  example?: unknown;
}

export interface TemplateContent extends LocaleParts {
  /** By language tag. */
  locales?: Record<string, LocaleParts>;
  variables?: TemplateVariableInput[];
  note?: string;
}

export interface NewTemplate extends TemplateContent {
  alias: string;
  name?: string;
  description?: string;
  engine?: 'handlebars' | 'mustache';
  default_from?: string;
  layout?: string;
}

export interface TemplateChange {
  alias?: string;
  name?: string | null;
  description?: string | null;
  default_from?: string | null;
  layout?: string | null;
}

export interface NewDraft extends TemplateContent {
  /** The version whose parts hold where this one says nothing. */
  based_on?: number;
}

export interface PreviewOrder {
  version?: number | 'draft' | 'published';
  template_data?: Record<string, unknown>;
  locale?: string;
  partials?: Record<string, string | LocaleParts>;
}

export interface UnsavedPreview extends TemplateContent, Omit<PreviewOrder, 'version'> {
  engine?: 'handlebars' | 'mustache';
  layout?: string;
}

export interface TestSend {
  recipient: AddressInput;
  template_data?: Record<string, unknown>;
  version?: number | 'draft' | 'published';
  locale?: string;
  from?: AddressInput;
  subject?: string;
  strict_variables?: boolean;
}

export interface NewDomain {
  name: string;
  dkim?: { selector?: string; algorithm?: 'rsa2048' | 'ed25519'; private_key?: string };
  return_path?: string;
}

export interface DomainChange {
  tls?: 'opportunistic' | 'required' | null;
  default_from?: string | null;
}

export interface Rotation {
  algorithm?: 'rsa2048' | 'ed25519';
  selector?: string;
  overlap_hours?: number;
}

export interface NewSuppression {
  recipient: string;
  /** Absent: `manual`. */
  reason?: string;
  topic?: string | null;
  note?: string;
  message_id?: string;
  expires_at?: Moment;
}

export interface SuppressionFilter extends Paging {
  recipient?: string;
  /** Or kind. */
  reason?: string;
  topic?: string;
  source?: string;
  created_after?: Moment;
  q?: string;
}

/** Which entry is meant where an address has several; an empty topic is all mail. */
export interface Removal {
  reason?: string;
  topic?: string;
}

export interface SuppressionBatch {
  add?: (string | NewSuppression)[];
  remove?: (string | { recipient?: string; suppression_id?: string; reason?: string; topic?: string; force?: boolean })[];
}

export interface Import {
  /** CSV in UTF-8 with a line of names. */
  csv: Uint8Array | string;
  /** Absent: our own columns. */
  preset?: 'sendgrid' | 'mailgun' | 'postmark' | 'ses' | 'resend' | 'hyvor' | (string & {});
  /** Of entries that say none. */
  reason?: string;
  topic?: string;
}

export interface NewUnsubscribe {
  recipient: string;
  topic?: string | null;
  message_id?: string;
  note?: string;
}

export interface NewAPIKey {
  name: string;
  /** Absent: that of the client's key. */
  environment?: Environment;
  scopes?: string[];
  allowed_from?: string[];
  ip_allowlist?: string[];
  expires_at?: Moment | null;
  rate_limit?: { per_minute: number | null } | null;
  max_recipients?: number | null;
  daily_messages?: number | null;
}

/** null takes a restriction away. */
export type APIKeyChange = {
  [K in Exclude<keyof NewAPIKey, 'environment' | 'name'>]?: NewAPIKey[K] | null;
} & { name?: string; enabled?: boolean };

/** null is the default. */
export interface ProjectChange {
  /** For `projects`. */
  name?: string;
  /** For `projects`. */
  live_enabled?: boolean | null;
  default_from?: string | null;
  on_suppressed?: 'accept' | 'reject' | null;
  strict_fields?: boolean | null;
  content_retention_days?: number | null;
  event_retention_days?: number | null;
  hosted_link_days?: number | null;
  /** Equal messages without an idempotency key within it are one; 0: never. */
  dedupe_window_seconds?: number | null;
  rate_limit?: { per_minute: number | null } | null;
  daily_messages?: number | null;
  allowed_domains?: string[] | null;
  tracking?: { opens?: boolean; clicks?: boolean } | null;
  tracking_host?: string | null;
  unverified_domains?: 'reject' | 'warn' | null;
}

/** A message a test waits for. */
export interface Expected {
  recipient?: string;
  /** Part of it. */
  subject?: string;
  /** Absent: also what came in the last minute. */
  after?: Moment;
  /** Seconds, at most 60 (default 30). */
  timeout?: number;
}

export interface SandboxFilter extends Paging {
  recipient?: string;
  subject?: string;
  status?: Status | Status[];
  created_after?: Moment;
  created_before?: Moment;
}

export interface NewWebhook {
  url: string;
  /** Exact names, `message.*` or `*`. */
  events: string[];
  description?: string;
  filters?: { tags?: string[]; domains?: string[] };
  redact?: ('subject' | 'recipient' | 'metadata')[];
  format?: 'standard' | 'hyvor';
  ordering?: 'none' | 'per_message';
  max_per_second?: number;
  custom_headers?: Record<string, string>;
}

export type WebhookChange = { [K in keyof NewWebhook]?: NewWebhook[K] | null };

export interface DeliveryFilter extends Paging {
  status?: 'delivered' | 'failed' | 'pending' | 'parked';
  type?: string;
  message_id?: string;
  after?: Moment;
}

export interface Replay {
  since?: Moment;
  until?: Moment;
  types?: string[];
  /** Absent: every event of the window. */
  status?: 'failed' | 'delivered';
}

/** Selects events of the log. */
export interface EventFilter {
  /** Exact names, `message.*` or `*`. */
  types?: string[];
  message_id?: string;
  recipient?: string;
  tag?: string;
  /** Position: events behind it, so 0 (default) is all that are kept; `now`: only what happens from now on. */
  after?: number | 'now';
  created_after?: Moment;
  created_before?: Moment;
  /** Of a page, 1 to 1000. */
  limit?: number;
}
