// Package idempotency holds the part of the promise "one key, one message" that needs the
// real process: parallel twins over real connections, and kill -9 between the commit
// and its answer.
package idempotency
