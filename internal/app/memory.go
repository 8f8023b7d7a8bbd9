package app

import (
	"os"
	"runtime/debug"

	"github.com/postroad/postroad/internal/config"
)

// limitMemory sets the soft limit of the heap. GOMEMLIMIT wins: whoever sets it knows the
// container. Below the limit the collector runs less often than Go's default (GOGC=100),
// since the live heap of an idle Postroad is small and each accepted message makes garbage.
func limitMemory(s config.Running) {
	if os.Getenv("GOGC") == "" && s.MemoryLimit > 0 {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" && s.MemoryLimit > 0 {
		debug.SetMemoryLimit(int64(s.MemoryLimit))
	}
}
