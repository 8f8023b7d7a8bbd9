// Package kill ends Postroad with kill -9 under load, again and again, and then counts:
// every message whose 202 was read must arrive, and what arrives twice must be among
// those recorded as uncertain.
package kill
