package project_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

var (
	noon  = time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)
	local = netip.MustParseAddr("192.0.2.7")
)

// house is Access over a memory, with a clock of its own.
type house struct {
	*project.Access
	store *memory
	now   time.Time
	p     project.Project
}

func newHouse(t *testing.T, o project.AccessOptions) *house {
	t.Helper()
	h := &house{store: &memory{}, now: noon}
	o.Store, o.Now = h.store, func() time.Time { return h.now }
	h.Access = project.NewAccess(o)
	first, err := h.Bootstrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.p = first.Project
	return h
}

func (h *house) mint(t *testing.T, n project.NewKey) (project.Key, string) {
	t.Helper()
	n.Project = &h.p
	if n.Name == "" {
		n.Name = "a key"
	}
	if n.Scopes == nil {
		n.Scopes = []string{"messages.send"}
	}
	k, secret, err := h.CreateKey(t.Context(), n, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

func (h *house) code(t *testing.T, secret string) string {
	t.Helper()
	if _, fault := h.Authenticate(t.Context(), secret, local, h.now); fault != nil {
		return fault.Code
	}
	return ""
}

func env(e mail.Env) *mail.Env { return &e }

func TestAMintedKeyHasItsShapeAndItsCheckFindsTypingErrors(t *testing.T) {
	t.Parallel()
	for range 50 {
		m := project.Mint(mail.Live)
		if len(m.Secret) != 8+8+1+43+6 || !strings.HasPrefix(m.Secret, "sk_live_"+m.ID+"_") || m.Prefix != "sk_live_"+m.ID {
			t.Fatalf("secret %q, id %q, prefix %q", m.Secret, m.ID, m.Prefix)
		}
		if e, id, ok := project.ParseSecret(m.Secret); !ok || id != m.ID || e != mail.Live {
			t.Fatalf("%q was not read back", m.Secret)
		}
		for _, at := range []int{8, 20, 45, 60, len(m.Secret) - 1} {
			b := []byte(m.Secret)
			b[at] = map[bool]byte{true: 'b', false: 'a'}[b[at] == 'a']
			if _, _, ok := project.ParseSecret(string(b)); ok {
				t.Fatalf("a wrong character at %d of %q was not found", at, b)
			}
		}
	}
}

func TestOnlyTheHolderLearnsWhyAKeyOpensNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	good, secret := h.mint(t, project.NewKey{Env: env(mail.Live)})
	_, expiring := h.mint(t, project.NewKey{Env: env(mail.Live), ExpiresAt: noon.Add(time.Hour)})
	who, fault := h.Authenticate(t.Context(), secret, local, h.now)
	if fault != nil || who.Key.ID != good.ID || who.Owner != (mail.Owner{Project: h.p.Row, Env: mail.Live}) || who.By() != "key_"+good.ID {
		t.Fatalf("%+v %v", who, fault)
	}
	wrong := project.Mint(mail.Live).Secret
	for secret, want := range map[string]string{"": "missing_api_key", "hunter2": "invalid_api_key", wrong: "invalid_api_key",
		secret + "x": "invalid_api_key", strings.Repeat("a", 5000): "invalid_api_key", "sk_live_" + good.ID + "_x": "invalid_api_key", expiring: ""} {
		if got := h.code(t, secret); got != want {
			t.Errorf("%.40q: %q, want %q", secret, got, want)
		}
	}
	h.now = noon.Add(time.Hour)
	if got := h.code(t, expiring); got != "api_key_expired" {
		t.Errorf("expired: %q", got)
	}
	if _, err := h.UpdateKey(t.Context(), who, good.ID, 0, func(k *project.Key) { k.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	if got := h.code(t, secret); got != "api_key_disabled" {
		t.Errorf("disabled: %q", got)
	}
	if err := h.RevokeKey(t.Context(), who, good.ID); err != nil {
		t.Fatal(err)
	}
	if got := h.code(t, secret); got != "api_key_revoked" {
		t.Errorf("revoked: %q", got)
	}
}

func TestAKeyIsReadOnceAndChangesElsewhereHoldWithinASecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	k, secret := h.mint(t, project.NewKey{})
	before := h.store.reads
	for range 100 {
		h.now = h.now.Add(time.Millisecond)
		h.code(t, secret)
	}
	if got := h.store.reads - before; got != 1 {
		t.Errorf("%d reads for 100 requests within 100 ms", got)
	}
	_ = h.store.RevokeKey(context.Background(), h.p.Row, k.ID, "another node", h.now) // not through Access
	h.now = h.now.Add(time.Second)
	if got := h.code(t, secret); got != "api_key_revoked" {
		t.Errorf("a second later: %q", got)
	}
}

func TestAStoreThatIsDownIsNotAWrongKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	_, secret := h.mint(t, project.NewKey{})
	h.store.broken = errBroken
	if _, fault := h.Authenticate(t.Context(), secret, local, h.now); fault == nil || fault.Status != 503 || strings.Contains(fault.Message, "disk") {
		t.Errorf("%+v", fault)
	}
}

func TestScopeIsJudgedBeforeAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	_, secret := h.mint(t, project.NewKey{IPAllowlist: []string{"10.0.0.0/8", "2001:db8::/48", "192.0.2.9"}})
	who, _ := h.Authenticate(t.Context(), secret, local, h.now)
	for _, c := range []struct{ scope, ip, want string }{
		{"messages.read", "192.0.2.7", "insufficient_scope"}, {"messages.send", "192.0.2.7", "ip_not_allowed"},
		{"messages.send", "10.1.2.3", ""}, {"messages.send", "::ffff:10.1.2.3", ""}, {"messages.send", "2001:db8:0:1::1", ""},
		{"messages.send", "2001:db9::1", "ip_not_allowed"}, {"messages.send", "192.0.2.9", ""}, {"", "10.0.0.1", ""},
	} {
		got := ""
		if fault := h.Authorize(who, c.scope, netip.MustParseAddr(c.ip)); fault != nil {
			got = fault.Code
		}
		if got != c.want {
			t.Errorf("%s from %s: %q, want %q", c.scope, c.ip, got, c.want)
		}
	}
}

