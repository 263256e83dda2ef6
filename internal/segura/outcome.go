package segura

import (
	"strings"
	"time"
	"unicode"

	"segura-enable/internal/apisecret"
)

// readCall returns how a call that asks for the action ended, or its fault.
func readCall(action apisecret.Action, i apisecret.Identifier, r reply, c content) (apisecret.Outcome, *apisecret.Error) {
	if outcome, ok := readOutcome(action, i, c.message); ok && isWholeSuccess(r, c) {
		if !isContradicted(action, c) {
			return outcome, nil
		}
		c.contradicted = true
	}
	return "", replyFault(r, c, time.Now())
}

// readOutcome returns how a call that asks for the action ended, if the message
// says that the API secret is now in that state. Only the message tells a change
// from none, and its wording varies between versions: it names an API secret and
// the state, and every other word has to be among those of a plain success. "can be
// activated" is no "activated", and a password is what the neighbouring route
// activates.
func readOutcome(action apisecret.Action, i apisecret.Identifier, message string) (apisecret.Outcome, bool) {
	var named, stated, already bool
	spoken := strings.Fields(withoutSigns.Replace(strings.ToLower(message)))
	for at := 0; at < len(spoken); at++ {
		switch word := spoken[at]; {
		case word == "api" && at+1 < len(spoken) && spoken[at+1] == "secret":
			named = true
			at++
		case word == "apisecret" || word == "api-secret":
			named = true
		case word == stateWord(action):
			stated = true
		case word == "already":
			already = true
		case !plainWords[word] && word != i.String():
			return "", false
		}
	}
	switch {
	case !named || !stated:
		return "", false
	case already:
		return action.Unchanged(), true
	default:
		return action.Changed(), true
	}
}

// withoutSigns takes away the signs that say nothing.
var withoutSigns = strings.NewReplacer(".", " ", ",", " ", "!", " ", ":", " ", "«", " ", "»", " ", `"`, " ")

// plainWords are those that a success may have besides.
var plainWords = wordSet("the has been was successfully")

// stateWord returns Segura's word for the state that the action leads to.
func stateWord(action apisecret.Action) string {
	if action == apisecret.Disable {
		return "deactivated"
	}
	return "activated"
}

// isContradicted reports whether anything else in the reply says that the API
// secret is not in the state that the action leads to.
func isContradicted(action apisecret.Action, c content) bool {
	if c.flagged {
		return true
	}
	opposite := stateWord(action.Opposite())
	for _, text := range c.others {
		if text == c.message {
			continue
		}
		if leadingCode(text) != 0 {
			return true
		}
		for _, word := range words(text) {
			if word == opposite || negations[word] || strings.HasSuffix(word, "n't") {
				return true
			}
		}
	}
	return false
}

var negations = wordSet(`not no non un never none neither nor nothing without cannot cant couldnt didnt wasnt isnt
	hasnt unable fail fails failed failure unsuccessful unsuccessfully não nao nunca sem`)

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

// words returns the words of a text in lower case. An apostrophe belongs to its
// word, whichever one is written, and a hyphen joins two: "de-activated" is no
// "activated".
func words(text string) []string {
	return strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("'’ʼ＇´`", r):
			return '\''
		case strings.ContainsRune("-\u2010\u2011\u00ad", r):
			return -1
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			return r
		default:
			return ' '
		}
	}, strings.ToLower(text)))
}
