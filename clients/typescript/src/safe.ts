import { PostroadError } from './errors.js';

/** What a call came to. */
export type Result<T> = { ok: true; data: T } | { ok: false; error: PostroadError };

type Method<F> = F extends (...args: infer A) => Promise<infer R> ? (...args: A) => Promise<Result<R>> : F;

/** Nouns whose methods never throw. Lists and streams are as they were: their `page` is a promise. */
export type Safe<T> = { readonly [N in keyof T]: { readonly [M in keyof T[N]]: Method<T[N][M]> } };

/** Wraps nouns. Only failures of calls become results: a fault in the program is still thrown. */
export function safely<T extends object>(nouns: T): Safe<T> {
  return new Proxy(nouns, {
    get(target, noun) {
      const of = Reflect.get(target, noun) as unknown;
      return typeof of === 'object' && of !== null ? wrapped(of) : undefined;
    },
  }) as unknown as Safe<T>;
}

function wrapped(noun: object): object {
  return new Proxy(noun, {
    get(target, name) {
      const method = Reflect.get(target, name, target) as unknown;
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => {
        const got = (method as (...a: unknown[]) => unknown).apply(target, args);
        return got instanceof Promise ? settled(got) : got;
      };
    },
  });
}

async function settled<T>(call: Promise<T>): Promise<Result<T>> {
  try {
    return { ok: true, data: await call };
  } catch (error) {
    if (error instanceof PostroadError) return { ok: false, error };
    throw error;
  }
}
