package postroad_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"crypto/hmac"
	"crypto/sha256"
	"strconv"

	postroad "github.com/postroad/postroad/clients/go"
)

// The vector of the standard's own tests.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorStamp     = "1614265330"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	otherSecret     = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

var vectorTime = time.Unix(1614265330, 0)

func hook(id, stamp, signature string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", signature)
	return h
}

func TestVerifyTakesTheStandardsVectorAndNothingNearIt(t *testing.T) {
	t.Parallel()
	good := hook(vectorID, vectorStamp, vectorSignature)
	var again any
	_ = json.Unmarshal([]byte(vectorBody), &again)
	rewritten, _ := json.Marshal(again)
	for _, c := range []struct {
		name    string
		code    string // "": genuine
		body    string
		header  http.Header
		at      time.Time
		secrets []string
	}{
		{"as it is", "", vectorBody, good, vectorTime, []string{vectorSecret}},
		{"without the prefix", "", vectorBody, good, vectorTime, []string{strings.TrimPrefix(vectorSecret, "whsec_")}},
		{"two secrets", "", vectorBody, good, vectorTime, []string{otherSecret, vectorSecret}},
		{"two signatures", "", vectorBody, hook(vectorID, vectorStamp, "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32))+" "+vectorSignature), vectorTime, []string{vectorSecret}},
		{"5 minutes late", "", vectorBody, good, vectorTime.Add(5 * time.Minute), []string{vectorSecret}},
		{"5 minutes early", "", vectorBody, good, vectorTime.Add(-5 * time.Minute), []string{vectorSecret}},
		{"one second too old", "timestamp_out_of_range", vectorBody, good, vectorTime.Add(5*time.Minute + time.Second), []string{vectorSecret}},
		{"from the future", "timestamp_out_of_range", vectorBody, good, vectorTime.Add(-5*time.Minute - time.Second), []string{vectorSecret}},
		{"written again", "no_matching_signature", string(rewritten), good, vectorTime, []string{vectorSecret}},
		{"one byte more", "no_matching_signature", vectorBody + "\n", good, vectorTime, []string{vectorSecret}},
		{"another secret", "no_matching_signature", vectorBody, good, vectorTime, []string{otherSecret}},
		{"another id", "no_matching_signature", vectorBody, hook("msg_x", vectorStamp, vectorSignature), vectorTime, []string{vectorSecret}},
		{"another time", "no_matching_signature", vectorBody, hook(vectorID, "1614265331", vectorSignature), vectorTime, []string{vectorSecret}},
		{"another version", "no_matching_signature", vectorBody, hook(vectorID, vectorStamp, "v2"+vectorSignature[2:]), vectorTime, []string{vectorSecret}},
		{"cut short", "no_matching_signature", vectorBody, hook(vectorID, vectorStamp, vectorSignature[:20]), vectorTime, []string{vectorSecret}},
		{"no signature", "no_matching_signature", vectorBody, hook(vectorID, vectorStamp, ""), vectorTime, []string{vectorSecret}},
		{"no id", "missing_header", vectorBody, hook("", vectorStamp, vectorSignature), vectorTime, []string{vectorSecret}},
		{"no number", "missing_header", vectorBody, hook(vectorID, "today", vectorSignature), vectorTime, []string{vectorSecret}},
		{"no secret", "no_secret", vectorBody, good, vectorTime, nil},
		{"an empty secret", "bad_secret", vectorBody, good, vectorTime, []string{"whsec_"}},
		{"no base64", "bad_secret", vectorBody, good, vectorTime, []string{vectorSecret, "whsec_***"}},
	} {
		event, err := postroad.VerifyAt(c.at, []byte(c.body), c.header, c.secrets...)
		var e *postroad.Error
		switch {
		case c.code == "" && (err != nil || string(event.Raw()) != c.body):
			t.Errorf("%s: %v", c.name, err)
		case c.code != "" && (event != nil || !errors.Is(err, postroad.ErrSignature) || !errors.As(err, &e) || e.Code != c.code):
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := postroad.Verify([]byte(vectorBody), good, vectorSecret); !errors.Is(err, postroad.ErrSignature) {
		t.Errorf("the vector is of 2021: %v", err)
	}
}

// sign is the other side.
func sign(secret, id string, at time.Time, body string) http.Header {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	stamp := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + stamp + "." + body))
	return hook(id, stamp, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
}

func TestAWebhookHandlerGivesEventsAndAnswersByStatus(t *testing.T) {
	t.Parallel()
	const body = `{"id":"evt_1","type":"message.bounced","sequence":4,"position":9,"timestamp":"2026-04-19T14:30:00.827Z",
		"data":{"message_id":"msg_1","recipient":"ada@example.com","bounce":{"type":"hard","class":"unknown_user"},"of_tomorrow":7},"of_tomorrow":8}`
	var got *postroad.Event
	var fail error
	server := httptest.NewServer(postroad.WebhookHandler(func(_ *http.Request, e *postroad.Event) error { got = e; return fail }, otherSecret, vectorSecret))
	defer server.Close()
	post := func(method, body string, h http.Header) int {
		r, _ := http.NewRequest(method, server.URL, strings.NewReader(body))
		for name, values := range h {
			r.Header[name] = values
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	good := sign(vectorSecret, "evt_1", time.Now(), body)
	if status := post("POST", body, good); status != 204 {
		t.Fatalf("status %d", status)
	}
	data, err := got.Message()
	var more, outer int
	if err != nil || got.Type != postroad.EventMessageBounced || got.Sequence != 4 || got.Timestamp.Nanosecond() != 827e6 || data.Bounce.Class != "unknown_user" ||
		!data.Field("of_tomorrow", &more) || more != 7 || !got.Field("of_tomorrow", &outer) || outer != 8 {
		t.Errorf("%+v %+v %v", got, data, err)
	}
	if status := post("POST", strings.Replace(body, "hard", "soft", 1), good); status != 401 {
		t.Errorf("a changed body: %d", status)
	}
	if status := post("GET", "", good); status != 405 {
		t.Errorf("GET: %d", status)
	}
	if status := post("POST", strings.Repeat("x", 1<<20+1), good); status != 413 {
		t.Errorf("too large: %d", status)
	}
	if fail = errors.New("no"); post("POST", body, good) != 500 {
		t.Error("a handler that fails is not told")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(vectorBody), vectorID, vectorStamp, vectorSignature, vectorSecret)
	f.Add([]byte(`[]`), "a", "-1", "v1, ,v1,= v1", "whsec_AAAA")
	f.Add([]byte{0xff}, "a.b", "9223372036854775807", "v1,"+strings.Repeat("A", 44), otherSecret)
	f.Fuzz(func(t *testing.T, body []byte, id, stamp, signature, secret string) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature}}
		event, err := postroad.VerifyAt(vectorTime, body, h, secret)
		if (event == nil) == (err == nil) {
			t.Fatalf("%v %v", event, err)
		}
		if err == nil && (string(body) != vectorBody || id != vectorID || stamp != vectorStamp) {
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
			m := hmac.New(sha256.New, key)
			m.Write([]byte(id + "." + stamp + "." + string(body)))
			if !strings.Contains(signature, base64.StdEncoding.EncodeToString(m.Sum(nil))[:42]) {
				t.Fatalf("accepted %q by %q", body, signature)
			}
		}
		if err == nil { // what was accepted is refused with one byte changed
			changed := append(append([]byte{}, body...), ' ')
			if _, err := postroad.VerifyAt(vectorTime, changed, h, secret); err == nil {
				t.Fatal("a changed body passed")
			}
		}
	})
}
