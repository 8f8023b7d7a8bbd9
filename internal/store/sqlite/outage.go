package sqlite

// outage is the error of a write that failed because nothing can be written now: the
// disk is full, the file cannot be read, the store is closed. Nothing of it happened, and
// later it may: the doors answer 503 (they ask for Unavailable).
type outage struct{ cause error }

func (o *outage) Error() string   { return o.cause.Error() }
func (o *outage) Unwrap() error   { return o.cause }
func (*outage) Unavailable() bool { return true }
