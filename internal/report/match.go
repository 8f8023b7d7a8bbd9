package report

import (
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

// told is what a bounce report says of one recipient, with whom it is about.
type told struct {
	*feedback.Reported
	of *Copy // nil: nobody knows
}

// match finds out whom a bounce report is about. It names a recipient as the sender wrote to
// them (Original-Recipient) or as the site that gave up did, which after a forwarding is an
// address we never saw. Such a one can only be who is left over.
func match(c *Copies, all []feedback.Reported) []told {
	out := make([]told, len(all))
	named, strangers := map[int64]bool{}, map[string]bool{}
	for i := range all {
		out[i] = told{&all[i], find(c, all[i].Original)}
		if out[i].of == nil {
			out[i].of = find(c, all[i].Final)
		}
		switch {
		case out[i].of == nil:
			strangers[all[i].Final] = true
		case all[i].Action != "expanded": // else a stranger may be one of theirs
			named[out[i].of.Delivery] = true
		}
	}
	if left := leftOver(c, named, len(strangers)); left != nil {
		for i := range out {
			if out[i].of == nil {
				out[i].of = left
			}
		}
	}
	return out
}

func find(c *Copies, address string) *Copy {
	for i := range c.All {
		if address != "" && c.All[i].Address == address {
			return &c.All[i]
		}
	}
	return nil
}

// leftOver is the one delivery that strangers can stand for. When the copy was for one
// recipient it is theirs, whatever the report calls them and however many they were forwarded
// to. When it was for several, one stranger is the one who is neither named nor ended
// otherwise, if there is just one; anything else would be a guess.
func leftOver(c *Copies, named map[int64]bool, strangers int) (left *Copy) {
	if only := c.only(); only != nil {
		return only
	}
	if strangers != 1 || c.Pending || c.Forgotten {
		return nil
	}
	for i := range c.All {
		one := &c.All[i]
		if named[one.Delivery] || one.Status.Final() && one.Status != mail.Delivered {
			continue
		}
		if left != nil {
			return nil
		}
		left = one
	}
	return left
}

// complainers are those whom a complaint names; where it names nobody (many are redacted), or
// a stranger, the one the copy was for. why tells why nobody was found: to take the first of
// several for it would keep mail from somebody who never complained.
func complainers(c *Copies, g *feedback.Grievance) (of []*Copy, why string) {
	for _, address := range g.Recipients {
		if one := find(c, address); one != nil {
			of = append(of, one)
		}
	}
	if len(of) > 0 {
		return of, ""
	}
	if only := c.only(); only != nil {
		return []*Copy{only}, ""
	}
	return nil, "the copy was for several, and the complaint names none of them"
}
