package project

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

// AdminName is the user the set-up makes.
const AdminName = "admin"

const (
	setupTime    = 30 * time.Minute // how long the link of the set-up is good
	seenEvery    = time.Minute      // how exactly a session's last use is known
	sessionsKept = 1000             // in memory
	maxAgent     = 200              // characters of a client's name
)

// SessionsOptions are the parts Sessions is built from.
type SessionsOptions struct {
	Store  SessionStore
	Limits *Limits
	Idle   time.Duration // a session not used for so long is over; 0: 24 h
	Life   time.Duration // the longest a session can last; 0: 7 days
	Now    func() time.Time
	Log    *slog.Logger
}

// Sessions are the console's logins.
type Sessions struct {
	o         SessionsOptions
	passwords *passwords
	attempts  *attempts

	mu    sync.Mutex
	known map[[32]byte]knownSession
	setup setupToken
}

type knownSession struct {
	Session
	read time.Time
}

type setupToken struct {
	secret  string
	expires time.Time
}

// NewSessions builds Sessions; Run must be running for old ones to be forgotten.
func NewSessions(o SessionsOptions) *Sessions {
	if o.Idle == 0 {
		o.Idle = day
	}
	if o.Life == 0 {
		o.Life = 7 * day
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Limits == nil {
		o.Limits = NewLimits(1000)
	}
	return &Sessions{o: o, passwords: newPasswords(), attempts: newAttempts(), known: map[[32]byte]knownSession{}}
}

// Life is the longest a session can last.
func (s *Sessions) Life() time.Duration { return s.o.Life }

// Bootstrap makes the first user with a password the operator gave. Without one, and as
// long as there is no user, it gives the token of the set-up, good once and for 30 minutes.
func (s *Sessions) Bootstrap(ctx context.Context, password string) (token string, err error) {
	users, err := s.o.Store.Users(ctx)
	if err != nil || len(users) > 0 {
		return "", err
	}
	if password != "" {
		_, err := s.createAdmin(ctx, password)
		if errors.Is(err, mail.ErrExists) { // another node was quicker
			err = nil
		}
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setup = setupToken{randomSecret(), s.o.Now().Add(setupTime)}
	return s.setup.secret, nil
}

// randomSecret is 256 bits as 43 characters of base62.
func randomSecret() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand since Go 1.24)
	return inBase62(new(big.Int).SetBytes(raw[:]), keyRandomLength)
}

func (s *Sessions) createAdmin(ctx context.Context, password string) (User, error) {
	if fault := judgePassword(password, "password"); fault != nil {
		return User{}, mail.Faults{fault}
	}
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	now := s.o.Now()
	return s.o.Store.CreateUser(ctx, User{ID: mail.NewID(now), Name: AdminName, Password: hash, CreatedAt: now, ChangedAt: now})
}

// Client is where a login comes from.
type Client struct {
	IP    netip.Addr
	Agent string
}

// Login is a fresh session with its secret, which goes into the cookie and nowhere else.
type Login struct {
	Session
	Secret string
}

var (
	errCredentials = &mail.Error{Code: "invalid_credentials", Status: 401, Message: "The user or the password is wrong."}
	errSetup       = &mail.Error{Code: "invalid_credentials", Status: 401,
		Message: "This set-up link is not good any more: it works once, within 30 minutes of the start that printed it. Restart the server for another, or run 'postroad console password' there."}
)

// SetUp makes the first user, by the token that a start printed, and logs them in.
func (s *Sessions) SetUp(ctx context.Context, token, password string, from Client) (Login, error) {
	if fault := judgePassword(password, "password"); fault != nil {
		return Login{}, mail.Faults{fault}
	}
	now := s.o.Now()
	if wait := s.attempts.begin(from.IP, now); wait > 0 {
		return Login{}, &WaitError{wait}
	}
	s.mu.Lock()
	good := s.setup.secret != "" && now.Before(s.setup.expires) && subtle.ConstantTimeCompare([]byte(token), []byte(s.setup.secret)) == 1
	s.mu.Unlock()
	if !good {
		return Login{}, errSetup
	}
	u, err := s.createAdmin(s.note(ctx, User{}, from, "users.create"), password)
	if errors.Is(err, mail.ErrExists) {
		return Login{}, errSetup
	}
	if err != nil {
		return Login{}, err
	}
	s.mu.Lock()
	s.setup = setupToken{}
	s.mu.Unlock()
	s.attempts.succeed(from.IP)
	s.o.Log.InfoContext(ctx, "the console was set up", "user", u.Name, "ip", from.IP.String())
	return s.begin(ctx, u, from)
}

