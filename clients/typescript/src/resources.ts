import { Caller, path, poll, type Download, type List } from './caller.js';
import { isOver, type AuditEntry, type AuditFilter, type Usage } from './hooks.js';
import type {
  APIKeyChange, DomainChange, Expected, Import, Moment, NewAPIKey, NewDomain, NewDraft, NewSuppression, NewTemplate, NewUnsubscribe, Paging,
  PreviewOrder, ProjectChange, Removal, Rotation, SandboxFilter, SuppressionBatch, SuppressionFilter, TemplateChange, TestSend, UnsavedPreview,
} from './input.js';
import type { CallOptions } from './transport.js';
import type {
  Accepted, APIKey, CreatedAPIKey, DNSRecord, Domain, DomainHealth, Erasure, HealthReport, Job, MessageSummary, Project, RotatedKey, SandboxBehaviour, SandboxChecks, SandboxCleared, SandboxMessage,
  Suppression, SuppressionBatchResult, Template, TemplateDiff, TemplatePreview, TemplateValidation, TemplateVersion,
} from './types.js';

/** What all nouns have. */
class Resource {
  protected readonly c!: Caller;

  constructor(c: Caller) {
    // Not enumerable: printing a client shows its nouns, not what stands behind them.
    Object.defineProperty(this, 'c', { value: c, enumerable: false });
  }
}

/** Templates and their versions; named by id or alias. */
export class Templates extends Resource {
  list(filter?: Paging & { q?: string; published?: boolean }, options?: CallOptions): List<Template> {
    return this.c.list('/v1/templates', filter, options);
  }

  /** Its content is draft 1, which must be published to be sent. */
  async create(n: NewTemplate, options?: CallOptions): Promise<Template> {
    return this.c.post('/v1/templates', n, options);
  }

  /** With its published and draft contents. */
  async get(template: string, options?: CallOptions): Promise<Template> {
    return this.c.get(path('templates', template), undefined, options);
  }

  async update(template: string, change: TemplateChange, options?: CallOptions): Promise<Template> {
    return this.c.patch(path('templates', template), change, options);
  }

  /** Archives it; a conflict while scheduled messages were made from it, unless `force`. */
  async delete(template: string, options?: CallOptions): Promise<void> {
    return this.c.gone(path('templates', template), options);
  }

  versions(template: string, paging?: Paging, options?: CallOptions): List<TemplateVersion> {
    return this.c.list(path('templates', template, 'versions'), paging, options);
  }

  async version(template: string, version: number | 'draft' | 'published', options?: CallOptions): Promise<TemplateVersion> {
    return this.c.get(path('templates', template, 'versions', version), undefined, options);
  }

  /** Makes a new draft; what is not said stays as it was in `based_on`, where that is given. */
  async createVersion(template: string, d: NewDraft, options?: CallOptions): Promise<TemplateVersion> {
    return this.c.post(path('templates', template, 'versions'), d, options);
  }

  /** Compares with another version; by default the one before. */
  async diff(template: string, version: number | 'draft' | 'published', against?: number | 'draft' | 'published', options?: CallOptions): Promise<TemplateDiff> {
    return this.c.get(path('templates', template, 'versions', version, 'diff'), { against }, options);
  }

  /** Makes a version the one that is sent. */
  async publish(template: string, version: number, p: { note?: string; inline_css?: boolean } = {}, options?: CallOptions): Promise<Template> {
    return this.c.post(path('templates', template, 'versions', version, 'publish'), p, options);
  }

  /** Publishes an old version again, under a new number. */
  async rollback(template: string, to: number, note?: string, options?: CallOptions): Promise<Template> {
    return this.c.post(path('templates', template, 'rollback'), { to, note }, options);
  }

  /** Renders it; nothing is sent. */
  async preview(template: string, o: PreviewOrder = {}, options?: CallOptions): Promise<TemplatePreview> {
    return this.c.post(path('templates', template, 'preview'), o, options);
  }

  /** Renders content that no template has yet. */
  async previewUnsaved(o: UnsavedPreview, options?: CallOptions): Promise<TemplatePreview> {
    return this.c.post('/v1/templates/preview', o, options);
  }

