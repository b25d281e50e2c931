package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// RealTLS starts a redis-server that takes TLS, and returns it with an address for
// TLS and what a client needs to be let in: the server asks for a certificate.
// Addrs is its address without TLS.
func RealTLS(t testing.TB, args ...string) (s *Server, addr string, config *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	ca := newCertificate(t, nil)
	server, client := newCertificate(t, ca), newCertificate(t, ca)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key, err := x509.MarshalECPrivateKey(server.key)
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{
		"--tls-ca-cert-file", write("ca.crt", "CERTIFICATE", ca.cert.Raw),
		"--tls-cert-file", write("server.crt", "CERTIFICATE", server.cert.Raw),
		"--tls-key-file", write("server.key", "EC PRIVATE KEY", key),
		"--tls-auth-clients", "yes",
	}, args...)
	path, port := serverPath(t), 0
	p, err := newProcess(path, func(string) ([]string, error) {
		var err error
		port, err = freePort()
		return append([]string{"--tls-port", strconv.Itoa(port)}, args...), err
	})
	if err != nil {
		t.Fatalf("start redis with TLS: %v", err)
	}
	t.Cleanup(func() { finish(t, p) })
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	return single(t, p), loopback(port), &tls.Config{
		RootCAs:      roots,
		Certificates: []tls.Certificate{{Certificate: [][]byte{client.cert.Raw}, PrivateKey: client.key}},
	}
}

type certificate struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newCertificate returns one for loopback that was signed by another, or by itself.
func newCertificate(t testing.TB, by *certificate) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: serial.String()},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if by == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		by = &certificate{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate{made, key}
}
