// Package events is about readers of the event log: many at once, of all kinds and paces,
// under load and over the ends of the process. Each must see every event once, and those of
// a message in their order.
package events