// Login checks a user's password. The error is a *mail.Error, or a *WaitError when there
// were too many wrong ones.
func (s *Sessions) Login(ctx context.Context, name, password string, from Client) (Login, error) {
	now := s.o.Now()
	if wait := s.attempts.begin(from.IP, now); wait > 0 {
		return Login{}, &WaitError{wait}
	}
	u, err := s.o.Store.UserByName(ctx, name)
	if err != nil && !errors.Is(err, mail.ErrNotFound) {
		s.attempts.giveBack(from.IP)
		return Login{}, err
	}
	fits, err := s.passwords.fits(ctx, u.Password, password)
	if err != nil {
		s.attempts.giveBack(from.IP)
		return Login{}, err
	}
	if !fits {
		s.o.Log.WarnContext(ctx, "a login of the console failed", "ip", from.IP.String())
		return Login{}, errCredentials
	}
	s.attempts.succeed(from.IP)
	return s.begin(s.note(ctx, u, from, "sessions.create"), u, from)
}

// note has what follows written down as the user's doing.
func (s *Sessions) note(ctx context.Context, u User, from Client, action string) context.Context {
	e := audit.Entry{At: s.o.Now(), Actor: u.ID.Text(mail.PrefixUser), ActorName: u.Name, IP: from.IP.String(), Agent: clipAgent(from.Agent), Action: action}
	if p, err := s.o.Store.ProjectByName(ctx, DefaultProject); err == nil {
		e.Owner.Project = p.Row
	}
	if u.ID.IsZero() {
		e.Actor, e.ActorName = "operator", "set-up link"
	}
	return audit.Begin(ctx, e)
}

func clipAgent(agent string) string {
	if len(agent) > maxAgent {
		return agent[:maxAgent]
	}
	return agent
}

func (s *Sessions) begin(ctx context.Context, u User, from Client) (Login, error) {
	now := s.o.Now()
	secret := randomSecret()
	l := Login{Session{ID: mail.NewID(now), Hash: HashSecret(secret), User: u.Row, UserID: u.ID, UserName: u.Name, CreatedAt: now, SeenAt: now,
		ExpiresAt: now.Add(s.o.Life), IP: from.IP.String(), Agent: clipAgent(from.Agent)}, secret}
	audit.Changed(ctx, l.ID.Text(mail.PrefixSession), nil, nil)
	if err := s.o.Store.CreateSession(ctx, l.Session); err != nil {
		return Login{}, err
	}
	s.o.Log.InfoContext(ctx, "logged in to the console", "user", u.Name, "session", l.ID.Text(mail.PrefixSession), "ip", l.IP)
	return l, nil
}

var errSession = &mail.Error{Code: "session_expired", Status: 401, Message: "The session is over. Log in again."}

// Place is what part of the data a session's request is about.
type Place struct {
	Project string // "": the default project
	Env     mail.Env
}

// Authenticate tells who holds a session's cookie. The principal has every scope in the
// environment the request names.
func (s *Sessions) Authenticate(ctx context.Context, secret string, at Place, ip netip.Addr, now time.Time) (Principal, *mail.Error) {
	session, err := s.session(ctx, HashSecret(secret), ip, now)
	if errors.Is(err, mail.ErrNotFound) {
		return Principal{}, errSession
	}
	name := at.Project
	if name == "" {
		name = DefaultProject
	}
	var p Project
	if err == nil {
		p, err = s.o.Store.ProjectByName(ctx, name)
	}
	if errors.Is(err, mail.ErrNotFound) {
		return Principal{}, &mail.Error{Code: "invalid_header", Status: 400, Message: fmt.Sprintf("There is no project %q (header X-Postroad-Project).", clip(name))}
	}
	if err != nil {
		s.o.Log.ErrorContext(ctx, "look up a session", "error", err)
		return Principal{}, &mail.Error{Code: "storage_unavailable", Status: 503, Message: "The server cannot check sessions at the moment. Try again shortly."}
	}
	owner := mail.Owner{Project: p.Row, Env: at.Env}
	who := Principal{Owner: owner, Project: &p, Key: &Key{Project: p.Row, ProjectID: p.ID, Env: at.Env, Name: session.UserName, Scopes: []string{ScopeAll}},
		Session: &session, meters: s.o.Limits.meters(owner, "")}
	if ip.IsValid() {
		who.IP = ip.String()
	}
	return who, nil
}

