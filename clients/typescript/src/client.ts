import { Caller } from './caller.js';
import { failure } from './errors.js';
import { Events } from './events.js';
import { Messages } from './messages.js';
import { APIKeys, Audit, Domains, Erasures, Health, Jobs, Projects, ProjectSettings, Sandbox, Suppressions, Templates, Unsubscribes } from './resources.js';
import { safely, type Safe } from './safe.js';
import { realClock, Transport, type Attempt, type CallOptions, type Clock, type Fetch } from './transport.js';
import type { Me } from './types.js';
import { Webhooks } from './webhooks.js';

/** This package's, as its User-Agent says. */
export const version = '0.1.0';

export interface ClientOptions {
  /** Absent: POSTROAD_API_KEY. */
  apiKey?: string;
  /** https://HOST, with or without /v1. Absent: POSTROAD_BASE_URL, else http://127.0.0.1:8080. */
  baseUrl?: string;
  /** Of one call, the first included (5). */
  maxAttempts?: number;
  /** Of one attempt (30 s; 60 s with a body over 1 MB). */
  timeoutMs?: number;
  /** Put before our own name. */
  userAgent?: string;
  /** Told of every attempt when it ended. It sees no body and no key. */
  onAttempt?: (a: Attempt) => void;
  /** Another way to fetch: a proxy, a test's MemoryServer. */
  fetch?: Fetch;
  /** Another clock, for tests. */
  clock?: Clock;
}

/** The nouns of the API. */
export interface Nouns {
  messages: Messages;
  templates: Templates;
  domains: Domains;
  suppressions: Suppressions;
  unsubscribes: Unsubscribes;
  jobs: Jobs;
  webhooks: Webhooks;
  events: Events;
  apiKeys: APIKeys;
  project: ProjectSettings;
  projects: Projects;
  audit: Audit;
  sandbox: Sandbox;
  erasures: Erasures;
  health: Health;
}

/** Speaks to one server with one key. One client serves a whole process. */
export class Postroad implements Nouns {
  readonly messages: Messages;
  readonly templates: Templates;
  readonly domains: Domains;
  readonly suppressions: Suppressions;
  readonly unsubscribes: Unsubscribes;
  readonly jobs: Jobs;
  readonly webhooks: Webhooks;
  readonly events: Events;
  readonly apiKeys: APIKeys;
  readonly project: ProjectSettings;
  readonly projects: Projects;
  readonly audit: Audit;
  readonly sandbox: Sandbox;
  readonly erasures: Erasures;
  readonly health: Health;
  readonly #caller: Caller;
  readonly #shown: string;

  constructor(o: ClientOptions = {}) {
    const key = (o.apiKey ?? environment('POSTROAD_API_KEY') ?? '').trim();
    if (/[^\x21-\x7e]/.test(key)) throw failure({ kind: 'validation', message: 'the API key holds a character that no key has' });
    const base = baseOf(o.baseUrl ?? environment('POSTROAD_BASE_URL') ?? '');
    const maxAttempts = o.maxAttempts ?? 5;
    if (!Number.isInteger(maxAttempts) || maxAttempts < 1) throw failure({ kind: 'validation', message: `maxAttempts is ${maxAttempts}: at least one is needed` });
    if (o.timeoutMs !== undefined && !(o.timeoutMs > 0)) throw failure({ kind: 'validation', message: `timeoutMs is ${o.timeoutMs}, which is no time` });
    const c = new Caller(new Transport({
      base, key, maxAttempts, timeoutMs: o.timeoutMs, onAttempt: o.onAttempt, clock: o.clock ?? realClock,
      fetch: o.fetch ?? ((url, init) => fetch(url, init)), agent: `${o.userAgent ? o.userAgent + ' ' : ''}postroad-typescript/${version}`,
    }));
    this.#caller = c;
    this.#shown = `Postroad { ${base}, ${maskKey(key)} }`;
    this.messages = new Messages(c);
    this.templates = new Templates(c);
    this.domains = new Domains(c);
    this.suppressions = new Suppressions(c);
    this.unsubscribes = new Unsubscribes(c);
    this.jobs = new Jobs(c);
    this.webhooks = new Webhooks(c);
    this.events = new Events(c);
    this.apiKeys = new APIKeys(c);
    this.project = new ProjectSettings(c);
    this.projects = new Projects(c);
    this.audit = new Audit(c);
    this.sandbox = new Sandbox(c);
    this.erasures = new Erasures(c);
    this.health = new Health(c);
  }

  /** Which project, environment and rights the key has. */
  async me(options?: CallOptions): Promise<Me> {
    return this.#caller.get('/v1/me', undefined, options);
  }

  /** The same nouns, whose methods give `{ok: true, data}` or `{ok: false, error}` instead of throwing. */
  get safe(): Safe<Nouns> {
    return safely<Nouns>(this);
  }

  toString(): string {
    return this.#shown;
  }

  toJSON(): string {
    return this.#shown;
  }

  /** What console.log shows in Node. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.#shown;
  }
}

function environment(name: string): string | undefined {
  const value = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.[name];
  return value === '' ? undefined : value;
}

function baseOf(given: string): string {
  if (given === '') return 'http://127.0.0.1:8080';
  let u: URL | undefined;
  try {
    u = new URL(given);
  } catch { /* told below */ }
  if (!u || (u.protocol !== 'http:' && u.protocol !== 'https:') || u.username || u.password || u.search || u.hash) {
    throw failure({ kind: 'validation', message: `the base URL ${u?.password ? '…' : JSON.stringify(given)} is not an address like https://mail.example.com` });
  }
  return given.replace(/\/+$/, '').replace(/\/v1$/, '');
}

/** Keeps what may be shown of a key: sk_live_k7f2q9xm_… */
function maskKey(key: string): string {
  if (key === '') return 'no key';
  return (/^sk_[a-z]+_[A-Za-z0-9]{8}_/.exec(key)?.[0] ?? '') + '…';
}
