package submit

import (
	"fmt"
	"time"
)

// readTimes judges when the message goes out and when it is no longer wanted.
func (d *draft) readTimes() {
	limits, from := &d.s.limits, d.now
	if at := d.r.SendAt; !at.IsZero() {
		switch ahead := at.Sub(d.now); {
		case ahead < -limits.Past:
			d.fault("scheduled_time_in_past", "scheduled_time", fmt.Sprintf("'scheduled_time' is more than %d seconds in the past.", int(limits.Past/time.Second)))
		case ahead > limits.Horizon:
			d.fault("scheduled_time_too_far", "scheduled_time", fmt.Sprintf("'scheduled_time' is more than %d days ahead.", int(limits.Horizon/(24*time.Hour))))
		case ahead > 0:
			from = at.UTC().Truncate(time.Millisecond)
			d.message.ScheduledAt = from
		}
	}
	if d.r.ExpiresIn == nil {
		return
	}
	seconds := *d.r.ExpiresIn
	if most := int64(limits.Expiry / time.Second); seconds < 1 || seconds > most {
		d.fault("invalid_value", "expires_in_seconds", fmt.Sprintf("'expires_in_seconds' is a number from 1 to %d.", most))
		return
	}
	d.message.ExpiresAt = from.Add(time.Duration(seconds) * time.Second)
}
