package v1

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// behaviourOut is how the sandbox treats the project's test mail.
type behaviourOut struct {
	Object    string              `json:"object"`
	Default   string              `json:"default"`
	LatencyMS int                 `json:"latency_ms"`
	TimeScale float64             `json:"time_scale"`
	Chaos     map[string]chaosOut `json:"chaos"`
	Warnings  []mail.Warning      `json:"warnings,omitempty"`
}

type chaosOut struct {
	Code        int     `json:"code"`
	Probability float64 `json:"probability"` // percent
}

func behaviourOf(p *project.Project) behaviourOut {
	b := project.Behaviour{}
	if p.Settings.Sandbox != nil {
		b = *p.Settings.Sandbox
	}
	out := behaviourOut{Object: "sandbox_behaviour", Default: cmp.Or(b.Default, "deliver"), LatencyMS: b.LatencyMS, TimeScale: cmp.Or(b.TimeScale, 1), Chaos: map[string]chaosOut{}}
	for stage, c := range b.Chaos {
		out.Chaos[stage] = chaosOut(c)
	}
	return out
}

// ofTest tells whether the caller is of the test environment, whose behaviour it is.
func ofTest(c *httpapi.Call) bool {
	if c.Who.Owner.Env == mail.Test {
		return true
	}
	c.Fail(&mail.Error{Code: "state_conflict", Status: 409, Message: "Live mail is never played with. Use a test key."})
	return false
}

func (a *API) getBehaviour(c *httpapi.Call) {
	if ofTest(c) {
		give(c, http.StatusOK, behaviourOf(c.Who.Project))
	}
}

// putBehaviour replaces it whole: what is not given is the default again.
func (a *API) putBehaviour(c *httpapi.Call) {
	var b project.Behaviour
	f, ok := a.readForm(c, []string{"default", "latency_ms", "time_scale", "chaos"}, func(f *form, name string, v value) { readBehaviour(f, name, v, &b) })
	if !ok || !ofTest(c) || f.failed() {
		return
	}
	p, err := a.o.Access.UpdateProject(c.Context(), c.Who, c.IfMatch(), func(s *project.Settings) { s.Sandbox = &b })
	if err != nil {
		c.Fail(err)
		return
	}
	out := behaviourOf(&p)
	out.Warnings = f.allWarnings()
	give(c, http.StatusOK, out)
}

func readBehaviour(f *form, name string, v value, b *project.Behaviour) {
	switch {
	case v.isNull():
	case name == "default":
		b.Default, _ = f.text(name, v)
	case name == "latency_ms":
		b.LatencyMS = f.small(name, v)
	case name == "time_scale":
		b.TimeScale = f.number(name, v)
		if b.TimeScale == 0 {
			b.TimeScale = -1 // 0 is kept for what nobody said
		}
	case v.kind() != '{':
		f.wrongType(name, v, `an object: {"rcpt":{"code":451,"probability":5}}`)
	default:
		readChaos(f, v, b)
	}
}

func readChaos(f *form, v value, b *project.Behaviour) {
	b.Chaos = map[string]project.Chaos{}
	for w := v.walk(); ; {
		stage, item, ok := w.next()
		if !ok {
			return
		}
		at := "chaos." + string(stage)
		switch {
		case !slices.Contains(project.Stages, string(stage)):
			f.unknownField("chaos", stage, project.Stages)
		case item.isNull():
		case item.kind() != '{':
			f.wrongType(at, item, `an object: {"code":451,"probability":5}`)
		default:
			c := project.Chaos{Code: 451, Probability: 100}
			for inner := item.walk(); ; {
				name, x, ok := inner.next()
				if !ok {
					break
				}
				switch string(name) {
				case "code":
					c.Code = f.small(at+".code", x)
				case "probability":
					c.Probability = f.number(at+".probability", x)
				default:
					f.unknownField(at, name, []string{"code", "probability"})
				}
			}
			b.Chaos[string(stage)] = c
		}
	}
}

// number reads one that need not be whole.
func (f *form) number(name string, v value) (out float64) {
	if err := json.Unmarshal(v, &out); err != nil {
		f.wrongType(name, v, "a number")
	}
	return out
}
