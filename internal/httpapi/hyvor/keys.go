package hyvor

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

type keyOut struct {
	ID         int64    `json:"id"`
	Name       string   `json:"name"`
	Scopes     []string `json:"scopes"`
	AllowedIPs []string `json:"allowed_ips"`
	Key        *string  `json:"key"` // only on create
	CreatedAt  int64    `json:"created_at"`
	Enabled    bool     `json:"is_enabled"`
	AccessedAt *int64   `json:"last_accessed_at"`
}

const maxName = 255

// newSecret is a key in this dialect's shape: 32 lower-case hexadecimal digits.
func newSecret() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(raw[:])
}

// keys gives the keys of the caller's project and environment, without revoked ones, and
// their numbers.
func (a *API) keys(c *httpapi.Call) (list []project.Key, rows map[string]int64, err error) {
	if list, err = a.o.Access.Keys(c.Context(), c.Who); err != nil {
		return nil, nil, err
	}
	list = slices.DeleteFunc(list, func(k project.Key) bool { return !k.RevokedAt.IsZero() || k.Env != c.Who.Owner.Env })
	rows, err = a.o.Store.KeyRows(c.Context(), c.Who.Owner.Project)
	return list, rows, err
}

func shownAPIKey(k *project.Key, row int64) keyOut {
	out := keyOut{ID: row, Name: k.Name, Scopes: shownScopes(k), AllowedIPs: k.IPAllowlist, CreatedAt: k.CreatedAt.Unix(), Enabled: !k.Disabled,
		AccessedAt: unixOrNull(k.LastUsedAt)}
	if out.AllowedIPs == nil {
		out.AllowedIPs = []string{}
	}
	return out
}

func (a *API) listKeys(c *httpapi.Call) (any, error) {
	list, rows, err := a.keys(c)
	if err != nil {
		return nil, err
	}
	out := make([]keyOut, len(list))
	for i := range list {
		out[i] = shownAPIKey(&list[i], rows[list[i].ID])
	}
	newestFirst(out, func(k *keyOut) int64 { return k.ID })
	return out, nil
}

// keyInput is what a body says of a key; nil: nothing.
type keyInput struct {
	name    *string
	scopes  []string
	ips     []string
	enabled *bool
}

// readKey reads what a body says of a key, and refuses scopes that the caller lacks.
func (a *API) readKey(c *httpapi.Call) (in keyInput, wrong faults, err error) {
	f, err := readFields(c)
	if err != nil {
		return in, nil, err
	}
	if name, ok := f.textOf("name", &wrong); ok {
		in.name = &name
		judgeName("name", name, &wrong)
	}
	in.scopes, _ = f.textsOf("scopes", &wrong)
	for i, s := range in.scopes {
		if v1Of(s) == nil {
			wrong.add(fmt.Sprintf("scopes[%d]", i), textChoice)
		}
	}
	in.ips, _ = f.textsOf("allowed_ips", &wrong)
	for i, ip := range in.ips {
		if said := judgeAllowedIP(ip); said != "" {
			wrong.add(fmt.Sprintf("allowed_ips[%d]", i), said)
		}
		in.ips[i] = strings.TrimSpace(ip)
	}
	if f.given("is_enabled") {
		v := string(f["is_enabled"])
		on := v == "true"
		if in.enabled = &on; !on && v != "false" {
			wrong.add("is_enabled", textBool)
		}
	}
	return in, wrong, nil
}

func judgeName(property, name string, wrong *faults) {
	switch {
	case strings.TrimSpace(name) == "":
		wrong.add(property, textBlank)
	case utf8.RuneCountInString(name) > maxName:
		wrong.add(property, textTooLong(maxName))
	}
}

// beyond finds a scope that the caller does not have, and so cannot give.
func beyond(by *project.Key, names []string) error {
	for _, s := range names {
		if !has(by, v1Of(s)) {
			return forbidden(textScope(s))
		}
	}
	return nil
}

// judgeAllowedIP says what is wrong with an address or a range; "" = nothing.
func judgeAllowedIP(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return "Allowed IP entry must not be empty."
	}
	host, bits, ranged := strings.Cut(s, "/")
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return "'" + clip(host) + "' is not a valid IPv4 or IPv6 address."
	}
	if !ranged {
		return ""
	}
	n, err := strconv.Atoi(bits)
	if err != nil || !isDigits(bits) {
		return "Invalid CIDR prefix in '" + clip(s) + "'."
	}
	switch {
	case ip.Is4() && (n < 24 || n > 32):
		return "IPv4 CIDR prefix must be between /24 and /32 (got '" + clip(bits) + "')."
	case ip.Is6() && (n < 48 || n > 128):
		return "IPv6 CIDR prefix must be between /48 and /128 (got '" + clip(bits) + "')."
	}
	return ""
}

