package v1_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/httpapi"
	v1 "github.com/postroad/postroad/internal/httpapi/v1"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// instant accepts everything and stores nothing: what is left is the door's own cost.
type instant struct{ v1.Submitter }

func (instant) Submit(_ context.Context, _ project.Principal, r *submit.Request) (*submit.Accepted, error) {
	m := &mail.Message{ID: mail.NewID(r.Arrived), From: mail.Address{Email: r.From.Text}, Tier: mail.Normal, CreatedAt: r.Arrived}
	a := &submit.Accepted{Message: m, Deliveries: []mail.Delivery{{ID: mail.NewID(r.Arrived), Address: r.To[0].Text, Status: mail.Queued}}}
	a.Answer = r.Answer(a)
	return a, nil
}

type keeper struct{ project.AccessStore }

func (keeper) ProjectByRow(context.Context, int64) (project.Project, error) {
	return project.Project{Row: 1, Name: "acme"}, nil
}
func (keeper) KeyByHash(context.Context, [32]byte) (project.Key, error) {
	return project.Key{ID: "k7f2q9xm", Project: 1, Scopes: []string{"messages.send"}}, nil
}

// sink is a ResponseWriter that keeps nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// BenchmarkSend is one POST /v1/messages of 2 KB through the door, without net/http's
// connection and without the work behind it.
func BenchmarkSend(b *testing.B) {
	for name, key := range map[string]string{"without key": "", "with key": "receipt/42"} {
		b.Run(name, func(b *testing.B) {
			limits := project.NewLimits(0)
			access := project.NewAccess(project.AccessOptions{Store: keeper{}, Limits: limits})
			h := v1.New(v1.Options{Door: httpapi.New(httpapi.Options{Access: access}), Access: access, Limits: limits, Submitter: instant{}})
			body := []byte(fmt.Sprintf(`{"recipient":"ada@example.com","from":"hello@acme.test","subject":"Your receipt","html":"<p>%s</p>"}`, strings.Repeat("Hello you there. ", 115)))
			r, _ := http.NewRequest("POST", "/v1/messages", nil)
			r.Header.Set("Authorization", "Bearer any shape")
			r.Header.Set("Content-Type", "application/json")
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			r.RemoteAddr, r.ContentLength = "127.0.0.1:4711", int64(len(body))
			in := bytes.NewReader(body)
			r.Body = io.NopCloser(in)
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(body)
				h.ServeHTTP(&sink{h: http.Header{}}, r)
			}
		})
	}
}
