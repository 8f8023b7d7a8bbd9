//go:build race

package job_test

func init() { usualRows = 5_000 } // the detector makes the store some twenty times slower
