package project

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/dns"
)

// tags reads a list of "name=value" separated by semicolons (RFC 6376 §3.2), names in
// lower case, blanks around values taken away; of a name that comes twice the first counts.
func tags(text string) map[string]string {
	list := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := list[name]; ok && !twice {
			list[name] = strings.TrimSpace(value)
		}
	}
	return list
}

// squeeze takes all blanks away: they may stand anywhere in base64 (RFC 6376 §3.6.1).
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// judgeDKIM compares what is published for a key with what should be (RFC 6376 §3.6.1).
func judgeDKIM(k *DKIMKey, texts []string) (state, diagnosis string) {
	if len(texts) == 1 {
		return judgeDKIMText(k, texts[0])
	}
	for _, text := range texts {
		if state, _ := judgeDKIMText(k, text); state == RecordFound {
			return RecordMismatch, "Our key is there, but another TXT record stands at the same name, and receivers may take either. Delete the other one."
		}
	}
	for _, order := range [][]string{texts, reversed(texts)} {
		if state, _ := judgeDKIMText(k, strings.Join(order, "")); state == RecordFound {
			return RecordMismatch, fmt.Sprintf("The value is split over %d TXT records. Make it one record; a provider that limits the length lets you give several quoted strings in it.", len(texts))
		}
	}
	return RecordMismatch, fmt.Sprintf("There are %d TXT records at this name and none is our key. Replace them by this one.", len(texts))
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

func judgeDKIMText(k *DKIMKey, text string) (state, diagnosis string) {
	want := base64.StdEncoding.EncodeToString(k.Public)
	got := tags(text)
	p, hasKey := got["p"]
	p = squeeze(p)
	switch {
	case p == want:
		return judgeDKIMTags(k, got)
	case squeeze(unquoted(text)) == want:
		return RecordMismatch, "Only the key was pasted. The value begins with 'v=DKIM1;': paste all of it."
	case squeeze(unquoted(p)) == want:
		return RecordMismatch, "The value was split wrongly: quotation marks or backslashes became part of it. Paste it without any, as one line."
	case hasKey && p == "":
		return RecordMismatch, "The record there says that this key was revoked (its p= is empty). Replace it by ours."
	case len(p) > 20 && strings.HasPrefix(want, p):
		return RecordMismatch, fmt.Sprintf("The key is cut off after %d of its %d characters. Your provider may allow 255 in a string: give the value as several strings of one record.", len(p), len(want))
	case hasKey:
		return RecordMismatch, "A DKIM key is published but it is not ours. You may have pasted the old one."
	}
	return RecordMismatch, "The TXT record there is no DKIM key. If you did not make it, a wildcard record answers for every name: this one still has to be made."
}

func unquoted(s string) string { return strings.NewReplacer(`"`, "", `\`, "", "'", "").Replace(s) }

// judgeDKIMTags looks at what stands around the right key.
func judgeDKIMTags(k *DKIMKey, got map[string]string) (state, diagnosis string) {
	kind, wanted := got["k"], "ed25519"
	if kind == "" {
		kind = "rsa" // the default
	}
	if k.isRSA() {
		wanted = "rsa"
	}
	version, hasVersion := got["v"]
	switch {
	case hasVersion && version != "DKIM1":
		return RecordMismatch, "The key is right, but the record says v=" + short(version) + ": it must be v=DKIM1, in capitals."
	case !strings.EqualFold(kind, wanted):
		return RecordMismatch, "The key is right, but the record says it is of the kind '" + short(kind) + "': k must be " + wanted + "."
	case got["h"] != "" && !slices.Contains(fields(got["h"]), "sha256"):
		return RecordMismatch, "The key is right, but h=" + short(got["h"]) + " forbids SHA-256, which we sign with. Leave h out."
	case got["s"] != "" && !slices.Contains(fields(got["s"]), "email") && !slices.Contains(fields(got["s"]), "*"):
		return RecordMismatch, "The key is right, but s=" + short(got["s"]) + " forbids its use for mail. Leave s out."
	case slices.Contains(fields(got["t"]), "y"):
		return RecordFound, "The record says t=y (a test): receivers may ignore the signature. Leave t out."
	}
	return RecordFound, ""
}

// fields splits a list at colons (RFC 6376 §3.6.1).
func fields(list string) []string {
	parts := strings.Split(strings.ToLower(list), ":")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// short makes a part of somebody else's text fit for a sentence.
func short(s string) string { return dns.Printable(s, 40) }
