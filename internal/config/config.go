// Package config reads the environment of the functions. Whatever cannot be
// used is an error that names its variable; nothing falls back silently.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"segura-enable/internal/apisecret"
)

// Upper bounds of counts. Past the first two the function would only starve itself:
// Lambda gives a process 1,024 file descriptors.
const (
	maxConcurrency = 900
	maxAttempts    = 100
	maxRetention   = 3650 // days
)

// Config is the environment, read and checked.
type Config struct {
	SecretID            string                 // SEGURA_SECRET_ID: name or ARN of the AWS secret
	CredentialsTTL      time.Duration          // SEGURA_CREDENTIALS_TTL: how long a fetched AWS secret is reused
	AttemptTimeout      time.Duration          // SEGURA_ATTEMPT_TIMEOUT: limit of one attempt of any call
	MaxAttempts         int                    // SEGURA_MAX_ATTEMPTS: against transient faults, the first included
	MaxConcurrency      int                    // SEGURA_MAX_CONCURRENCY: calls in flight at once, in one invocation
	CallsPerSecond      float64                // SEGURA_MAX_CALLS_PER_SECOND: begun by this process; 0: as many as the rest allows
	AllowedIdentifiers  apisecret.Set          // SEGURA_ALLOWED_IDENTIFIERS: empty allows any
	DefaultIdentifiers  []apisecret.Identifier // SEGURA_DEFAULT_IDENTIFIERS: for a bare scheduled event
	AllowedEventSources []string               // SEGURA_ALLOWED_EVENT_SOURCES: empty allows any
}

// Load reads the variables through getenv, which returns the empty string for
// one that is not set; an empty variable means its default. The error joins all
// faults found, each naming its variable.
func Load(getenv func(string) string) (Config, error) {
	r := reader{getenv: getenv}
	c := Config{
		SecretID:            r.required("SEGURA_SECRET_ID"),
		CredentialsTTL:      r.duration("SEGURA_CREDENTIALS_TTL", 5*time.Minute),
		AttemptTimeout:      r.duration("SEGURA_ATTEMPT_TIMEOUT", 10*time.Second),
		MaxAttempts:         r.count("SEGURA_MAX_ATTEMPTS", 4, maxAttempts),
		MaxConcurrency:      r.count("SEGURA_MAX_CONCURRENCY", 8, maxConcurrency),
		CallsPerSecond:      r.rate("SEGURA_MAX_CALLS_PER_SECOND"),
		AllowedIdentifiers:  r.set("SEGURA_ALLOWED_IDENTIFIERS"),
		DefaultIdentifiers:  r.list("SEGURA_DEFAULT_IDENTIFIERS"),
		AllowedEventSources: r.words("SEGURA_ALLOWED_EVENT_SOURCES"),
	}
	r.proxies()
	return c, errors.Join(r.faults...)
}

// Windows is the part of the environment that windows need besides.
type Windows struct {
	Table         string                 // SEGURA_WINDOWS_TABLE: name or ARN of the DynamoDB table
	Longest       time.Duration          // SEGURA_WINDOW_MAX_DURATION: of a window, extensions included; 0: none is opened
	RetentionDays int                    // SEGURA_WINDOW_RETENTION_DAYS: how long a closed window is kept
	Guarded       []apisecret.Identifier // SEGURA_GUARDED_IDENTIFIERS: disabled whenever no window holds them
}

// LoadWindows reads the variables of windows as Load does the others.
func LoadWindows(getenv func(string) string) (Windows, error) {
	r := reader{getenv: getenv}
	w := Windows{
		Table:         getenv("SEGURA_WINDOWS_TABLE"),
		Longest:       r.longest("SEGURA_WINDOW_MAX_DURATION", 24*time.Hour),
		RetentionDays: r.count("SEGURA_WINDOW_RETENTION_DAYS", 400, maxRetention),
		Guarded:       r.list("SEGURA_GUARDED_IDENTIFIERS"),
	}
	if n := len(w.Table); n < 3 || n > maxTableARN || !isTableName(w.Table) {
		r.fault("SEGURA_WINDOWS_TABLE", "%q is not the name or ARN of the DynamoDB table of windows, which is required", w.Table)
	}
	return w, errors.Join(r.faults...)
}

// parameters are the template's, by the variable that each ends in: whoever deploys
// with it never sees the variables.
var parameters = map[string]string{
	"SEGURA_SECRET_ID":             "SecretArn",
	"SEGURA_CREDENTIALS_TTL":       "CredentialsTtl",
	"SEGURA_ATTEMPT_TIMEOUT":       "AttemptTimeout",
	"SEGURA_MAX_ATTEMPTS":          "MaxAttempts",
	"SEGURA_MAX_CONCURRENCY":       "MaxConcurrency",
	"SEGURA_MAX_CALLS_PER_SECOND":  "MaxCallsPerSecond",
	"SEGURA_ALLOWED_IDENTIFIERS":   "AllowedIdentifiers",
	"SEGURA_DEFAULT_IDENTIFIERS":   "DefaultIdentifiers",
	"SEGURA_ALLOWED_EVENT_SOURCES": "AllowedEventSources",
	"SEGURA_WINDOW_MAX_DURATION":   "WindowMaxDuration",
	"SEGURA_WINDOW_RETENTION_DAYS": "WindowRetentionDays",
	"SEGURA_GUARDED_IDENTIFIERS":   "GuardedIdentifiers",
	"HTTPS_PROXY":                  "HttpsProxy",
	"NO_PROXY":                     "NoProxy",
}

