// Package hyvor plays an application that was written for Hyvor Relay, against the real
// process: it sends by the older form, retries with its key over parallel connections and over
// a restart, meets the limits, is told by signed hooks, and reads its send.
package hyvor
