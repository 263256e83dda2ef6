package stage

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRequestBody is what an HTTP API takes.
const maxRequestBody = 10 << 20

// Gateway stands where API Gateway stands: it turns each HTTP request into the
// event of an HTTP API with one route, $default, and the function's answer into
// an HTTP response. Nobody has to sign, so the event names no caller.
type Gateway struct {
	// Invoke sends an event to the function.
	Invoke func(r *http.Request, event []byte) (Exchange, error)
}

// ServeHTTP answers with what the function answered; a function error, or an
// answer that API Gateway cannot read, is its 500.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := gatewayRequestID()
	w.Header().Set("Apigw-Requestid", id)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		gatewayMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	} else if err != nil {
		gatewayMessage(w, http.StatusBadRequest, "Bad Request")
		return
	}
	event, err := httpAPIEvent(r, body, time.Now(), id)
	if err != nil {
		gatewayMessage(w, http.StatusBadRequest, "Bad Request")
		return
	}
	x, err := g.Invoke(r, event)
	if err != nil || x.Invocation.FunctionError {
		gatewayMessage(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	response, err := readHTTPResponse(x.Invocation.Payload)
	if err != nil {
		gatewayMessage(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	if response.header.Get("Content-Type") == "" {
		response.header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for name, values := range response.header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.status)
	_, _ = w.Write(response.body)
}

func gatewayMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"message":%q}`, message)
}

// gatewayRequestID looks like P8zkDiQ8oAMEJsQ=.
func gatewayRequestID() string {
	var id [11]byte
	_, _ = rand.Read(id[:]) // never fails
	return base64.URLEncoding.EncodeToString(id[:])
}

// httpAPIEvent makes the event. The path is decoded, as an HTTP API decodes it,
// up to a question mark that comes to light by that.
func httpAPIEvent(r *http.Request, body []byte, now time.Time, id string) ([]byte, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("read the query: %w", err)
	}
	path, _, _ := strings.Cut(r.URL.Path, "?")
	domain, _, _ := strings.Cut(r.Host, ":")
	prefix, _, _ := strings.Cut(domain, ".")
	event := HTTPEvent(r.Method, path, "", lowerCased(r, len(body)))
	event["rawQueryString"] = r.URL.RawQuery
	event["requestContext"] = map[string]any{
		"accountId": "123456789012", "apiId": "local", "domainName": domain, "domainPrefix": prefix,
		"http": map[string]any{
			"method": r.Method, "path": path, "protocol": r.Proto, "sourceIp": sourceIP(r), "userAgent": r.UserAgent(),
		},
		"requestId": id, "routeKey": "$default", "stage": "$default",
		"time": now.UTC().Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": now.UnixMilli(),
	}
	if len(query) > 0 {
		event["queryStringParameters"] = joined(query)
	}
	if sent := cookies(r); len(sent) > 0 {
		event["cookies"] = sent
	}
	if len(body) > 0 {
		event["body"] = string(body)
		if !isText(r.Header.Get("Content-Type")) {
			event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
		}
	}
	return json.Marshal(event)
}

// isText tells the content types that an HTTP API passes on as text. Anything
// else, a form and no content type at all included, comes as base64.
func isText(contentType string) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	return strings.HasPrefix(mediaType, "text/") ||
		slices.Contains([]string{"application/json", "application/xml", "application/javascript"}, mediaType)
}

func joined(values map[string][]string) map[string]string {
	all := map[string]string{}
	for name, several := range values {
		all[name] = strings.Join(several, ",")
	}
	return all
}

// lowerCased are the headers as the function gets them: what concerns one
// connection and the cookies are gone, what API Gateway adds is there.
func lowerCased(r *http.Request, length int) map[string]string {
	headers := map[string]string{}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	for _, name := range []string{"connection", "cookie", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"} {
		delete(headers, name)
	}
	headers["host"] = r.Host
	headers["content-length"] = strconv.Itoa(length)
	forwarded := append(r.Header.Values("X-Forwarded-For"), sourceIP(r))
	headers["x-forwarded-for"] = strings.Join(forwarded, ", ")
	headers["x-forwarded-proto"] = "http"
	if address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, headers["x-forwarded-port"], _ = net.SplitHostPort(address.String())
	}
	if headers["x-amzn-trace-id"] == "" {
		random := rand.Text()
		headers["x-amzn-trace-id"] = fmt.Sprintf("Root=1-%08x-%024x", time.Now().Unix(), random[:12])
	}
	return headers
}

func cookies(r *http.Request) []string {
	var all []string
	for _, line := range r.Header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				all = append(all, cookie)
			}
		}
	}
	return all
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
