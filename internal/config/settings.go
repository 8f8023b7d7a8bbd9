package config

import (
	"net/netip"
	"time"
)

// Settings is everything an operator can set. Each field has four tags: key (its name
// in the file; POSTROAD_ and upper case in the environment), default, is (the operator's
// words), and sometimes secret (also readable from a file named by KEY_FILE).
type Settings struct {
	Storage    Storage
	HTTP       HTTP
	Keys       Keys
	Delivery   Delivery
	Submission Submission
	Inbound    Inbound
	Hooks      Hooks
	Hyvor      Hyvor
	Running    Running

	// Notes are things an operator should know about settings that were accepted.
	Notes []string
}

// Storage says where mail is kept.
type Storage struct {
	DataDir     string `key:"data_dir" default:"./data" is:"Directory of the database, the bodies of large messages and the keys. Made at first start."`
	DatabaseURL string `key:"database_url" default:"sqlite:" is:"Where mail is remembered. 'sqlite:' is the embedded database in the data directory."`
	DiskFloor   Bytes  `key:"disk_floor" default:"256MB" is:"With less free space than this in the data directory we take no more mail: sends are 503 and /readyz fails until there is room again. 0 turns the check off."`
	AuditDays   int    `key:"audit_days" default:"365" is:"How long it is kept who changed what of the configuration. 0 is for ever."`
}

// HTTP is the API and the console.
type HTTP struct {
	Addr               string         `key:"http_addr" default:"127.0.0.1:8080" is:"Address of the API and the console. Plain HTTP: put TLS in front of it before you open it to others."`
	PublicURL          string         `key:"public_url" default:"" unset:"from http_addr" is:"What links in answers and mail begin with, e.g. https://mail.example.com."`
	MaxBody            Bytes          `key:"max_body" default:"50MB" is:"Largest request, decompressed. Larger ones are 413 before they are read."`
	BlockedAttachments []string       `key:"blocked_attachments" default:"default" is:"Kinds of attachments that are refused: extensions (.exe) and media types. 'default' is the built-in list of what large receivers refuse; 'none' refuses nothing."`
	RateLimit          Rate           `key:"rate_limit" default:"1000/1m" is:"Requests of one project and environment. 0 is unlimited. A project or a key may have its own."`
	KeyConcurrency     int            `key:"key_concurrency" default:"1000" is:"Requests of one key that may run at the same time; more are 429 concurrency_limited. 0 is unlimited."`
	SessionIdle        time.Duration  `key:"session_idle" default:"24h" is:"A login of the console that is not used for so long is over."`
	SessionLife        time.Duration  `key:"session_life" default:"168h" is:"The longest a login of the console can last, however much it is used."`
	MetricsNetworks    []netip.Prefix `key:"metrics_networks" default:"127.0.0.0/8,::1/128" is:"Client addresses that may read /metrics without a token."`
	MetricsToken       string         `key:"metrics_token" default:"" secret:"yes" is:"A bearer token that may read /metrics from anywhere."`
}

// Keys are API keys and the login made at first start.
type Keys struct {
	AdminPassword string `key:"admin_password" default:"" secret:"yes" is:"Password of the console's first user, 'admin', made at start when there is none. Without it a start prints a set-up link."`
	BootstrapLive string `key:"bootstrap_live_key" default:"" secret:"yes" is:"A full-access live key of the default project, of any shape, made at start when it is not there."`
	BootstrapTest string `key:"bootstrap_test_key" default:"" secret:"yes" is:"The same for the test environment. With neither set, the first start makes a test key and prints it once."`
}

// Delivery is the way to the recipients' servers.
type Delivery struct {
	Hostname        string           `key:"hostname" default:"" unset:"the host's name" is:"Name we say in EHLO and Received. Its address record should lead to this host, and the host's PTR back to it."`
	SourceAddr      netip.Addr       `key:"source_addr" default:"" unset:"the system's choice" is:"Local address that mail leaves from."`
	DNSServers      []netip.AddrPort `key:"dns_servers" default:"" unset:"the system's" is:"Resolvers to ask, host:port. When set, everything asks these and only these."`
	MXPort          int              `key:"mx_port" default:"25" is:"Port at which mail exchangers are dialled."`
	AllowNetworks   []netip.Prefix   `key:"allow_networks" default:"" unset:"none" is:"Networks (CIDR) that delivery and webhooks may dial although they are not public. Webhooks may go there over plain http."`
	SmartHost       string           `key:"smart_host" default:"" unset:"none" is:"A server that all live mail leaves through instead of going to the recipients' own: gmail, outlook, office365, yahoo, sendgrid, mailgun, mailgun:eu, postmark, ses:eu-west-1, or host:port (smtps://host:port when TLS begins at once)."`
	SmartHostUser   string           `key:"smart_host_user" default:"" unset:"the preset's" is:"User name there."`
	SmartHostSecret string           `key:"smart_host_password" default:"" secret:"yes" is:"Password, API key or token there."`
	RetrySchedule   []time.Duration  `key:"retry_schedule" default:"30s,5m,30m,2h,5h" is:"Waits between attempts after a temporary failure, each with 10 % jitter. After the last one the message bounces."`
	SiteConnections int              `key:"site_connections" default:"20" is:"Most connections to one receiving operator at a time."`
	SessionMessages int              `key:"session_messages" default:"100" is:"Most messages carried over one connection before it is closed."`
	SoftStop        time.Duration    `key:"soft_stop" default:"30s" is:"How long a stop waits for what is on the wire. Then it is cut; a second signal cuts at once."`
}