  /** Compiles it and looks for what is known to go wrong. */
  async validate(template: string, o: PreviewOrder = {}, options?: CallOptions): Promise<TemplateValidation> {
    return this.c.post(path('templates', template, 'validate'), o, options);
  }

  /** Sends it, tagged `test`. */
  async testSend(template: string, s: TestSend, options?: CallOptions): Promise<Accepted> {
    return this.c.post(path('templates', template, 'test-send'), s, options);
  }
}

/** Sending domains; named by id or name. */
export class Domains extends Resource {
  /** Its `records` are what to publish. */
  async create(n: NewDomain, options?: CallOptions): Promise<Domain> {
    return this.c.post('/v1/domains', n, options);
  }

  list(options?: CallOptions): List<Domain> {
    return this.c.list('/v1/domains', undefined, options);
  }

  async get(domain: string, options?: CallOptions): Promise<Domain> {
    return this.c.get(path('domains', domain), undefined, options);
  }

  async update(domain: string, change: DomainChange, options?: CallOptions): Promise<Domain> {
    return this.c.patch(path('domains', domain), change, options);
  }

  /** A conflict while mail of it waits, unless `force`, which fails that mail. */
  async delete(domain: string, options?: CallOptions): Promise<void> {
    return this.c.gone(path('domains', domain), options);
  }

  /** What to publish, what was found at the last check, and what is wrong. */
  async dns(domain: string, options?: CallOptions): Promise<DNSRecord[]> {
    return this.c.whole(path('domains', domain, 'dns'), options);
  }

  /** The records as a file. */
  async exportDns(domain: string, format: 'bind' | 'terraform' | 'cloudflare' | 'route53', options?: CallOptions): Promise<Download> {
    return this.c.download(path('domains', domain, 'dns', 'export'), '*/*', { format }, options);
  }

  /** Looks at the records now. What is missing is no error, but in `status` and `records`. */
  async verify(domain: string, options?: CallOptions): Promise<Domain> {
    return this.c.post(path('domains', domain, 'verify'), {}, options);
  }

  async health(domain: string, options?: CallOptions): Promise<DomainHealth> {
    return this.c.get(path('domains', domain, 'health'), undefined, options);
  }

  /** Makes a new key, which signs once its record is published and it is activated. */
  async rotateDkim(domain: string, r: Rotation = {}, options?: CallOptions): Promise<RotatedKey> {
    return this.c.post(path('domains', domain, 'dkim', 'rotate'), r, options);
  }

  /** A conflict while its record cannot be seen, unless `force`. */
  async activateDkim(domain: string, selector: string, options?: CallOptions): Promise<Domain> {
    return this.c.post(path('domains', domain, 'dkim', selector, 'activate'), {}, options);
  }

  async deleteDkim(domain: string, selector: string, options?: CallOptions): Promise<void> {
    return this.c.gone(path('domains', domain, 'dkim', selector), options);
  }
}

export interface SuppressionCheck {
  recipient: string;
  suppressed: boolean;
  reason: string | null;
  kind: string | null;
  suppression_id: string | null;
  bypassable: boolean;
}

/** Addresses that must not be written to; named by id or address. */
export class Suppressions extends Resource {
  /** It is no error when it is there already: `created` tells. */
  async add(n: NewSuppression, options?: CallOptions): Promise<Suppression> {
    return this.c.post('/v1/suppressions', n, options);
  }

  list(filter?: SuppressionFilter, options?: CallOptions): List<Suppression> {
    return this.c.list('/v1/suppressions', filter, options);
  }

  /** With its history. */
  async get(suppression: string, options?: CallOptions): Promise<Suppression> {
    return this.c.get(path('suppressions', suppression), undefined, options);
  }

  /** Takes one away and gives it. A complaint needs `force`. */
  async remove(suppression: string, which: Removal = {}, options?: CallOptions): Promise<Suppression> {
    return this.c.del(path('suppressions', suppression), options, { ...which });
  }

  /** Tells of up to 1,000 addresses whether mail (of a topic) would be stopped. */
  async check(recipients: string[], topic?: string, options?: CallOptions): Promise<SuppressionCheck[]> {
    return (await this.c.post<{ data: SuppressionCheck[] }>('/v1/suppressions/check', { recipients, topic }, options)).data;
  }

