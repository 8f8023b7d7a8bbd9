package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/tracking"
)

// proof is a token of ours: whoever wrote a letter had the copy of this delivery.
type proof struct {
	delivery int64  // row
	path     string // local part of the return path; "" = the token was of an unsubscribe
}

// proofs are the tokens of a letter. The envelope's come first: where it has any, what the
// letter says does not count. A letter to an office of ours has one in the message that it
// returns.
func (s *Service) proofs(l *Letter, rep *feedback.Report) (all []proof) {
	for _, to := range l.To {
		if p, ok := s.path(to); ok && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	if len(all) > 0 || !s.toOffice(l) {
		return all
	}
	for _, address := range rep.Paths {
		if p, ok := s.path(address); ok {
			return []proof{p}
		}
	}
	for _, way := range rep.Unsubs {
		if token, ok := s.unsubscribeToken(way); ok {
			return []proof{{delivery: token.Delivery}}
		}
	}
	return nil
}

// path reads a return path. Transcripts have it in lower case, as we wrote it.
func (s *Service) path(address string) (proof, bool) {
	local := mail.Address{Email: address}.Local()
	row, ok := s.o.Paths.Parse(local)
	return proof{row, strings.ToLower(local)}, ok
}

// toOffice tells whether a letter went to an office of ours.
func (s *Service) toOffice(l *Letter) bool {
	return slices.ContainsFunc(l.To, func(to string) bool { return isOffice(mail.Address{Email: to}.Local()) })
}

// unsubscribeToken reads one way to unsubscribe: an address, or a link.
func (s *Service) unsubscribeToken(way string) (tracking.Token, bool) {
	if token, ok := s.o.Links.ParseMailto(mail.Address{Email: way}.Local()); ok {
		return token, true
	}
	_, text, found := strings.Cut(way, "/u/")
	if !found {
		return tracking.Token{}, false
	}
	return s.o.Links.Parse(strings.ToLower(text), tracking.KindUnsubscribe)
}

// The ways to unsubscribe, as events tell them.
const (
	methodMailto = "mailto"
	methodReport = "report"
)

// unsubscribe does what letters to unsubscribe addresses ask for, and tells whether this one
// is such a letter. Who writes there asks for it with whatever they write, or with nothing;
// only what a machine returns is not from them.
func (s *Service) unsubscribe(ctx context.Context, l *Letter, rep *feedback.Report) (did bool, err error) {
	for _, to := range l.To {
		token, ok := s.o.Links.ParseMailto(mail.Address{Email: to}.Local())
		if !ok {
			continue
		}
		did = true
		if rep.Kind == feedback.KindBounce {
			s.counts.add("unsubscribe", "ignored")
			continue
		}
		if err := s.wish(ctx, token.Delivery, methodMailto); err != nil {
			return did, err
		}
	}
	return did, nil
}

func optsOut(rep *feedback.Report) bool {
	return rep.Kind == feedback.KindComplaint && rep.Complaint.Type == "opt-out"
}

// optOut is a complaint that only asks to be written to no more.
func (s *Service) optOut(ctx context.Context, rep *feedback.Report, c *Copies) error {
	of, _ := complainers(c, rep.Complaint)
	for _, one := range of {
		if err := s.wish(ctx, one.Delivery, methodReport); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) wish(ctx context.Context, delivery int64, method string) error {
	switch _, err := s.o.Wishes.Unsubscribe(ctx, delivery, method, false); {
	case errors.Is(err, mail.ErrNotFound):
		s.counts.add("unsubscribe", "gone")
	case err != nil:
		return fmt.Errorf("unsubscribe: %w", err)
	default:
		s.counts.add("unsubscribe", "recorded")
	}
	return nil
}
