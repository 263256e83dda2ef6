package segura

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
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
	switch {
	case ctx.Err() != nil:
		return apisecret.NewError(apisecret.DeadlineExceeded, "")
	case attempt.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return newFault(apisecret.UpstreamTimeout, "", apisecret.NoReply)
	case c.rejected(err) != "":
		fault := unreachable(c.rejected(err))
		fault.Retryable = false
		return fault
	default:
		return unreachable(describe(err))
	}
}

// headerFault judges an error of the transport after a reply had begun: it ends within
// its header, or that is not to be understood.
func headerFault(ctx, attempt context.Context, err error) *apisecret.Error {
	var network net.Error
	if ctx.Err() != nil || attempt.Err() != nil || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || endsWithinHeader(err.Error()) {
		return readFault(ctx, attempt)
	}
	return apisecret.NewError(apisecret.UnexpectedResponse, "")
}

// endsWithinHeader knows a reply that ends within its status line, the name of a
// header or a line break by what net/http calls malformed in it.
func endsWithinHeader(text string) bool {
	return regexp.MustCompile(`malformed HTTP (response "(H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.\d)"|status code "\d{0,2}")|malformed MIME header(: missing colon: "[\w-]+"| line: .*\\r"$)`).MatchString(text)
}

// readFault judges an error in the middle of a reply.
func readFault(ctx, attempt context.Context) *apisecret.Error {
	switch {
	case ctx.Err() != nil:
		return apisecret.NewError(apisecret.DeadlineExceeded, "")
	case attempt.Err() != nil:
		return newFault(apisecret.UpstreamTimeout, "", apisecret.NoReply)
	default:
		return apisecret.NewError(apisecret.UpstreamInvalidResponse, "")
	}
}

func unreachable(cause string) *apisecret.Error {
	return newFault(apisecret.UpstreamUnreachable, "No connection to Segura: "+cause, apisecret.NoReply)
}

// proxyError is the status with which a proxy refused to connect. net/http would make
// an error of its status text.
type proxyError int

func (e proxyError) Error() string { return fmt.Sprintf("proxy: status %d", int(e)) }

func refuseByProxy(_ context.Context, _ *url.URL, _ *http.Request, r *http.Response) error {
	if r.StatusCode == http.StatusOK {
		return nil
	}
	return proxyError(r.StatusCode)
}

// isOfProxy reports whether no connection to the proxy could be made.
func isOfProxy(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && (dial.Op == "proxyconnect" || dial.Op == "socks connect")
}

// describe says what kept a connection from being made, and what to do about it.
func describe(err error) string {
	var (
		dns     *net.DNSError
		refusal proxyError
		noTLS   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &refusal):
		return fmt.Sprintf("the proxy refused it with status %d. Check HTTPS_PROXY, what the proxy allows, and the user name and the password in the variable if it asks for them.", int(refusal))
	case isOfProxy(err):
		return "the proxy cannot be reached. Check HTTPS_PROXY, NO_PROXY, and that the proxy is up."
	case errors.As(err, &noTLS):
		return "what answers there does not speak TLS. Check base_url and token_url in the AWS secret, their ports above all."
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

const (
	theirCertificate = "Segura's certificate was rejected: "
	olderTLS         = "it does not support TLS 1.2 or newer. Update Segura's TLS settings; older versions are never spoken."
	ourCertificate   = "it rejected our certificate or the lack of one. Check client_certificate and client_key in the AWS secret against the access key."
)

// rejected says which certificate or TLS version was rejected, if that is the
// cause: trying again would not help.
func (c *Client) rejected(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		other     *tls.CertificateVerificationError
	)
	text := err.Error()
	switch {
	case isOfProxy(err) && errors.As(err, &other):
		return "the proxy's certificate was rejected. Check HTTPS_PROXY and the proxy's certificate; where ca_certificate is in the AWS secret, it has to hold the authority of that one too."
	case errors.As(err, &authority):
		return theirCertificate + c.unknownAuthority(authority)
	case errors.As(err, &host) && len(host.Certificate.DNSNames)+len(host.Certificate.IPAddresses) == 0:
		return theirCertificate + "it names its host in the Common Name alone, which is not looked at any more. Issue it anew with a subject alternative name."
	case errors.As(err, &host):
		return theirCertificate + "it is for another host. Check base_url and token_url in the AWS secret."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return theirCertificate + "it has expired, or is not valid yet. Renew it."
	case errors.As(err, &invalid) || errors.As(err, &other):
		return theirCertificate + "it cannot be verified. Check Segura's certificate and ca_certificate in the AWS secret."
	case strings.HasPrefix(text, "tls: server selected unsupported protocol version"):
		return olderTLS
	case strings.HasPrefix(text, "tls: failed to parse certificate from server"):
		return theirCertificate + "it cannot be read. Issue it anew; if only its serial number is negative, GODEBUG=x509negativeserial=1 in the function's environment allows that."
	case strings.HasPrefix(text, "tls: ") && (strings.Contains(text, "server certificate") || strings.Contains(text, "server sent certificate")):
		return theirCertificate + "its key is too short or too long, or is not the one that the server signs with. Issue it anew, with an RSA key of 2,048 to 8,192 bits or one on the curve P-256."
	}
	return c.rejectedByPeer(err)
}

// unknownAuthority says why no trusted authority vouches for the certificate. What
// crypto/x509 knows besides is only in its text.
func (c *Client) unknownAuthority(err x509.UnknownAuthorityError) string {
	switch text := err.Error(); {
	case strings.Contains(text, "insecure algorithm"):
		return "it is signed with SHA-1 or another algorithm that is no longer safe. Issue it anew with SHA-256."
	case strings.Contains(text, "parent certificate cannot sign"):
		return "the certificate in ca_certificate that issued it is not marked as an authority's (basic constraints, key usage). Issue that one anew."
	case c.transport.TLSClientConfig.RootCAs != nil:
		return "its authority is not trusted: neither ca_certificate in the AWS secret nor what the server sends has its certificate. Put it there, an intermediate one too, or let the server send it."
	default:
		return "its authority is not trusted. Put the authority's certificate into ca_certificate in the AWS secret."
	}
}

// alertPatience is how long the alert of a server that rejects our certificate is
// waited for.
const alertPatience = time.Second

// withAlert returns the alert with which the server rejects our certificate, if
// that is what is behind a connection that broke before anything ever came over
// one, and else err. With TLS 1.3 the server rejects it when we are already
// writing, and a reset may overtake the alert. So the handshake is done once more, with
// nothing written.
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

// rejectedByPeer knows the alerts with which a server ends a handshake for good. The
// crypto/tls package does not export them; they are recognized by their text.
func (c *Client) rejectedByPeer(err error) string {
	var operation *net.OpError
	if !errors.As(err, &operation) || operation.Op != "remote error" {
		return ""
	}
	alert := operation.Err.Error()
	switch {
	case strings.Contains(alert, "protocol version not supported"):
		return olderTLS
	// Servers with TLS 1.2 name a missing certificate a handshake failure too.
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "access denied"), strings.Contains(alert, "handshake failure") && c.certificateAsked.Load():
		return ourCertificate
	case strings.Contains(alert, "handshake failure"), strings.Contains(alert, "insufficient security"):
		return "it has no cipher in common with this function, or its certificate has a key or a signature of a kind that is not supported. Update Segura's TLS settings or its certificate; for an appliance that knows RSA key exchange alone, GODEBUG=tlsrsakex=1 in the function's environment allows that."
	default:
		return ""
	}
}
