/**
 * What the server answers. Every object may have more fields than are named here, and every
 * set of words more words: both are kept as they come.
 */

/** One fault of a request. */
export interface FieldError {
  /** Its name, e.g. `attachments[0].content`, or the parameter's. */
  field?: string;
  /** Where it stands in the body (RFC 6901). */
  pointer?: string;
  /** One of the codes of single fields. */
  code: string;
  /** What is wrong and how to mend it. */
  message: string;
  /** What was probably meant. */
  suggestion?: string;
  /** In a template. */
  line?: number;
  /** In a template. */
  column?: number;
}

/** Something that was done, and perhaps not as meant. */
export interface Warning {
  code: string;
  pointer?: string;
  message: string;
}

export type Environment = 'live' | 'test' | (string & {});

/** Where a delivery stands. The message's own is the first of this list that any recipient has (held deferred scheduled queued accepted, then failed bounced expired complained suppressed cancelled delivered). */
export type Status = 'scheduled' | 'queued' | 'accepted' | 'deferred' | 'held' | 'delivered' | 'bounced' | 'complained' | 'suppressed' | 'cancelled' | 'expired' | 'failed' | (string & {});

/** Within a lane the more urgent goes first. */
export type Priority = 'urgent' | 'normal' | 'bulk' | (string & {});

/** Why a site said no. Only the first three suppress. */
export type ReplyClass = 'unknown_user' | 'inactive' | 'bad_domain' | 'mailbox_full' | 'rate_limited' | 'greylisted' | 'reputation' | 'blocklisted' | 'policy' | 'auth' | 'content' | 'size' | 'tls' | 'network' | 'protocol' | 'other' | (string & {});

/** What the caller of a send is told. On a replay it is history: `links.self` has the present. */
export interface Accepted {
  message_id: string;
  status: Status;
  /** The first To. */
  recipient: string;
  created_at: string;
  object: 'message';
  from: string;
  recipients: AcceptedRecipient[];
  scheduled_time: string | null;
  expires_at: string | null;
  priority: Priority;
  environment: Environment;
  /** Ids of older messages it replaced. */
  superseded: string[];
  warnings: Warning[];
  resent_from?: string;
  suppression?: Suppressing;
  links: {
    self: string;
    events: string;
    console: string;
  };
}

export interface AcceptedRecipient {
  recipient_id: string;
  type: 'to' | 'cc' | 'bcc' | (string & {});
  email: string;
  status: Status;
  suppression?: Suppressing;
}

/** What stopped a delivery. */
export interface Suppressing {
  reason: string;
  kind: string;
  since: string | null;
  suppression_id: string;
}

/** What would have been sent; nothing was. */
export interface DryRun {
  object: 'dry_run';
  valid: boolean;
  preview: {
    subject: string;
    html: string;
    text: string;
    size_bytes: number;
  };
  from: string;
  recipients: ({
    type: 'to' | 'cc' | 'bcc' | (string & {});
    email: string;
    status: Status;
  })[];
  warnings: Warning[];
}

export interface BatchSummary {
  total: number;
  queued: number;
  suppressed: number;
  rejected: number;
  replayed: number;
}

/** One message of a batch: with its id, or with what is wrong. */
export interface BatchItem {
  index: number;
  message_id?: string;
  status?: Status;
  recipient?: string;
  suppression?: Suppressing;
  replayed?: boolean;
  warnings?: Warning[];
  error?: {
    code: string;
    errors: FieldError[];
  };
}

export interface BatchAccepted {
  object: 'batch';
  batch_id: string;
  summary: BatchSummary;
  data: BatchItem[];
  warnings?: Warning[];
}

export interface TemplateRef {
  template_id?: string;
  alias: string;
  version: number;
}

export interface MessageSummary {
  message_id: string;
  object: 'message';
  status: Status;
  recipient: string;
  from: string;
  subject: string;
  template: TemplateRef | null;
  priority: Priority;
  topic: string | null;
  tags: string[];
  created_at: string;
  scheduled_time: string | null;
  completed_at: string | null;
  /** With include=recipients. */
  recipients?: Recipient[];
  recipient_count: number;
  attempts: number;
  last_event: {
    type: string;
    at: string;
    summary: string;
  } | null;
}

/** What a mail server said. */
export interface Reply {
  code: number;
  enhanced?: string;
  text: string;
}

export interface Bounce {
  /** Soft: the retries are used up. It never suppresses. */
  type: 'hard' | 'soft' | (string & {});
  reason: 'rejected' | 'retries_exhausted' | 'report' | (string & {});
  class: string;
  attempts: number;
  /** Null when a report told of it. */
  reply: Reply | null;
  /** What a bounce report told, after the site had taken the message. */
  report: { action: string; status: string; diagnostic: string } | null;
}

