package segura

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"segura-enable/internal/apisecret"
)

// sendFault judges an error of the transport: no reply came. Its sentences are
// all our own, because Go's name hosts and certificates, which the AWS secret
// holds. ctx is the caller's, attempt the one with the attempt's limit.
func (c *Client) sendFault(ctx, attempt context.Context, err error) *apisecret.Error {
	var timeout net.Error
	switch text := err.Error(); {
	case ctx.Err() != nil:
		return apisecret.NewError(apisecret.DeadlineExceeded, "")
	case attempt.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		fault := apisecret.NewError(apisecret.UpstreamTimeout, "")
		fault.NoReply = true
		return fault
	case c.rejected(err) != "":
		fault := unreachable(c.rejected(err))
		fault.Retryable = false
		return fault
	case strings.Contains(text, "malformed") || strings.Contains(text, "headers exceeded") || strings.Contains(text, "header list"):
		return apisecret.NewError(apisecret.UnexpectedResponse, "")
	case errors.Is(err, io.ErrUnexpectedEOF) && strings.Contains(text, "HTTP/1.x transport connection broken"):
		return apisecret.NewError(apisecret.UpstreamInvalidResponse, "") // it ended within the header
	default:
		return unreachable(describe(err))
	}
}

// readFault judges an error in the middle of a reply's body.
func readFault(ctx, attempt context.Context) *apisecret.Error {
	switch {
	case ctx.Err() != nil:
		return apisecret.NewError(apisecret.DeadlineExceeded, "")
	case attempt.Err() != nil:
		fault := apisecret.NewError(apisecret.UpstreamTimeout, "")
		fault.NoReply = true
		return fault
	default:
		return apisecret.NewError(apisecret.UpstreamInvalidResponse, "")
	}
}

func unreachable(cause string) *apisecret.Error {
	fault := apisecret.NewError(apisecret.UpstreamUnreachable, "No connection to Segura: "+cause)
	fault.NoReply = true
	return fault
}

// describe says what kept a connection from being made, and what to do about it.
func describe(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "its name cannot be resolved. Check base_url and token_url in the AWS secret, and the name servers that the function uses."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it was refused. Check that Segura is up, and the port in the AWS secret."
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no route to it. Check the function's subnets, routes and security groups."
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it was closed before a reply came. Try again; if it persists, check firewalls and proxies in between, and client_certificate in the AWS secret if the access key asks for one."
	default:
		return "the connection or its TLS handshake failed. Try again; if it persists, check firewalls and proxies in between."
	}
}

// rejected says which certificate or TLS version was rejected, if that is the
// cause: trying again would not help.
func (c *Client) rejected(err error) string {
	const theirs = "Segura's certificate was rejected: "
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		other     *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &authority):
		return theirs + "its authority is not trusted. Put the authority's certificate into ca_certificate in the AWS secret."
	case errors.As(err, &host):
		return theirs + "it is for another host. Check base_url and token_url in the AWS secret."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return theirs + "it has expired, or is not valid yet. Renew it."
	case errors.As(err, &invalid) || errors.As(err, &other):
		return theirs + "it cannot be verified. Check Segura's certificate and ca_certificate in the AWS secret."
	}
	return c.rejectedByPeer(err)
}

// alertPatience is how long the alert of a server that rejects our certificate is
// waited for.
const alertPatience = time.Second

// withAlert returns the alert with which the server rejects our certificate, if
// that is what is behind a connection that broke before anything ever came over
// one, and else err. With TLS 1.3 the server rejects it when we are already
// writing, and a reset may overtake the alert; HTTP/2 then says no more than that
// there is no connection. So the handshake is done once more, with nothing written.
func (c *Client) withAlert(ctx context.Context, request *http.Request, err error) error {
	if !c.certificateAsked.Load() || c.replied.Load() || ctx.Err() != nil || c.rejected(err) != "" {
		return err
	}
	if proxy, proxyErr := c.transport.Proxy(request); proxy != nil || proxyErr != nil {
		return err
	}
	config := c.transport.TLSClientConfig.Clone()
	config.ClientSessionCache = nil
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: config}
	connection, dialErr := dialer.DialContext(ctx, "tcp", net.JoinHostPort(request.URL.Hostname(), cmp.Or(request.URL.Port(), "443")))
	if dialErr == nil {
		defer func() { _ = connection.Close() }()
		_ = connection.SetReadDeadline(time.Now().Add(alertPatience)) // reading fails at once if this does
		_, dialErr = connection.Read(make([]byte, 1))
	}
	if dialErr != nil && c.rejected(dialErr) != "" {
		return dialErr
	}
	return err
}

// rejectedByPeer knows a TLS version that is too old, and the alerts with which
// a server rejects our certificate. The crypto/tls package does not export them;
// they are recognized by their text.
func (c *Client) rejectedByPeer(err error) string {
	text := err.Error()
	if strings.Contains(text, "unsupported protocol version") || strings.Contains(text, "protocol version not supported") {
		return "it does not support TLS 1.2 or newer. Update Segura's TLS settings; older versions are never spoken."
	}
	var operation *net.OpError
	if !errors.As(err, &operation) || operation.Op != "remote error" {
		return ""
	}
	alert := operation.Err.Error()
	for _, about := range []string{"certificate", "access denied", "handshake failure"} {
		// Servers with TLS 1.2 name a missing certificate a handshake failure, which
		// has other causes too.
		if strings.Contains(alert, about) && (about != "handshake failure" || c.certificateAsked.Load()) {
			return "it rejected our certificate or the lack of one. Check client_certificate and client_key in the AWS secret against the access key."
		}
	}
	return ""
}
