package project

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
)

// Export is a domain's records in a form that another program reads.
type Export struct {
	Text        string
	ContentType string
	Filename    string
}

// exporters write records by the name of the form. Each is given what to publish and
// what had better not be, with why; only forms with comments can tell of the latter.
var exporters = map[string]struct {
	write       func(d *Domain, records []Record, spared []Record) string
	contentType string
	ending      string
}{
	"bind":       {writeBind, "text/dns; charset=utf-8", ".zone"}, // RFC 4027
	"terraform":  {writeTerraform, "text/plain; charset=utf-8", ".tf"},
	"cloudflare": {writeCloudflare, "application/json", ".cloudflare.json"},
	"route53":    {writeRoute53, "application/json", ".route53.json"},
}

// ExportFormats are the forms that [Domains.Export] knows.
func ExportFormats() []string { return []string{"bind", "terraform", "cloudflare", "route53"} }

// Export writes the records the domain's zone should have for a name server or a
// provider. A form we do not know is a [mail.Error].
//
// Records that are advice only are left out where the last check found another one in
// their place: an SPF or DMARC record beside one that is there would undo both.
func (s *Domains) Export(d Domain, format string) (Export, error) {
	e, known := exporters[format]
	if !known {
		return Export{}, &mail.Error{Code: "invalid_parameter", Status: 400, Field: "format", Message: "format is one of " + strings.Join(ExportFormats(), ", ") + "."}
	}
	all := s.Records(d)
	var records, spared []Record
	for _, r := range all {
		if r.spare() || r.Type == "TXT" && aliasAt(all, r.FQDN) {
			spared = append(spared, r)
		} else {
			records = append(records, r)
		}
	}
	return Export{e.write(&d, records, spared), e.contentType, d.Name + e.ending}, nil
}

// spare tells whether publishing the record could do harm: its place is taken by something
// that does as well, or that is not ours to replace.
func (r *Record) spare() bool {
	if r.Purpose == purposeDKIM || slices.Contains(r.Found, r.Value) {
		return false
	}
	return r.State == RecordFound || len(r.Found) > 0 && (r.Host == "@" || r.Purpose == purposeDMARC)
}

// aliasAt tells whether the return path works as an alias for us: nothing can stand
// beside that.
func aliasAt(all []Record, fqdn string) bool {
	return slices.ContainsFunc(all, func(r Record) bool {
		return r.Purpose == purposeReturnPath && r.State == RecordFound && r.FQDN == fqdn &&
			len(r.Found) == 1 && strings.HasPrefix(r.Found[0], aliasFound)
	})
}

// maxString is how long one string of a TXT record is (RFC 1035 §3.3.14).
const maxString = 255

// strings255 writes a text as the strings of one TXT record, as zone files have them: in
// quotation marks, what is special after a backslash (RFC 1035 §5.1).
func strings255(text string) []string {
	parts := chunks(text)
	for i := range parts {
		parts[i] = quoteZone(parts[i])
	}
	return parts
}

func quoteZone(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// exchanger reads the value of an MX record.
func (r *Record) exchanger() (preference int, host string) {
	first, host, _ := strings.Cut(r.Value, " ")
	preference, _ = strconv.Atoi(first)
	return preference, host
}

// zoneValue is the record's data in a zone file.
func (r *Record) zoneValue() string {
	if r.Type == "MX" {
		preference, host := r.exchanger()
		return fmt.Sprintf("%d %s.", preference, host)
	}
	return strings.Join(strings255(r.Value), " ")
}

// remark is what people should know of a record.
func (r *Record) remark() string {
	switch {
	case r.KeepUntil != nil:
		return r.Purpose + ", of a key that signs no more: keep it until " + *r.KeepUntil
	case r.Required:
		return r.Purpose + ", required"
	}
	return r.Purpose
}

func (r *Record) why() string {
	return r.Type + " " + r.FQDN + " (" + r.Purpose + ") is left out: something is there already. Ours would be: " + r.Value
}

// comment makes text fit for one line of a comment.
func comment(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, text)
}

// writeBind writes a part of a zone file (RFC 1035 §5) with absolute names, which can be
// put into any zone.
func writeBind(d *Domain, records, spared []Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "; %s: DNS records for sending mail\n", d.Name)
	for i := range records {
		r := &records[i]
		fmt.Fprintf(&b, "; %s\n%s. %d IN %s %s\n", comment(r.remark()), r.FQDN, r.TTL, r.Type, r.zoneValue())
	}
	for i := range spared {
		fmt.Fprintf(&b, "; %s\n", comment(spared[i].why()))
	}
	return b.String()
}

