package app

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"

	"github.com/postroad/postroad/internal/config"
)

// limitMemory sets the soft limit of the heap. GOMEMLIMIT wins: whoever sets it knows the
// container. Below the limit the collector runs less often than Go's default (GOGC=100),
// since the live heap is small and each message makes garbage: measured on two busy cores, 0.45
// against 0.59 s of CPU per 1,000 messages, at 144 against 106 MB of peak memory.
func limitMemory(s config.Running) {
	if os.Getenv("GOGC") == "" && s.MemoryLimit > 0 {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" && s.MemoryLimit > 0 {
		debug.SetMemoryLimit(int64(s.MemoryLimit))
	}
}

// memoryUsed is what the soft limit counts, and the limit; 0: there is none.
func memoryUsed() (used, limit int64) {
	if limit = debug.SetMemoryLimit(-1); limit == math.MaxInt64 {
		return 0, 0
	}
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64() - sample[1].Value.Uint64()), limit
}
