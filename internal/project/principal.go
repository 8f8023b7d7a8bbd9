package project

import "github.com/postroad/postroad/internal/mail"

// Principal is the caller of one request, after authentication.
type Principal struct {
	Owner   mail.Owner
	Project *Project // shared: do not change
	Key     *Key     // shared: do not change; of a session: one of no name, with the user's scopes
	Session *Session // nil: the caller has a key; shared: do not change
	IP      string

	meters meters  // found by authentication; Limits looks them up where they are missing
	use    *keyUse // likewise; nil where nobody notes uses
}

// MaySend tells why nothing may be sent as this principal whatever its scopes; nil: it may.
func (p Principal) MaySend() *mail.Error {
	switch {
	case p.Project == nil:
		return nil
	case p.Project.Suspended:
		why := ""
		if p.Project.SuspendedReason != "" {
			why = " (" + p.Project.SuspendedReason + ")"
		}
		return &mail.Error{Code: "project_suspended", Status: 403, Message: "This project is suspended" + why + " and cannot send. Ask whoever runs this server."}
	case p.Project.LiveDisabled && p.Owner.Env == mail.Live:
		return &mail.Error{Code: "live_not_enabled", Status: 403, Message: "The live environment of this project is not enabled. Use a test key, or ask whoever runs this server."}
	}
	return nil
}

// By names the principal in events and audits: "key_k7f2q9xm", "usr_…".
func (p Principal) By() string {
	if p.Session != nil {
		return p.Session.UserID.Text(mail.PrefixUser)
	}
	if p.Key == nil {
		return ""
	}
	return mail.PrefixKey + "_" + p.Key.ID
}
