package postroad

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far a webhook's timestamp may be off.
const Tolerance = 5 * time.Minute

// maxHook bounds a webhook's body; the server sends less than 8 KB.
const maxHook = 1 << 20

// Verify checks a webhook (Standard Webhooks) and reads its event. body is the bytes as
// they arrived: parsing them first and writing them again makes other bytes. With several
// secrets any may have signed, as while one is rotated. What is not genuine, or older or
// newer than five minutes, is [ErrSignature]; nothing of it may be used then.
//
// Remember Event.ID (also the header webhook-id): a webhook can come twice.
func Verify(body []byte, header http.Header, secrets ...string) (*Event, error) {
	return VerifyAt(time.Now(), body, header, secrets...)
}

// VerifyAt is Verify at another time, for tests and for webhooks that were kept.
func VerifyAt(now time.Time, body []byte, header http.Header, secrets ...string) (*Event, error) {
	id, stamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	switch {
	case len(secrets) == 0:
		return nil, forged("no_secret", "no secret was given to verify with")
	case id == "" || err != nil:
		return nil, forged("missing_header", "webhook-id or webhook-timestamp is missing")
	case now.Sub(time.Unix(seconds, 0)).Abs() > Tolerance:
		return nil, forged("timestamp_out_of_range", "the webhook's timestamp is more than 5 minutes off: it is old, or a clock is wrong")
	}
	genuine := false
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) == 0 {
			return nil, forged("bad_secret", "a secret is not of the form whsec_ and base64")
		}
		genuine = signed(key, id, stamp, body, header.Values("Webhook-Signature")) || genuine
	}
	if !genuine {
		return nil, forged("no_matching_signature", "no signature fits: another secret, or the body is not as it arrived")
	}
	return eventOf(body)
}

// signed looks for one good signature among those of a header.
func signed(key []byte, id, stamp string, body []byte, lines []string) bool {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	sum, good := mac.Sum(nil), false
	for _, line := range lines {
		for _, part := range strings.Fields(line) {
			version, text, _ := strings.Cut(part, ",")
			if got, err := base64.StdEncoding.DecodeString(text); version == "v1" && err == nil && hmac.Equal(got, sum) {
				good = true
			}
		}
	}
	return good
}

func eventOf(body []byte) (*Event, error) {
	e := new(Event)
	if err := json.Unmarshal(body, e); err != nil {
		return nil, &Error{Kind: ErrSignature, Code: "invalid_json", Message: "the webhook is genuine, but no event: " + err.Error(), Raw: body, cause: err}
	}
	e.keep(body, nil)
	return e, nil
}

func forged(code, message string) *Error {
	return &Error{Kind: ErrSignature, Code: code, Message: message}
}

// WebhookHandler takes webhooks at a path: it reads the raw body, verifies it and gives the
// event to handle. It answers 204; 401 to what is not genuine; 500 when handle fails, which
// has the server send it again later.
func WebhookHandler(handle func(*http.Request, *Event) error, secrets ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "webhooks come as POST", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			http.Error(w, "a webhook has at most 1 MB", http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, "the body broke off", http.StatusBadRequest)
			return
		}
		event, err := Verify(body, r.Header, secrets...)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if err := handle(r, event); err != nil {
			http.Error(w, "the event could not be handled", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
