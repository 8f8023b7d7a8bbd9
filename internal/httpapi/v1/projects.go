package v1

import (
	"net/http"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// anyProjectFields are those of a project as its operator changes it.
var anyProjectFields = append([]string{"name", "live_enabled"}, projectFields...)

// readProject reads a change of any project.
func (a *API) readProject(c *httpapi.Call) (*form, project.ProjectChange, bool) {
	var change project.ProjectChange
	var settings []func(*project.Settings)
	f, ok := a.readForm(c, anyProjectFields, func(f *form, name string, v value) {
		switch name {
		case "name":
			if s, ok := f.text(name, v); ok {
				change.Name = &s
			}
		case "live_enabled":
			is := true
			if !v.isNull() {
				is, _ = f.flag(name, v)
			}
			off := !is
			change.LiveDisabled = &off
		default:
			patchSetting(f, name, v, func(set func(*project.Settings)) { settings = append(settings, set) })
		}
	})
	change.Settings = func(s *project.Settings) {
		for _, set := range settings {
			set(s)
		}
	}
	return f, change, ok
}

func (a *API) createProject(c *httpapi.Call) {
	f, change, ok := a.readProject(c)
	if !ok {
		return
	}
	turn, ok := f.begin()
	if !ok {
		return
	}
	defer turn.Leave()
	if change.Name == nil && len(f.faults) == 0 {
		f.fault("name", "missing_required_field", "Give the project a 'name', e.g. 'web-shop'.")
	}
	if f.failed() {
		return
	}
	tell := func(p project.Project) mail.Answer {
		out := a.projectOf(&p)
		out.Warnings = f.allWarnings()
		answer := mail.Answer{Status: http.StatusCreated, Location: "/v1/projects/" + out.ID, Body: encode(out), RequestID: c.RequestID}
		if turn.Once != nil {
			answer.Fingerprint, answer.Expires = turn.Once.Fingerprint, turn.Once.Expires
		}
		return answer
	}
	p, err := a.o.Access.CreateProject(c.Context(), *change.Name, change, turn.Once, tell)
	if err != nil {
		c.Finish(turn, mail.Answer{}, err)
		return
	}
	c.ETag(p.Version)
	c.Finish(turn, tell(p), nil)
}

func (a *API) listProjects(c *httpapi.Call) {
	l := a.list(c, "include=total")
	if l.failed() {
		return
	}
	all, err := a.o.Access.Projects(c.Context())
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]projectOut, len(all))
	for i := range all {
		out[i] = a.projectOf(&all[i])
	}
	pageWhole(a, l, out)
}

func (a *API) getAnyProject(c *httpapi.Call) {
	p, err := a.o.Access.FindProject(c.Context(), c.Param(0))
	a.answerProject(c, p, err, nil)
}

func (a *API) answerProject(c *httpapi.Call, p project.Project, err error, warnings []mail.Warning) {
	if err != nil {
		c.Fail(err)
		return
	}
	a.showProject(c, &p, warnings)
}

func (a *API) patchAnyProject(c *httpapi.Call) {
	f, change, ok := a.readProject(c)
	if !ok || f.failed() {
		return
	}
	p, err := a.o.Access.ChangeProject(c.Context(), c.Param(0), c.IfMatch(), change)
	a.answerProject(c, p, err, f.allWarnings())
}

func (a *API) deleteProject(c *httpapi.Call) {
	if err := a.o.Access.DeleteProject(c.Context(), c.Who, c.Param(0)); err != nil {
		c.Fail(err)
		return
	}
	c.Empty()
}

// suspendProject and resumeProject are the same however often they are asked: they need no
// memory of their key.
func (a *API) suspendProject(c *httpapi.Call) {
	reason := ""
	f, ok := a.readForm(c, []string{"reason"}, func(f *form, name string, v value) {
		if !v.isNull() {
			reason, _ = f.text(name, v)
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
	p, err := a.o.Access.Suspend(c.Context(), c.Param(0), reason)
	a.answerProject(c, p, err, f.allWarnings())
}

func (a *API) resumeProject(c *httpapi.Call) {
	f, ok := a.readForm(c, nil, func(*form, string, value) {})
	if !ok {
		return
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	p, err := a.o.Access.Resume(c.Context(), c.Param(0))
	a.answerProject(c, p, err, f.allWarnings())
}
