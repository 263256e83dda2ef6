package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// universe is how many identifiers a Segura knows: 1 to universe, and giant.
const (
	universe = 260
	giant    = int64(9223372036854775807)
)

// config is what a world is like, as opposed to what happens in it.
type config struct {
	door           string
	attemptTimeout time.Duration
	maxAttempts    int
	concurrency    int
	ttl            time.Duration
	lifetime       time.Duration // of tokens
	atOnce         int           // invocations that one process is offered
	allowed        string
	isAllowed      func(int64) bool
	defaults       []int64 // what a scheduled event without detail enables
	level          string  // of the log
	segura         seguratest.Options
	overrides      map[string]any // of the AWS secret's fields
	clock          bool           // the wall clock can be moved; such worlds are for make chaos only
}

func (c config) String() string {
	return fmt.Sprintf("%s; attempt %v × %d; %d calls at once; TTL %v; tokens live %v; %d invocations at once; allowed %q; level %q; generation %d; latency %v; its own clock %v",
		c.door, c.attemptTimeout, c.maxAttempts, c.concurrency, c.ttl, c.lifetime, c.atOnce, c.allowed, c.level,
		c.segura.Generation, c.segura.Latency.Call, c.clock)
}

// world is one running function with its surroundings, all made of one seed.
type world struct {
	seed      uint64
	random    *rand.Rand
	config    config
	stack     *stage.Stack
	segura    *seguratest.Server     // the stack's
	secrets   *secretsmanager.Server // the stack's
	clock     stage.Clock            // the function's
	wires     *wires
	awsWires  *wires
	function  *runtimeapi.Function
	fate      *fate
	catalogue [][]mishap

	mu      sync.Mutex
	current string   // Segura's client secret now
	all     []string // every client secret there was

	invocations int
	excused     []string        // limits missed because the machine was busy
	lonely      int             // recoveries that took one more invocation, with one attempt to each call
	stale       int             // calls that reached Segura after their invocation
	asked       map[call]bool   // what was asked for by earlier invocations
	oddTokens   bool            // some may have another lifetime than they should
	politely    bool            // tokens are refused with status 200
	lingering   effects         // what the weather before may still cause
	said        strings.Builder // all that came out, logs left out
	violations  []string
	codes       map[string]int // failures by code
}

func choose[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// newConfig draws what a world is like.
func newConfig(r *rand.Rand, seed uint64) config {
	c := config{
		door:           choose(r, api, event, event),
		attemptTimeout: time.Duration(choose(r, 150, 200, 300, 400, 1000)) * time.Millisecond,
		maxAttempts:    choose(r, 1, 2, 3, 4, 4, 4, 6),
		concurrency:    choose(r, 1, 2, 3, 8, 8, 16),
		ttl:            choose(r, 200*time.Millisecond, time.Second, 5*time.Minute, 5*time.Minute),
		lifetime:       choose(r, time.Second, 2*time.Second, time.Hour, time.Hour),
		atOnce:         choose(r, 1, 1, 1, 1, 2, 4),
		level:          choose(r, "", "", "DEBUG", "WARN", "ERROR"),
		isAllowed:      func(int64) bool { return true },
		overrides:      map[string]any{},
	}
	if r.IntN(3) == 0 {
		c.allowed = " 1-100, 104,107 - 250,9223372036854775807"
		c.isAllowed = func(i int64) bool { return i <= 100 || i == 104 || i >= 107 && i <= 250 || i == giant }
	}
	for i := int64(10 + r.IntN(90)); len(c.defaults) < 1+r.IntN(20); i++ {
		c.defaults = append(c.defaults, i)
	}
	c.segura = seguratest.Options{
		BasePath:                 choose(r, "/pam", "/", "/a/b"),
		ClientID:                 fmt.Sprintf("chaos-client-of-world-%d", seed),
		ClientSecret:             fmt.Sprintf("chaos-secret-%d-0-%016x+/&=", seed, r.Uint64()),
		Tenant:                   choose(r, "", "", "chaos-tenant-of-the-world"),
		TokenLifetime:            c.lifetime,
		Generation:               seguratest.Generation(r.IntN(6)),
		OlderGateway:             r.IntN(4) == 0,
		Referer:                  choose(r, "", "", "https://referer.chaos.example/"),
		RequireClientCertificate: r.IntN(6) == 0,
		APISecrets:               newAPISecrets(r),
	}
	if r.IntN(3) == 0 {
		c.segura.Latency = seguratest.Latency{Token: 10 * time.Millisecond, Call: 5 * time.Millisecond, Jitter: 15 * time.Millisecond}
	}
	if r.IntN(4) == 0 {
		c.segura.TokenPath, c.overrides["auth_style"] = "/oauth/token", "basic"
	}
	c.clock = r.IntN(4) == 0
	return c
}

func newAPISecrets(r *rand.Rand) map[int64]seguratest.APISecret {
	all := map[int64]seguratest.APISecret{giant: {}}
	for i := int64(1); i <= universe; i++ {
		switch r.IntN(30) {
		case 0:
			all[i] = seguratest.APISecret{Missing: true}
		case 1:
			all[i] = seguratest.APISecret{Forbidden: true}
		default:
			all[i] = seguratest.APISecret{Active: r.IntN(3) == 0}
		}
	}
	return all
}

// newRandom is where everything random in a world comes from.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5e9a7a)) }

// newWorld makes everything but the function.
func newWorld(seed uint64) (*world, error) {
	r := newRandom(seed)
	return newWorldOf(seed, r, newConfig(r, seed))
}

func newWorldOf(seed uint64, r *rand.Rand, c config) (*world, error) {
	w := &world{seed: seed, random: r, config: c, fate: newFate(seed), asked: map[call]bool{}, codes: map[string]int{}}
	var err error
	w.stack, err = stage.Start(context.Background(), stage.Options{
		Functions: []string{}, Bootstraps: bootstraps[c.clock], Segura: w.config.segura,
	})
	if err != nil {
		return nil, err
	}
	w.segura, w.secrets = w.stack.Segura, w.stack.Secrets
	if w.wires, err = layWires(w.segura.Address(), rand.New(rand.NewPCG(seed, 1))); err != nil {
		return nil, err
	}
	w.clock.File = filepath.Join(scratch, fmt.Sprintf("clock-%d-%d", seed, made.Add(1)))
	if w.awsWires, err = layWires(strings.TrimPrefix(w.secrets.URL(), "http://"), rand.New(rand.NewPCG(seed, 2))); err != nil {
		return nil, err
	}
	w.catalogue = mishaps(w)
	w.fate.install(w.segura, w.catalogue)
	w.current = w.config.segura.ClientSecret
	w.all = []string{w.current}
	w.putSecret(w.current)
	return w, nil
}

func (w *world) close() {
	if w.function != nil {
		_ = w.function.Close()
	}
	w.wires.close()
	w.awsWires.close()
	_ = w.stack.Close()
}

// nextSecret makes a client secret that is not in use yet.
func (w *world) nextSecret() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := fmt.Sprintf("chaos-secret-%d-%d-%016x+/&=", w.seed, len(w.all), w.random.Uint64())
	w.all = append(w.all, next)
	return next
}