  /** Adds and removes up to 1,000; what is refused stands in data and is no error of the call. */
  async batch(b: SuppressionBatch, options?: CallOptions): Promise<SuppressionBatchResult> {
    return this.c.post('/v1/suppressions/batch', b, options);
  }

  /** Reads a list in the background; `jobs.wait` waits for its end. */
  async import(i: Import, options?: CallOptions): Promise<Job> {
    return this.c.json<Job>({
      method: 'POST', path: '/v1/suppressions/import', contentType: 'text/csv; charset=utf-8', options,
      body: typeof i.csv === 'string' ? new TextEncoder().encode(i.csv) : i.csv, query: { preset: i.preset, reason: i.reason, topic: i.topic },
    });
  }

  async export(format: 'csv' | 'ndjson', filter: SuppressionFilter = {}, options?: CallOptions): Promise<Download> {
    return this.c.download('/v1/suppressions/export', '*/*', { ...filter, format }, options);
  }
}

/** The voluntary ones among the suppressions. */
export class Unsubscribes extends Resource {
  async add(n: NewUnsubscribe, options?: CallOptions): Promise<Suppression> {
    return this.c.post('/v1/unsubscribes', n, options);
  }

  list(filter?: Paging & { recipient?: string; topic?: string }, options?: CallOptions): List<Suppression> {
    return this.c.list('/v1/unsubscribes', filter, options);
  }

  /** Subscribes again. */
  async remove(suppression: string, topic?: string, options?: CallOptions): Promise<Suppression> {
    return this.c.del(path('unsubscribes', suppression), options, { topic });
  }
}

/** Work that outlives its request. */
export class Jobs extends Resource {
  async get(id: string, options?: CallOptions): Promise<Job> {
    return this.c.get(path('jobs', id), undefined, options);
  }

  /** What it has done stays; a conflict when it is over. */
  async cancel(id: string, options?: CallOptions): Promise<Job> {
    return this.c.post(path('jobs', id, 'cancel'), {}, options);
  }

  /** Looks until it is over; `deadlineMs` and `signal` bound the wait. */
  async wait(id: string, options?: CallOptions): Promise<Job> {
    const each = withoutDeadline(options);
    return poll(this.c.transport, () => this.get(id, each), isOver, options);
  }
}

function withoutDeadline(options: CallOptions | undefined): CallOptions {
  const { deadlineMs: _, ...rest } = options ?? {};
  return rest;
}

/** Keys. */
export class APIKeys extends Resource {
  /** The answer is the only place its secret ever stands. */
  async create(n: NewAPIKey, options?: CallOptions): Promise<CreatedAPIKey> {
    return this.c.post('/v1/api-keys', n, options);
  }

  list(options?: CallOptions): List<APIKey> {
    return this.c.list('/v1/api-keys', undefined, options);
  }

  async get(id: string, options?: CallOptions): Promise<APIKey> {
    return this.c.get(path('api-keys', id), undefined, options);
  }

  async update(id: string, change: APIKeyChange, options?: CallOptions): Promise<APIKey> {
    return this.c.patch(path('api-keys', id), change, options);
  }

  async revoke(id: string, options?: CallOptions): Promise<void> {
    return this.c.gone(path('api-keys', id), options);
  }

  /** Makes the key that follows one, which goes on working for `overlap_hours` (24). */
  async rotate(id: string, r: { overlap_hours?: number; expires_at?: Moment } = {}, options?: CallOptions): Promise<CreatedAPIKey & { old_key_id?: string; old_expires_at?: string | null }> {
    return this.c.post(path('api-keys', id, 'rotate'), r, options);
  }
}

/** The project of the client's key. */
export class ProjectSettings extends Resource {
  async get(options?: CallOptions): Promise<Project> {
    return this.c.get('/v1/project', undefined, options);
  }

  async update(change: ProjectChange, options?: CallOptions): Promise<Project> {
    return this.c.patch('/v1/project', change, options);
  }

  async usage(period?: 'day' | 'week' | 'month' | 'year', options?: CallOptions): Promise<Usage> {
    return this.c.get('/v1/usage', { period }, options);
  }
}

/** All projects of an instance: for its operator's keys. */
export class Projects extends Resource {
  list(options?: CallOptions): List<Project> {
    return this.c.list('/v1/projects', undefined, options);
  }