func TestAKeyHandsOnOnlyWhatItHas(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	_, secret := h.mint(t, project.NewKey{Env: env(mail.Test), Scopes: []string{"messages.send", "keys.write"}, AllowedFrom: []string{"*@acme.test"},
		IPAllowlist: []string{"10.0.0.0/8"}})
	by, _ := h.Authenticate(t.Context(), secret, local, h.now)
	for name, c := range map[string]struct {
		n    project.NewKey
		want string // field of the only fault
	}{
		"less":             {project.NewKey{Name: "x", Scopes: []string{"messages.send"}}, ""},
		"another scope":    {project.NewKey{Name: "x", Scopes: []string{"messages.send", "messages.read"}}, "scopes[1]"},
		"every scope":      {project.NewKey{Name: "x", Scopes: []string{"*"}}, "scopes[0]"},
		"a preset":         {project.NewKey{Name: "x", Scopes: []string{"full"}}, "scopes[0]"},
		"live":             {project.NewKey{Name: "x", Scopes: []string{"messages.send"}, Env: env(mail.Live)}, "environment"},
		"another sender":   {project.NewKey{Name: "x", Scopes: []string{"messages.send"}, AllowedFrom: []string{"a@other.test"}}, "allowed_from[0]"},
		"a sender of ours": {project.NewKey{Name: "x", Scopes: []string{"messages.send"}, AllowedFrom: []string{"a@ACME.test"}}, ""},
		"a wider network":  {project.NewKey{Name: "x", Scopes: []string{"messages.send"}, IPAllowlist: []string{"0.0.0.0/0"}}, "ip_allowlist[0]"},
		"no name":          {project.NewKey{Scopes: []string{"messages.send"}}, "name"},
	} {
		c.n.Project, c.n.By = &h.p, &by
		k, _, err := h.CreateKey(t.Context(), c.n, nil, nil)
		var faults mail.Faults
		errors.As(err, &faults)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want == "" && (len(k.AllowedFrom) == 0 || len(k.IPAllowlist) == 0 || k.Env != mail.Test):
			t.Errorf("%s: restrictions were lost: %+v", name, k)
		case c.want != "" && (len(faults) != 1 || faults[0].Field != c.want || faults[0].Pointer == "" || faults[0].Code == ""):
			t.Errorf("%s: %v, want one fault at %s", name, err, c.want)
		}
	}
	// The same rules hold for changes, but not for what a key had before.
	k, _ := h.mint(t, project.NewKey{Env: env(mail.Test), Scopes: []string{"messages.read"}})
	if _, err := h.UpdateKey(t.Context(), by, k.ID, 0, func(k *project.Key) { k.Name = "renamed" }); err != nil {
		t.Errorf("a new name: %v", err)
	}
	if _, err := h.UpdateKey(t.Context(), by, k.ID, 0, func(k *project.Key) { k.Scopes = []string{"messages.content"} }); err == nil {
		t.Error("a scope was handed on by a change")
	}
	live, _ := h.mint(t, project.NewKey{Env: env(mail.Live)})
	if _, err := h.UpdateKey(t.Context(), by, live.ID, 0, func(k *project.Key) { k.Name = "x" }); !errors.Is(err, mail.ErrNotFound) {
		t.Errorf("a test key sees a live one: %v", err)
	}
}

func TestNobodyWidensAKeyThatHasMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	_, secret := h.mint(t, project.NewKey{Env: env(mail.Test), Scopes: []string{"messages.send", "keys.write"}})
	by, _ := h.Authenticate(t.Context(), secret, local, h.now)
	five, six := 5, 6
	for name, c := range map[string]struct {
		change func(*project.Key)
		ok     bool
	}{
		"enabled":         {func(k *project.Key) { k.Disabled = false }, false},
		"for longer":      {func(k *project.Key) { k.ExpiresAt = h.now.Add(48 * time.Hour) }, false},
		"for ever":        {func(k *project.Key) { k.ExpiresAt = time.Time{} }, false},
		"from anywhere":   {func(k *project.Key) { k.IPAllowlist = nil }, false},
		"from more":       {func(k *project.Key) { k.IPAllowlist = []string{"10.0.0.0/7"} }, false},
		"as anybody":      {func(k *project.Key) { k.AllowedFrom = nil }, false},
		"as more":         {func(k *project.Key) { k.AllowedFrom = []string{"*@acme.test", "a@other.test"} }, false},
		"more a day":      {func(k *project.Key) { k.DailyMessages = &six }, false},
		"more a minute":   {func(k *project.Key) { k.RatePerMinute = new(int) }, false},
		"more recipients": {func(k *project.Key) { k.MaxRecipients = 0 }, false},
		"for less time":   {func(k *project.Key) { k.ExpiresAt = h.now.Add(time.Hour) }, true},
		"from fewer":      {func(k *project.Key) { k.IPAllowlist = []string{"10.1.0.0/16"} }, true},
		"as fewer":        {func(k *project.Key) { k.AllowedFrom = []string{"a@acme.test"} }, true},
		"less":            {func(k *project.Key) { k.DailyMessages, k.MaxRecipients = new(int), 1 }, true},
		"another name":    {func(k *project.Key) { k.Name = "b" }, true},
	} {
		k, _ := h.mint(t, project.NewKey{Env: env(mail.Test), Scopes: []string{"messages.content"}, AllowedFrom: []string{"*@acme.test"}, IPAllowlist: []string{"10.0.0.0/8"},
			ExpiresAt: h.now.Add(24 * time.Hour), DailyMessages: &five, RatePerMinute: &five, MaxRecipients: 5})
		k.Disabled = true
		if _, err := h.store.UpdateKey(t.Context(), k, 0); err != nil {
			t.Fatal(err)
		}
		_, err := h.UpdateKey(t.Context(), by, k.ID, 0, c.change)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFullKeyOfAnotherProjectIsNoOperators(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	h.p.Name = "web-shop"
	k, secret := h.mint(t, project.NewKey{Scopes: []string{"full"}})
	if k.Has("instance.read") || k.Has("instance.write") || k.Has(project.ScopeAll) || !k.Has("keys.write") || !k.Has("audit.read") {
		t.Errorf("%v", k.Scopes)
	}
	by, _ := h.Authenticate(t.Context(), secret, local, h.now)
	by.Project = &h.p
	if again, _, err := h.CreateKey(t.Context(), project.NewKey{Project: &h.p, By: &by, Name: "x", Scopes: []string{"full"}}, nil, nil); err != nil || !slices.Equal(again.Scopes, k.Scopes) {
		t.Errorf("%v, %v", again.Scopes, err)
	}
	if _, err := h.UpdateKey(t.Context(), by, k.ID, 0, func(k *project.Key) { k.Scopes = []string{"instance.write"} }); err == nil {
		t.Error("a tenant made himself the operator")
	}
	if named, _ := h.mint(t, project.NewKey{Scopes: []string{"full", "instance.read"}}); !named.Has("instance.read") || named.Has("instance.write") {
		t.Errorf("%v", named.Scopes)
	}
}

func TestAStaleVersionChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	k, secret := h.mint(t, project.NewKey{Scopes: []string{"full"}})
	by, _ := h.Authenticate(t.Context(), secret, local, h.now)
	if _, err := h.UpdateKey(t.Context(), by, k.ID, k.Version, func(k *project.Key) { k.Name = "b" }); err != nil {
		t.Fatal(err)
	}
	if _, err := h.UpdateKey(t.Context(), by, k.ID, k.Version, func(k *project.Key) { k.Name = "c" }); !errors.Is(err, mail.ErrStale) {
		t.Errorf("%v", err)
	}
}