// rotateSegura makes it the one that Segura honours.
func (w *world) rotateSegura(secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = secret
	w.segura.RotateClientSecret(secret)
}

// putSecret writes the AWS secret with this client secret.
func (w *world) putSecret(secret string) {
	base := strings.TrimRight("https://"+w.wires.address+w.config.segura.BasePath, "/")
	overrides := map[string]any{"base_url": base, "client_secret": secret}
	if path := w.config.segura.TokenPath; path != "" {
		overrides["token_url"] = base + path
	}
	maps.Copy(overrides, w.config.overrides)
	w.stack.PutSecret(overrides)
}

func (w *world) accept() { _ = w.segura.AcceptConnections() }

// startFunction starts the process in whatever weather there is.
func (w *world) startFunction() error {
	c := w.config
	env := map[string]string{
		"SEGURA_ATTEMPT_TIMEOUT":           c.attemptTimeout.String(),
		"SEGURA_MAX_ATTEMPTS":              strconv.Itoa(c.maxAttempts),
		"SEGURA_MAX_CONCURRENCY":           strconv.Itoa(c.concurrency),
		"SEGURA_CREDENTIALS_TTL":           c.ttl.String(),
		"SEGURA_ALLOWED_IDENTIFIERS":       c.allowed,
		"SEGURA_DEFAULT_IDENTIFIERS":       joined(c.defaults),
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://" + w.awsWires.address,
		"AWS_LAMBDA_LOG_LEVEL":             c.level,
	}
	maps.Copy(env, w.clock.Env())
	var err error
	w.function, err = w.stack.StartFunction(context.Background(), c.door, runtimeapi.Options{
		Env: env, MaxConcurrency: c.atOnce,
		Timeout: 20 * time.Second, InitTimeout: time.Minute, // how long it may really take is judged by how late the machine was
	})
	return err
}

func joined(identifiers []int64) string {
	var texts []string
	for _, i := range identifiers {
		texts = append(texts, strconv.FormatInt(i, 10))
	}
	return strings.Join(texts, ",")
}

// apply makes the weather.
func (w *world) apply(o weather) {
	w.fate.become(o.calls, o.tokens)
	w.oddTokens = w.oddTokens || o.tokens.chance > 0
	w.wires.become(o.wires)
	w.awsWires.become(o.aws)
	for _, do := range o.before {
		do()
	}
}

// heal ends everything that goes wrong. Connections that a hazard struck go with
// it, unless they are left for the function to find out.
func (w *world) heal(leave bool) {
	w.apply(weather{})
	w.secrets.ClearFaults()
	w.accept()
	if !leave {
		w.wires.drop(false)
		w.awsWires.drop(false)
	}
	w.mu.Lock()
	current := w.current
	w.mu.Unlock()
	w.putSecret(current)
}

// settle waits until Segura has dealt with everything that reached it; not for
// ever, since what hangs behind a dead connection does not end with the client.
func (w *world) settle() {
	for until, quiet := time.Now().Add(300*time.Millisecond), 0; quiet < 3 && time.Now().Before(until); quiet++ {
		time.Sleep(2 * time.Millisecond)
		if slices.ContainsFunc(w.segura.Requests(), func(r seguratest.Request) bool { return !r.Done }) {
			quiet = 0
		}
	}
}

// excuse notes that something is not held against the function, since the machine
// was too busy.
func (w *world) excuse(format string, args ...any) {
	w.excused = append(w.excused, fmt.Sprintf(format, args...))
}

// violated notes that an invariant does not hold.
func (w *world) violated(invariant, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, invariant+": "+fmt.Sprintf(format, args...))
}
