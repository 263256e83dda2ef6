package chaos

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// The codes of failures, as callers know them.
const (
	notAllowed      = "not_allowed"
	notFound        = "not_found"
	accessDenied    = "access_denied"
	unavailable     = "credentials_unavailable"
	authentication  = "authentication_failed"
	rateLimited     = "rate_limited"
	upstreamError   = "upstream_error"
	invalidResponse = "upstream_invalid_response"
	upstreamTimeout = "upstream_timeout"
	unreachable     = "upstream_unreachable"
	unexpected      = "unexpected_response"
	deadline        = "deadline_exceeded"
)

// effects are what something that goes wrong may lead to.
type effects struct {
	traits trait
	codes  []string // what identifiers may fail with
}

// trait is what has to be known of it; traits can be added up.
type trait int

const (
	wire      trait = 1 << iota // connections suffer, so that attempts and the calls that are seen may differ
	slow                        // time runs out because of it
	confusing                   // the token or the credentials at hand may be refused
	token                       // it is for the token endpoint only
	honest                      // the answer is the faithful one, if it comes
)

func (e effects) is(t trait) bool { return e.traits&t != 0 }

// with are these effects and others; those of codes that take time are slow, too.
func (e effects) with(o effects) effects {
	sum := effects{e.traits | o.traits, slices.Concat(e.codes, o.codes)}
	if slices.Contains(o.codes, unreachable) || slices.Contains(o.codes, upstreamTimeout) {
		sum.traits |= slow
	}
	return sum
}

// mix is what some requests or connections meet. The zero value is nothing.
type mix[T any] struct {
	chance float64
	of     []T
}

// newMix draws up to so many.
func newMix[T any](r *rand.Rand, most int, draw func() T) mix[T] {
	m := mix[T]{chance: choose(r, 0.03, 0.1, 0.3, 0.6, 1)}
	for range 1 + r.IntN(most) {
		m.of = append(m.of, draw())
	}
	return m
}

// draw says what one of them meets.
func (m mix[T]) draw(r *rand.Rand) (one T, meets bool) {
	if len(m.of) == 0 || r.Float64() >= m.chance {
		return one, false
	}
	return choose(r, m.of...), true
}

// fault is something that happens to one request to Segura.
type fault struct {
	name string
	play seguratest.Fault
	effects
}

func (f *fault) String() string { return f.name }

func one(name string, play seguratest.Fault, traits trait, codes ...string) fault {
	return fault{name, play, effects{traits, codes}}
}

// nothing happens to most requests.
var nothing = one("", seguratest.Normally(), honest)

// fate decides what happens to each request to Segura: by the seed, the round,
// the identifier and how often it was called, and not by the order of arrival.
type fate struct {
	seed uint64

	mu     sync.Mutex
	round  int
	calls  mix[*fault]
	tokens mix[*fault]
	seen   map[call]int
	chosen map[int]*fault // by the number of the request
}

// call is what is asked of Segura.
type call struct {
	kind       seguratest.Kind
	identifier int64
}

// become begins a round.
func (f *fate) become(calls, tokens mix[*fault]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.round++
	f.calls, f.tokens, f.seen = calls, tokens, map[call]int{}
}

// of decides once for each request.
func (f *fate) of(e seguratest.Request) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if decided := f.chosen[e.Number]; decided != nil {
		return decided
	}
	faults := mix[*fault]{}
	switch e.Kind {
	case seguratest.KindToken:
		faults = f.tokens
	case seguratest.KindEnable, seguratest.KindDisable:
		faults = f.calls
	}
	key := call{e.Kind, e.Identifier}
	f.seen[key]++
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d %s %d %d", f.seed, f.round, e.Kind, e.Identifier, f.seen[key])
	one, meets := faults.draw(rand.New(rand.NewPCG(h.Sum64(), f.seed)))
	if !meets {
		one = &nothing
	}
	f.chosen[e.Number] = one
	return one
}

// install makes the fate of every request the script of the server.
func (f *fate) install(server *seguratest.Server, catalogue [][]fault) {
	for _, kind := range catalogue {
		for i := range kind {
			server.Fail(seguratest.Match{When: func(r seguratest.Request) bool { return f.of(r) == &kind[i] }}, kind[i].play, -1)
		}
	}
}

// faults is the catalogue, by kinds: each kind is drawn equally often, however many
// it has. It has the same length and order for every world. What each fault must
// lead to is for the tests of packages; here is at least one of each class.
func faults(w *world) [][]fault {
	catalogue := [][]fault{wholeReplies(w), emptyReplies(), falseReplies(), brokenReplies, tokenReplies}
	for k, kind := range catalogue {
		for _, f := range kind {
			if !f.is(token) {
				f.name, f.play = f.name+", after applying", f.play.AfterApplying()
				catalogue[k] = append(catalogue[k], f)
			}
		}
	}
	return catalogue
}

func wholeReplies(w *world) []fault {
	return []fault{
		one("429, again at once", seguratest.Gateway429().WithHeader("Retry-After", "0"), 0, rateLimited),
		one("429, again in a minute", seguratest.Gateway429().WithHeader("RateLimit-Reset", "60"), slow, rateLimited, deadline),
		one("503, again in 1 s", seguratest.Gateway503().WithHeader("Retry-After", "1"), slow, upstreamError, deadline),
		one("504 of the gateway", seguratest.Gateway504(), 0, upstreamTimeout),
		one("not authorized, in a 500", seguratest.NotAuthorized(500), 0, accessDenied),
		one("1005", seguratest.NotFound1005(), 0, notFound),
		one("401", seguratest.InvalidClient401(), 0, authentication),
		one("token refused", seguratest.TokenRefused(seguratest.RefusedByGateway), 0, authentication),
		one("a redirect to where nothing was asked for", seguratest.Redirect(308, w.segura.URL()), 0, unexpected),
		one("the credentials quoted", seguratest.ReplyJSON(500, fmt.Sprintf(`{"message":"refused: client_id=%s&client_secret=%s at %s"}`,
			w.segura.ClientID(), w.segura.ClientSecret(), w.segura.URL())).WithHeader("X-Kong-Request-Id", w.segura.ClientSecret()), 0, upstreamError),
		one("late", seguratest.Normally().After(100*time.Millisecond), slow|honest, upstreamTimeout, deadline),
		one("very late", seguratest.Normally().After(500*time.Millisecond), slow|honest, upstreamTimeout, deadline),
		one("the last of its connection", seguratest.Drain(), slow|wire|honest, unreachable, invalidResponse),
	}
}