export interface Address {
  email: string;
  name: string;
}

/** One delivery: one message to one recipient. */
export interface Recipient {
  recipient_id: string;
  type: 'to' | 'cc' | 'bcc' | (string & {});
  email: string;
  name: string;
  status: Status;
  /** Whose servers they are. */
  site: string | null;
  attempts: number;
  next_attempt_at: string | null;
  delivered_at: string | null;
  completed_at: string | null;
  last_reply: {
    code: number;
    enhanced: string;
    text: string;
    mx_host: string;
    at: string | null;
  } | null;
  /** Why it is not on its way. */
  waits_for: 'new' | 'scheduled' | 'retry' | 'lane_full' | 'throttled' | 'paused' | 'held' | 'rescued' | (string & {}) | null;
  bounce: Bounce | null;
  suppression?: Suppressing;
}

export interface StoredAttachment {
  index: number;
  filename: string;
  content_type: string;
  content_id: string | null;
  size_bytes: number;
  sha256: string;
  hosted: boolean;
}

export interface MessageRecord {
  message_id: string;
  object: 'message';
  status: Status;
  /** The first To. */
  recipient: string;
  recipients: Recipient[];
  from: Address;
  reply_to: Address[];
  subject: string;
  template: TemplateRef | null;
  priority: Priority;
  topic: string | null;
  tags: string[];
  metadata: Record<string, string>;
  headers: Record<string, string>;
  rfc_message_id: string;
  attachments: StoredAttachment[];
  size_bytes: number;
  environment: Environment;
  api_key_id: string | null;
  via: 'api' | 'smtp' | 'hyvor' | (string & {});
  idempotency_key: string | null;
  supersedes: string | null;
  superseded_by: string | null;
  batch_id: string | null;
  resent_from: string | null;
  created_at: string;
  queued_at: string | null;
  accepted_at: string | null;
  first_attempt_at: string | null;
  completed_at: string | null;
  scheduled_time: string | null;
  expires_at: string | null;
  latency_ms: {
    accept: number;
    queue: number | null;
    first_attempt: number | null;
    total: number | null;
  };
  attempts: number;
  /** The way the last attempt took; null before the first. */
  routing: { route_id: string | null; pool: string; source: string | null; policy_id: string | null; queue_id: string | null } | null;
  content: {
    available: boolean;
    until: string | null;
  };
  /** What can be done now. */
  actions: {
    cancel: boolean;
    reschedule: boolean;
    resend: boolean;
    send_now: boolean;
  };
  /** An address of it was erased. */
  erased?: boolean;
}

/** What every event has, then what its type adds. */
export interface TimelineEvent {
  event_id: string;
  type: string;
  sequence: number;
  at: string;
  recipient?: string;
  recipient_id?: string;
  summary?: string;
  previous_status?: string;
  via?: string;
  api_key_id?: string;
  accept_ms?: number;
  scheduled_time?: string;
  site?: string;
  pool?: string;
  attempt?: number;
  attempt_id?: string;
  mx_host?: string;
  source?: string;
  tls?: TLS;
  reply?: Reply;
  class?: string;
  template?: string;
  version?: number;
  previous_version?: number;
  next_attempt_at?: string;
  attempts_left?: number;
  delivery_ms?: number;
  bounce?: Bounce;
  suppression?: Suppressing;
  suppression_id?: string;
  reason?: string;
  by?: string;
  superseded_by?: string;
  feedback_type?: string;
  /** Of what came back by mail: the number under which the operator finds it. */
  report?: number;
  expires_at?: string;
  method?: string;
  topic?: string;
  machine?: boolean;
  user_agent?: string;
  url?: string;
  object?: string;
}

export interface TLS {
  version: string;
  cipher: string;
  verified: boolean;
  error?: string;
}

export interface DeliveryAttempt {
  attempt_id: string;
  recipient_id: string;
  number: number;
  at: string;
  duration_ms: number;
  /** Uncertain: the connection broke after the final dot, so the site may have it. */
  outcome: 'delivered' | 'deferred' | 'bounced' | 'uncertain' | (string & {});
  site: string;
  mx: {
    resolved: string[];
    used: string;
    ip: string;
    dns_ms: number;
  };
  source: {
    pool: string;
    address: string;
    ehlo: string;
  };
  /** null: in clear. */
  tls: TLS | null;
  dkim_selectors: string[];
  reply: Reply | null;
  transcript: ({
    dir: 'C' | 'S' | '!' | (string & {});
    t_ms: number;
    code?: number;
    line: string;
  })[];
  class: ReplyClass | null;
  temporary: boolean;
  advice: string | null;
}

