package window

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"regexp"
	"time"
)

// crockford is the alphabet of ULIDs, in which texts sort as their bytes do.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewID returns an id that sorts by its time and cannot be guessed: a ULID's 48 bits
// of milliseconds, and 80 of chance.
func NewID(now time.Time) string {
	var b [20]byte // 4 bytes of zeros in front make whole groups of 5
	binary.BigEndian.PutUint64(b[2:], uint64(now.UnixMilli()))
	_, _ = rand.Read(b[10:]) // it never fails
	return crockford.EncodeToString(b[:])[6:]
}

var idForm = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]+$`)

// IsID reports whether the text has the form of an id.
func IsID(text string) bool { return len(text) == 26 && idForm.MatchString(text) }
