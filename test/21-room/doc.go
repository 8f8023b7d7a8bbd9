// Package room fills the disk under a Postroad: a small file system of its own, in a mount
// namespace. It must say "not now" before the disk is full, keep every promise it made when
// somebody else fills the rest, and go on by itself when there is room again.
package room
