// Package backup packs a data directory into one file and unpacks it.
//
//	w := backup.NewWriter(to, head)     // a tar archive, compressed with zstd: `zstd -dc FILE | tar -t` lists it
//	w.Add(name, size, from)             // each file, as the engine's Copy gives it
//	w.Close()                           // writes the list of all files with their sums, then the end
//
//	backup.Unpack(ctx, from, dir, …)    // into an empty directory: everything, or nothing
//
// The archive has, in this order:
//
//	postroad-backup.json   {"format":1, "created_at", "version", "schema"}: what it is
//	postroad.db, bodies/…  the files, with names relative to the data directory
//	secret.key             without it DKIM keys and tokens cannot be read
//	files.json             [{"name","size","sha256"}]: what must be there, and be so
//
// An archive without files.json was cut off. It holds secrets and mail: keep it as you keep
// the data directory. What was forgotten before it was made is not in it; what is forgotten
// later stays in it, so archives have to be thrown away in time too.
package backup