// Hooks are webhooks: what is posted to projects' own URLs.
type Hooks struct {
	Schedule []time.Duration `key:"webhook_schedule" default:"" unset:"30s,5m,30m,2h,5h,10h,14h,20h,24h" is:"Waits between tries to post an event, each with 10 % jitter. After the last one the delivery is failed. Unset, endpoints of the Hyvor format have that dialect's own; set, it counts for all."`
	Probe    time.Duration   `key:"webhook_probe" default:"1m" is:"How often a webhook that failed ten times in a row is tried with one event. The others wait without using up tries."`
}

// Hyvor is the console API of Hyvor Relay under /api/console.
type Hyvor struct {
	SendsLimit     Rate  `key:"hyvor_sends_limit" default:"10/1s" is:"Sends of one project and environment in the Hyvor dialect. 0 is unlimited."`
	KeyLimit       Rate  `key:"hyvor_key_limit" default:"100/1m" is:"All other requests of one key in the Hyvor dialect. 0 is unlimited."`
	AllowedIPs     bool  `key:"hyvor_require_allowed_ips" default:"false" is:"Refuse to make keys for sends without an address list in the Hyvor dialect."`
	MaxRecipients  int   `key:"hyvor_max_recipients" default:"20" is:"Recipients of one send in the Hyvor dialect, cc and bcc included."`
	MaxSize        Bytes `key:"hyvor_max_size" default:"10MB" is:"Largest mail in the Hyvor dialect, before signing; and the most characters of one attachment's base64."`
	MaxAttachments int   `key:"hyvor_max_attachments" default:"10" is:"Attachments of one send in the Hyvor dialect."`
	MaxKeys        int   `key:"hyvor_max_keys" default:"10" is:"API keys that a project's environment may have made through the Hyvor dialect."`
}

// Submission is the door for what speaks SMTP.
type Submission struct {
	Addr          string `key:"submission_addr" default:"127.0.0.1:1587" is:"SMTP submission with STARTTLS; 587 in production. 'off' closes this door. Without TLS a password is taken from this host only."`
	TLSAddr       string `key:"submissions_addr" default:"" unset:"off" is:"SMTP submission with TLS from the start; 465 in production."`
	Connections   int    `key:"submission_connections" default:"1000" is:"Most SMTP connections at a time. When all are taken, one that has not authenticated makes way."`
	PerAddress    int    `key:"submission_connections_per_address" default:"100" is:"Most of them from one client address (IPv6: one /64)."`
	TLSCert       string `key:"tls_cert" default:"" unset:"none" is:"Certificate file of the SMTP doors, PEM, with those that vouch for it. Read again when it changes."`
	TLSKey        string `key:"tls_key" default:"" unset:"none" is:"Its key file, PEM."`
	ACMEEmail     string `key:"acme_email" default:"" unset:"none" is:"Get the certificate of hostname by ACME under this address, unless tls_cert is set. Needs port 80 or 443 of a public host. With neither set it is self-signed."`
	ACMEDirectory string `key:"acme_directory" default:"" unset:"Let's Encrypt" is:"Directory URL of the ACME authority."`
}

// Inbound is the door for reports about our mail.
type Inbound struct {
	Addr string `key:"inbound_addr" default:"" unset:"off" is:"Bounce and complaint reports and unsubscribes by SMTP, e.g. :25. It takes mail to our own return paths, to unsubscribe addresses and to postmaster, abuse and fbl at hostname, and never relays. 'off' closes this door."`
}

// Off is what an address says where a door is to stay closed.
const Off = "off"

// Running is the process itself.
type Running struct {
	Log         string `key:"log" default:"" unset:"text on a terminal, else json" is:"Form of the log on stderr: text or json."`
	LogLevel    string `key:"log_level" default:"info" is:"debug, info, warn or error."`
	MemoryLimit Bytes  `key:"memory_limit" default:"200MB" is:"Soft limit of memory: above it the garbage collector works harder, nothing is refused. 0 is none. GOMEMLIMIT, when set, counts instead."`
}

// clientNames are environment variables of the commands that talk to a server
// (postroad send); they are not settings of the server and are not refused.
var clientNames = []string{"POSTROAD_URL", "POSTROAD_BASE_URL", "POSTROAD_API_KEY", "POSTROAD_CONFIG"}
