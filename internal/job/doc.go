// Package job does work that takes longer than a request: the import of suppression
// lists. Jobs of webhooks (replays) are kept with the others and done by package webhook.
//
//	Spool     the request's body goes to a file; nothing of it is held in memory
//	Start     the job is remembered: queued; the caller is told 202
//	Run       one job at a time, in batches; each batch commits with how far the job is
//	Cancel    what is committed stays, the rest is not begun
//
// States: queued → running → done | failed | cancelled. A restart goes on after the last
// batch that committed, since a job and its progress are one fact. A job whose file is gone
// is failed, and says so.
package job
