import type { Clock } from '@postroad/client';

/** A clock that does not wait: it notes how long it would have. */
export class TestClock implements Clock {
  at = Date.parse('2026-04-19T14:30:00Z');
  readonly slept: number[] = [];
  chance = 0.5;

  now(): number {
    return this.at;
  }

  random(): number {
    return this.chance;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(ms);
    this.at += ms;
  }
}
