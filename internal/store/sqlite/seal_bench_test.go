package sqlite

import "testing"

// What keeping a content costs before the writer sees it.
func BenchmarkInsideBody(b *testing.B) {
	content := make([]byte, 2048)
	b.ReportAllocs()
	for b.Loop() {
		if got := insideBody(content); len(got.bytes) != len(content) {
			b.Fatal(len(got.bytes))
		}
	}
}