/** What a message says. */
export interface MessageContent {
  subject: string;
  html: string | null;
  text: string | null;
  headers: Record<string, string>;
  attachments: StoredAttachment[];
  truncated?: boolean;
}

export interface TemplateVariable {
  /** `user.name`; `items[].price` for a member of each item. */
  name: string;
  type: string;
  required: boolean;
  default?: unknown;
  example?: unknown;
}

export interface TemplateProblem {
  severity: 'error' | 'warning' | (string & {});
  code: string;
  part: string | null;
  line: number | null;
  column: number | null;
  message: string;
}

export interface TemplateParts {
  subject: string | null;
  html: string | null;
  text: string | null;
  preheader: string | null;
}

/** One version; in lists without its parts. */
export interface TemplateVersion {
  version: number;
  object: 'template_version';
  state: 'draft' | 'published' | 'archived' | (string & {});
  subject?: string | null;
  html?: string | null;
  text?: string | null;
  preheader?: string | null;
  locales?: Record<string, TemplateParts>;
  inline_css: boolean;
  sha256: string;
  note: string;
  created_at: string;
  created_by: string | null;
  published_at: string | null;
  published_by: string | null;
  inferred_variables: string[];
  variables: TemplateVariable[];
  problems?: TemplateProblem[];
  warnings?: Warning[];
}

export interface Template {
  template_id: string;
  object: 'template';
  alias: string;
  name: string;
  description: string;
  engine: 'handlebars' | 'mustache' | (string & {});
  default_from: string | null;
  layout: string | null;
  published_version: number | null;
  draft_version: number | null;
  variables: TemplateVariable[];
  created_at: string;
  updated_at: string;
  updated_by: string | null;
  archived_at: string | null;
  published?: TemplateVersion;
  draft?: TemplateVersion;
  problems?: TemplateProblem[];
  warnings?: Warning[];
}

export interface TemplateDiff {
  object: 'template_diff';
  from: number;
  to: number;
  parts: ({
    part: string;
    locale: string | null;
    diff: string;
  })[];
}

export interface TemplatePreview {
  object: 'template_preview';
  template: TemplateRef | null;
  subject: string;
  html: string;
  text: string;
  /** Of the HTML. */
  size_bytes: number;
  missing: string[];
  unused: string[];
  problems: TemplateProblem[];
  warnings?: Warning[];
}

export interface TemplateValidation {
  object: 'template_validation';
  valid: boolean;
  problems: TemplateProblem[];
  warnings?: Warning[];
}

export interface DKIMKey {
  selector: string;
  /** `rsa2048`, `ed25519`; others of keys you brought. */
  algorithm: string;
  state: 'pending' | 'active' | 'retired' | (string & {});
  created_at: string | null;
  activated_at: string | null;
  retired_at: string | null;
  /** Until then the record of a retired key is needed. */
  keep_until: string | null;
}

export interface Domain {
  domain_id: string;
  object: 'domain';
  name: string;
  /** Degraded: DKIM vanished; it sends for 24 hours more. */
  status: 'pending' | 'verified' | 'degraded' | 'failed' | 'suspended' | (string & {});
  can_send: boolean;
  /** dkim, spf, return_path, dmarc. Only DKIM is needed to send. */
  checks: Record<string, 'pass' | 'warn' | 'fail' | 'unknown' | (string & {})>;
  dkim_keys: DKIMKey[];
  return_path: string;
  tls: 'opportunistic' | 'required' | (string & {});
  default_from: string | null;
  created_at: string;
  last_checked_at: string | null;
  next_check_at: string | null;
  records?: DNSRecord[];
  warnings?: Warning[];
}

export interface Alignment {
  domain: string;
  mode: 'relaxed' | 'strict' | (string & {});
  aligned: boolean;
  unknown?: boolean;
}

export interface DNSRecord {
  purpose: 'DKIM' | 'RETURN_PATH' | 'SPF' | 'DMARC' | (string & {});
  /** Without it the domain is not verified. */
  required: boolean;
  type: 'TXT' | 'MX' | 'CNAME' | (string & {});
  /** What to type at a provider that adds the zone; `@` is the domain itself. */
  host: string;
  fqdn: string;
  value: string;
  ttl: number;
  found: string[] | null;
  state: 'unchecked' | 'found' | 'missing' | 'mismatch' | 'unknown' | (string & {});
  diagnosis: string;
  resolver?: string;
  checked_at: string | null;
  keep_until?: string;
  dmarc?: {
    policy: 'none' | 'quarantine' | 'reject' | (string & {});
    tag: 'p' | 'sp' | 'np' | (string & {});
    found_at: string;
    organizational_domain: string;
    testing: boolean;
    dkim: Alignment;
    spf: Alignment;
  };
}

