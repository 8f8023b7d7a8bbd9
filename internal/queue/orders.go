package queue

import "context"

// Cancel stops what it still can of a message: see [Store.Cancel].
func (q *Queue) Cancel(ctx context.Context, c Change) (Changed, error) {
	return q.o.Store.Cancel(ctx, c)
}

// Reschedule moves the time of a scheduled message.
func (q *Queue) Reschedule(ctx context.Context, c Change) (Changed, error) {
	got, err := q.o.Store.Reschedule(ctx, c)
	if err == nil && got.Count > 0 && !c.To.IsZero() {
		q.alarm.set(c.To)
	}
	return got, err
}

// Retry puts back into the queue what was given up: see [Store.Retry].
func (q *Queue) Retry(ctx context.Context, c Change, rows []int64) (Changed, error) {
	got, err := q.o.Store.Retry(ctx, c, rows)
	switch {
	case err != nil || got.Count == 0:
	case c.To.After(c.Now):
		q.alarm.set(c.To)
	default:
		q.alarm.wake()
	}
	return got, err
}

// SendNow makes scheduled and deferred deliveries due at once.
func (q *Queue) SendNow(ctx context.Context, c Change) (Changed, error) {
	got, err := q.o.Store.SendNow(ctx, c)
	if err == nil && got.Count > 0 {
		q.alarm.wake()
	}
	return got, err
}