const textNeedsIPs = `At least one allowed IP is required when the "sends.send" scope is enabled.`

func (a *API) judgeNeedsIPs(scopes, ips []string, wrong *faults) {
	if a.o.Bounds.RequireAllowedIPs && slices.Contains(scopes, "sends.send") && len(ips) == 0 {
		wrong.add("allowed_ips", textNeedsIPs)
	}
}

func (a *API) createKey(c *httpapi.Call) (any, error) {
	in, wrong, err := a.readKey(c)
	if err != nil {
		return nil, err
	}
	if in.name == nil && !wrong.about("name") {
		wrong.add("name", textBlank)
	}
	if len(in.scopes) == 0 && !wrong.about("scopes") {
		wrong.add("scopes", textBlank)
	}
	a.judgeNeedsIPs(in.scopes, in.ips, &wrong)
	if wrong != nil {
		return nil, wrong.refusal()
	}
	if err := beyond(c.Who.Key, in.scopes); err != nil {
		return nil, err
	}
	k, secret, err := a.o.Access.CreateKey(c.Context(), project.NewKey{Project: c.Who.Project, By: &c.Who, Name: *in.name, Scopes: toV1(in.scopes),
		IPAllowlist: in.ips, Secret: newSecret, Most: a.o.Bounds.Keys}, nil, nil)
	switch {
	case errors.Is(err, project.ErrKeysFull):
		return nil, bad("You have reached the maximum number of API keys for this project.")
	case err != nil:
		return nil, keyFault(err)
	}
	rows, err := a.o.Store.KeyRows(c.Context(), c.Who.Owner.Project)
	out := shownAPIKey(&k, rows[k.ID])
	out.Key = &secret
	return out, err
}

// keyFault puts the core's faults of a key into this dialect's words.
func keyFault(err error) error {
	var found mail.Faults
	if !errors.As(err, &found) {
		return err
	}
	var wrong faults
	for _, e := range found {
		wrong.add(strings.Replace(e.Field, "ip_allowlist", "allowed_ips", 1), e.Message)
	}
	return wrong.err()
}

// keyByRow gives the key a path names by number.
func (a *API) keyByRow(c *httpapi.Call) (project.Key, int64, error) {
	row, err := number(c.Param(0))
	if err != nil {
		return project.Key{}, 0, err
	}
	list, rows, err := a.keys(c)
	if err != nil {
		return project.Key{}, 0, err
	}
	for i := range list {
		if rows[list[i].ID] == row {
			return list[i], row, nil
		}
	}
	return project.Key{}, 0, a.entity(c, ThingKey, row)
}

func (a *API) patchKey(c *httpapi.Call) (any, error) {
	k, row, err := a.keyByRow(c)
	if err != nil {
		return nil, err
	}
	in, wrong, err := a.readKey(c)
	if err != nil {
		return nil, err
	}
	if in.scopes != nil && len(in.scopes) == 0 {
		wrong.add("scopes", textBlank)
	}
	scopes, ips := shownScopes(&k), k.IPAllowlist
	if in.scopes != nil {
		scopes = in.scopes
	}
	if in.ips != nil {
		ips = in.ips
	}
	if in.scopes != nil || in.ips != nil {
		a.judgeNeedsIPs(scopes, ips, &wrong)
	}
	if wrong != nil {
		return nil, wrong.refusal()
	}
	if err := beyond(c.Who.Key, in.scopes); err != nil {
		return nil, err
	}
	k, err = a.o.Access.UpdateKey(c.Context(), c.Who, k.ID, 0, func(k *project.Key) {
		if in.name != nil {
			k.Name = strings.TrimSpace(*in.name)
		}
		if in.scopes != nil {
			k.Scopes = toV1(in.scopes)
		}
		if in.ips != nil {
			k.IPAllowlist = in.ips
		}
		if in.enabled != nil {
			k.Disabled = !*in.enabled
		}
	})
	if err != nil {
		return nil, keyFault(err)
	}
	return shownAPIKey(&k, row), nil
}

func (a *API) deleteKey(c *httpapi.Call) (any, error) {
	k, _, err := a.keyByRow(c)
	if err != nil {
		return nil, err
	}
	return []int{}, a.o.Access.RevokeKey(c.Context(), c.Who, k.ID)
}