export interface RotatedKey {
  selector: string;
  /** `rsa2048`, `ed25519`; others of keys you brought. */
  algorithm: string;
  state: 'pending' | 'active' | 'retired' | (string & {});
  created_at: string | null;
  activated_at: string | null;
  retired_at: string | null;
  /** Until then the record of a retired key is needed. */
  keep_until: string | null;
  object: 'dkim_key';
  domain_id: string;
  overlap_hours: number;
  record: DNSRecord | null;
  warnings?: Warning[];
}

/** A share; its value is null where there is nothing to divide by. */
export interface Rate {
  value: number | null;
  numerator: number;
  denominator: number;
}

export interface DomainHealth {
  object: 'domain_health';
  domain_id: string;
  name: string;
  status: string;
  window: {
    from: string | null;
    to: string | null;
    messages: number;
    recipients: number;
    /** There was more than is looked at; from tells how far it went. */
    sampled: boolean;
  };
  delivery: {
    delivered: number;
    bounced: number;
    bounced_by_class: Record<string, number> | null;
    complained: number;
    expired: number;
    failed: number;
    suppressed: number;
    cancelled: number;
    deferred_now: number;
    waiting_now: number;
    rates: {
      delivery: Rate;
      bounce: Rate;
      complaint: Rate;
    };
  };
  alignment: {
    dkim: {
      value: number | null;
      numerator: number;
      denominator: number;
      selectors: Record<string, number> | null;
    };
    spf: {
      value: number | null;
      numerator: number;
      denominator: number;
      return_paths: Record<string, number> | null;
      basis: string;
    };
    dmarc_policy: string | null;
  };
  tls: {
    encrypted: Rate;
    verified: Rate;
  };
  advice: string[] | null;
}

export interface Suppression {
  suppression_id: string;
  object: 'suppression';
  recipient: string;
  /** As it was written. */
  reason: string;
  /** What it means. */
  kind: 'complaint' | 'hard_bounce' | 'manual' | 'unsubscribe' | 'import' | (string & {});
  /** null: all mail of the project. */
  topic: string | null;
  source: 'system' | 'api' | 'console' | 'recipient' | 'import' | 'smtp' | 'hyvor' | (string & {});
  message_id: string | null;
  detail: string | null;
  note: string | null;
  created_at: string;
  expires_at: string | null;
  blocked_count: number;
  last_blocked_at: string | null;
  created?: boolean;
  history?: SuppressionEvent[];
  warnings?: Warning[];
}

export interface SuppressionEvent {
  at: string | null;
  event: 'created' | 'blocked' | 'deleted' | 'expired' | (string & {});
  by?: string;
  count?: number;
  reason: string;
  topic: string | null;
  message_id?: string;
}

export interface SuppressionBatchResult {
  object: 'batch';
  summary: {
    total: number;
    created: number;
    removed: number;
    failed: number;
  };
  data: ({
    op: 'add' | 'remove' | (string & {});
    index: number;
    recipient?: string;
    suppression?: Suppression;
    error?: {
      code: string;
      message: string;
      errors?: {
        field: string;
        pointer: string;
        code: string;
        message: string;
      }[];
    };
  })[];
  warnings?: Warning[];
}

