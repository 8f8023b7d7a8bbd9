package hyvor

import (
	"cmp"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/project"
)

type projectOut struct {
	ID        int64  `json:"id"`
	CreatedAt int64  `json:"created_at"`
	Name      string `json:"name"`
	SendType  string `json:"send_type"`
}

// projectOf shows a project. Its own name is part of addresses here and stays; this
// dialect changes what it is called.
func projectOf(p *project.Project) projectOut {
	return projectOut{ID: p.Row, CreatedAt: p.CreatedAt.Unix(), Name: cmp.Or(p.Settings.DisplayName, p.Name), SendType: "transactional"}
}

func (a *API) getProject(c *httpapi.Call) (any, error) { return projectOf(c.Who.Project), nil }

func (a *API) initProject(c *httpapi.Call) (any, error) {
	return map[string]projectOut{"project": projectOf(c.Who.Project)}, nil
}

func (a *API) patchProject(c *httpapi.Call) (any, error) {
	f, err := readFields(c)
	if err != nil {
		return nil, err
	}
	var wrong faults
	name, given := f.textOf("name", &wrong)
	switch {
	case wrong != nil:
	case !given:
		wrong.add("name", textBlank)
	default:
		judgeName("name", name, &wrong)
	}
	if wrong != nil {
		return nil, wrong.refusal()
	}
	p, err := a.o.Access.UpdateProject(c.Context(), c.Who, 0, func(s *project.Settings) { s.DisplayName = strings.TrimSpace(name) })
	if err != nil {
		return nil, err
	}
	return projectOf(&p), nil
}

// listUsers: nobody but keys works here in a project's name.
func (a *API) listUsers(*httpapi.Call) (any, error) { return []int{}, nil }
