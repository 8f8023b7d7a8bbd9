package eventlog

// Live tells whether the reader has come to the end of the log.
func (r *Reader) Live() bool { return r.live }