  async create(n: ProjectChange & { name: string }, options?: CallOptions): Promise<Project> {
    return this.c.post('/v1/projects', n, options);
  }

  async get(id: string, options?: CallOptions): Promise<Project> {
    return this.c.get(path('projects', id), undefined, options);
  }

  async update(id: string, change: ProjectChange, options?: CallOptions): Promise<Project> {
    return this.c.patch(path('projects', id), change, options);
  }

  /** Of one that is suspended; a conflict while it is not. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    return this.c.gone(path('projects', id), options);
  }

  async suspend(id: string, reason: string, options?: CallOptions): Promise<Project> {
    return this.c.post(path('projects', id, 'suspend'), { reason }, options);
  }

  async resume(id: string, options?: CallOptions): Promise<Project> {
    return this.c.post(path('projects', id, 'resume'), {}, options);
  }
}

/** Who changed what. */
export class Audit extends Resource {
  list(filter?: AuditFilter, options?: CallOptions): List<AuditEntry> {
    return this.c.list('/v1/audit', filter, options);
  }
}

/** The inbox of the test environment. */
export class Sandbox extends Resource {
  list(filter?: SandboxFilter, options?: CallOptions): List<MessageSummary> {
    return this.c.list('/v1/sandbox/messages', filter, options);
  }

  async get(id: string, options?: CallOptions): Promise<SandboxMessage> {
    return this.c.get(path('sandbox', 'messages', id), undefined, options);
  }

  /** What would go wrong with it if it were live. */
  async checks(id: string, options?: CallOptions): Promise<SandboxChecks> {
    return this.c.get(path('sandbox', 'messages', id, 'checks'), undefined, options);
  }

  /** Really sends it to one address, as a new live message: with a live key that has messages.send and messages.content. */
  async release(id: string, to: string, options?: CallOptions): Promise<Accepted> {
    return this.c.post(path('sandbox', 'messages', id, 'release'), { to }, options);
  }

  /** How it treats the project's test mail. */
  async behaviour(options?: CallOptions): Promise<SandboxBehaviour> {
    return this.c.get('/v1/sandbox/behaviour', undefined, options);
  }

  /** Replaces the behaviour whole: `{}` is the default again. */
  async setBehaviour(b: Partial<Pick<SandboxBehaviour, 'default' | 'latency_ms' | 'time_scale' | 'chaos'>>, options?: CallOptions): Promise<SandboxBehaviour> {
    return this.c.put('/v1/sandbox/behaviour', b, options);
  }

  /** Removes all that was captured and has come to its end. */
  async clear(options?: CallOptions): Promise<SandboxCleared> {
    return this.c.del('/v1/sandbox/messages', options);
  }

  /** Waits until a message that fits was captured; not found when none comes in time. */
  async waitFor(e: Expected, options?: CallOptions): Promise<SandboxMessage> {
    return this.c.get('/v1/sandbox/messages/wait', e, options, (e.timeout ?? 30) * 1000);
  }
}

/** Forgets addresses. */
export class Erasures extends Resource {
  /** For both environments of the project. It cannot be taken back. */
  async create(n: { recipient: string; include_suppressions?: boolean }, options?: CallOptions): Promise<Erasure> {
    return this.c.post('/v1/erasures', n, options);
  }

  async get(id: string, options?: CallOptions): Promise<Erasure> {
    return this.c.get(path('erasures', id), undefined, options);
  }

  /** Looks until it is done; `deadlineMs` and `signal` bound the wait. */
  async wait(id: string, options?: CallOptions): Promise<Erasure> {
    const each = withoutDeadline(options);
    return poll(this.c.transport, () => this.get(id, each), (e) => e.status !== 'running', options);
  }
}

export interface ServerVersion {
  version: string;
  commit: string;
  go: string;
}

/** The server's own state. */
export class Health extends Resource {
  /** The operator's checklist (scope instance.read). */
  async check(options?: CallOptions): Promise<HealthReport> {
    return this.c.get('/v1/health', undefined, options);
  }

  /** No key is needed. */
  async version(options?: CallOptions): Promise<ServerVersion> {
    return this.c.get('/v1/version', undefined, options);
  }
}

export { Resource };
