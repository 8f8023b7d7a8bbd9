package doctor_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/doctor"
)

func TestTheWayOfReportsIsChecked(t *testing.T) {
	t.Parallel()
	greets := func(text string) func(context.Context, string, string) (net.Conn, error) {
		return func(_ context.Context, _, addr string) (net.Conn, error) {
			if addr != "192.0.2.25:25" && addr != "192.0.2.28:25" {
				return nil, errors.New("dialled " + addr)
			}
			ours, theirs := net.Pipe()
			go func() {
				_, _ = theirs.Write([]byte(text + "\r\n"))
				_, _ = theirs.Read(make([]byte, 100))
				_ = theirs.Close()
			}()
			return ours, nil
		}
	}
	for name, c := range map[string]struct {
		change func(*doctor.Options)
		zone   string
		want   doctor.Status
		says   string
	}{
		"closed":                 {func(o *doctor.Options) { o.Inbound = "" }, "", doctor.Skip, "POSTROAD_INBOUND_ADDR"},
		"without MX":             {func(*doctor.Options) {}, "", doctor.Pass, "answers at port 25"},
		"with an MX of its own":  {func(*doctor.Options) {}, "mx.post.test. MX 10 MX.post.test.", doctor.Pass, "answers at port 25"},
		"MX elsewhere":           {func(*doctor.Options) {}, "mx.post.test. MX 10 other.test.", doctor.Warn, "goes to other.test"},
		"at another port":        {func(o *doctor.Options) { o.Inbound = "127.0.0.1:2525" }, "", doctor.Warn, "port 25"},
		"nobody answers":         {func(o *doctor.Options) { o.Dial = refuses }, "", doctor.Warn, "cannot be reached"},
		"somebody else answers":  {func(o *doctor.Options) { o.Dial = greets("220 elsewhere.test ESMTP") }, "", doctor.Warn, "Another server"},
		"a name without address": {func(o *doctor.Options) { o.Hostname = "gone.post.test" }, "gone.post.test. TXT x", doctor.Fail, "no address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, server := start(t)
			o.Inbound, o.Dial = ":25", greets("220 MX.post.test ESMTP Postroad")
			c.change(&o)
			if c.zone != "" {
				if err := server.Add(c.zone); err != nil {
					t.Fatal(err)
				}
			}
			for _, check := range doctor.Run(t.Context(), o) {
				if check.ID != "inbound" {
					continue
				}
				if check.Status != c.want || !strings.Contains(check.Summary+check.Fix, c.says) || check.Fix == "" && c.want != doctor.Pass && c.want != doctor.Skip {
					t.Errorf("%+v", check)
				}
				return
			}
			t.Error("it is not checked")
		})
	}
}
