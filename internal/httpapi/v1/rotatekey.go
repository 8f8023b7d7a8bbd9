package v1

import (
	"fmt"
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// rotatedKeyOut is the new key with what becomes of the old one.
type rotatedKeyOut struct {
	keyOut       `json:",inline"`
	OldKeyID     string    `json:"old_key_id"`
	OldExpiresAt time.Time `json:"old_expires_at"`
}

func rotatedKeyOf(r *project.RotatedKey) rotatedKeyOut {
	return rotatedKeyOut{keyOut: keyOf(&r.Key), OldKeyID: mail.PrefixKey + "_" + r.Old, OldExpiresAt: r.OldEnds}
}

func (a *API) rotateKey(c *httpapi.Call) {
	r := project.KeyRotation{ID: keyParam(c), IfVersion: c.IfMatch(), Overlap: project.DefaultOverlap}
	f, ok := a.readForm(c, []string{"overlap_hours", "expires_at"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "expires_at":
			if r.ExpiresAt, _ = f.moment(name, v); !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(c.Arrived) {
				f.fault(name, "invalid_value", "The new key would have expired already.")
			}
		default:
			hours := f.small(name, v)
			if most := int(project.MaxOverlap / time.Hour); hours < 0 || hours > most {
				f.fault(name, "invalid_value", fmt.Sprintf("'overlap_hours' is between 0 (the old key ends at once) and %d.", most))
			}
			r.Overlap = time.Duration(hours) * time.Hour
		}
	})
	if !ok {
		return
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	requestID := c.RequestID
	made, err := a.o.Access.RotateKey(c.Context(), c.Who, r, turn.Once, func(r project.RotatedKey) mail.Answer {
		return keptRotation(turn.Once, r, requestID)
	})
	if err != nil {
		c.Finish(turn, mail.Answer{}, err)
		return
	}
	out := rotatedKeyOf(&made)
	out.Secret, out.Warnings = &made.Secret, f.allWarnings()
	c.ETag(made.Version)
	c.Finish(turn, mail.Answer{Status: http.StatusCreated, Location: "/v1/api-keys/" + out.ID, Body: encode(out)}, nil)
}

// keptRotation is what a replay is told, as keptKeyAnswer.
func keptRotation(once *mail.Once, r project.RotatedKey, requestID string) mail.Answer {
	if once == nil {
		return mail.Answer{}
	}
	out := struct {
		rotatedKeyOut `json:",inline"`
		Secret        *string `json:"secret"`
	}{rotatedKeyOut: rotatedKeyOf(&r)}
	out.Warnings = []mail.Warning{secretNotShown}
	return mail.Answer{Status: http.StatusCreated, Location: "/v1/api-keys/" + out.ID, Body: encode(out), RequestID: requestID,
		Fingerprint: once.Fingerprint, Expires: once.Expires}
}
