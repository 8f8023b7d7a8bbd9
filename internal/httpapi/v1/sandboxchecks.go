package v1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/render"
)

type checksOut struct {
	Object  string     `json:"object"`
	Message string     `json:"message_id"`
	Status  string     `json:"status"` // the worst of them
	Checks  []checkOut `json:"checks"`
}

// checkOut is one thing looked at: "pass", "warn" or "fail", in words, with what to do.
type checkOut struct {
	ID       string       `json:"id"`
	Status   string       `json:"status"`
	Summary  string       `json:"summary"`
	Fix      *string      `json:"fix"`
	Problems []problemOut `json:"problems"`
}

// Sizes at which mail meets trouble, of a message as it is sent.
const (
	sizeWarn = 10 << 20 // many mailboxes take no more
	sizeFail = 25 << 20 // hardly any takes more
)

// checkSandbox is GET …/checks: what would go wrong with this message if it were live. It
// reads what is here, and fetches nothing.
func (a *API) checkSandbox(c *httpapi.Call) {
	r, ok := a.findSandbox(c)
	if !ok {
		return
	}
	parts, err := a.parts(c.Context(), r)
	if err != nil {
		c.Fail(err)
		return
	}
	auth, err := a.checkAuthentication(c.Context(), r)
	if err != nil {
		c.Fail(err)
		return
	}
	found := render.Inspect(parts.Subject, parts.HTML, parts.Text)
	out := checksOut{Object: "sandbox_checks", Message: r.Message.ID.Text(mail.PrefixMessage), Status: "pass", Checks: []checkOut{
		checkProblems("html_support", "Mail programs show the HTML as it is meant.", "Mail programs leave something out or show it otherwise", found.HTML),
		checkProblems("links", "All links can be followed.", "Links that trouble readers or filters", found.Links),
		checkUnsubscribe(r, parts), auth, checkSize(r)}}
	for _, check := range out.Checks {
		if check.Status == "fail" || check.Status == "warn" && out.Status == "pass" {
			out.Status = check.Status
		}
	}
	give(c, http.StatusOK, out)
}

func judged(id, status, summary, fix string) checkOut {
	return checkOut{ID: id, Status: status, Summary: summary, Fix: orNull(fix), Problems: []problemOut{}}
}

func checkProblems(id, good, bad string, problems []render.Problem) checkOut {
	if len(problems) == 0 {
		return judged(id, "pass", good, "")
	}
	out := judged(id, "warn", fmt.Sprintf("%s: %d.", bad, len(problems)), "See 'problems'.")
	out.Problems = problemsOf(problems)
	return out
}

// checkUnsubscribe: mail to many needs RFC 8058's one click, or large sites refuse it.
func checkUnsubscribe(r *archive.Record, parts *mime.Parts) checkOut {
	const id = "list_unsubscribe"
	link, click := false, false
	for _, h := range parts.Headers {
		link = link || strings.EqualFold(h.Name, "List-Unsubscribe")
		click = click || strings.EqualFold(h.Name, "List-Unsubscribe-Post") && strings.Contains(h.Value, "One-Click")
	}
	wanted := r.Message.Tier == mail.Bulk || r.Message.Topic != ""
	switch {
	case link && click:
		return judged(id, "pass", "It can be unsubscribed from with one click (RFC 8058).", "")
	case link:
		return judged(id, "warn", "It has List-Unsubscribe, but not for one click.", "Add List-Unsubscribe-Post: List-Unsubscribe=One-Click, or leave both to 'list_unsubscribe'.")
	case wanted:
		return judged(id, "fail", "It is bulk or has a topic, and nobody can unsubscribe: Gmail and Yahoo refuse such mail.", "Leave 'list_unsubscribe' at 'auto', or set it to 'always'.")
	}
	return judged(id, "pass", "It has no List-Unsubscribe, which mail to one person does not need.", "")
}

// checkAuthentication tells what SPF, DKIM and DMARC would say of live mail from there. The
// captured copy is not signed: that is done for each attempt.
func (a *API) checkAuthentication(ctx context.Context, r *archive.Record) (checkOut, error) {
	const id = "authentication"
	name := r.Message.From.Domain()
	if name == sandboxDomain {
		return judged(id, "warn", "Live mail cannot be from "+sandboxDomain+".", "Send from a domain of yours."), nil
	}
	d, err := a.o.Domains.Find(ctx, r.Message.Owner.Project, name)
	if errors.Is(err, mail.ErrNotFound) {
		return judged(id, "fail", "The domain '"+name+"' is not registered: live mail from it is refused here.", "POST /v1/domains, and publish its records."), nil
	}
	if err != nil {
		return checkOut{}, err
	}
	where := "See GET /v1/domains/" + name + "/dns."
	if !d.CanSend() {
		return judged(id, "fail", "The domain '"+name+"' is "+d.Status+": live mail from it is refused here.", where), nil
	}
	var weak []string
	for _, check := range []string{"dkim", "spf", "return_path", "dmarc"} {
		if state := d.Checks[check]; state != "pass" {
			weak = append(weak, strings.ReplaceAll(check, "_", " "))
		}
	}
	if weak != nil {
		return judged(id, "warn", "Not all is well with "+strings.Join(weak, ", ")+" of '"+name+"'.", where), nil
	}
	return judged(id, "pass", "Live mail from '"+name+"' is signed, and passes SPF and DMARC.", ""), nil
}

func checkSize(r *archive.Record) checkOut {
	const id = "size"
	size := fmt.Sprintf("It has %.1f MB", float64(r.Message.Size)/(1<<20))
	if r.Message.Size < 1<<20 {
		size = fmt.Sprintf("It has %d KB", (r.Message.Size+1023)>>10)
	}
	const fix = "Set 'hosted' on large files, or link to them."
	switch {
	case r.Message.Size > sizeFail:
		return judged(id, "fail", size+": most servers refuse more than 25 MB.", fix)
	case r.Message.Size > sizeWarn:
		return judged(id, "warn", size+": many mailboxes take no more than 10 MB.", fix)
	}
	return judged(id, "pass", size+".", "")
}
