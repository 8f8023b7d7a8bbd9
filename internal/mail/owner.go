package mail

// Env is an environment of a project. Data of two environments never mix.
type Env uint8

const (
	Live Env = iota // leaves the host
	Test            // captured by the sandbox inbox; can never leave the host
)

func (e Env) String() string {
	if e == Test {
		return "test"
	}
	return "live"
}

// ParseEnv reads "live" or "test".
func ParseEnv(s string) (Env, bool) {
	switch s {
	case "live":
		return Live, true
	case "test":
		return Test, true
	}
	return 0, false
}

// Owner says whose something is: a project (by its row number in the store) and one
// of its environments. Whatever belongs to another owner does not exist for a caller.
type Owner struct {
	Project int64
	Env     Env
}
