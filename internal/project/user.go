package project

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// User is who logs in to the console. There is one so far, who may do everything.
type User struct {
	ID        mail.ID
	Row       int64
	Name      string
	Password  string // argon2id, in PHC's form
	CreatedAt time.Time
	ChangedAt time.Time // of the password
}

// Session is a login of the console. Its cookie is known by hash only.
type Session struct {
	ID        mail.ID
	Hash      [32]byte
	User      int64 // row
	UserID    mail.ID
	UserName  string
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time // however much it is used
	IP        string
	Agent     string
}

// SessionStore is what the console's logins ask to be remembered.
type SessionStore interface {
	CreateUser(ctx context.Context, u User) (User, error) // mail.ErrExists when the name is taken
	UserByName(ctx context.Context, name string) (User, error)
	Users(ctx context.Context) ([]User, error)
	// SetPassword ends all sessions of the user but the one of hash keep.
	SetPassword(ctx context.Context, user int64, password string, keep [32]byte, now time.Time) error

	CreateSession(ctx context.Context, s Session) error
	SessionByHash(ctx context.Context, hash [32]byte) (Session, error)
	SessionsOf(ctx context.Context, user int64) ([]Session, error) // newest first
	TouchSession(ctx context.Context, hash [32]byte, at time.Time, ip string) error
	EndSession(ctx context.Context, user int64, id mail.ID) error // mail.ErrNotFound
	// ForgetSessions removes those over at now, or not seen since a time.
	ForgetSessions(ctx context.Context, now, seenBefore time.Time) error

	ProjectByName(ctx context.Context, name string) (Project, error)
}
