package webhook_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postroad/postroad/internal/webhook"
)

// The vector of the standard's own tests.
func TestTheStandardsVectorIsSignedAsItSays(t *testing.T) {
	t.Parallel()
	got := webhook.Signature("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

// The example of the Hyvor dialect.
func TestAHyvorSignatureIsOverTheBodyWithTheSecretAsShown(t *testing.T) {
	t.Parallel()
	got := webhook.HyvorSignature([]byte(`{"event":"send.recipient.accepted","payload":{}}`), "0123456789abcdef0123456789abcdef")
	if got != "2e28300e1859aae7e8df646e39ef6a624bfb4505c6e0541d6b0109716e0ed9bf" {
		t.Error(got)
	}
}

// signed is what a receiver gets.
func signed(id string, at time.Time, body string, secrets ...string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", webhook.Signature(id, at, []byte(body), secrets...))
	return h
}

func TestWhileASecretIsRotatedEitherVerifies(t *testing.T) {
	t.Parallel()
	first, second, other := webhook.NewSecret(), webhook.NewSecret(), webhook.NewSecret()
	const body = `{"type":"webhook.test"}`
	h := signed("evt_1", time.Now(), body, second, first)
	if n := len(strings.Fields(h.Get("webhook-signature"))); n != 2 {
		t.Fatalf("%d signatures", n)
	}
	for secret, want := range map[string]bool{first: true, second: true, other: false} {
		judge, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := judge.Verify([]byte(body), h); (err == nil) != want {
			t.Errorf("with %q: %v", secret, err)
		}
	}
}

func TestSecretsHaveTheFormsTheirFormatsShow(t *testing.T) {
	t.Parallel()
	if s := webhook.NewSecret(); !strings.HasPrefix(s, "whsec_") || len(s) != len("whsec_")+44 || s == webhook.NewSecret() {
		t.Error(s)
	}
	if s := webhook.NewHyvorSecret(); len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" || s == webhook.NewHyvorSecret() {
		t.Error(s)
	}
}

func TestASecretThatIsNoBase64SignsWithItsOwnBytes(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"0123456789abcdef0123456789abcdef", "whsec_%%%"} {
		judge, err := standardwebhooks.NewWebhookRaw([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		if err := judge.Verify([]byte("{}"), signed("evt_1", time.Now(), "{}", secret)); err != nil {
			t.Error(err)
		}
	}
}
