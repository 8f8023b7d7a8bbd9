package v1

import (
	"net/http"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

type countsOut struct {
	Messages   int64 `json:"messages"`
	Recipients int64 `json:"recipients"`
	Bytes      int64 `json:"bytes"`
}

func (c *countsOut) add(u *project.Usage) {
	c.Messages += u.Messages
	c.Recipients += u.Recipients
	c.Bytes += u.Bytes
}

type usageDay struct {
	Date      string `json:"date"`
	countsOut `json:",inline"`
}

type usageKeyOut struct {
	KeyID     *string `json:"key_id"` // null: from the console
	countsOut `json:",inline"`
}

type usageLimits struct {
	PerMinute     *int `json:"per_minute"`
	DailyMessages *int `json:"daily_messages"`
	Remaining     *int `json:"remaining_today"` // of daily_messages
}

type usageOut struct {
	Object      string      `json:"object"`
	Environment string      `json:"environment"`
	Period      string      `json:"period"`
	From        string      `json:"from"`
	To          string      `json:"to"`
	ResetsAt    time.Time   `json:"resets_at"` // when today is over
	Limits      usageLimits `json:"limits"`
	Usage       struct {
		Today  countsOut `json:"today"`
		Period countsOut `json:"period"`
	} `json:"usage"`
	Days     []usageDay     `json:"days"`
	Keys     []usageKeyOut  `json:"keys"`
	Warnings []mail.Warning `json:"warnings,omitempty"`
}

// usagePeriods are how many days a period has, today included; month is the calendar's.
var usagePeriods = map[string]project.Day{"day": 1, "week": 7, "month": 0, "year": 365}

func (a *API) getUsage(c *httpapi.Call) {
	l := a.list(c, "period")
	period := "month"
	if v, given := l.value("period"); given {
		period = strings.ToLower(v)
	}
	days, known := usagePeriods[period]
	if !known {
		l.invalid("period", "'period' is 'day', 'week', 'month' or 'year'.")
	}
	if l.failed() {
		return
	}
	today := project.DayOf(c.Arrived)
	from := today - days + 1
	if days == 0 {
		now := c.Arrived.UTC()
		from = project.DayOf(time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC))
	}
	used, err := a.o.Access.Usage(c.Context(), c.Who.Owner, from, today)
	if err != nil {
		c.Fail(err)
		return
	}
	out := usageOut{Object: "usage", Environment: c.Who.Owner.Env.String(), Period: period, From: from.String(), To: today.String(), ResetsAt: (today + 1).Start(),
		Days: []usageDay{}, Keys: []usageKeyOut{}, Warnings: l.warnings()}
	out.count(used, today)
	out.Limits = usageLimits{PerMinute: a.ratePerMinute(c.Who.Project), DailyMessages: c.Who.Project.Settings.DailyMessages}
	if daily := out.Limits.DailyMessages; daily != nil {
		left := max(*daily-int(out.Usage.Today.Messages), 0)
		out.Limits.Remaining = &left
	}
	give(c, http.StatusOK, out)
}

// count sums up by day and by key; used is in the order of days.
func (out *usageOut) count(used []project.Usage, today project.Day) {
	place := map[string]int{}
	for i := range used {
		u := &used[i]
		out.Usage.Period.add(u)
		if u.Day == today {
			out.Usage.Today.add(u)
		}
		if n := len(out.Days); n == 0 || out.Days[n-1].Date != u.Day.String() {
			out.Days = append(out.Days, usageDay{Date: u.Day.String()})
		}
		out.Days[len(out.Days)-1].add(u)
		at, known := place[u.KeyID]
		if !known {
			at = len(out.Keys)
			place[u.KeyID] = at
			out.Keys = append(out.Keys, usageKeyOut{})
			if u.KeyID != "" {
				out.Keys[at].KeyID = orNull(mail.PrefixKey + "_" + u.KeyID)
			}
		}
		out.Keys[at].add(u)
	}
}
