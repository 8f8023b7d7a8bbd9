package feedback

import (
	"strings"

	"github.com/postroad/postroad/internal/mime"
)

// answerFields are fields that only automatic replies have, before RFC 3834 gave them one.
var answerFields = [...]string{"x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response-suppress", "x-auto-response-from"}

// vacationWords begin or stand in the subjects of automatic replies. They count only together
// with a Precedence that people do not set.
var vacationWords = [...]string{
	"out of office", "out of the office", "automatic reply", "auto reply", "auto-reply", "autoreply", "auto response", "auto:", "autosvar", "vacation", "on leave", "away from",
	"automatische antwort", "abwesen", "nicht im büro", "réponse automatique", "absence", "absent", "respuesta automática", "fuera de la oficina",
	"risposta automatica", "resposta automática", "automatisch antwoord", "afwezig", "autoodpowiedź", "automaattinen vastaus", "frånvar",
}

// answersByItself tells of mail that no person sent: out-of-office notes and their like.
func answersByItself(head fields) bool {
	if value := head.first("auto-submitted"); value != "" {
		word, _, _ := strings.Cut(strings.ToLower(withoutComments(value)), ";")
		if strings.TrimSpace(word) != "no" { // RFC 3834 §5
			return true
		}
	}
	for _, name := range answerFields {
		if value := head.first(name); head.has(name) && !strings.EqualFold(value, "no") && !strings.EqualFold(value, "false") {
			return true
		}
	}
	switch strings.ToLower(head.first("precedence")) {
	case "auto_reply", "auto-reply":
		return true
	case "bulk", "junk", "list":
		return vacationSubject(head.first("subject"))
	}
	return false
}

func vacationSubject(subject string) bool {
	subject = fold(mime.DecodeWords(subject))
	for _, words := range vacationWords {
		if strings.Contains(subject, words) {
			return true
		}
	}
	return false
}
