// Package seal keeps secrets at rest: private keys and the like are stored encrypted
// under a key that lives beside the database, in a file only we can read.
//
//	ring, err := seal.Open(dataDir)               // makes <dataDir>/secret.key at first start
//	sealed := ring.Seal(private, "dkim")          // what is stored
//	private, err = ring.Open(sealed, "dkim")      // the label must be the same
//	token := ring.Derive("return path")           // a key for HMACs, the same at every start
//
// The file is a line of text for each key: an identifier, a blank, 32 bytes in base64.
// Seal uses the last line's key and writes its identifier in front, Open finds the key
// by it: so a key is rotated by adding a line, and the old ones can go when nothing is
// sealed with them any more. Derive always uses the first line's key, so that what was
// signed with it stays valid; whoever removes that line ends all such tokens.
//
// Losing the file loses what was sealed. Backups must have it.
package seal
