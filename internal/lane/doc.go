// Package lane holds ready mail, per source and site, until a session is free to carry
// it. What is in a lane is in memory only: every job is under a lease of the queue's, so
// nothing is lost with it.
//
// A job's way:
//
//	Offer ─▶ fifo of its tier ─▶ pick, by a worker ─▶ Session.Carry ─▶ Options.Done
//	             │                                                        ▲
//	             └── sweep: waited too long, or we stop: Untried ─────────┘
//
// [Manager.Offer] puts a job into its lane, which it makes when there is none, and wakes
// an idle worker or starts one, up to [Limits].Connections. A worker owns one [Session] at
// a time and picks job after job: the most urgent tier first; within it the projects take
// turns, and a project's own go first in first out. So nobody waits behind another's burst;
// and of a lane that others have filled each project finds a share free ([Manager.Space]).
// Two rules temper that order. Of the slots, [Limits].Reserved are never given to bulk, so
// that urgent mail never waits behind it for one; and after [fairness] picks in a row that
// left less urgent mail waiting, the oldest of that goes first once, so that no tier
// starves for ever.
//
// Of the jobs that the sessions of a busy lane come to next, Options.Soon is told, so that
// the question whether they may go is answered by the time they do.
//
// [Manager.Run] sweeps: jobs that waited past Options.MaxWait go back to the queue, all of
// their project and tier so that their order is kept, and the lane offers less room until
// it moves again. Lanes without jobs and workers are forgotten.
//
// Stopping: when Run's context ends nothing new is begun and all that waits is given back
// untried; what is on the wire may end until Options.SoftLimit has passed or [Manager.Kill]
// is called, then the sessions' contexts end. Run returns when the last worker has.
package lane
