package route

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/dns"
)

// SmartHost is a server that takes all our mail and carries it on: a [Source] that has one
// never asks for mail exchangers. TLS with a good certificate is always required.
type SmartHost struct {
	Name     string // of the preset, else the host
	Host     string
	Port     uint16
	Implicit bool   // TLS from the start
	User     string // "" = no AUTH
	Password string
}

// preset is a well-known one. A "%s" in its host is the region, as in "ses:eu-west-1".
type preset struct {
	host, region string
	port         uint16
	user         string // where everybody's is the same
	tokenIsBoth  bool   // user name and password are one token
}

var presets = map[string]preset{
	"gmail":     {host: "smtp.gmail.com", port: 587},
	"outlook":   {host: "smtp-mail.outlook.com", port: 587},
	"office365": {host: "smtp.office365.com", port: 587},
	"yahoo":     {host: "smtp.mail.yahoo.com", port: 465},
	"sendgrid":  {host: "smtp.sendgrid.net", port: 587, user: "apikey"},
	"mailgun":   {host: "smtp%s.mailgun.org", port: 587},
	"postmark":  {host: "smtp.postmarkapp.com", port: 587, tokenIsBoth: true},
	"ses":       {host: "email-smtp.%s.amazonaws.com", region: "us-east-1", port: 587},
}

// ParseSmartHost reads a preset's name ("sendgrid", "ses:eu-west-1", "mailgun:eu") or
// host:port. At port 465, and with smtps:// in front, TLS begins at once, elsewhere with
// STARTTLS.
func ParseSmartHost(text, user, password string) (*SmartHost, error) {
	text, implicit := strings.CutPrefix(strings.ToLower(text), "smtps://")
	name, rest, _ := strings.Cut(text, ":")
	s := &SmartHost{User: user, Password: password}
	if p, known := presets[name]; known {
		host, err := p.at(name, rest)
		if err != nil {
			return nil, err
		}
		s.Name, s.Host, s.Port = name, host, p.port
		if s.User == "" {
			s.User = p.user
		}
		if p.tokenIsBoth && s.User == "" {
			s.User = password
		}
		if s.User == "" || s.Password == "" {
			return nil, fmt.Errorf("%s wants a user name and a password", name)
		}
	} else {
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			return nil, fmt.Errorf("must be a preset (%s) or host:port", strings.Join(slices.Sorted(maps.Keys(presets)), ", "))
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || !dns.IsHost(host) || net.ParseIP(host) != nil {
			return nil, fmt.Errorf("must name a host and its port, like smtp.example.com:587")
		}
		s.Name, s.Host, s.Port = host, host, uint16(n)
	}
	if (s.User == "") != (s.Password == "") {
		return nil, fmt.Errorf("a user name and a password go together")
	}
	s.Implicit = implicit || s.Port == 465
	return s, nil
}

// at is the preset's host in a region.
func (p *preset) at(name, region string) (string, error) {
	switch {
	case region != "" && !strings.Contains(p.host, "%s"):
		return "", fmt.Errorf("%s has no regions", name)
	case region != "" && !dns.IsHost(region+".test"):
		return "", fmt.Errorf("%q is no region of %s", region, name)
	case !strings.Contains(p.host, "%s"):
		return p.host, nil
	case name == "mailgun" && region != "":
		region = "." + region
	case region == "":
		region = p.region
	}
	return fmt.Sprintf(p.host, region), nil
}

// smart is the route of everything where there is a smart host.
func (d *Decider) smart(destination string) *Route {
	s := d.o.Source.Smart
	r := &Route{Destination: destination, Source: d.o.Source, Site: s.Name, Hosts: []Host{{Name: s.Host}}, TLS: Required, Until: d.o.Now().Add(maxBelief)}
	r.explain("smart host "+s.Name, "everything leaves through "+net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))))
	r.explain("TLS with a good certificate", "a password is sent to it")
	return r
}