export interface Job {
  job_id: string;
  object: 'job';
  type: string;
  status: 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | (string & {});
  progress: {
    done: number;
    /** About, until it is done. */
    total: number;
  };
  errors: {
    line: number;
    code: string;
    message: string;
  }[];
  result: {
    created: number;
    existing: number;
    invalid: number;
  };
  /** Why it failed. */
  error: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface RateLimit {
  per_minute: number | null;
}

export interface APIKey {
  key_id: string;
  object: 'api_key';
  /** May be shown; the secret begins with it. */
  prefix: string;
  name: string;
  environment: Environment;
  scopes: string[];
  allowed_from: string[] | null;
  ip_allowlist: string[] | null;
  rate_limit: RateLimit | null;
  max_recipients: number | null;
  /** Its own daily quota; null: none of its own. */
  daily_messages: number | null;
  /** The key that followed it, by rotation. */
  replaced_by: string | null;
  enabled: boolean;
  revoked: boolean;
  created_at: string | null;
  created_by: string;
  expires_at: string | null;
  revoked_at: string | null;
  last_used_at: string | null;
  last_used_ip: string | null;
  last_used_user_agent: string | null;
  warnings?: Warning[];
}

export interface CreatedAPIKey {
  key_id: string;
  object: 'api_key';
  /** May be shown; the secret begins with it. */
  prefix: string;
  name: string;
  environment: Environment;
  scopes: string[];
  allowed_from: string[] | null;
  ip_allowlist: string[] | null;
  rate_limit: RateLimit | null;
  max_recipients: number | null;
  /** Its own daily quota; null: none of its own. */
  daily_messages: number | null;
  /** The key that followed it, by rotation. */
  replaced_by: string | null;
  enabled: boolean;
  revoked: boolean;
  created_at: string | null;
  created_by: string;
  expires_at: string | null;
  revoked_at: string | null;
  last_used_at: string | null;
  last_used_ip: string | null;
  last_used_user_agent: string | null;
  warnings?: Warning[];
  /** Shown once. */
  secret: string | null;
}

export interface Me {
  object: 'me';
  project: {
    project_id: string;
    name: string;
  };
  environment: Environment;
  scopes: string[];
  /** null: the caller has a session. */
  key: APIKey | null;
  /** null is unlimited. */
  limits: {
    project_per_minute: number | null;
    key_per_minute: number | null;
    project_daily_messages: number | null;
    key_daily_messages: number | null;
    max_recipients: number;
    max_body_bytes: number;
  };
}

export interface Project {
  project_id: string;
  object: 'project';
  name: string;
  suspended: boolean;
  suspended_reason: string | null;
  suspended_at: string | null;
  live_enabled: boolean;
  /** null: no quota. */
  daily_messages: number | null;
  default_from: string | null;
  on_suppressed: 'accept' | 'reject' | (string & {});
  strict_fields: boolean;
  content_retention_days: number;
  event_retention_days: number;
  hosted_link_days: number;
  rate_limit: RateLimit;
  allowed_domains: string[] | null;
  tracking: {
    opens: boolean;
    clicks: boolean;
  };
  tracking_host: string | null;
  unverified_domains: 'reject' | 'warn' | (string & {});
  created_at: string;
  warnings?: Warning[];
}

/** How much was cleared. */
export interface SandboxCleared {
  object: 'sandbox_cleared';
  /** Messages. */
  deleted: number;
}

export interface SandboxMessage {
  message_id: string;
  object: 'message';
  status: Status;
  /** The first To. */
  recipient: string;
  recipients: Recipient[];
  from: Address;
  reply_to: Address[];
  subject: string;
  template: TemplateRef | null;
  priority: Priority;
  topic: string | null;
  tags: string[];
  metadata: Record<string, string>;
  headers: Record<string, string>;
  rfc_message_id: string;
  attachments: StoredAttachment[];
  size_bytes: number;
  environment: Environment;
  api_key_id: string | null;
  via: 'api' | 'smtp' | 'hyvor' | (string & {});
  idempotency_key: string | null;
  supersedes: string | null;
  superseded_by: string | null;
  batch_id: string | null;
  resent_from: string | null;
  created_at: string;
  queued_at: string | null;
  accepted_at: string | null;
  first_attempt_at: string | null;
  completed_at: string | null;
  scheduled_time: string | null;
  expires_at: string | null;
  latency_ms: {
    accept: number;
    queue: number | null;
    first_attempt: number | null;
    total: number | null;
  };
  attempts: number;
  content: MessageContent | null;
  /** What can be done now. */
  actions: {
    cancel: boolean;
    reschedule: boolean;
    resend: boolean;
    send_now: boolean;
  };
  /** An address of it was erased. */
  erased?: boolean;
  extracted: {
    codes: string[];
    links: string[];
  };
}

export interface Erasure {
  erasure_id: string;
  object: 'erasure';
  status: 'running' | 'done' | (string & {});
  /** What stands where the address stood. */
  token: string;
  include_suppressions: boolean;
  created_at: string;
  finished_at: string | null;
  counts: {
    messages: number;
    deliveries: number;
    cancelled: number;
    contents: number;
    events: number;
    answers: number;
    suppressions: number;
    on_the_wire: number;
  };
  warnings?: Warning[];
}

export interface HealthReport {
  status: 'ok' | 'degraded' | (string & {});
  checks: ({
    id: string;
    status: 'pass' | 'warn' | 'fail' | 'skip' | (string & {});
    summary?: string;
    fix?: string;
  })[];
}

