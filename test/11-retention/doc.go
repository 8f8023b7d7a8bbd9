// Package retention shows that what is to be forgotten is: after a content's time nothing of
// it is in the database, in any file of the data directory, or in a backup made afterwards;
// after an erasure nothing of the address. Shown by searching the bytes.
package retention
