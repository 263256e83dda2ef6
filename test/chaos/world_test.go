package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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
	level          string // of the log
	segura         seguratest.Options
}

func (c config) String() string {
	return fmt.Sprintf("%s; attempt %v × %d; %d calls at once; TTL %v; tokens live %v; %d invocations at once; allowed %q; level %q; generation %d; latency %v",
		c.door, c.attemptTimeout, c.maxAttempts, c.concurrency, c.ttl, c.lifetime, c.atOnce, c.allowed, c.level, c.segura.Generation, c.segura.Latency.Call)
}

// world is one running function with its surroundings, all made of one seed.
type world struct {
	seed      uint64
	random    *rand.Rand
	config    config
	stack     *stage.Stack
	segura    *seguratest.Server     // the stack's
	secrets   *secretsmanager.Server // the stack's
	wires     *wires                 // to Segura
	function  *runtimeapi.Function   // nil before it is started
	fate      *fate
	catalogue [][]fault

	clientSecrets []string        // every one that there was
	asked         map[call]bool   // what was asked for by earlier invocations
	lingering     effects         // what the weather before may still cause
	said          strings.Builder // all that came out, logs left out
	violations    []string

	invocations int
	excused     []string       // limits missed because the machine was busy
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
	}
	if r.IntN(3) == 0 {
		c.allowed = " 1-100, 104,107 - 250,9223372036854775807"
		c.isAllowed = func(i int64) bool { return i <= 100 || i == 104 || i >= 107 && i <= 250 || i == giant }
	}
	c.segura = seguratest.Options{
		BasePath:                 choose(r, "/pam", "/", "/a/b"),
		ClientID:                 fmt.Sprintf("chaos-client-of-world-%d", seed),
		ClientSecret:             fmt.Sprintf("chaos-secret-%d-0-%016x+/&=", seed, r.Uint64()),
		Tenant:                   choose(r, "", "", "chaos-tenant-of-the-world"),
		TokenPath:                choose(r, "", "", "", "/oauth/token"),
		TokenLifetime:            c.lifetime,
		Generation:               seguratest.Generation(r.IntN(6)),
		OlderGateway:             r.IntN(4) == 0,
		Referer:                  choose(r, "", "", "https://referer.chaos.example/"),
		RequireClientCertificate: r.IntN(6) == 0,
		APISecrets:               map[int64]seguratest.APISecret{giant: {}},
	}
	for i := int64(1); i <= universe; i++ {
		kind := r.IntN(30)
		c.segura.APISecrets[i] = seguratest.APISecret{Missing: kind == 0, Forbidden: kind == 1, Active: kind > 20}
	}
	if r.IntN(3) == 0 {
		c.segura.Latency = seguratest.Latency{Token: 10 * time.Millisecond, Call: 5 * time.Millisecond, Jitter: 15 * time.Millisecond}
	}
	return c
}

// newRandom is where everything random in a world comes from.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5e9a7a)) }

// newWorld makes everything but the function.
func newWorld(seed uint64, r *rand.Rand, c config) (w *world, err error) {
	w = &world{seed: seed, random: r, config: c, fate: &fate{seed: seed, seen: map[call]int{}, chosen: map[int]*fault{}}, asked: map[call]bool{}, codes: map[string]int{}}
	if w.stack, err = stage.Start(context.Background(), stage.Options{Functions: []string{}, Bootstraps: bootstraps, Segura: c.segura}); err != nil {
		return nil, err
	}
	w.segura, w.secrets = w.stack.Segura, w.stack.Secrets
	if w.wires, err = layWires(w.segura.Address(), rand.New(rand.NewPCG(seed, 1))); err != nil {
		return nil, err
	}
	w.catalogue = faults(w)
	w.fate.install(w.segura, w.catalogue)
	w.clientSecrets = []string{c.segura.ClientSecret}
	w.putSecret(c.segura.ClientSecret)
	return w, nil
}

func (w *world) close() {
	if w.function != nil {
		_ = w.function.Close()
	}
	w.wires.close()
	_ = w.stack.Close()
}

// nextSecret makes a client secret that is not in use yet.
func (w *world) nextSecret() string {
	next := fmt.Sprintf("chaos-secret-%d-%d-%016x+/&=", w.seed, len(w.clientSecrets), w.random.Uint64())
	w.clientSecrets = append(w.clientSecrets, next)
	return next
}

// putSecret writes the AWS secret with this client secret.
func (w *world) putSecret(secret string) {
	base := strings.TrimRight("https://"+w.wires.address+w.config.segura.BasePath, "/")
	overrides := map[string]any{"base_url": base, "client_secret": secret}
	if path := w.config.segura.TokenPath; path != "" {
		overrides["token_url"], overrides["auth_style"] = base+path, "basic"
	}
	w.stack.PutSecret(overrides)
}

// start starts the process in whatever weather there is, and waits until it is ready.
func (w *world) start() error {
	c := w.config
	var err error
	w.function, err = w.stack.StartFunction(context.Background(), c.door, runtimeapi.Options{
		Env: map[string]string{
			"SEGURA_ATTEMPT_TIMEOUT":     c.attemptTimeout.String(),
			"SEGURA_MAX_ATTEMPTS":        strconv.Itoa(c.maxAttempts),
			"SEGURA_MAX_CONCURRENCY":     strconv.Itoa(c.concurrency),
			"SEGURA_CREDENTIALS_TTL":     c.ttl.String(),
			"SEGURA_ALLOWED_IDENTIFIERS": c.allowed,
			"SEGURA_DEFAULT_IDENTIFIERS": "10-14",
			"AWS_LAMBDA_LOG_LEVEL":       c.level,
		},
		MaxConcurrency: c.atOnce,
		Timeout:        20 * time.Second, InitTimeout: time.Minute, // how long it may really take is judged by how late the machine was
	})
	if err != nil {
		return err
	}
	return w.function.WaitReady(context.Background())
}

// apply makes the weather, but for what happens later.
func (w *world) apply(o weather) {
	w.fate.become(o.calls, o.tokens)
	w.wires.become(o.wires)
	for _, i := range o.incidents {
		if i.at == 0 {
			i.do()
		}
	}
}

// heal ends everything that goes wrong. Connections that a hazard struck go with
// it, unless they are left for the function to find out.
func (w *world) heal(leave bool) {
	w.apply(weather{})
	w.secrets.ClearFaults()
	_ = w.segura.AcceptConnections()
	if !leave {
		w.wires.drop(false)
	}
	w.putSecret(w.segura.ClientSecret())
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
	w.violations = append(w.violations, invariant+": "+fmt.Sprintf(format, args...))
}
