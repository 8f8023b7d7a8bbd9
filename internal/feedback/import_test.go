package feedback_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

var noon = time.Date(2026, 4, 19, 12, 0, 0, 0, time.UTC)

func readAll(list string, o feedback.ImportOptions) (good []mail.Suppression, bad []string, err error) {
	o.Now = noon
	in, err := feedback.NewImport(strings.NewReader(list), o)
	if err != nil {
		return nil, nil, err
	}
	for {
		s, err := in.Next()
		var fault *mail.Error
		switch {
		case err == io.EOF:
			return good, bad, nil
		case errors.As(err, &fault):
			bad = append(bad, fault.Code)
		case err != nil:
			return good, bad, err
		default:
			good = append(good, s)
		}
	}
}

func TestAListIsReadWhateverPartsItsFields(t *testing.T) {
	t.Parallel()
	for _, sep := range []string{",", ";", "\t"} {
		list := strings.ReplaceAll("E-Mail|Reason|Topic|Expires_At\nAda@Example.com|unsubscribed|news|\nbob@example.com|manual|news|2027-01-01\nx@example.com|manual||2020-01-01\ny@example.com|manual||soon\n\nlast@example.com", "|", sep)
		good, bad, err := readAll(list, feedback.ImportOptions{})
		if err != nil || len(good) != 3 || strings.Join(bad, " ") != "invalid_value invalid_value" {
			t.Fatalf("%q: %+v %v %v", sep, good, bad, err)
		}
		if good[0].Address != "ada@example.com" || good[0].Topic != "news" || good[0].Kind != mail.KindUnsubscribe || good[1].Topic != "" || good[1].ExpiresAt.Year() != 2027 || good[2].Reason != "import" {
			t.Errorf("%q: %+v", sep, good)
		}
	}
}

func TestAnOptionThatIsGivenWinsOverTheRows(t *testing.T) {
	t.Parallel()
	good, _, err := readAll("email,reason\na@x.example,manual\n", feedback.ImportOptions{Reason: "unsubscribe", Topic: "news"})
	if err != nil || len(good) != 1 || good[0].Kind != mail.KindUnsubscribe || good[0].Topic != "news" {
		t.Errorf("%+v %v", good, err)
	}
}

func FuzzImport(f *testing.F) {
	f.Add("email,reason\na@x.example,manual\n", "")
	f.Add("\xef\xbb\xbfEmailAddress;SuppressionReason\r\n\"a@x.example\";HardBounce\r\n", "postmark")
	f.Add("status,reason,email,created\n5.1.1,\"550 \"\"no\"\"\",a@x.example,1700000000\n", "sendgrid")
	f.Add("a@x.example\n\"", "ses")
	f.Fuzz(func(t *testing.T, list, preset string) {
		good, _, _ := readAll(list, feedback.ImportOptions{Preset: preset})
		for _, s := range good {
			if again, err := mail.ParseAddress(s.Address); err != nil || mail.FoldAddress(again.Email) != s.Address || feedback.Judge(&s, noon) != nil || s.CreatedAt.After(noon) {
				t.Fatalf("%+v came out of %q", s, list)
			}
		}
	})
}