// emptyReplies are statuses of every kind, and nothing else.
func emptyReplies() (all []fault) {
	for _, row := range []struct {
		status int
		code   string
	}{
		{200, unexpected}, {204, unexpected}, {304, unexpected}, {400, unexpected}, {404, unexpected}, {600, unexpected}, {401, authentication},
		{403, accessDenied}, {429, rateLimited}, {500, upstreamError}, {503, upstreamError}, {599, upstreamError}, {502, invalidResponse}, {504, upstreamTimeout},
	} {
		all = append(all, one(fmt.Sprintf("an empty %d", row.status), seguratest.Empty(row.status), 0, row.code))
	}
	return all
}

// falseReplies look like a success to whoever does not look closely.
func falseReplies() (all []fault) {
	for _, message := range []string{"Api secret activated successfully", "Api secret deactivated successfully"} {
		says := func(form string) seguratest.Fault { return seguratest.ReplyJSON(200, fmt.Sprintf(form, message)) }
		all = append(all,
			one("a 500 with "+message, seguratest.Envelope(500, 500, message), 0, upstreamError),
			one("a 200 with 500 within and "+message, seguratest.Envelope(200, 500, message), 0, upstreamError),
			one("a flagged "+message, says(`{"code":200,"response":{"status":200,"message":%q,"error":true,"error_code":0}}`), 0, unexpected),
			one("an exception with "+message, says(`{"response":{"status":200,"message":%q,"error":false},"exception":{"code":0,"message":"x"}}`), 0, unexpected),
			one("a cut of "+message, says(`{"code":200,"response":{"status":200,"error":false,"message":%q`), 0, invalidResponse),
			one("no JSON, but "+message, seguratest.Reply(200, "text/html", "<p>"+message+"</p>"), 0, unexpected),
			one("of another object, "+message, seguratest.Envelope(200, 200, strings.Replace(message, "Api secret", "Password", 1)), 0, unexpected),
			one("not quite "+message, seguratest.Envelope(200, 200, "Failed: "+message), 0, unexpected),
		)
	}
	return all
}

// brokenReplies do not come, or not whole.
var brokenReplies = []fault{
	one("a hang", seguratest.Hang(), wire|slow, upstreamTimeout, deadline),
	one("a hang mid-body", seguratest.HangMidBody(), wire|slow, upstreamTimeout, deadline),
	one("a drip", seguratest.SlowDrip(time.Millisecond), wire|slow|honest, upstreamTimeout, deadline),
	one("a reset", seguratest.ResetConnection(), wire, unreachable, invalidResponse),
	one("an end of the connection", seguratest.CloseConnection(), wire, unreachable, invalidResponse),
	one("a cut", seguratest.CutShort(), wire, invalidResponse, unreachable),
	one("a cut after the JSON", seguratest.CutAfterJSON(), wire, invalidResponse, unreachable),
	one("no HTTP", seguratest.NotHTTP(), wire, unexpected, unreachable, invalidResponse),
	one("a giant body", seguratest.GiantBody(2), wire|slow, unexpected, invalidResponse, upstreamTimeout, deadline),
	one("endless headers", seguratest.EndlessHeaders(), wire|slow, unexpected, unreachable, invalidResponse, upstreamTimeout, deadline),
	one("endless hints", seguratest.EndlessEarlyHints(), wire|slow, unexpected, unreachable, invalidResponse, upstreamTimeout, deadline),
}

// tokenReplies are answers of the token endpoint.
var tokenReplies = []fault{
	one("no expires_in", seguratest.TokenExpiresIn(""), token, authentication),
	one("expires_in -1", seguratest.TokenExpiresIn("-1"), token, authentication),
	one(`expires_in "2"`, seguratest.TokenExpiresIn(`"2"`), token, authentication),
	one("no token", seguratest.TokenMissing(), token, unexpected),
	one("a token with line breaks", seguratest.TokenWithLineBreaks(), token, unexpected, authentication),
	one("a token that nobody honours", seguratest.TokenReply(`{"token_type":"Bearer","expires_in":3600,"access_token":"stale"}`), token, authentication),
}

// awsFaults are those of Secrets Manager.
var awsFaults = []secretsmanager.Fault{
	secretsmanager.Throttling, secretsmanager.InternalError, secretsmanager.Unavailable, secretsmanager.AccessDenied,
	secretsmanager.ResourceNotFound, secretsmanager.MarkedForDeletion, secretsmanager.ExpiredToken, secretsmanager.Hang,
	secretsmanager.Reset, secretsmanager.Garbage, secretsmanager.NoValue, secretsmanager.CutShort, secretsmanager.GiantBody,
}

// brokenDocuments are contents of the AWS secret that cannot be used.
var brokenDocuments = []string{
	"", "{", `{"base_url":"http://127.0.0.1","client_id":"a","client_secret":"b"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"","client_secret":"b"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"a","client_secret":"b","enable_path":"/%61pi/mysafe/%70assword/active/{identifier}"}`,
}