// session reads one, from memory when that is fresh, and notes its use.
func (s *Sessions) session(ctx context.Context, hash [32]byte, ip netip.Addr, now time.Time) (Session, error) {
	s.mu.Lock()
	k, known := s.known[hash]
	s.mu.Unlock()
	if age := now.Sub(k.read); !known || age >= fresh || age < 0 {
		read, err := s.o.Store.SessionByHash(ctx, hash)
		if err != nil {
			s.drop(hash)
			return Session{}, err
		}
		k = knownSession{read, now}
	}
	if !now.Before(k.ExpiresAt) || now.Sub(k.SeenAt) > s.o.Idle {
		s.drop(hash)
		return Session{}, mail.ErrNotFound
	}
	if now.Sub(k.SeenAt) >= seenEvery {
		if err := s.o.Store.TouchSession(context.WithoutCancel(ctx), hash, now, ip.String()); err != nil {
			s.o.Log.WarnContext(ctx, "note the use of a session", "error", err)
		} else {
			k.SeenAt, k.IP = now, ip.String()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= sessionsKept {
		clear(s.known)
	}
	s.known[hash] = k
	return k.Session, nil
}

func (s *Sessions) drop(hash [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, hash)
}

// List gives the sessions of a user, newest first, those that are over left out.
func (s *Sessions) List(ctx context.Context, user int64) ([]Session, error) {
	all, err := s.o.Store.SessionsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	now, out := s.o.Now(), all[:0]
	for _, one := range all {
		if now.Before(one.ExpiresAt) && now.Sub(one.SeenAt) <= s.o.Idle {
			out = append(out, one)
		}
	}
	return out, nil
}

// End ends one of a user's sessions: on this node at once, on others within a second.
func (s *Sessions) End(ctx context.Context, user int64, id mail.ID) error {
	if err := s.o.Store.EndSession(ctx, user, id); err != nil {
		return err
	}
	s.forgetAll()
	return nil
}

func (s *Sessions) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}

// ChangePassword asks for the old one again and ends the user's other sessions.
func (s *Sessions) ChangePassword(ctx context.Context, by Session, old, password string, from Client) error {
	if fault := judgePassword(password, "new_password"); fault != nil {
		return mail.Faults{fault}
	}
	if wait := s.attempts.begin(from.IP, s.o.Now()); wait > 0 {
		return &WaitError{wait}
	}
	u, err := s.o.Store.UserByName(ctx, by.UserName)
	if err != nil {
		s.attempts.giveBack(from.IP)
		return err
	}
	fits, err := s.passwords.fits(ctx, u.Password, old)
	switch {
	case err != nil:
		s.attempts.giveBack(from.IP)
		return err
	case !fits:
		return mail.Faults{{Code: "invalid_value", Field: "password", Pointer: "#/password", Message: "This is not the present password."}}
	}
	s.attempts.succeed(from.IP)
	return s.setPassword(ctx, u, password, by.Hash)
}

func (s *Sessions) setPassword(ctx context.Context, u User, password string, keep [32]byte) error {
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	audit.Changed(ctx, u.ID.Text(mail.PrefixUser), map[string]string{"password": u.Password}, map[string]string{"password": hash})
	if err := s.o.Store.SetPassword(ctx, u.Row, hash, keep, s.o.Now()); err != nil {
		return err
	}
	s.forgetAll()
	return nil
}

// ResetPassword is the operator's way back in: it makes the user, or sets the password and
// ends all sessions.
func (s *Sessions) ResetPassword(ctx context.Context, password string) error {
	if fault := judgePassword(password, "password"); fault != nil {
		return fault
	}
	e := audit.Entry{At: s.o.Now(), Actor: "operator", Action: "users.password"}
	if p, err := s.o.Store.ProjectByName(ctx, DefaultProject); err == nil {
		e.Owner.Project = p.Row
	}
	ctx = audit.Begin(ctx, e)
	u, err := s.o.Store.UserByName(ctx, AdminName)
	if errors.Is(err, mail.ErrNotFound) {
		_, err = s.createAdmin(ctx, password)
		return err
	}
	if err != nil {
		return err
	}
	return s.setPassword(ctx, u, password, [32]byte{})
}

// Run forgets sessions that are over, once an hour.
func (s *Sessions) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		now := s.o.Now()
		if err := s.o.Store.ForgetSessions(ctx, now, now.Add(-s.o.Idle)); err != nil && ctx.Err() == nil {
			s.o.Log.WarnContext(ctx, "forget old sessions", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
