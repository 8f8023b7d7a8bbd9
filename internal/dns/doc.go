// Package dns asks name servers. It knows RFC 1035 and its successors and nothing of
// mail routing.
//
// A question goes [Resolver.MX], [Resolver.Addresses], [Resolver.TXT] … → the cache →
// the flight that is already asking the same, if any → the servers, one after another,
// over UDP with EDNS0 and over TCP where the answer was cut off → readReply, which
// believes only an answer to the question that was asked → back, with every alias
// followed.
//
// What can go wrong has three names, to be told apart with errors.Is:
//
//	ErrNotFound   the name does not exist (NXDOMAIN, RFC 8020)
//	ErrNoData     it exists, without records of that type
//	ErrTemporary  nobody could say: SERVFAIL, REFUSED, no answer in time, nonsense
//
// Whoever cannot tell which must assume ErrTemporary: no mail may bounce and no domain
// may be doubted because a name server was down.
//
// [Resolver.Fresh] asks past the cache, at the servers of the zone itself, for those
// who just changed a record and want to see it.
//
// Texts that come back are whatever somebody wrote into a zone: any bytes at all.
// Host names that come back are lower case, without the final dot.
package dns
