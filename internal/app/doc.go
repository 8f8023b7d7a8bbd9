// Package app builds the parts of Postroad, starts and stops them in order, and is alone in
// knowing all of them. Nothing imports it but the command.
//
// [Run] is the server's whole life:
//
//	newParts    store → key ring → access, domains → resolver, router → carriers → queue → submit → doors
//	start       each part's Run in a group that remembers who failed; the doors open last
//	announce    where it listens, and at the first start a key and what to do with it
//	stop        doors close → the queue stops claiming → lanes finish what is on the wire until
//	            the soft limit, or until a second signal → the rest → the store
//
// Beside the API it answers /healthz, /readyz and /metrics itself (health.go, metrics.go), and
// serves a socket in the data directory (socket.go), by which the other commands reach a
// running server: [CreateKey], [ReadSchema], [Examine], [Backup]. Without a server they open the store.
package app
