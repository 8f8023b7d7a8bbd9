package v1

import (
	"net/http"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

type rateOut struct {
	PerMinute *int `json:"per_minute"`
}

// keyOut is a key as it is shown; its secret only once.
type keyOut struct {
	ID            string         `json:"key_id"`
	Object        string         `json:"object"`
	Secret        *string        `json:"secret,omitempty"`
	Prefix        string         `json:"prefix"`
	Name          string         `json:"name"`
	Environment   string         `json:"environment"`
	Scopes        []string       `json:"scopes"`
	AllowedFrom   []string       `json:"allowed_from"`
	IPAllowlist   []string       `json:"ip_allowlist"`
	RateLimit     *rateOut       `json:"rate_limit"`
	MaxRecipients *int           `json:"max_recipients"`
	DailyMessages *int           `json:"daily_messages"`
	ReplacedBy    *string        `json:"replaced_by"`
	Enabled       bool           `json:"enabled"`
	Revoked       bool           `json:"revoked"`
	CreatedAt     time.Time      `json:"created_at"`
	CreatedBy     string         `json:"created_by"`
	ExpiresAt     time.Time      `json:"expires_at"`
	RevokedAt     time.Time      `json:"revoked_at"`
	LastUsedAt    time.Time      `json:"last_used_at"`
	LastUsedIP    *string        `json:"last_used_ip"`
	LastUsedAgent *string        `json:"last_used_user_agent"`
	Warnings      []mail.Warning `json:"warnings,omitempty"`
}

func keyOf(k *project.Key) keyOut {
	out := keyOut{ID: mail.PrefixKey + "_" + k.ID, Object: "api_key", Prefix: k.Prefix, Name: k.Name, Environment: k.Env.String(),
		Scopes: k.ShownScopes(), AllowedFrom: k.AllowedFrom, IPAllowlist: k.IPAllowlist, Revoked: !k.RevokedAt.IsZero(),
		Enabled: !k.Disabled && k.RevokedAt.IsZero(), CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt,
		LastUsedAt: k.LastUsedAt, LastUsedIP: orNull(k.LastUsedIP), LastUsedAgent: orNull(k.LastUsedAgent)}
	if k.RatePerMinute != nil {
		out.RateLimit = &rateOut{k.RatePerMinute}
	}
	if k.MaxRecipients > 0 {
		out.MaxRecipients = &k.MaxRecipients
	}
	if out.DailyMessages = k.DailyMessages; k.ReplacedBy != "" {
		out.ReplacedBy = orNull(mail.PrefixKey + "_" + k.ReplacedBy)
	}
	return out
}

var keyFields = []string{"name", "environment", "scopes", "allowed_from", "ip_allowlist", "expires_at", "rate_limit", "max_recipients", "daily_messages"}

func (a *API) createKey(c *httpapi.Call) {
	n := project.NewKey{Project: c.Who.Project, By: &c.Who}
	f, ok := a.readForm(c, keyFields, func(f *form, name string, v value) {
		if v.isNull() {
			return
		}
		switch name {
		case "name":
			n.Name, _ = f.text(name, v)
		case "environment":
			n.Env = readEnv(f, v)
		case "scopes":
			n.Scopes = f.texts(name, v)
		case "allowed_from":
			n.AllowedFrom = f.texts(name, v)
		case "ip_allowlist":
			n.IPAllowlist = f.texts(name, v)
		case "expires_at":
			n.ExpiresAt, _ = f.moment(name, v)
		case "rate_limit":
			n.RatePerMinute = readRate(f, v)
		case "max_recipients":
			n.MaxRecipients = f.small(name, v)
		case "daily_messages":
			n.DailyMessages = readDaily(f, v)
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
	requestID, warnings := c.RequestID, f.allWarnings()
	k, secret, err := a.o.Access.CreateKey(c.Context(), n, turn.Once, func(k project.Key, _ string) mail.Answer {
		return keptKeyAnswer(turn.Once, k, requestID)
	})
	if err != nil {
		c.Finish(turn, mail.Answer{}, err)
		return
	}
	out := keyOf(&k)
	out.Secret, out.Warnings = &secret, warnings
	c.ETag(k.Version)
	c.Finish(turn, mail.Answer{Status: http.StatusCreated, Location: "/v1/api-keys/" + out.ID, Body: encode(out)}, nil)
}

// keptKeyAnswer is what a replay is told: the secret is stored nowhere, so it cannot be
// shown again.
func keptKeyAnswer(once *mail.Once, k project.Key, requestID string) mail.Answer {
	if once == nil {
		return mail.Answer{}
	}
	out := replayedKey{keyOut: keyOf(&k)}
	out.Warnings = []mail.Warning{secretNotShown}
	return mail.Answer{Status: http.StatusCreated, Location: "/v1/api-keys/" + out.ID, Body: encode(out), RequestID: requestID,
		Fingerprint: once.Fingerprint, Expires: once.Expires}
}

var secretNotShown = mail.Warning{Code: "secret_not_shown", Pointer: "#/secret",
	Message: "The secret was shown when the key was made and is not stored. If it was lost, revoke this key and create another."}

// replayedKey says "secret": null.
type replayedKey struct {
	keyOut `json:",inline"`
	Secret *string `json:"secret"`
}

func readEnv(f *form, v value) *mail.Env {
	s, ok := f.text("environment", v)
	env, known := mail.ParseEnv(s)
	if ok && !known {
		f.fault("environment", "invalid_value", "'environment' is 'live' or 'test'.")
	}
	return &env
}

// readRate reads {"per_minute":600}; null inside means no limit of its own.
func readRate(f *form, v value) *int {
	if v.kind() != '{' {
		f.wrongType("rate_limit", v, `an object: {"per_minute":600}`)
		return nil
	}
	var out *int
	for w := v.walk(); ; {
		name, item, ok := w.next()
		switch {
		case !ok:
			return out
		case string(name) != "per_minute":
			f.unknownField("rate_limit", name, []string{"per_minute"})
		case !item.isNull():
			n := f.small("rate_limit.per_minute", item)
			out = &n
		}
	}
}

// readDaily reads a number of messages a day; null: no limit.
func readDaily(f *form, v value) *int {
	if v.isNull() {
		return nil
	}
	n := f.small("daily_messages", v)
	return &n
}

// small reads a whole number that fits anywhere; what is too large is judged later.
func (f *findings) small(field string, v value) int {
	n, _ := f.integer(field, v)
	return int(max(min(n, 1<<31-1), -1<<31))
}

func (a *API) listKeys(c *httpapi.Call) {
	l := a.list(c, "include=total")
	if l.failed() {
		return
	}
	keys, err := a.o.Access.Keys(c.Context(), c.Who)
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]keyOut, len(keys))
	for i := range keys {
		out[i] = keyOf(&keys[i])
	}
	pageWhole(a, l, out)
}

// keyParam is the 8-character id of the path's "key_…".
func keyParam(c *httpapi.Call) string { return strings.TrimPrefix(c.Param(0), mail.PrefixKey+"_") }

func (a *API) getKey(c *httpapi.Call) {
	k, err := a.o.Access.Key(c.Context(), c.Who, keyParam(c))
	a.showKey(c, k, err, nil)
}

func (a *API) showKey(c *httpapi.Call, k project.Key, err error, warnings []mail.Warning) {
	if err != nil {
		c.Fail(err)
		return
	}
	c.ETag(k.Version)
	out := keyOf(&k)
	out.Warnings = warnings
	give(c, http.StatusOK, out)
}

func (a *API) patchKey(c *httpapi.Call) {
	var changes []func(*project.Key)
	set := func(change func(*project.Key)) { changes = append(changes, change) }
	f, ok := a.readForm(c, append([]string{"enabled"}, keyFields...), func(f *form, name string, v value) {
		patchKeyField(f, name, v, set)
	})
	if !ok || f.failed() {
		return
	}
	k, err := a.o.Access.UpdateKey(c.Context(), c.Who, keyParam(c), c.IfMatch(), func(k *project.Key) {
		for _, change := range changes {
			change(k)
		}
	})
	a.showKey(c, k, err, f.allWarnings())
}

// patchKeyField notes one change; null takes a restriction away.
func patchKeyField(f *form, name string, v value, set func(func(*project.Key))) {
	null := v.isNull()
	switch name {
	case "name":
		s, _ := f.text(name, v)
		set(func(k *project.Key) { k.Name = strings.TrimSpace(s) })
	case "environment":
		f.fault(name, "invalid_value", "A key's environment cannot change. Create another key.")
	case "enabled":
		is, _ := f.flag(name, v)
		set(func(k *project.Key) { k.Disabled = !is })
	case "scopes", "allowed_from", "ip_allowlist":
		var list []string
		if !null {
			list = f.texts(name, v)
		}
		set(func(k *project.Key) {
			*map[string]*[]string{"scopes": &k.Scopes, "allowed_from": &k.AllowedFrom, "ip_allowlist": &k.IPAllowlist}[name] = list
		})
	case "expires_at":
		var t time.Time
		if !null {
			t, _ = f.moment(name, v)
		}
		set(func(k *project.Key) { k.ExpiresAt = t })
	case "rate_limit":
		var rate *int
		if !null {
			rate = readRate(f, v)
		}
		set(func(k *project.Key) { k.RatePerMinute = rate })
	case "max_recipients":
		n := 0
		if !null {
			n = f.small(name, v)
		}
		set(func(k *project.Key) { k.MaxRecipients = n })
	case "daily_messages":
		n := readDaily(f, v)
		set(func(k *project.Key) { k.DailyMessages = n })
	}
}

func (a *API) deleteKey(c *httpapi.Call) {
	if err := a.o.Access.RevokeKey(c.Context(), c.Who, keyParam(c)); err != nil {
		c.Fail(err)
		return
	}
	c.Empty()
}