// writeTerraform writes resources of hashicorp/aws; other providers have the same
// arguments under other names. Its strings are joined by \"\" where DNS strings end.
func writeTerraform(d *Domain, records, spared []Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: DNS records for sending mail. Provider: hashicorp/aws.\n", d.Name)
	b.WriteString("variable \"zone_id\" {\n  type        = string\n  description = \"Hosted zone that the records belong to\"\n}\n")
	for i := range records {
		r := &records[i]
		value := quoteHCL(r.Value)
		if r.Type == "TXT" {
			value = quoteHCL(strings.Join(chunks(r.Value), `""`))
		} else {
			value = strings.TrimSuffix(value, `"`) + `."`
		}
		fmt.Fprintf(&b, "\n# %s\nresource \"aws_route53_record\" %s {\n  zone_id = var.zone_id\n  name    = %s\n  type    = %s\n  ttl     = %d\n  records = [%s]\n}\n",
			comment(r.remark()), quoteHCL(resourceName(r)), quoteHCL(r.FQDN), quoteHCL(r.Type), r.TTL, value)
	}
	for i := range spared {
		fmt.Fprintf(&b, "\n# %s\n", comment(spared[i].why()))
	}
	return b.String()
}

// chunks cuts a text into what fits into one string of a TXT record.
func chunks(text string) []string {
	var parts []string
	for ; len(text) > maxString; text = text[maxString:] {
		parts = append(parts, text[:maxString])
	}
	return append(parts, text)
}

// resourceName is an identifier of a record, the same each time.
func resourceName(r *Record) string {
	name := strings.ToLower(r.Type + "_" + r.FQDN)
	return "postroad_" + strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, name)
}

// quoteHCL writes a string of HCL, in which ${ and %{ begin a template.
func quoteHCL(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case (c == '$' || c == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(c)
			b.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Cloudflare's batch request: POST /zones/{zone}/dns_records/batch. "posts" makes
// records and replaces none.
type cloudflareBatch struct {
	Posts []cloudflareRecord `json:"posts"`
}

type cloudflareRecord struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Content  string `json:"content"`
	Priority *int   `json:"priority,omitempty"`
	TTL      int    `json:"ttl"`
	Comment  string `json:"comment"`
}

func writeCloudflare(_ *Domain, records, _ []Record) string {
	batch := cloudflareBatch{Posts: []cloudflareRecord{}}
	for i := range records {
		r := &records[i]
		c := cloudflareRecord{Type: r.Type, Name: r.FQDN, Content: r.zoneValue(), TTL: r.TTL, Comment: "Postroad: " + r.remark()}
		if r.Type == "MX" {
			preference, host := r.exchanger()
			c.Content, c.Priority = host, &preference
		}
		batch.Posts = append(batch.Posts, c)
	}
	return indented(batch)
}

// Route 53's change batch: aws route53 change-resource-record-sets --change-batch
// file://… A set holds all texts of a name, so names that may hold others' texts too are
// only made, never replaced; the whole batch is refused when one is there.
type route53Batch struct {
	Comment string          `json:"Comment"`
	Changes []route53Change `json:"Changes"`
}

type route53Change struct {
	Action string     `json:"Action"`
	Set    route53Set `json:"ResourceRecordSet"`
}

type route53Set struct {
	Name    string         `json:"Name"`
	Type    string         `json:"Type"`
	TTL     int            `json:"TTL"`
	Records []route53Value `json:"ResourceRecords"`
}

type route53Value struct {
	Value string `json:"Value"`
}

func writeRoute53(d *Domain, records, _ []Record) string {
	batch := route53Batch{Comment: "Postroad: records for sending mail from " + d.Name, Changes: []route53Change{}}
	for i := range records {
		r := &records[i]
		action := "UPSERT"
		if r.Host == "@" || r.Purpose == purposeDMARC {
			if slices.Contains(r.Found, r.Value) {
				continue // it is there: making it again would refuse the batch
			}
			action = "CREATE"
		}
		batch.Changes = append(batch.Changes, route53Change{action, route53Set{r.FQDN + ".", r.Type, r.TTL, []route53Value{{r.zoneValue()}}}})
	}
	return indented(batch)
}

// indented writes JSON for people to read; these shapes cannot fail.
func indented(v any) string {
	b, err := json.Marshal(v, jsontext.WithIndent("  "))
	if err != nil {
		return "{}"
	}
	return string(b) + "\n"
}
