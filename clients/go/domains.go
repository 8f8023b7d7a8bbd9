package postroad

import (
	"context"
	"net/http"
	"time"
)

// Domains keeps sending domains. A domain is named by its id or name.
type Domains struct{ c *Client }

// NewDomain is a domain to send from.
type NewDomain struct {
	Name       string   `json:"name"`
	DKIM       *NewDKIM `json:"dkim,omitempty"`
	ReturnPath string   `json:"return_path,omitempty"` // label before the name; "": "bounce"
}

// NewDKIM is how mail of the domain is signed.
type NewDKIM struct {
	Selector   string `json:"selector,omitempty"`
	Algorithm  string `json:"algorithm,omitempty"`   // "rsa2048" (default), "ed25519"
	PrivateKey string `json:"private_key,omitempty"` // PEM; "": a new one
}

// Domain is a sending domain. Records are there where it was just made, verified or
// activated.
type Domain struct {
	Response
	DomainID      string            `json:"domain_id"`
	Object        string            `json:"object"`
	Name          string            `json:"name"`
	Status        string            `json:"status"` // "pending", "verified", "degraded", "failed", "suspended"
	CanSend       bool              `json:"can_send"`
	Checks        map[string]string `json:"checks"`
	DKIMKeys      []DKIMKey         `json:"dkim_keys"`
	ReturnPath    string            `json:"return_path"`
	TLS           string            `json:"tls"`
	DefaultFrom   string            `json:"default_from"`
	CreatedAt     time.Time         `json:"created_at"`
	LastCheckedAt time.Time         `json:"last_checked_at"`
	NextCheckAt   time.Time         `json:"next_check_at"`
	Records       []DNSRecord       `json:"records"`
	Warnings      []Warning         `json:"warnings"`
}

// DKIMKey is a key mail is or was signed with.
type DKIMKey struct {
	Selector    string    `json:"selector"`
	Algorithm   string    `json:"algorithm"`
	State       string    `json:"state"` // "pending", "active", "retired"
	CreatedAt   time.Time `json:"created_at"`
	ActivatedAt time.Time `json:"activated_at"`
	RetiredAt   time.Time `json:"retired_at"`
	KeepUntil   time.Time `json:"keep_until"`
}

// DNSRecord is a record to publish, and what is published.
type DNSRecord struct {
	Response
	Purpose   string    `json:"purpose"`
	Required  bool      `json:"required"`
	Type      string    `json:"type"`
	Host      string    `json:"host"`
	FQDN      string    `json:"fqdn"`
	Value     string    `json:"value"`
	TTL       int       `json:"ttl"`
	Found     []string  `json:"found"`
	State     string    `json:"state"`
	Diagnosis string    `json:"diagnosis"`
	Resolver  string    `json:"resolver"`
	CheckedAt time.Time `json:"checked_at"`
	KeepUntil time.Time `json:"keep_until"`
	DMARC     *DMARC    `json:"dmarc"`
}

// DMARC is what a domain's policy comes to.
type DMARC struct {
	Policy               string    `json:"policy"`
	Tag                  string    `json:"tag"`
	FoundAt              string    `json:"found_at"`
	OrganizationalDomain string    `json:"organizational_domain"`
	Testing              bool      `json:"testing"`
	DKIM                 Alignment `json:"dkim"`
	SPF                  Alignment `json:"spf"`
}

// Alignment is whether a name counts for the From domain.
type Alignment struct {
	Domain  string `json:"domain"`
	Mode    string `json:"mode"`
	Aligned bool   `json:"aligned"`
	Unknown bool   `json:"unknown"`
}

// DomainChange changes a domain.
type DomainChange struct {
	TLS         Optional[string] `json:"tls,omitzero"` // "opportunistic", "required"
	DefaultFrom Optional[string] `json:"default_from,omitzero"`
}

// DomainHealth is how a domain's live mail of 30 days fared.
type DomainHealth struct {
	Response
	Object    string          `json:"object"`
	DomainID  string          `json:"domain_id"`
	Name      string          `json:"name"`
	Status    string          `json:"status"`
	Window    HealthWindow    `json:"window"`
	Delivery  HealthDelivery  `json:"delivery"`
	Alignment HealthAlignment `json:"alignment"`
	TLS       HealthTLS       `json:"tls"`
	Advice    []string        `json:"advice"`
}

// HealthWindow is what was looked at.
type HealthWindow struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Messages   int64     `json:"messages"`
	Recipients int64     `json:"recipients"`
	Sampled    bool      `json:"sampled"`
}

// Rate is a share with what it was counted from; Value is nil without any.
type Rate struct {
	Value       *float64 `json:"value"`
	Numerator   int64    `json:"numerator"`
	Denominator int64    `json:"denominator"`
}