// Parameter returns the name of the template's parameter for a variable, or the empty
// string where there is none. Messages that name the one name the other.
func Parameter(variable string) string { return parameters[variable] }

// maxTableARN is how long TableName may be in DynamoDB's API reference.
const maxTableARN = 1024

// isTableName reports whether the text is, by its characters, what that page takes as
// TableName: a name, or an ARN.
func isTableName(text string) bool {
	allowed := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
	if strings.HasPrefix(text, "arn:") {
		allowed += ":/"
	}
	return strings.Trim(text, allowed) == ""
}

// reader collects the faults.
type reader struct {
	getenv func(string) string
	faults []error
}

func (r *reader) fault(name, format string, args ...any) {
	if parameter := Parameter(name); parameter != "" {
		format += " (parameter " + parameter + ")"
	}
	r.faults = append(r.faults, fmt.Errorf(name+": "+format, args...))
}

func (r *reader) required(name string) string {
	value := r.getenv(name)
	if strings.TrimSpace(value) == "" {
		r.fault(name, "is required: the name or ARN of the AWS secret with the Segura client credentials")
	}
	return value
}

func (r *reader) duration(name string, fallback time.Duration) time.Duration {
	value := r.getenv(name)
	if value == "" {
		return fallback
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		r.fault(name, "%q is not a duration above zero such as 90s or 5m", value)
	}
	return d
}

// longest reads the longest duration of a window, in whole seconds; 0 is what the
// template sets where it has no windows.
func (r *reader) longest(name string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(r.getenv(name)); err == nil && d == 0 {
		return 0
	}
	d := r.duration(name, fallback)
	if d > 0 && d < time.Second {
		r.fault(name, "is shorter than a second, and windows have whole seconds")
	}
	return d
}

func (r *reader) count(name string, fallback, most int) int {
	value := r.getenv(name)
	if value == "" {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		r.fault(name, "%q is not a whole number from 1 to %d", value, most)
	}
	return n
}

// maxRate is far above what any Segura takes.
const maxRate = 1_000_000

func (r *reader) rate(name string) float64 {
	value := r.getenv(name)
	if value == "" {
		return 0
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n > 0 && n <= maxRate) || strings.Trim(value, "0123456789.") != "" {
		r.fault(name, "%q is not a decimal number above 0 such as 10 or 0.5", value)
	}
	return n
}

func (r *reader) set(name string) apisecret.Set {
	s, err := apisecret.ParseSet(r.getenv(name))
	if err != nil {
		r.fault(name, "%w", err)
	}
	return s
}

func (r *reader) list(name string) []apisecret.Identifier {
	list, err := r.set(name).Identifiers(apisecret.MaxIdentifiers)
	if err != nil {
		r.fault(name, "%w", err)
	}
	return list
}

func (r *reader) words(name string) []string {
	value := r.getenv(name)
	if value == "" {
		return nil
	}
	var words []string
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimSpace(word); word == "" {
			r.fault(name, "%q has an empty element", value)
			break
		}
		words = append(words, word)
	}
	return words
}

// proxies checks the variables that net/http reads by itself: it goes out directly,
// without a word, where a proxy's address cannot be parsed. Values are not
// repeated, since an address may hold a password.
func (r *reader) proxies() {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if value := r.getenv(name); value != "" && !isProxy(value) {
			r.fault(name, "is not the address of a proxy such as http://proxy.example.com:8080; special characters in a user name or a password are percent-encoded there")
		}
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		for at, element := range strings.Split(r.getenv(name), ",") {
			if element = strings.TrimSpace(element); element != "" && !isProxyException(element) {
				r.fault(name, "element %d is neither a host, a domain, an address nor a range of addresses such as 10.0.0.0/8; commas stand in between", at+1)
				break
			}
		}
	}
}

// isProxy reports whether net/http uses the value, a URL or host:port, as a proxy.
func isProxy(value string) bool {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" {
		u, err = url.Parse("http://" + value)
	}
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) &&
		(isPort(u.Port()) || u.Port() == "" && !strings.HasSuffix(u.Host, ":"))
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// isProxyException reports whether net/http can make anything of an element of
// NO_PROXY: *, an address, a range, or a host or domain, the port behind it if any.
func isProxyException(element string) bool {
	if _, _, err := net.ParseCIDR(element); err == nil || net.ParseIP(strings.Trim(element, "[]")) != nil {
		return true
	}
	host := element
	if name, port, err := net.SplitHostPort(element); err == nil {
		if !isPort(port) {
			return false
		}
		host = name
	}
	return strings.Trim(host, ".") != "" && !strings.ContainsAny(host, " \t\r\n/@?#[];\"'") && (net.ParseIP(host) != nil || !strings.Contains(host, ":"))
}
