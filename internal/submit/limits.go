package submit

import "time"

// Limits of one message (api-v1.md §1.7). Zero fields mean the defaults.
type Limits struct {
	Recipients      int           // To, Cc and Bcc together; 50
	Subject         int           // characters; 998
	Body            int           // bytes, of HTML and of text each; 10 MB
	Attachments     int           // 100
	AttachmentBytes int64         // decoded, together: more is a warning; 25 MB
	Filename        int           // characters; 255
	Tags            int           // 10
	Tag             int           // characters; 64
	Metadata        int           // keys; 50
	MetadataText    int           // characters of a key and of a value each; 512
	Headers         int           // 50
	Header          int           // bytes of name and value together; 2 KB
	ReplyTo         int           // addresses; 25
	Supersedes      int           // characters; 256
	Topic           int           // characters; 64
	Horizon         time.Duration // how far ahead mail may be scheduled; 90 days
	Past            time.Duration // how far back a scheduled time means now; 60 s
	Expiry          time.Duration // the longest; 90 days
	Batch           int           // messages; 1 000
	BatchBytes      int64         // of the messages of a batch together, as they are sent; 256 MB
	BatchMemory     int64         // of these, how many stand in memory until the commit; 32 MB
	Spool           int64         // estimated bytes from which content goes to disk; 256 KB
}

func (l Limits) orDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.Recipients, 50}, {&l.Subject, 998}, {&l.Body, 10 << 20}, {&l.Attachments, 100}, {&l.Filename, 255}, {&l.Tags, 10}, {&l.Tag, 64},
		{&l.Metadata, 50}, {&l.MetadataText, 512}, {&l.Headers, 50}, {&l.Header, 2 << 10}, {&l.ReplyTo, 25}, {&l.Supersedes, 256}, {&l.Topic, 64},
		{&l.Batch, 1000},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if l.AttachmentBytes == 0 {
		l.AttachmentBytes = 25 << 20
	}
	if l.BatchBytes == 0 {
		l.BatchBytes = 256 << 20
	}
	if l.BatchMemory == 0 {
		l.BatchMemory = 32 << 20
	}
	if l.Spool == 0 {
		l.Spool = 256 << 10
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&l.Horizon, 90 * 24 * time.Hour}, {&l.Past, time.Minute}, {&l.Expiry, 90 * 24 * time.Hour}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}
