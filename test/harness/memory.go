package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most resident memory a process had (VmHWM) since its start or since
// [ForgetPeak], in bytes; 0 where there is no /proc.
func PeakMemory(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, ok := strings.Cut(string(status), "VmHWM:")
	if !ok {
		return 0
	}
	kb, _ := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	return kb << 10
}

// ForgetPeak makes the kernel begin anew with a process' peak.
func ForgetPeak(pid int) { _ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) }