func TestWhoNamesNoVersionIsNotOvertaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	k, secret := h.mint(t, project.NewKey{Scopes: []string{"full"}})
	by, _ := h.Authenticate(t.Context(), secret, local, h.now)
	calls := 0
	quicker := func() { // between reading and keeping
		if calls++; calls > 1 {
			return
		}
		if _, err := h.UpdateKey(t.Context(), by, k.ID, 0, func(k *project.Key) { k.MaxRecipients = 7 }); err != nil {
			t.Error(err)
		}
		if _, err := h.UpdateProject(t.Context(), by, 0, func(s *project.Settings) { s.StrictFields = true }); err != nil {
			t.Error(err)
		}
	}
	got, err := h.UpdateKey(t.Context(), by, k.ID, 0, func(k *project.Key) { quicker(); k.Name = "b" })
	if err != nil || got.Name != "b" || got.MaxRecipients != 7 || calls != 2 {
		t.Errorf("%+v, %v after %d calls", got, err, calls)
	}
	calls = 0
	p, err := h.UpdateProject(t.Context(), by, 0, func(s *project.Settings) { quicker(); s.DefaultFrom = "a@acme.test" })
	if err != nil || p.Settings.DefaultFrom != "a@acme.test" || !p.Settings.StrictFields || calls != 2 {
		t.Errorf("%+v, %v after %d calls", p.Settings, err, calls)
	}
}

func TestBootstrapMakesWhatMustExistAndAgainNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	if keys, _ := h.store.Keys(t.Context(), h.p.Row); len(keys) != 1 || keys[0].Env != mail.Test {
		t.Fatalf("keys after the first start: %+v", keys)
	}
	again, err := h.Bootstrap(t.Context())
	if err != nil || again.Secret != "" {
		t.Errorf("the second start: %+v %v", again, err)
	}

	o := project.AccessOptions{BootstrapLive: "any shape at all", BootstrapTest: "sk_test_whatever"}
	named := newHouse(t, o)
	if _, err := named.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys, _ := named.store.Keys(t.Context(), named.p.Row); len(keys) != 2 {
		t.Errorf("%d keys, want the two named ones", len(keys))
	}
	for secret, want := range map[string]mail.Env{o.BootstrapLive: mail.Live, o.BootstrapTest: mail.Test} {
		who, fault := named.Authenticate(t.Context(), secret, local, noon)
		if fault != nil || who.Owner.Env != want || !who.Key.Has("instance.write") {
			t.Errorf("%q: %+v %v", secret, who, fault)
		}
	}
	both := project.NewAccess(project.AccessOptions{Store: &memory{}, BootstrapLive: "same", BootstrapTest: "same"})
	if _, err := both.Bootstrap(t.Context()); err == nil {
		t.Error("one secret cannot be of two environments")
	}
}

func TestProjectSettingsHoldAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	_, secret := h.mint(t, project.NewKey{Scopes: []string{"full"}})
	by, _ := h.Authenticate(t.Context(), secret, local, h.now)
	if _, err := h.UpdateProject(t.Context(), by, 0, func(s *project.Settings) { s.OnSuppressed = "explode"; s.EventDays = 0 }); err == nil || len(err.(mail.Faults)) != 2 {
		t.Errorf("%v, want both faults", err)
	}
	two := 2
	if _, err := h.UpdateProject(t.Context(), by, 0, func(s *project.Settings) { s.RatePerMinute = &two }); err != nil {
		t.Fatal(err)
	}
	by, _ = h.Authenticate(t.Context(), secret, local, h.now)
	var got []bool
	for range 3 {
		got = append(got, h.Limits().Take(by, h.now).OK)
	}
	if !slices.Equal(got, []bool{true, true, false}) {
		t.Errorf("with 2 a minute: %v", got)
	}
}

func TestLastUseIsGatheredAndWrittenDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		a := project.NewAccess(project.AccessOptions{Store: store})
		first, err := a.Bootstrap(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		use := func() {
			who, _ := a.Authenticate(ctx, first.Secret, local, time.Now())
			a.Note(who, "curl/8", time.Now())
		}
		for range 100 {
			use()
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if len(store.uses) != 1 || store.uses[0].IP != local.String() || store.uses[0].Agent != "curl/8" {
			t.Errorf("written down: %+v", store.uses)
		}
		use()
		stop()
		if err := <-done; err != nil || len(store.uses) != 2 {
			t.Errorf("at the end: %v, %d uses", err, len(store.uses))
		}
	})
}
