package segura

import (
	"net/http"
	"net/url"
)

// UseProxy has a client go through a proxy: net/http reads the variables once in a
// process.
func UseProxy(c *Client, address string) {
	c.transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(address) }
}
