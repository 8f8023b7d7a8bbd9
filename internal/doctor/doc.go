// Package doctor looks for what would stop mail, before mail does: [Run] asks about the
// resolver, the clock, the disk, the key file, our name and the address it stands for,
// the way out through port 25 and each sending domain's records. Each answer is one
// [Check]; one that is not a pass says in one sentence how to mend it. It changes
// nothing.
package doctor
