package sandbox_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/sandbox"
)

// behaving plays one transaction of test mail for a project that behaves so; chance is
// what the dice say.
func behaving(t *testing.T, as project.Behaviour, chance float64, j *lane.Job) ([]mail.Attempt, *fakeQueue) {
	t.Helper()
	j.Message.Owner = mail.Owner{Project: 7, Env: mail.Test}
	q := &fakeQueue{}
	c := sandbox.New(sandbox.Options{Begin: q, Chance: func() float64 { return chance }, Behaviour: func(_ context.Context, p int64) project.Behaviour {
		if p != 7 {
			t.Errorf("asked of project %d", p)
		}
		return as
	}})
	return c.Session(lane.Key{}, j.Route).Carry(t.Context(), make(chan struct{}), j), q
}

func TestOrdinaryRecipientsGetWhatTheBehaviourSays(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]mail.Outcome{"": mail.OutcomeDelivered, "deliver": mail.OutcomeDelivered, "bounce": mail.OutcomeBounced, "defer": mail.OutcomeDeferred} {
		got, _ := behaving(t, project.Behaviour{Default: name, TimeScale: 0.01}, 0, job(50, "ada@example.com", "delivered@sandbox.test", "bounced@sandbox.test"))
		if got[0].Outcome != want || got[1].Outcome != mail.OutcomeDelivered || got[2].Outcome != mail.OutcomeBounced {
			t.Errorf("%s: %v %v %v", name, got[0].Outcome, got[1].Outcome, got[2].Outcome)
		}
		if got[0].Class.Suppresses() || got[0].Scale != 0.01 {
			t.Errorf("%s: class %s, scale %v", name, got[0].Class, got[0].Scale)
		}
	}
}

func TestChaosStrikesWhereAndAsOftenAsItIsTold(t *testing.T) {
	t.Parallel()
	for _, stage := range project.Stages {
		for code, want := range map[int]mail.Outcome{421: mail.OutcomeDeferred, 451: mail.OutcomeDeferred, 550: mail.OutcomeBounced, 554: mail.OutcomeBounced} {
			as := project.Behaviour{Chaos: map[string]project.Chaos{stage: {Code: code, Probability: 5}}}
			got, _ := behaving(t, as, 0.049, job(0, "ada@example.com", "bob@example.com", "delivered@sandbox.test"))
			last := got[0].Transcript[len(got[0].Transcript)-1]
			if got[0].Outcome != want || got[1].Outcome != want || got[0].Reply.Code != code || got[0].Class == "" || got[0].Class.Suppresses() || got[0].Advice == "" ||
				last.Code != code || !strings.HasSuffix(last.Text, "on purpose at "+stage) || got[2].Outcome != mail.OutcomeDelivered {
				t.Errorf("%s %d: %+v", stage, code, got[0])
			}
			if got, _ := behaving(t, as, 0.05, job(0, "ada@example.com")); got[0].Outcome != mail.OutcomeDelivered {
				t.Errorf("%s %d: strikes too often", stage, code)
			}
		}
	}
}

func TestLatencyAndShortenedTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, q := behaving(t, project.Behaviour{LatencyMS: 250, TimeScale: 0.1}, 0, job(0, "slow+30s@sandbox.test", "complained+60s@sandbox.test", "ada@example.com"))
		if took := time.Since(began); took != 3250*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if after := q.griefs["complained+60s@sandbox.test"]; after != 6*time.Second {
			t.Errorf("complains after %v", after)
		}
	})
}

func TestLiveMailIsNeverPlayedWith(t *testing.T) {
	t.Parallel()
	j := job(0, "delivered@sandbox.test")
	j.Message.Owner.Env = mail.Live
	c := sandbox.New(sandbox.Options{Begin: &fakeQueue{}, Behaviour: func(context.Context, int64) project.Behaviour {
		t.Error("asked for live mail")
		return project.Behaviour{}
	}})
	if got := c.Session(lane.Key{}, j.Route).Carry(t.Context(), make(chan struct{}), j); got[0].Outcome != mail.OutcomeDelivered {
		t.Errorf("%+v", got[0])
	}
}
