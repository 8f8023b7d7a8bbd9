// Package eventlog tells recorded events to the outside: the envelope every event has,
// on a webhook, in the log and in the stream; and the log itself, with readers that wait.
package eventlog