// HealthDelivery counts ends.
type HealthDelivery struct {
	Delivered      int64            `json:"delivered"`
	Bounced        int64            `json:"bounced"`
	BouncedByClass map[string]int64 `json:"bounced_by_class"`
	Complained     int64            `json:"complained"`
	Expired        int64            `json:"expired"`
	Failed         int64            `json:"failed"`
	Suppressed     int64            `json:"suppressed"`
	Cancelled      int64            `json:"cancelled"`
	DeferredNow    int64            `json:"deferred_now"`
	WaitingNow     int64            `json:"waiting_now"`
	Rates          struct {
		Delivery  Rate `json:"delivery"`
		Bounce    Rate `json:"bounce"`
		Complaint Rate `json:"complaint"`
	} `json:"rates"`
}

// HealthAlignment is how much mail carried names that count for the domain.
type HealthAlignment struct {
	DKIM struct {
		Rate
		Selectors map[string]int64 `json:"selectors"`
	} `json:"dkim"`
	SPF struct {
		Rate
		ReturnPaths map[string]int64 `json:"return_paths"`
		Basis       string           `json:"basis"`
	} `json:"spf"`
	DMARCPolicy string `json:"dmarc_policy"`
}

// HealthTLS is how much mail left encrypted.
type HealthTLS struct {
	Encrypted Rate `json:"encrypted"`
	Verified  Rate `json:"verified"`
}

// Create registers a domain; its Records are what to publish.
func (d *Domains) Create(ctx context.Context, n NewDomain, options ...CallOption) (*Domain, error) {
	return call[Domain](ctx, d.c, http.MethodPost, at("domains"), n, options)
}

// List lists domains.
func (d *Domains) List() *List[Domain] { return listOf[Domain](d.c, nil, "domains") }

// Get gives one.
func (d *Domains) Get(ctx context.Context, domain string, options ...CallOption) (*Domain, error) {
	return call[Domain](ctx, d.c, http.MethodGet, at("domains", domain), nil, options)
}

// Update changes one.
func (d *Domains) Update(ctx context.Context, domain string, change DomainChange, options ...CallOption) (*Domain, error) {
	return call[Domain](ctx, d.c, http.MethodPatch, at("domains", domain), change, options)
}

// Delete removes a domain; [ErrConflict] while mail of it waits, unless [Force], which
// fails that mail.
func (d *Domains) Delete(ctx context.Context, domain string, options ...CallOption) error {
	return nothing(ctx, d.c, http.MethodDelete, at("domains", domain), nil, options)
}

// DNS is what to publish, what was found at the last check, and what is wrong.
func (d *Domains) DNS(ctx context.Context, domain string) ([]*DNSRecord, error) {
	return whole[DNSRecord](ctx, d.c, "domains", domain, "dns")
}

// ExportDNS is the records as a file: "bind", "terraform", "cloudflare" or "route53".
func (d *Domains) ExportDNS(ctx context.Context, domain, format string) (*Download, error) {
	return download(ctx, d.c, "*/*", struct {
		Format string `query:"format"`
	}{format}, "domains", domain, "dns", "export")
}

// Verify looks at the records now. What is missing is no error, but in Status and Records.
func (d *Domains) Verify(ctx context.Context, domain string, options ...CallOption) (*Domain, error) {
	return call[Domain](ctx, d.c, http.MethodPost, at("domains", domain, "verify"), struct{}{}, options)
}

// Health is how the domain's mail fares.
func (d *Domains) Health(ctx context.Context, domain string) (*DomainHealth, error) {
	return call[DomainHealth](ctx, d.c, http.MethodGet, at("domains", domain, "health"), nil, nil)
}

// Rotation is a new DKIM key.
type Rotation struct {
	Algorithm    string `json:"algorithm,omitempty"`
	Selector     string `json:"selector,omitempty"`
	OverlapHours *int   `json:"overlap_hours,omitempty"` // how long the old one's record stays needed
}

// RotatedKey is a new DKIM key with the record to publish.
type RotatedKey struct {
	Response
	DKIMKey
	Object       string     `json:"object"`
	DomainID     string     `json:"domain_id"`
	OverlapHours int        `json:"overlap_hours"`
	Record       *DNSRecord `json:"record"`
	Warnings     []Warning  `json:"warnings"`
}

// RotateDKIM makes a new key, which signs once its record is published and activated.
func (d *Domains) RotateDKIM(ctx context.Context, domain string, r Rotation, options ...CallOption) (*RotatedKey, error) {
	return call[RotatedKey](ctx, d.c, http.MethodPost, at("domains", domain, "dkim", "rotate"), r, options)
}

// ActivateDKIM has a key sign; [ErrConflict] while its record cannot be seen, unless [Force].
func (d *Domains) ActivateDKIM(ctx context.Context, domain, selector string, options ...CallOption) (*Domain, error) {
	return call[Domain](ctx, d.c, http.MethodPost, at("domains", domain, "dkim", selector, "activate"), struct{}{}, options)
}

// DeleteDKIM removes a key that does not sign.
func (d *Domains) DeleteDKIM(ctx context.Context, domain, selector string, options ...CallOption) error {
	return nothing(ctx, d.c, http.MethodDelete, at("domains", domain, "dkim", selector), nil, options)
}
