package submit

import (
	"errors"
	stdmime "mime"
	"path"
	"strings"

	"github.com/postroad/postroad/internal/mime"
)

// blockedDefault are the kinds of files that large receivers refuse because a click runs
// them: Gmail's published list, and the media types that name the same.
var blockedDefault = strings.Fields(`
	.ade .adp .apk .appx .appxbundle .bat .cab .chm .cmd .com .cpl .diagcab .diagcfg .diagpkg .dll .dmg .ex .ex_ .exe
	.hta .img .ins .iso .isp .jar .jnlp .js .jse .lib .lnk .mde .mjs .msc .msi .msix .msixbundle .msp .mst .nsh .pif
	.ps1 .scr .sct .shb .sys .vb .vbe .vbs .vhd .vxd .wsc .wsf .wsh .xll
	application/bat application/hta application/java-archive application/javascript application/x-bat application/x-executable
	application/x-java-archive application/x-javascript application/x-ms-application application/x-ms-installer application/x-ms-shortcut
	application/x-msdos-program application/x-msdownload application/x-msi application/x-sh application/x-vbs
	application/vnd.android.package-archive application/vnd.microsoft.portable-executable text/javascript text/vbscript`)

// CheckBlocked tells whether a word may stand in a list of blocked attachments: an
// extension with its dot (".exe"), a media type, or "default", the built-in list.
func CheckBlocked(word string) error {
	kind, _, isType := strings.Cut(word, "/")
	if word == "default" || isType && kind != "" && kind[0] != '.' || len(word) > 1 && word[0] == '.' && strings.LastIndexByte(word, '.') == 0 && !isType {
		return nil
	}
	return errors.New("must be an extension such as .exe, a media type, or 'default'")
}

// expandBlocked makes the list into a set; nil is the built-in one.
func expandBlocked(list []string) map[string]bool {
	if list == nil {
		list = []string{"default"}
	}
	set := make(map[string]bool, len(list))
	for _, word := range list {
		if word != "default" {
			set[strings.ToLower(word)] = true
			continue
		}
		for _, builtin := range blockedDefault {
			set[builtin] = true
		}
	}
	return set
}

// blockedAs gives what makes a file blocked: its extension or its media type; "" when
// nothing does. Dots and blanks at the end of a name do not hide its extension: Windows
// drops them.
func (s *Service) blockedAs(filename, contentType string) string {
	if ext := strings.ToLower(path.Ext(strings.TrimRight(filename, ". \t"))); s.blocked[ext] {
		return ext
	}
	kind, _, err := stdmime.ParseMediaType(contentType)
	if err != nil {
		kind = strings.ToLower(strings.TrimSpace(contentType))
	}
	if s.blocked[kind] {
		return kind
	}
	return ""
}

func (d *draft) checkBlocked(f *mime.Attachment, field string) {
	if what := d.s.blockedAs(f.Filename, f.ContentType); what != "" {
		d.fault("attachment_type_blocked", field, blockedMessage(what))
	}
}

func blockedMessage(what string) string {
	return "Mail servers refuse attachments of the kind '" + what + "'. Set 'hosted' to mail a link to the file instead."
}
